"""What the schedule does: sends what lies in the inbox too long into ingest again, and expires exports.

Events may be lost (and some S3 engines have none): the listing of the inbox is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from maypacs import arrivals, receipts
from maypacs.archive.objects import ObjectHead, Objects
from maypacs.archive.store import ArchiveStore
from maypacs.errors import BadRequestError, ObjectNotFoundError
from maypacs.receipts import Receipt
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

SWEEP_AGE = timedelta(minutes=15)
EXPORT_AGE = timedelta(days=1)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object of the inbox that nobody has taken in."""

    archive_id: ArchiveId
    head: ObjectHead


def waiting(inbox: Objects, *, older_than: timedelta = SWEEP_AGE, clock: Clock = utc_now) -> Iterator[Waiting]:
    """Objects of the inbox of all archives, older than that. What lies below no archive is nobody's: it is left."""
    before = clock() - older_than
    for head in inbox.list(""):
        if head.last_modified > before or head.key.endswith("/"):
            continue
        try:
            yield Waiting(arrivals.archive_of(head.key), head)
        except BadRequestError:
            continue


def expire_exports(objects: Objects, *, older_than: timedelta = EXPORT_AGE, clock: Clock = utc_now) -> int:
    """Composed answers live a day (their URLs half an hour). Returns how many went."""
    before = clock() - older_than
    expired = [head.key for head in objects.list("blobs/exports/") if head.last_modified < before]
    for key in expired:
        objects.delete(key)
    return len(expired)


def quarantine_stranger(workspace: Workspace, inbox_key: str) -> Receipt | None:
    """An object for an archive that does not exist: out of the way, unread, and no row of that archive is written.

    Once the archive is opened, moving it back to the inbox takes it in. None: it is gone already.
    """
    store: ArchiveStore = workspace.store
    try:
        arrival = arrivals.arrival_of(store.inbox.head(inbox_key))
    except ObjectNotFoundError:
        return None
    store.quarantine_inbox_object(arrival, inbox_key, {"reason": receipts.NO_ARCHIVE})
    store.inbox.delete(inbox_key)
    return Receipt.of(arrival, [receipts.failure(receipts.NO_ARCHIVE)])


def quarantine_poison(workspace: Workspace, inbox_key: str) -> Receipt | None:
    """An object whose message was seen too often: out of the way, without parsing it. None: it is gone already."""
    store: ArchiveStore = workspace.store
    try:
        head = store.inbox.head(inbox_key)
    except ObjectNotFoundError:
        return None
    arrival = arrivals.arrival_of(head)
    store.quarantine_inbox_object(arrival, inbox_key, {"reason": receipts.POISON})
    receipt = Receipt.of(arrival, [receipts.failure(receipts.POISON)])
    workspace.table.put(receipt.to_item(workspace.archive_id))
    store.inbox.delete(inbox_key)
    return receipt
