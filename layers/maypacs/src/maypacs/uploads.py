"""Uploads to the inbox: grants, and what became of them.

A grant is a row of the accounts table, ``{archive}#U#{arrival}`` / ``grant``: it ties an arrival id to the principal
who got it, so that a retry reuses the id and nobody else can. The receipt that ingest writes is a row of the index
(`rows.receipt_pk`). Arrival ids are ULIDs made here: their order is the order of arrival (protocols: instances).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from maypacs.access.accounts import Clock
from maypacs.access.principals import Principal
from maypacs.archive.grants import UploadGrant, UploadGranter
from maypacs.arrivals import is_arrival, ulid_at
from maypacs.errors import BadRequestError, ConflictError, NotFoundError, ObjectNotFoundError, TooLargeError
from maypacs.index.table import Item, Table
from maypacs.receipts import DIFFERS, Receipt, read_receipt
from maypacs.workspace import Workspace

#: One PUT of S3; what is larger goes up in parts (`resumable`).
MAX_OBJECT_BYTES = 5 * 2**30
MAX_STATUSES = 100
GRANT_SECONDS = 900
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+/;=\" -]{3,200}\Z")
_MEDIA_TYPES = frozenset(
    {
        "multipart/related",
        "application/dicom",
        "application/zip",
        "application/x-tar",
        "application/octet-stream",
    }
)

UploadState = Literal["pending", "indexed", "partial", "quarantined", "unknown"]


@dataclass(frozen=True, slots=True)
class Granted:
    arrival: str
    grant: UploadGrant


@dataclass(frozen=True, slots=True)
class UploadStatus:
    arrival: str
    state: UploadState
    in_inbox: bool = False  #: of a pending one: the object is there and waits
    reason: str | None = None
    instances: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)  #: by result: stored, duplicate, conflict, failed …
    conflicts: Sequence[Mapping[str, str]] = ()
    failures: Sequence[Mapping[str, str | None]] = ()


def grant_upload(
    workspace: Workspace,
    accounts: Table,
    granter: UploadGranter,
    principal: Principal,
    *,
    length: int,
    sha256_hex: str,
    content_type: str,
    arrival: str | None = None,
    clock: Clock = time.time,
) -> Granted:
    """A grant to PUT these bytes once; with ``arrival`` a fresh one for the same upload.

    Raises BadRequestError, TooLargeError, NotFoundError (an arrival that is not this principal's), ConflictError (an
    arrival granted for other bytes).
    """
    arrival, _ = take_grant(
        workspace,
        accounts,
        principal,
        length=length,
        sha256_hex=sha256_hex,
        content_type=content_type,
        arrival=arrival,
        clock=clock,
        at_most=MAX_OBJECT_BYTES,
    )
    return Granted(arrival, granter.grant(workspace.store.upload_key(arrival), length, sha256_hex, content_type))


def take_grant(
    workspace: Workspace,
    accounts: Table,
    principal: Principal,
    *,
    length: int,
    sha256_hex: str,
    content_type: str,
    arrival: str | None,
    clock: Clock,
    at_most: int,
) -> tuple[str, Item]:
    """The arrival id and the row of a new grant, or of an earlier one for the same bytes, of which there are at most
    ``at_most``. Raises as `grant_upload`.
    """
    if length < 1:
        raise BadRequestError("length: the number of bytes is needed")
    if length > at_most:
        raise TooLargeError(f"one upload of this kind has at most {at_most} bytes")
    check_sha256(sha256_hex)
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES or not _CONTENT_TYPE.match(content_type):
        raise BadRequestError(f"content_type: one of {', '.join(sorted(_MEDIA_TYPES))} is needed")
    body = {"length": length, "sha256": sha256_hex, "content_type": content_type}
    if arrival is None:
        arrival = ulid_at(clock())
        key = {"pk": _grant_pk(workspace, arrival), "sk": "grant", "v": 1, "granted_at": int(clock())}
        row = {**key, "by": str(principal), **body}
        accounts.put(row)
        return arrival, row
    row = find_grant(workspace, accounts, principal, arrival)
    if {name: row[name] for name in body} != body:
        raise ConflictError("that arrival id was granted for other bytes: ask for a new one")
    return arrival, row


def find_grant(workspace: Workspace, accounts: Table, principal: Principal, arrival: str) -> Item:
    """The row of a grant. Raises BadRequestError, NotFoundError (none, or not this principal's)."""
    known = accounts.get(_grant_pk(workspace, _checked(arrival)), "grant")
    if known is None or known["by"] != str(principal):
        raise NotFoundError("no upload of that arrival id was granted to you")
    return known


def check_sha256(sha256_hex: str) -> None:
    """Raises BadRequestError."""
    if not _SHA256.match(sha256_hex):
        raise BadRequestError("sha256: 64 lower-case hex digits are needed")


def upload_status(workspace: Workspace, accounts: Table, arrival: str) -> UploadStatus:
    """What became of an upload of this archive. Raises BadRequestError for what is no arrival id."""
    arrival = _checked(arrival)
    receipt = read_receipt(workspace.table, workspace.archive_id, arrival)
    if receipt is not None:
        return _of_receipt(receipt)
    if accounts.get(_grant_pk(workspace, arrival), "grant") is None:
        return UploadStatus(arrival, "unknown")
    try:
        workspace.store.inbox.head(workspace.store.upload_key(arrival))
    except ObjectNotFoundError:
        return UploadStatus(arrival, "pending")
    return UploadStatus(arrival, "pending", in_inbox=True)


def _of_receipt(receipt: Receipt) -> UploadStatus:
    failures = [{"sop_instance_uid": uid or None, "reason": why, "part": part} for uid, why, part in receipt.failures]
    return UploadStatus(
        receipt.arrival,
        receipt.state,
        reason=failures[0]["reason"] if failures else None,
        instances=sum(receipt.counts.values()),
        counts=receipt.counts,
        conflicts=[{"sop_instance_uid": uid, "reason": DIFFERS} for uid in receipt.conflicts],
        failures=failures,
    )


def _grant_pk(workspace: Workspace, arrival: str) -> str:
    return f"{workspace.archive_id}#U#{arrival}"


def _checked(arrival: str) -> str:
    if not is_arrival(arrival):
        raise BadRequestError("not an arrival id: a ULID is needed")
    return arrival
