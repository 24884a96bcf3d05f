"""The list of an archive's erasures: one row each, ``{a}#E`` / the decision's ULID (protocols: decisions).

A row says what is to be erased and how far that is. It is rebuilt from decisions and proofs by ``reindex``; edges read
the list to empty their caches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maypacs.errors import ConditionFailedError, NotFoundError
from maypacs.index.rows import SCHEMA_VERSION
from maypacs.index.table import Absent, Equals, Item, Table
from maypacs.uids import ArchiveId, Uid
from maypacs.workspace import Workspace

PENDING, DONE = "pending", "done"
#: Kind of the decision object that proves one.
PROOF = "erasure"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One that was decided. ``waits``: why it is not done yet, in a word."""

    erasure_id: str
    study: Uid
    series: Uid | None
    instance: Uid | None
    by: str
    at: str  #: ISO 8601, UTC
    state: str
    waits: str = ""

    @classmethod
    def from_item(cls, item: Item) -> Erasure:
        series, instance = (Uid(item[level]) or None for level in ("series", "instance"))
        study, state = Uid(item["study"]), item["state"]
        return cls(item["sk"], study, series, instance, item["by"], item["at"], state, item["waits"])


def erasures_pk(archive_id: ArchiveId) -> str:
    return f"{archive_id}#E"


def register(workspace: Workspace, document: Mapping[str, Any]) -> None:
    """Of the decision: to be done, unless its row says more."""
    item = _item(workspace, document, document["decision"], PENDING)
    try:
        workspace.table.put(item, condition=Absent())
    except ConditionFailedError:
        return


def finish(workspace: Workspace, document: Mapping[str, Any]) -> None:
    """Of the proof."""
    workspace.table.put(_item(workspace, document, document["erasure"], DONE))


def waits(workspace: Workspace, erasure: Erasure, why: str) -> None:
    """Says what an erasure waits for; no row that is done becomes undone (one housekeeper at a time is not given)."""
    item = workspace.table.get(erasures_pk(workspace.archive_id), erasure.erasure_id)
    if item and item["state"] != DONE and item["waits"] != why:
        try:
            workspace.table.put({**item, "waits": why}, condition=Equals("state", PENDING))
        except ConditionFailedError:
            return


def erasures(table: Table, archive_id: ArchiveId, *, after: str = "", limit: int | None = None) -> Iterator[Erasure]:
    """In the order in which they were decided, those after an id."""
    if after >= "~":  # no id is: whatever a client sent
        return
    start, given = None, 0
    between = (f"{after}!", "~") if after else None
    while True:
        page = table.query(erasures_pk(archive_id), between=between, consistent=True, start=start)
        for item in page.items:
            if given == limit:
                return
            given += 1
            yield Erasure.from_item(item)
        start = page.next
        if start is None:
            return


def find(workspace: Workspace, erasure_id: str) -> Erasure:
    """Raises NotFoundError."""
    item = workspace.table.get(erasures_pk(workspace.archive_id), erasure_id)
    if item is None:
        raise NotFoundError("no such erasure")
    return Erasure.from_item(item)


def _item(workspace: Workspace, document: Mapping[str, Any], name: str, state: str) -> Item:
    return {
        "pk": erasures_pk(workspace.archive_id),
        "sk": name,
        "v": SCHEMA_VERSION,
        "study": document["study"],
        "series": document.get("series") or "",
        "instance": document.get("instance") or "",
        "by": document["by"],
        "at": document["at"],
        "state": state,
        "waits": "",
    }
