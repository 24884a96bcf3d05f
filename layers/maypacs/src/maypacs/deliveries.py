"""A message about an object of the inbox: passed on, taken in, or put out of the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from maypacs.arrivals import archive_of
from maypacs.errors import BadRequestError, BusyError, StorageError, TableError
from maypacs.events import Created, created_message, is_bulk
from maypacs.housekeeping import quarantine_poison, quarantine_stranger
from maypacs.index.rows import SCHEMA_VERSION, receipt_pk
from maypacs.ingest import ingest_object
from maypacs.receipts import Receipt
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

#: A message seen so often, while storage and table worked, killed whoever read its object.
POISON_RECEIVES = 4
_ATTEMPTS_SK = "attempts"


def deliver(
    created: Created,
    *,
    receives: int,
    open_workspace: Callable[[ArchiveId], Workspace],
    archive_exists: Callable[[ArchiveId], bool],
    bulk_queue: str | None = None,
) -> Receipt | None:
    """The receipt of the object. None: it is gone, lies below no archive (and stays), or waits in the bulk queue now.

    Raises what ingest raises: the message is to be delivered again.
    """
    if bulk_queue and is_bulk(created):
        send(bulk_queue, created)
        return None
    try:
        archive_id = archive_of(created.key)
    except BadRequestError:
        return None
    workspace = open_workspace(archive_id)
    if not archive_exists(archive_id):
        # Whoever may write to the inbox must not begin an archive that nobody opened.
        return quarantine_stranger(workspace, created.key)
    with _attempt(workspace, created.key, receives) as ended_badly:
        # The first attempt is not counted: it left no mark.
        if receives >= POISON_RECEIVES and ended_badly >= POISON_RECEIVES - 2:
            return quarantine_poison(workspace, created.key)
        return ingest_object(workspace, created.key, size=created.size)


@contextmanager
def _attempt(workspace: Workspace, key: str, receives: int) -> Iterator[int]:
    """Counts the repeated attempts at an object that ended without a word, or by a fault of ours; gives those before.

    A message comes again also because storage or the table was away, or a disk was full. Those attempts do not count,
    however many: afterwards everything that waits would be put into quarantine unread.
    """
    if receives <= 1:
        yield 0
        return
    pk = receipt_pk(workspace.archive_id, hashlib.sha256(key.encode()).hexdigest()[:32])
    held = workspace.table.get(pk, _ATTEMPTS_SK)
    before = int(held["count"]) if held else 0

    def remember(count: int) -> None:
        workspace.table.put({"pk": pk, "sk": _ATTEMPTS_SK, "v": SCHEMA_VERSION, "count": count})

    remember(before + 1)
    try:
        yield before
    except (StorageError, TableError, BusyError):
        remember(before)
        raise
    workspace.table.delete(pk, _ATTEMPTS_SK)


def send(queue: str, created: Created) -> None:
    """A message about the object to the queue of that URL, as S3 would send it."""
    _sqs().send_message(QueueUrl=queue, MessageBody=created_message(created))


@cache
def _sqs() -> Any:
    import boto3

    return boto3.client("sqs")
