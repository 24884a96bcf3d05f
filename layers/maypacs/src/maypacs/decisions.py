"""Decisions about images: first an immutable object, then rows (docs/adr/0005-conflict-decisions.md).

``reindex`` applies them again: packs + sidecars + decisions give the image index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from maypacs import arrivals, sameness
from maypacs.index import series_rows
from maypacs.index.pack_rows import Choice
from maypacs.index.resolution import Copy
from maypacs.index.rows import SCHEMA_VERSION, TOMBSTONE_SK, study_pk
from maypacs.index.table import Equals
from maypacs.uids import Uid
from maypacs.workspace import Workspace

CONFLICT = "conflict"
DELETE = "delete"


def conflict_name(study: Uid, series: Uid, instance: Uid, removed_until: str) -> str:
    """Names the one decision about an instance in one life of its study (a deletion begins the next)."""
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
    removed_until = series_rows.cutoff(workspace.table, pk)
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


def decide_removal(workspace: Workspace, study: Uid, until: str, *, by: str, now: float) -> str:
    """Study delete, mode *removed*: arrivals up to ``until`` are ignored for ever. Returns the cut-off that holds."""
    document = {
        "v": SCHEMA_VERSION,
        "kind": DELETE,
        "mode": "removed",
        "study": study,
        "cutoff": until,
        "by": by,
        "at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
    }
    workspace.store.put_decision(arrivals.ulid_at(now), document)
    return apply_removal(workspace, document)


def apply_removal(workspace: Workspace, document: Mapping[str, Any]) -> str:
    """The tombstone row: the largest cut-off of all removals of the study."""
    from maypacs.errors import ConditionFailedError
    from maypacs.index.table import Absent

    pk = study_pk(workspace.archive_id, Uid(document["study"]))
    while True:
        held = series_rows.cutoff(workspace.table, pk)
        if held >= document["cutoff"]:
            return held
        item = {
            "pk": pk,
            "sk": TOMBSTONE_SK,
            "v": SCHEMA_VERSION,
            "cutoff": document["cutoff"],
            "mode": document["mode"],
        }
        try:
            workspace.table.put(item, condition=Equals("cutoff", held) if held else Absent())
        except ConditionFailedError:
            continue
        cutoff: str = document["cutoff"]
        return cutoff
