"""Archives and users: rows of the accounts table, and the use cases on them.

| partition     | sort key      | row                                                                          |
|---------------|---------------|------------------------------------------------------------------------------|
| `archives`    | `{archive}`   | an archive                                                                   |
| `user#{user}` | `0`           | a user: password hash, roles by archive, operator, epoch, revision            |
| `users`       | `{user}`      | a pointer, for the operators' list                                           |
| `{archive}#A` | `user#{user}` | a pointer, for the archive's list; what it says is checked against the user  |

Keys and edges: `keys.py`, `edges.py`. Pointers are written first and removed last: what works is always listed.
Rows of no use after a while carry ``ttl`` (seconds since 1970): an engine may drop them then, nothing relies on it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from maypacs.access.passwords import hash_password, new_password
from maypacs.access.principals import Role
from maypacs.errors import BadRequestError, BusyError, ConditionFailedError, ConflictError, NotFoundError
from maypacs.index.table import Absent, Equals, Item, Table
from maypacs.uids import ArchiveId, archive_id

Clock = Callable[[], float]

_USER = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}\Z")
_MAX_NAME = 200
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Archive:
    archive_id: ArchiveId
    name: str
    created_at: int  #: seconds since 1970


@dataclass(frozen=True, slots=True)
class User:
    user: str
    name: str
    roles: Mapping[ArchiveId, Role]
    operator: bool
    epoch: int
    created_at: int


@dataclass(frozen=True, slots=True)
class NewUser:
    user: str
    created: bool  #: False: the user was there, and got the role
    password: str | None  #: shown once: the generated one; None when it was given, or the user was there


def partition(archive: ArchiveId) -> str:
    """Users, keys and edges of an archive."""
    return f"{archive}#A"


def user_id(value: str) -> str:
    """A user's name as it is stored: lower case. Raises BadRequestError."""
    lowered = value.strip().lower()
    if not _USER.match(lowered):
        raise BadRequestError("not a user name: 2 to 64 of a-z, 0-9, '.', '_', '@', '-' are needed")
    return lowered


def label(value: str) -> str:
    """A name for people. Raises BadRequestError."""
    cleaned = " ".join(value.split())
    if len(cleaned) > _MAX_NAME or not cleaned.isprintable():
        raise BadRequestError(f"a name has up to {_MAX_NAME} printable characters")
    return cleaned


def all_items(table: Table, pk: str, *, prefix: str | None = None) -> Iterator[Item]:
    """Every row of a partition, all pages, consistent."""
    start = None
    while True:
        page = table.query(pk, prefix=prefix, start=start, consistent=True)
        yield from page.items
        start = page.next
        if start is None:
            return


# Archives


def add_archive(accounts: Table, archive: str, *, name: str = "", clock: Clock = time.time) -> Archive:
    """Adds it, or finds it there already (then a given name replaces the old one)."""
    known = find_archive(accounts, archive_id(archive))
    row = Archive(
        archive_id(archive),
        label(name) or (known.name if known else archive),
        known.created_at if known else int(clock()),
    )
    if row != known:
        accounts.put({"pk": "archives", "sk": row.archive_id, "v": 1, "name": row.name, "created_at": row.created_at})
    return row


def find_archive(accounts: Table, archive: ArchiveId) -> Archive | None:
    item = accounts.get("archives", archive)
    return None if item is None else Archive(ArchiveId(item["sk"]), item["name"], item["created_at"])


def get_archive(accounts: Table, archive: str) -> Archive:
    """Raises NotFoundError, BadRequestError."""
    found = find_archive(accounts, archive_id(archive))
    if found is None:
        raise NotFoundError("no such archive")
    return found


def list_archives(accounts: Table) -> list[Archive]:
    return [Archive(ArchiveId(i["sk"]), i["name"], i["created_at"]) for i in all_items(accounts, "archives")]


# Users


