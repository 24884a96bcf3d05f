"""Decisions about images: first an immutable object, then rows (docs/adr/0005-conflict-decisions.md).

``reindex`` applies them again: packs + sidecars + decisions give the image index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from maypacs import arrivals, sameness
from maypacs.errors import ConditionFailedError
from maypacs.index.pack_rows import Choice
from maypacs.index.removals import read_removals, tombstone_sk
from maypacs.index.resolution import Copy
from maypacs.index.rows import SCHEMA_VERSION, study_pk
from maypacs.index.table import Absent, Equals
from maypacs.uids import Uid
from maypacs.workspace import Workspace

CONFLICT = "conflict"
DELETE = "delete"
RESTORE = "restore"


def conflict_name(study: Uid, series: Uid, instance: Uid, removed_until: str) -> str:
    """Names the one decision about an instance in one life of it (a deletion begins the next)."""
    text = "\0".join((study, series, instance, removed_until))
    return f"{CONFLICT}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def decide_conflict(
    workspace: Workspace,
    study: Uid,
    series: Uid,
    instance: Uid,
    *,
    current: str,
    arrival: str,
    equal: Sequence[str] = (),
) -> Choice:
    """Names the current version of an instance that exists in several. The first writer's word holds, for everybody."""
    pk = study_pk(workspace.archive_id, study)
    removed_until = read_removals(workspace.table, pk).of(series, instance)
    document = workspace.store.put_decision(
        conflict_name(study, series, instance, removed_until),
        {
            "v": SCHEMA_VERSION,
            "kind": CONFLICT,
            "study": study,
            "series": series,
            "instance": instance,
            "current": current,
            "equal": sorted(equal),
            "arrival": arrival,
            "removed_until": removed_until,
        },
    )
    apply_conflict(workspace, document)
    return Choice(document["current"], tuple(document["equal"]))


def arbitrate(workspace: Workspace, study: Uid, series: Uid, instance: Uid, copies: Sequence[Copy]) -> Choice:
    """Several versions came at once: the smallest arrival (the first of ``copies``) is current.

    Versions of equal content in another lossless encoding are named as equal, so that nobody is asked about them.
    """
    first = copies[0]

    def data(copy: Copy) -> bytes:
        return workspace.store.get_range(study, series, copy.pack.head.pack_id, copy.row.offset, copy.row.length)

    equal = {
        copy.version
        for copy in copies[1:]
        if _comparable(first, copy) and sameness.same_content(data(first), data(copy))
    }
    return decide_conflict(
        workspace,
        study,
        series,
        instance,
        current=first.version,
        arrival=first.pack.head.arrival,
        equal=tuple(equal),
    )


def _comparable(one: Copy, other: Copy) -> bool:
    return max(one.row.length, other.row.length) <= sameness.LIMIT


def apply_conflict(workspace: Workspace, document: Mapping[str, Any]) -> None:
    choice = Choice(document["current"], tuple(document["equal"]))
    study, series, instance = (Uid(document[name]) for name in ("study", "series", "instance"))
    workspace.table.put(choice.to_item(workspace.archive_id, study, series, instance))


def decide_removal(
    workspace: Workspace,
    study: Uid,
    until: str,
    *,
    by: str,
    now: float,
    series: Uid | None = None,
    instance: Uid | None = None,
) -> None:
    """Mode *removed* of a study, a series of it or one instance: arrivals up to ``until`` are ignored for ever."""
    document = of_person(DELETE, by, now, study, series, instance) | {"mode": "removed", "cutoff": until}
    workspace.store.put_decision(arrivals.ulid_at(now), document)
    apply_removal(workspace, document)


def decide_restore(
    workspace: Workspace, study: Uid, series: Uid | None, instance: Uid | None, *, by: str, now: float
) -> None:
    """What was removed comes back as arrivals of its own, after the cut-off: this says who wanted it, no more."""
    workspace.store.put_decision(arrivals.ulid_at(now), of_person(RESTORE, by, now, study, series, instance))


def of_person(kind: str, by: str, now: float, study: Uid, series: Uid | None, instance: Uid | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "kind": kind,
        "study": study,
        "by": by,
        "at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
    }
    levels = {"series": series, "instance": instance}
    return document | {level: value for level, value in levels.items() if value}


def apply_removal(workspace: Workspace, document: Mapping[str, Any]) -> None:
    """The tombstone row: the largest cut-off of all removals of the study, the series or the instance."""
    pk = study_pk(workspace.archive_id, Uid(document["study"]))
    sk = tombstone_sk(document.get("series"), document.get("instance"))
    while True:
        held = workspace.table.get(pk, sk)
        if held and held["cutoff"] >= document["cutoff"]:
            return
        item = {"pk": pk, "sk": sk, "v": SCHEMA_VERSION, "cutoff": document["cutoff"], "mode": document["mode"]}
        try:
            workspace.table.put(item, condition=Equals("cutoff", held["cutoff"]) if held else Absent())
        except ConditionFailedError:
            continue
        return
