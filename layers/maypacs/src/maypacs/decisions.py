"""Decisions about images: first an immutable object, then rows (docs/adr/0005-conflict-decisions.md).

``reindex`` applies them again: packs + sidecars + decisions give the image index. Applying is free of order: a row only
ever grows (`_grow`), or the larger of two wins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from maypacs import arrivals, erasures, sameness
from maypacs.errors import ConditionFailedError
from maypacs.index.pack_rows import Choice
from maypacs.index.removals import MEMBERS, read_removals, tombstone_sk
from maypacs.index.resolution import Copy
from maypacs.index.rows import SCHEMA_VERSION, study_pk
from maypacs.index.table import Absent, Equals
from maypacs.uids import Uid
from maypacs.workspace import Workspace

CONFLICT = "conflict"
DELETE = "delete"
RESTORE = "restore"
LIFT = "lift"
PROMOTE = "promote"

#: How a deletion is meant: what arrives later counts; or nothing of it is taken until that is lifted; or that, and
#: every copy of it is destroyed.
REMOVED, REJECTED, ERASED = "removed", "rejected", "erased"


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
    return apply_conflict(workspace, document)


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


def decide_promotion(
    workspace: Workspace, study: Uid, series: Uid, instance: Uid, version: str, *, by: str, now: float, reason: str
) -> None:
    """A person names the version that is current. It outranks what ingest decided, and earlier promotions."""
    removed_until = read_removals(workspace.table, study_pk(workspace.archive_id, study)).of(series, instance)
    name = arrivals.ulid_at(now)
    document = of_person(PROMOTE, by, now, study, series, instance) | {
        "current": version,
        "equal": [],
        "removed_until": removed_until,
        "decision": name,
        "reason": reason,
    }
    workspace.store.put_decision(name, document)
    apply_conflict(workspace, document)


def apply_conflict(workspace: Workspace, document: Mapping[str, Any]) -> Choice:
    """The choice row, of a conflict's decision or of a promotion; returns the choice that holds."""
    order = f"{document['removed_until']}!{document.get('decision', '')}"
    choice = Choice(document["current"], tuple(document["equal"]), order)
    study, series, instance = (Uid(document[name]) for name in ("study", "series", "instance"))
    item = choice.to_item(workspace.archive_id, study, series, instance)
    while True:
        row = workspace.table.get(item["pk"], item["sk"])
        held = Choice.from_item(row) if row else None
        if held and held.order >= choice.order:
            return held
        try:
            workspace.table.put(item, condition=Equals("order", held.order) if held else Absent())
        except ConditionFailedError:
            continue
        return choice


def decide_removal(
    workspace: Workspace,
    study: Uid,
    until: str,
    *,
    by: str,
    now: float,
    series: Uid | None = None,
    instance: Uid | None = None,
    mode: str = REMOVED,
    reason: str = "",
) -> str:
    """Of a study, a series of it or one instance: arrivals up to ``until`` are ignored for ever, and the others too
    until it is lifted in the modes `REJECTED` and `ERASED`. Returns the decision's name."""
    name = arrivals.ulid_at(now)
    document = of_person(DELETE, by, now, study, series, instance) | {"mode": mode, "cutoff": until, "decision": name}
    workspace.store.put_decision(name, document | ({"reason": reason} if reason else {}))
    apply_removal(workspace, document)
    return name


def decide_lift(
    workspace: Workspace, study: Uid, series: Uid | None, instance: Uid | None, *, by: str, now: float, reason: str = ""
) -> None:
    """What was refused at this level may come again, from now on; what was refused until now stays ignored."""
    latest = read_removals(workspace.table, study_pk(workspace.archive_id, study)).latest()
    name = arrivals.after(latest, now)
    document = of_person(LIFT, by, now, study, series, instance) | {"decision": name, "reason": reason}
    workspace.store.put_decision(name, document)
    apply_lift(workspace, document)


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
    """The tombstone row: the largest cut-off, and the last refusal, of all removals at that level."""
    name = document.get("decision", "")
    grown = {"cutoff": document["cutoff"]}
    if document["mode"] in (REJECTED, ERASED):
        grown["refused"] = name
    if document["mode"] == ERASED:
        grown["erasing"] = name
        erasures.register(workspace, document)  # before the tombstone: what is erased will be looked after
    _grow(workspace, document, **grown)


def apply_lift(workspace: Workspace, document: Mapping[str, Any]) -> None:
    _grow(workspace, document, lifted=document["decision"])


def apply_proof(workspace: Workspace, document: Mapping[str, Any]) -> None:
    """Nothing that arrived up to then is there any more: 404 from now on, where 410 was."""
    _grow(workspace, document, erased=document["until"])
    erasures.finish(workspace, document)


def _grow(workspace: Workspace, document: Mapping[str, Any], **members: str) -> None:
    """Each member of the tombstone becomes the larger of what it is and what the decision says."""
    pk = study_pk(workspace.archive_id, Uid(document["study"]))
    sk = tombstone_sk(document.get("series"), document.get("instance"))
    while True:
        row = workspace.table.get(pk, sk) or {}
        values = {name: max(row.get(name, ""), members.get(name, "")) for name in MEMBERS}
        if row and all(row.get(name, "") == value for name, value in values.items()):
            return
        item = {"pk": pk, "sk": sk, "v": SCHEMA_VERSION, "revision": row.get("revision", 0) + 1, **values}
        try:
            workspace.table.put(item, condition=Equals("revision", row["revision"]) if row else Absent())
        except ConditionFailedError:
            continue
        return
