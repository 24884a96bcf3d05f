"""A message about an object of the inbox: passed on, taken in, or put out of the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from maypacs.arrivals import archive_of
from maypacs.errors import BadRequestError
from maypacs.events import Created, created_message, is_bulk
from maypacs.housekeeping import quarantine_poison
from maypacs.ingest import ingest_object
from maypacs.receipts import Receipt
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

#: A message seen so often killed whoever read its object.
POISON_RECEIVES = 4


def deliver(
    created: Created,
    *,
    receives: int,
    open_workspace: Callable[[ArchiveId], Workspace],
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
    if receives >= POISON_RECEIVES:
        return quarantine_poison(workspace, created.key)
    return ingest_object(workspace, created.key, size=created.size)


def send(queue: str, created: Created) -> None:
    """A message about the object to the queue of that URL, as S3 would send it."""
    _sqs().send_message(QueueUrl=queue, MessageBody=created_message(created))


@cache
def _sqs() -> Any:
    import boto3

    return boto3.client("sqs")
