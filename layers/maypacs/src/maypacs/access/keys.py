"""API keys of third parties and edges: 256 random bits, shown once, stored as SHA-256.

| partition        | sort key   | row                                                        |
|------------------|------------|------------------------------------------------------------|
| `key#{sha256}`   | `0`        | what the key may do; no row: no such key                   |
| `{archive}#A`    | `key#{id}` | the same for the archive's list, with the digest to revoke |
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Literal

from maypacs.access.accounts import Clock, all_items, get_archive, label, partition
from maypacs.access.principals import Role
from maypacs.errors import BadRequestError
from maypacs.index.table import Item, Table
from maypacs.uids import ArchiveId

PREFIX = "mpk_"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class ApiKey:
    key_id: str
    kind: Literal["key", "edge"]
    archive_id: ArchiveId
    role: Role
    name: str
    created_at: int
    created_by: str  #: kind:id of who made it, "" for the command line
    expires_at: int | None  #: seconds since 1970

    def is_live(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class NewKey:
    key: str  #: shown once: `Authorization: Bearer mpk_…`
    about: ApiKey


def digest(secret: str) -> str:
    """SHA-256, hex. Enough for 256 random bits: a slow hash protects only what can be guessed."""
    return hashlib.sha256(secret.encode("utf-8")).hexdigest()


def add_key(
    accounts: Table,
    archive: str,
    role: Role,
    *,
    name: str = "",
    expires_at: int | None = None,
    created_by: str = "",
    kind: Literal["key", "edge"] = "key",
    key_id: str | None = None,
    clock: Clock = time.time,
) -> NewKey:
    """A new key every time: it is the secret that is asked for. Raises NotFoundError (archive), BadRequestError."""
    if role is Role.OPERATOR:
        raise BadRequestError("a key belongs to one archive: operator is not a role for it")
    if expires_at is not None and expires_at <= clock():
        raise BadRequestError("the key would have expired already")
    about = ApiKey(
        key_id=key_id or secrets.token_hex(8),
        kind=kind,
        archive_id=get_archive(accounts, archive).archive_id,
        role=role,
        name=label(name),
        created_at=int(clock()),
        created_by=created_by,
        expires_at=expires_at,
    )
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    row = _to_item(about)
    accounts.put({**row, "pk": partition(about.archive_id), "sk": f"key#{about.key_id}", "digest": digest(secret)})
    accounts.put({**row, "pk": f"key#{digest(secret)}", "sk": "0"})
    return NewKey(secret, about)


def find_key(accounts: Table, secret: str) -> ApiKey | None:
    """The key's row; None when there is none (its expiry is the caller's to check)."""
    item = accounts.get(f"key#{digest(secret)}", "0")
    return None if item is None else _from_item(item)


def list_keys(accounts: Table, archive: ArchiveId, *, kind: Literal["key", "edge"] = "key") -> list[ApiKey]:
    keys = [_from_item(item) for item in all_items(accounts, partition(archive), prefix="key#")]
    return [key for key in keys if key.kind == kind]


def revoke_key(accounts: Table, archive: ArchiveId, key_id: str) -> None:
    """It works no more after the gatekeeper's half minute. Idempotent: revoking what is not there is a success."""
    item = accounts.get(partition(archive), f"key#{key_id}")
    if item is not None:
        accounts.delete(f"key#{item['digest']}", "0")
        accounts.delete(partition(archive), f"key#{key_id}")


def _to_item(key: ApiKey) -> Item:
    return {
        "v": 1,
        "id": key.key_id,
        "kind": key.kind,
        "archive": key.archive_id,
        "role": str(key.role),
        "name": key.name,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
    }


def _from_item(item: Item) -> ApiKey:
    return ApiKey(
        key_id=item["id"],
        kind=item["kind"],
        archive_id=ArchiveId(item["archive"]),
        role=Role(item["role"]),
        name=item["name"],
        created_at=item["created_at"],
        created_by=item["created_by"],
        expires_at=item["expires_at"],
    )