def add_user(
    accounts: Table,
    user: str,
    *,
    archive: str | None = None,
    role: Role | None = None,
    name: str = "",
    password: str | None = None,
    clock: Clock = time.time,
) -> NewUser:
    """A new user, or another role for one who is there. ``role`` is in ``archive``; Role.OPERATOR needs no archive.

    Without a password one is generated and returned, once. Raises BadRequestError, NotFoundError (archive), and
    ConflictError when a password is given for a user who is there (see `set_password`).
    """
    user = user_id(user)
    target = _target(accounts, archive, role)
    if accounts.get(f"user#{user}", "0") is None:
        generated = None if password is not None else new_password()
        item: Item = {
            "pk": f"user#{user}",
            "sk": "0",
            "v": 1,
            "revision": 1,
            "name": label(name) or user,
            "password": hash_password(password if password is not None else generated or ""),
            "roles": {} if target is None else {target: str(role)},
            "operator": role is Role.OPERATOR,
            "epoch": 0,
            "created_at": int(clock()),
        }
        _point(accounts, user, target)
        try:
            accounts.put(item, condition=Absent())
            return NewUser(user, True, generated)
        except ConditionFailedError:
            # A write that was retried below us looks lost. Otherwise somebody else added the same user meanwhile.
            if (user_item(accounts, user) or {}).get("password") == item["password"]:
                return NewUser(user, True, generated)
    if password is not None:
        raise ConflictError(f"the user {user} exists already; a password is changed, not given again")
    if role is not None:
        _point(accounts, user, target)
        _change(accounts, user, lambda item: _with_role(item, target, role))
    return NewUser(user, False, None)


def _target(accounts: Table, archive: str | None, role: Role | None) -> ArchiveId | None:
    if role is Role.OPERATOR:
        if archive is not None:
            raise BadRequestError("an operator is over all archives: name none")
        return None
    if (archive is None) != (role is None):
        raise BadRequestError("a role is in an archive: name both or neither")
    return None if archive is None else get_archive(accounts, archive).archive_id


def _point(accounts: Table, user: str, archive: ArchiveId | None) -> None:
    accounts.put({"pk": "users", "sk": user, "v": 1})
    if archive is not None:
        accounts.put({"pk": partition(archive), "sk": f"user#{user}", "v": 1})


def _with_role(item: Item, archive: ArchiveId | None, role: Role | None) -> None:
    if archive is None:
        item["operator"] = role is Role.OPERATOR
    elif role is None:
        item["roles"].pop(archive, None)
    else:
        item["roles"][archive] = str(role)


def _change(accounts: Table, user: str, edit: Callable[[Item], None]) -> Item:
    """Read, edit, write under the revision; raises NotFoundError, BusyError."""
    for _ in range(_TRIES):
        item = user_item(accounts, user)
        if item is None:
            raise NotFoundError("no such user")
        revision = item["revision"]
        edit(item)
        item["revision"] = revision + 1
        try:
            accounts.put(item, condition=Equals("revision", revision))
            return item
        except ConditionFailedError:
            continue
    raise BusyError("the user is being changed by others too: try again")


def user_item(accounts: Table, user: str) -> Item | None:
    return accounts.get(f"user#{user}", "0")


def to_user(item: Item) -> User:
    return User(
        user=item["pk"].removeprefix("user#"),
        name=item["name"],
        roles={ArchiveId(a): Role(r) for a, r in item["roles"].items()},
        operator=item["operator"],
        epoch=item["epoch"],
        created_at=item["created_at"],
    )


def get_user(accounts: Table, user: str) -> User:
    """Raises NotFoundError."""
    item = user_item(accounts, user_id(user))
    if item is None:
        raise NotFoundError("no such user")
    return to_user(item)


def list_users(accounts: Table, archive: ArchiveId | None = None) -> list[User]:
    """Users with a role in the archive, or all of them."""
    pointers = (
        all_items(accounts, "users") if archive is None else all_items(accounts, partition(archive), prefix="user#")
    )
    users = []
    for pointer in pointers:
        item = user_item(accounts, pointer["sk"].removeprefix("user#"))
        if item is not None and (archive is None or archive in item["roles"]):
            users.append(to_user(item))
    return users


def remove_role(accounts: Table, user: str, archive: ArchiveId) -> None:
    """Takes the user's role in the archive away, at once (within the gatekeeper's half minute). Idempotent."""
    user = user_id(user)
    item = user_item(accounts, user)
    if item is not None and archive in item["roles"]:
        _change(accounts, user, lambda i: _with_role(i, archive, None))
    accounts.delete(partition(archive), f"user#{user}")


def set_password(accounts: Table, user: str, password: str | None = None) -> str | None:
    """A new password (the generated one is returned), which ends every session. Raises NotFoundError."""
    generated = None if password is not None else new_password()
    hashed = hash_password(password if password is not None else generated or "")

    def edit(item: Item) -> None:
        item["password"] = hashed
        item["epoch"] += 1

    _change(accounts, user_id(user), edit)
    return generated


def revoke_sessions(accounts: Table, user: str) -> None:
    """Ends every session of the user within a minute: tokens of an earlier epoch are refused."""

    def edit(item: Item) -> None:
        item["epoch"] += 1

    _change(accounts, user_id(user), edit)
