"""Conflicts before a person: which instances have several versions, and which of them is to be current.

The versions that are not current lie in packs of their own. A promotion is a decision, then the choice's row; the
series gets a new revision, so that every answer about it has another ETag, and pictures made of the old version go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from maypacs import decisions
from maypacs.errors import NotFoundError
from maypacs.exports import drop_exports
from maypacs.index import cascade
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.contents import InstanceRef, series_contents, study_contents
from maypacs.uids import Uid
from maypacs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Conflict:
    """An instance with several versions, the current one first, the others in the order of their arrival."""

    current: InstanceRef
    others: tuple[InstanceRef, ...]


def version_of(ref: InstanceRef) -> str:
    """As `maypacs.index.resolution.version`."""
    return f"{ref.transfer_syntax_uid}:{ref.digest.hex()}"


def conflicts_of(workspace: Workspace, study: Uid) -> Iterator[Conflict]:
    """Of a study, by series and instance. Raises NotFoundError, GoneError."""
    for series in study_contents(workspace, study).series:
        found: dict[Uid, list[InstanceRef]] = {}
        for ref in series.conflicts:
            found.setdefault(ref.sop_instance_uid, []).append(ref)
        for uid, others in found.items():
            ordered = sorted(others, key=lambda ref: (ref.arrival, ref.pack_id))
            yield Conflict(series.instance(uid), tuple(ordered))


def promote(
    workspace: Workspace,
    study: Uid,
    series: Uid,
    instance: Uid,
    digest: str,
    *,
    by: str,
    reason: str = "",
    effects: Effects = DEFAULT_EFFECTS,
) -> None:
    """Makes the version of that digest (hex) current; the one that was is a conflict from now on, and is kept.

    Nothing happens when it is current already. Raises NotFoundError, GoneError.
    """
    held = series_contents(workspace, study, series)
    current = held.instance(instance)
    if current.digest.hex() == digest:
        _refresh(workspace, study, series, effects)  # what a repetition after a crash has to do
        return
    others = [ref for ref in held.conflicts if ref.sop_instance_uid == instance and ref.digest.hex() == digest]
    if not others:
        raise NotFoundError("no such version of this instance")
    decisions.decide_promotion(
        workspace, study, series, instance, version_of(others[0]), by=by, now=effects.clock(), reason=reason
    )
    _refresh(workspace, study, series, effects)


def _refresh(workspace: Workspace, study: Uid, series: Uid, effects: Effects) -> None:
    arbiter = partial(decisions.arbitrate, workspace)
    cascade.walk(workspace, study, [series], arbiter=arbiter, effects=effects, touch=True)
    workspace.store.objects.delete(workspace.store.thumbnail_key(study, series))
    drop_exports(workspace.store, study)
