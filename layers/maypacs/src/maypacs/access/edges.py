"""Edges: enrolled with a one-time code (ten minutes, one use), then known by a key of their own (store and read).

| partition        | sort key      | row                                     |
|------------------|---------------|-----------------------------------------|
| `code#{sha256}`  | `0`           | an enrolment code: archive, expiry, use |
| `{archive}#A`    | `edge#{edge}` | an edge; its key's id is the edge's id; what it said last of itself |
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from maypacs.access.accounts import Clock, all_items, get_archive, label, partition
from maypacs.access.keys import NewKey, add_key, digest, revoke_key
from maypacs.access.principals import Role
from maypacs.errors import ConditionFailedError, NotFoundError, UnauthenticatedError
from maypacs.index.table import Equals, Present, Table
from maypacs.uids import ArchiveId

CODE_SECONDS = 600
#: Crockford's base 32 without I, L, O, U: read over the telephone, typed into a terminal.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS, _GROUP = 4, 5


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    code: str  #: shown once: XXXXX-XXXXX-XXXXX-XXXXX, 100 bits
    archive_id: ArchiveId
    expires_at: int


@dataclass(frozen=True, slots=True)
class Edge:
    edge_id: str
    archive_id: ArchiveId
    name: str
    version: str
    enrolled_at: int
    heard_at: int | None = None  #: of its last heartbeat
    health: bytes = b""  #: what that said; opaque here


@dataclass(frozen=True, slots=True)
class Enrolment:
    edge: Edge
    key: NewKey


def _normalised(code: str) -> str:
    kept = "".join(c for c in code.upper() if c.isalnum())
    return kept.replace("O", "0").replace("I", "1").replace("L", "1")


def add_enrolment_code(
    accounts: Table, archive: str, *, name: str = "", created_by: str = "", clock: Clock = time.time
) -> EnrolmentCode:
    """A code for one edge of the archive; ``name`` is the edge's, unless it brings one. Raises NotFoundError."""
    archive_id = get_archive(accounts, archive).archive_id
    expires_at = int(clock()) + CODE_SECONDS
    code = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    accounts.put(
        {
            "pk": f"code#{digest(_normalised(code))}",
            "sk": "0",
            "v": 1,
            "archive": archive_id,
            "name": label(name),
            "created_by": created_by,
            "expires_at": expires_at,
            "state": "open",
            "ttl": expires_at + 86_400,
        }
    )
    return EnrolmentCode(code, archive_id, expires_at)


def enrol(accounts: Table, code: str, *, name: str = "", version: str = "", clock: Clock = time.time) -> Enrolment:
    """Uses the code up and makes the edge. Raises UnauthenticatedError: the same for unknown, used and expired ones."""
    refused = UnauthenticatedError("the enrolment code is not valid: ask for a new one")
    pk = f"code#{digest(_normalised(code))}"
    item = accounts.get(pk, "0")
    if item is None or item["expires_at"] <= clock():
        raise refused
    name, version = label(name) or item["name"], label(version)
    edge_id = secrets.token_hex(8)
    try:
        # First of all: of two that come at once, one wins. A crash after this costs a new code, never a second edge.
        accounts.update(pk, "0", set={"state": "used", "edge": edge_id}, condition=Equals("state", "open"))
    except ConditionFailedError:
        used = accounts.get(pk, "0")  # a write that was retried below us looks lost: then the edge is ours
        if used is None or used.get("edge") != edge_id:
            raise refused from None
    edge = Edge(edge_id, ArchiveId(item["archive"]), name or f"edge {edge_id[:4]}", version, int(clock()))
    accounts.put(
        {
            "pk": partition(edge.archive_id),
            "sk": f"edge#{edge_id}",
            "v": 1,
            "name": edge.name,
            "version": version,
            "enrolled_at": edge.enrolled_at,
        }
    )
    key = add_key(
        accounts,
        edge.archive_id,
        Role.TECHNICIAN,
        name=edge.name,
        kind="edge",
        key_id=edge_id,
        created_by=item["created_by"],
        clock=clock,
    )
    return Enrolment(edge, key)


def list_edges(accounts: Table, archive: ArchiveId) -> list[Edge]:
    return [
        Edge(
            i["sk"].removeprefix("edge#"),
            archive,
            i["name"],
            i["version"],
            i["enrolled_at"],
            i.get("heard_at"),
            i.get("health", b""),
        )
        for i in all_items(accounts, partition(archive), prefix="edge#")
    ]


def note_heartbeat(
    accounts: Table, archive: ArchiveId, edge_id: str, *, version: str, health: bytes, clock: Clock = time.time
) -> int:
    """What an edge says of itself takes the place of what it said before: one row an edge, one write unit a time while
    ``health`` is short. The moment, in seconds since 1970. Raises NotFoundError when there is no such edge (any more).
    """
    now = int(clock())
    said = {"heard_at": now, "version": label(version), "health": health}
    try:
        accounts.update(partition(archive), f"edge#{edge_id}", set=said, condition=Present())
    except ConditionFailedError:
        raise NotFoundError("no such edge") from None
    return now


def remove_edge(accounts: Table, archive: ArchiveId, edge_id: str) -> None:
    """Its key works no more; what it stored stays. Idempotent."""
    revoke_key(accounts, archive, edge_id)
    accounts.delete(partition(archive), f"edge#{edge_id}")
