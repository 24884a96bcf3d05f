"""What could not be taken in, for a person: listed with its reason, looked into, tried again, or discarded."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from maypacs import arrivals
from maypacs.archive.objects import CopyRange, ObjectHead
from maypacs.decisions import of_person
from maypacs.errors import BadRequestError, NotFoundError, ObjectNotFoundError
from maypacs.holds import LONGEST_REASON
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.uids import Uid
from maypacs.workspace import Workspace

DISCARD = "discard"
_ITEM = re.compile(r"([0-7][0-9A-HJKMNP-TV-Z]{25})(?:-([0-9.]{1,40}))?\Z")
_REASON = ".reason.json"


@dataclass(frozen=True, slots=True)
class Quarantined:
    item: str  #: the upload's arrival, and the part of it: "{ulid}" or "{ulid}-{part}"
    size: int
    at: str  #: ISO 8601, UTC
    reason: str  #: a code (`maypacs.receipts`)


def in_quarantine(workspace: Workspace, *, after: str = "", limit: int = 100) -> list[Quarantined]:
    """By arrival, those after an item."""
    store = workspace.store
    start = store.quarantine_key(after) if after else ""
    found = []
    for head in store.objects.list(store.quarantine_key(""), start_after=start):
        if head.key.endswith(_REASON):
            continue
        found.append(_told(workspace, head))
        if len(found) == limit:
            break
    return found


def download(workspace: Workspace, item: str) -> str:
    """The key of a copy that can be given away for a day, as composed answers are. Raises NotFoundError."""
    store = workspace.store
    head = _find(workspace, item)
    key = store.export_key(f"quarantine/{item}")
    store.objects.copy(CopyRange(head.key), key, content_type="application/octet-stream", metadata={})
    return key


def redrive(workspace: Workspace, item: str) -> str:
    """Back to the inbox, to be taken in again: as what arrived then. Returns the arrival to ask for. Can be repeated.

    Raises NotFoundError.
    """
    store = workspace.store
    head = _find(workspace, item)
    arrival, part = _parsed(item)
    if part:  # the upload's other parts were taken in under its own id
        arrival = arrivals.part_of(arrival, part)
    store.inbox.copy(
        CopyRange(head.key, bucket=store.objects.bucket),
        store.upload_key(arrival),
        content_type="application/octet-stream",
        metadata={},
    )
    _remove(workspace, head.key)
    return arrival


def discard(workspace: Workspace, item: str, *, by: str, reason: str, effects: Effects = DEFAULT_EFFECTS) -> None:
    """For good. Raises NotFoundError, BadRequestError without a reason."""
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise BadRequestError(f"reason: 1 to {LONGEST_REASON} characters are needed")
    head, now = _find(workspace, item), effects.clock()
    document = {**of_person(DISCARD, by, now, Uid(""), None, None), "item": item, "bytes": head.size, "etag": head.etag}
    workspace.store.put_decision(arrivals.ulid_at(now), document | {"reason": reason})
    _remove(workspace, head.key)


def _remove(workspace: Workspace, key: str) -> None:
    workspace.store.objects.delete(f"{key}{_REASON}")
    workspace.store.objects.delete(key)


def _find(workspace: Workspace, item: str) -> ObjectHead:
    try:
        return workspace.store.objects.head(workspace.store.quarantine_key(*_parsed(item)))
    except ObjectNotFoundError:
        raise NotFoundError("nothing of that name is in quarantine") from None


def _parsed(item: str) -> tuple[str, str]:
    match = _ITEM.match(item)
    if match is None:
        raise NotFoundError("nothing of that name is in quarantine")
    return match[1], match[2] or ""


def _told(workspace: Workspace, head: ObjectHead) -> Quarantined:
    try:
        reason = str(orjson.loads(workspace.store.objects.get(f"{head.key}{_REASON}")).get("reason", ""))
    except (ObjectNotFoundError, ValueError):
        reason = ""
    item = head.key.rpartition("/")[2]
    return Quarantined(item, head.size, head.last_modified.isoformat(timespec="seconds"), reason)
