"""Uploads in parts, for bodies that a bad line cannot carry at once: begun, resumed from what storage holds, completed.

The grant of an upload (`uploads`) remembers storage's id of it. Each part is granted by itself, with its own SHA-256,
for a few minutes: so an upload may take days. Only `complete` makes an object of the parts, and ingest takes it in only
if the SHA-256 of the whole is the one that was granted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from maypacs import uploads
from maypacs.access.accounts import Clock
from maypacs.access.principals import Principal
from maypacs.archive.grants import UploadGrant, UploadGranter
from maypacs.archive.part_uploads import HeldPart, PartUploads
from maypacs.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    ObjectNotFoundError,
    PreconditionFailedError,
)
from maypacs.index.table import Item, Table
from maypacs.receipts import read_receipt
from maypacs.workspace import Workspace

#: Every part but the last (S3: at least 5 MiB).
PART_BYTES = 8 * 2**20
#: S3: at most 10,000 parts; 78 GiB.
MAX_BYTES = 10_000 * PART_BYTES
#: Of one request for grants.
MAX_PARTS = 100


@dataclass(frozen=True, slots=True)
class Begun:
    arrival: str
    part_bytes: int
    parts: int  #: how many there are
    held: tuple[int, ...]  #: the numbers of those that storage has
    complete: bool  #: nothing is left to do: the object is there, or was taken in


def begin(
    workspace: Workspace,
    accounts: Table,
    storage: PartUploads,
    principal: Principal,
    *,
    length: int,
    sha256_hex: str,
    content_type: str,
    arrival: str | None = None,
    clock: Clock = time.time,
) -> Begun:
    """A new upload; with ``arrival`` an earlier one, and what is there of it. Raises as `uploads.grant_upload`."""
    is_new = arrival is None
    arrival, row = uploads.take_grant(
        workspace,
        accounts,
        principal,
        length=length,
        sha256_hex=sha256_hex,
        content_type=content_type,
        arrival=arrival,
        clock=clock,
        at_most=MAX_BYTES,
    )
    count = _count(length)
    if not is_new:
        if _is_there(workspace, arrival):
            return Begun(arrival, PART_BYTES, count, tuple(range(1, count + 1)), complete=True)
        if upload := row.get("upload"):
            try:
                held = storage.held(workspace.store.upload_key(arrival), upload)
                return Begun(arrival, PART_BYTES, count, tuple(_good(held, length)), complete=False)
            except ObjectNotFoundError:
                pass  # aborted for its age: begin anew
    key = workspace.store.upload_key(arrival)
    upload = storage.begin(key, content_type=content_type, sha256_hex=sha256_hex)
    accounts.update(row["pk"], row["sk"], set={"upload": upload})
    return Begun(arrival, PART_BYTES, count, (), complete=False)


def grant_parts(
    workspace: Workspace,
    accounts: Table,
    granter: UploadGranter,
    principal: Principal,
    arrival: str,
    wanted: Iterable[tuple[int, str]],
) -> list[UploadGrant]:
    """Grants to PUT parts (number, SHA-256 in hex), in their order. Raises NotFoundError, BadRequestError."""
    row = _begun(workspace, accounts, principal, arrival)
    count, key = _count(row["length"]), workspace.store.upload_key(arrival)
    grants = []
    for number, sha256_hex in wanted:
        if not 1 <= number <= count:
            raise BadRequestError(f"number: this upload has the parts 1 to {count}")
        uploads.check_sha256(sha256_hex)
        grants.append(granter.grant_part(key, row["upload"], number, _size(row["length"], number), sha256_hex))
    return grants


def complete(workspace: Workspace, accounts: Table, storage: PartUploads, principal: Principal, arrival: str) -> None:
    """Makes the object; again is a success. Raises NotFoundError; ConflictError: parts are missing, or storage has no
    such upload any more, so that it has to be begun again.
    """
    row = _begun(workspace, accounts, principal, arrival)
    key, upload = workspace.store.upload_key(arrival), row["upload"]
    try:
        good = _good(storage.held(key, upload), row["length"])
        if missing := _count(row["length"]) - len(good):
            raise ConflictError(f"{missing} parts are missing")
        storage.complete(key, upload, [good[number] for number in sorted(good)])
    except PreconditionFailedError:
        storage.abort(key, upload)
    except ObjectNotFoundError:
        if not _is_there(workspace, arrival):
            raise ConflictError("this upload is not there any more: begin it again") from None


def _begun(workspace: Workspace, accounts: Table, principal: Principal, arrival: str) -> Item:
    row = uploads.find_grant(workspace, accounts, principal, arrival)
    if "upload" not in row:
        raise NotFoundError("no upload in parts of that arrival id was begun")
    return row


def _count(length: int) -> int:
    return -(-length // PART_BYTES)


def _size(length: int, number: int) -> int:
    return min(PART_BYTES, length - (number - 1) * PART_BYTES)


def _good(held: Iterable[HeldPart], length: int) -> dict[int, HeldPart]:
    """By number: those of the size that they must have."""
    return {
        part.number: part
        for part in held
        if 1 <= part.number <= _count(length) and part.size == _size(length, part.number)
    }


def _is_there(workspace: Workspace, arrival: str) -> bool:
    if read_receipt(workspace.table, workspace.archive_id, arrival) is not None:
        return True
    try:
        workspace.store.inbox.head(workspace.store.upload_key(arrival))
    except ObjectNotFoundError:
        return False
    return True
