"""Hint rows of a study as they are written and taken away (protocols: ingest, step 5): each carries the revision of the
study that it was made for, so that a slow writer never covers or removes a newer one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maypacs.errors import ConditionFailedError
from maypacs.index.rows import StudySummary
from maypacs.index.table import Absent, Equals, Item
from maypacs.index.terms import hint_rows
from maypacs.workspace import Workspace


def hints_of(study: StudySummary | None) -> Mapping[tuple[str, str], Item]:
    return {(item["pk"], item["sk"]): item for item in hint_rows(study)} if study else {}


def put_hint(workspace: Workspace, hint: Item, revision: int, *, alone: bool = False) -> None:
    """Unless a newer one is there. ``alone``: raises ConditionFailedError if any is there, and writes nothing then."""
    if _is_shared(hint) and workspace.table.get(hint["pk"], hint["sk"]) is not None:
        return  # all studies of a month have this row: a failed put of each would cost more, and in one place
    item = {**hint, "revision": revision}
    try:
        workspace.table.put(item, condition=Absent())
        return
    except ConditionFailedError:
        if _is_shared(hint):
            return
        if alone:
            raise
    while (held := workspace.table.get(hint["pk"], hint["sk"])) is None or _older(held, revision):
        try:
            workspace.table.put(item, condition=Equals("revision", held["revision"]) if held else Absent())
            return
        except ConditionFailedError:
            continue


def _older(held: Item, revision: int) -> bool:
    before: int = held.get("revision", 0)
    return before < revision


def _is_shared(hint: Item) -> bool:
    """Month rows belong to no study: they stay as they are."""
    return "study" not in hint


def remove_hints(workspace: Workspace, stale: Iterable[Item], revision: int) -> None:
    """Those of that revision and older."""
    for hint in stale:
        if _is_shared(hint):
            continue
        held = workspace.table.get(hint["pk"], hint["sk"])
        if held is None or held.get("revision", 0) > revision:
            continue
        try:
            workspace.table.delete(hint["pk"], hint["sk"], condition=Equals("revision", held.get("revision", 0)))
        except ConditionFailedError:
            continue  # written anew in between: no longer stale
