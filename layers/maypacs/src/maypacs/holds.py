"""Holds: a person says that a study, a series or an instance must not go (protocols: decisions).

A hold blocks deletion, erasure, the expiry of the trash and the clean-up after compaction. All holds of a study are one
row, the *gate*; whoever takes something away passes it first, by a conditional write. So a hold and a deletion that
meet have an order: either the deletion sees the hold, or the hold came after it, and keeps what lies in the trash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from maypacs import arrivals
from maypacs.errors import BadRequestError, ConditionFailedError, ConflictError, NotFoundError
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.rows import GATE_SK, SCHEMA_VERSION, study_pk
from maypacs.index.table import Absent, Equals, Item
from maypacs.uids import Uid
from maypacs.workspace import Workspace

HOLD = "hold"
RELEASE = "release"
#: Of one study; more is a mistake of a program.
MOST = 100
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Hold:
    hold_id: str  #: a ULID: the name of its decision
    study: Uid
    series: Uid | None
    instance: Uid | None
    reason: str  #: a person's words
    by: str
    at: str  #: ISO 8601, UTC

    def covers(self, series: Uid | None = None, instance: Uid | None = None) -> bool:
        """Is it on this, on something that this is in, or on something that is in this?"""
        if self.series is None or series is None:
            return True
        if self.series != series:
            return False
        return self.instance is None or instance is None or self.instance == instance

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.hold_id,
            "study": self.study,
            "series": self.series,
            "instance": self.instance,
            "reason": self.reason,
            "by": self.by,
            "at": self.at,
        }


def holds_of(workspace: Workspace, study: Uid) -> list[Hold]:
    """Those that hold now, the oldest first: one consistent read."""
    return _holds(study, workspace.table.get(study_pk(workspace.archive_id, study), GATE_SK))


def held(workspace: Workspace, study: Uid, series: Uid | None = None, instance: Uid | None = None) -> Hold | None:
    """A hold that forbids taking this away: of the study, a series of it or an instance; None when there is none."""
    return _covering(holds_of(workspace, study), series, instance)


def pass_gate(
    workspace: Workspace,
    study: Uid,
    series: Uid | None = None,
    instance: Uid | None = None,
    *,
    effects: Effects = DEFAULT_EFFECTS,
) -> None:
    """Before something is taken away. Raises ConflictError that names the hold; a hold that comes later is later."""
    pk = study_pk(workspace.archive_id, study)
    for _ in effects.tries("holds"):
        row = workspace.table.get(pk, GATE_SK)
        if hold := _covering(_holds(study, row), series, instance):
            raise ConflictError(f"a hold of {hold.at} by {hold.by} is on this: {hold.hold_id}")
        if _put(workspace, row, _document(row, pk)):
            return


def hold(
    workspace: Workspace,
    study: Uid,
    series: Uid | None,
    instance: Uid | None,
    *,
    reason: str,
    by: str,
    effects: Effects = DEFAULT_EFFECTS,
) -> Hold:
    """Places a hold, on something of which nothing may be there (any more): it keeps the trash too.

    Raises BadRequestError without a reason, ConflictError above `MOST`.
    """
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise BadRequestError(f"reason: 1 to {LONGEST_REASON} characters are needed")
    if len(holds_of(workspace, study)) >= MOST:
        raise ConflictError(f"there are {MOST} holds on this study")
    from maypacs.decisions import of_person

    now = effects.clock()
    document = of_person(HOLD, by, now, study, series, instance) | {"hold": arrivals.ulid_at(now), "reason": reason}
    workspace.store.put_decision(document["hold"], document)
    apply_hold(workspace, document, effects=effects)
    return _of_document(study, document)


def release(
    workspace: Workspace, study: Uid, hold_id: str, *, by: str, reason: str = "", effects: Effects = DEFAULT_EFFECTS
) -> None:
    """Lifts one hold. Raises NotFoundError: no such hold, or lifted before."""
    if all(each.hold_id != hold_id for each in holds_of(workspace, study)):
        raise NotFoundError("no such hold")
    from maypacs.decisions import of_person

    now = effects.clock()
    document = of_person(RELEASE, by, now, study, None, None) | {"hold": hold_id, "reason": reason[:LONGEST_REASON]}
    workspace.store.put_decision(arrivals.ulid_at(now), document)
    apply_release(workspace, document, effects=effects)


def apply_hold(workspace: Workspace, document: Mapping[str, Any], *, effects: Effects = DEFAULT_EFFECTS) -> None:
    """Its row; nothing when the row knows that it was lifted."""
    member = {
        name: document.get(name) or "" for name in ("hold", "series", "instance", "reason", "by", "at")
    }  # "" stands for none: engines differ on null

    def change(holds: list[Item], lifted: list[str]) -> bool:
        if member["hold"] in lifted or any(each["hold"] == member["hold"] for each in holds):
            return False
        holds.append(member)
        holds.sort(key=lambda each: str(each["hold"]))
        return True

    _change(workspace, Uid(document["study"]), change, effects)


def apply_release(workspace: Workspace, document: Mapping[str, Any], *, effects: Effects = DEFAULT_EFFECTS) -> None:
    def change(holds: list[Item], lifted: list[str]) -> bool:
        if document["hold"] in lifted:
            return False
        holds[:] = [each for each in holds if each["hold"] != document["hold"]]
        lifted.append(document["hold"])
        lifted.sort()
        return True

    _change(workspace, Uid(document["study"]), change, effects)


def _change(workspace: Workspace, study: Uid, change: Any, effects: Effects) -> None:
    pk = study_pk(workspace.archive_id, study)
    for _ in effects.tries("holds"):
        row = workspace.table.get(pk, GATE_SK)
        new = _document(row, pk)
        if not change(new["holds"], new["lifted"]) or _put(workspace, row, new):
            return


def _document(row: Item | None, pk: str) -> Item:
    held_now = row or {"revision": 0, "holds": [], "lifted": []}
    return {
        "pk": pk,
        "sk": GATE_SK,
        "v": SCHEMA_VERSION,
        "revision": held_now["revision"] + 1,
        "holds": [dict(each) for each in held_now["holds"]],
        "lifted": list(held_now["lifted"]),
    }


def _put(workspace: Workspace, row: Item | None, new: Item) -> bool:
    """Writes if nobody wrote in between; a retry inside the SDK that meets its own write only goes round once more."""
    try:
        workspace.table.put(new, condition=Equals("revision", row["revision"]) if row else Absent())
    except ConditionFailedError:
        return False
    return True


def _covering(holds: Iterable[Hold], series: Uid | None, instance: Uid | None) -> Hold | None:
    return next((each for each in holds if each.covers(series, instance)), None)


def _holds(study: Uid, row: Item | None) -> list[Hold]:
    return [_of_document(study, each) for each in (row or {}).get("holds", ())]


def _of_document(study: Uid, document: Mapping[str, Any]) -> Hold:
    series, instance = (Uid(document.get(level) or "") or None for level in ("series", "instance"))
    return Hold(document["hold"], study, series, instance, document["reason"], document["by"], document["at"])
