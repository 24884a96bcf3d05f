"""API keys of third parties and edges: 256 random bits, shown once, stored as SHA-256.

| partition        | sort key   | row                                                        |
|------------------|------------|------------------------------------------------------------|
| `key#{sha256}`   | `0`        | what the key may do; no row: no such key                   |
| `{archive}#A`    | `key#{id}` | the same for the archive's list, with the digest to revoke |

A key whose secret is being replaced has the digest of the old one as `replaces`, until it is replaced again.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Literal

from maypacs.access.accounts import Clock, all_items, get_archive, label, partition
from maypacs.access.principals import Role
from maypacs.errors import BadRequestError, ConditionFailedError, UnauthenticatedError
from maypacs.index.table import AbsentOrEquals, Equals, Item, Table
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
    """It works no more after the gatekeeper's half minute. Idempotent: revoking what is not there is a success.

    The secrets go first and the list's row last, if it still tells of these secrets: whatever a crash leaves is listed.
    """
    while (item := accounts.get(partition(archive), f"key#{key_id}")) is not None:
        for secret in (item["digest"], item.get("replaces")):
            if secret:
                accounts.delete(f"key#{secret}", "0")
        with contextlib.suppress(ConditionFailedError):  # replaced meanwhile: look again
            accounts.delete(partition(archive), f"key#{key_id}", condition=Equals("digest", item["digest"]))


def replace_secret(accounts: Table, archive: ArchiveId, key_id: str, *, presented: str, replacement: str) -> None:
    """A key gets another secret, of which its holder tells the digest (SHA-256, hex) and has written it down already.

    Idempotent, and finished by whoever repeats it, with the old secret or the new one: one of them works at any moment,
    and after a success only the new one. Raises UnauthenticatedError when the key is not there, or has another secret.
    """
    gone = UnauthenticatedError("the API key is not valid")
    pk, sk, old = partition(archive), f"key#{key_id}", digest(presented)
    item, holder = accounts.get(pk, sk), accounts.get(f"key#{replacement}", "0")
    if holder is not None and holder["id"] != key_id:
        raise BadRequestError("that secret is another key's")
    if item is not None and item["digest"] == old and old != replacement:
        with contextlib.suppress(ConditionFailedError):  # somebody else's, or our own that was sent twice: see below
            accounts.update(pk, sk, set={"digest": replacement, "replaces": old}, condition=Equals("digest", old))
        item = accounts.get(pk, sk)
    if item is None or item["digest"] != replacement or old not in (replacement, item.get("replaces")):
        raise gone
    row = {k: v for k, v in item.items() if k not in ("digest", "replaces")}
    accounts.put({**row, "pk": f"key#{replacement}", "sk": "0"}, condition=AbsentOrEquals("id", key_id))
    now = accounts.get(pk, sk)
    if now is None or now["digest"] != replacement:
        # Revoked while we were at it: whoever did it may have looked before the new secret was there.
        accounts.delete(f"key#{replacement}", "0")
        raise gone
    if replaced := item.get("replaces"):
        accounts.delete(f"key#{replaced}", "0")


def forget_secret(accounts: Table, secret: str) -> None:
    """Ends a secret whose key is listed no more."""
    accounts.delete(f"key#{digest(secret)}", "0")


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
