"""Deletion of a study, a series or an instance: into the trash (protocols: decisions; an extension of DICOMweb).

Decision object → tombstone row → packs that hold a removed instance and others are written anew without it → series,
study and hint rows → objects into the trash → pack rows gone. Answered only then; a repeat finishes what a crash left.
Arrivals up to the cut-off are ignored for ever; `decisions` has the modes. `erase` goes on from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from maypacs import arrivals, decisions, rest_packs
from maypacs.archive.store import PackLocation
from maypacs.errors import ConditionFailedError, GoneError, NotFoundError, ObjectNotFoundError
from maypacs.exports import drop_exports
from maypacs.holds import pass_gate
from maypacs.index import cascade, series_rows
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.pack_rows import PackHead, arrival_of, choice_prefix
from maypacs.index.removals import Removals, Tombstone, read_removals
from maypacs.index.rows import instance_table_sk, pack_head_sk, study_pk
from maypacs.index.table import Equals
from maypacs.orphans import trash_pack
from maypacs.uids import Uid
from maypacs.workspace import Workspace


def delete_study(workspace: Workspace, study: Uid, principal: str, *, effects: Effects = DEFAULT_EFFECTS) -> None:
    """Raises NotFoundError; GoneError when it was deleted before (what was left of it, is gone then too); ConflictError
    when it is held."""
    remove(workspace, study, None, None, principal, effects=effects)


def delete_series(
    workspace: Workspace, study: Uid, series: Uid, principal: str, *, effects: Effects = DEFAULT_EFFECTS
) -> None:
    """Raises NotFoundError, GoneError, ConflictError."""
    remove(workspace, study, series, None, principal, effects=effects)


def delete_instance(
    workspace: Workspace, study: Uid, series: Uid, instance: Uid, principal: str, *, effects: Effects = DEFAULT_EFFECTS
) -> None:
    """Raises NotFoundError, GoneError, ConflictError."""
    remove(workspace, study, series, instance, principal, effects=effects)


def remove(
    workspace: Workspace,
    study: Uid,
    series: Uid | None,
    instance: Uid | None,
    principal: str,
    *,
    mode: str = decisions.REMOVED,
    reason: str = "",
    effects: Effects = DEFAULT_EFFECTS,
) -> str:
    """Into the trash; in the other modes what comes is refused from then on, also of what was removed before.

    Returns the decision's name; of what is refused in this mode already, the one that holds.
    """
    pk = study_pk(workspace.archive_id, study)
    removals = read_removals(workspace.table, pk)
    living = _living(workspace, study, series, instance, removals)
    row = removals.rows.get(tuple(each for each in (series, instance) if each), Tombstone())
    if not living:
        if not (removals.held(series, instance) or row.is_refused):
            raise NotFoundError("there is no such thing to delete")
        decided = _refused_already(row, mode)
        if decided or mode == decisions.REMOVED:
            sweep(workspace, study, series, effects=effects)
            drop_exports(workspace.store, study)
            if mode == decisions.REMOVED:
                raise GoneError("this was deleted")
            return decided
    pass_gate(workspace, study, series, instance, effects=effects)
    now = effects.clock()
    # A clock of another machine may be ahead: what is seen is removed, whatever its arrival.
    until = max(arrivals.ulid_at(now), *(head.arrival for head in living), "")
    decided = decisions.decide_removal(
        workspace, study, until, by=principal, now=now, series=series, instance=instance, mode=mode, reason=reason
    )
    sweep(workspace, study, series, effects=effects)
    drop_exports(workspace.store, study)
    return decided


def _refused_already(row: Tombstone, mode: str) -> str:
    """The decision that says as much as one of this mode would; "" is none."""
    if row.is_erased:
        return row.erasing
    return row.refused if row.is_refused and mode == decisions.REJECTED else ""


def _living(
    workspace: Workspace, study: Uid, series: Uid | None, instance: Uid | None, removals: Removals
) -> list[PackHead]:
    """The packs that hold something of it."""
    living = [
        head for head in _heads(workspace, study, series) if head.arrival > removals.of_series(head.series_instance_uid)
    ]
    if not living or not series or not instance:
        return living
    holding = series_rows.touched(living, {instance: max(head.arrival for head in living)})
    return [
        pack.head
        for pack in series_rows.open_packs(workspace, holding)
        if any(
            row.sop_instance_uid == instance and not removals.hit(arrival_of(pack.head, row), series, [instance])
            for row in pack.rows
        )
    ]


def _heads(workspace: Workspace, study: Uid, series: Uid | None) -> list[PackHead]:
    prefix = f"2#{series}#" if series else "2#"
    items = series_rows.query_all(workspace.table, study_pk(workspace.archive_id, study), prefix)
    return [PackHead.from_item(item) for item in items]


def sweep(workspace: Workspace, study: Uid, series: Uid | None = None, *, effects: Effects = DEFAULT_EFFECTS) -> None:
    """Takes everything that was removed out of index and archive: of a study, or of one series of it.

    Can be repeated, and finishes what was begun; goes round again when another deletion came in between.
    """
    pk = study_pk(workspace.archive_id, study)
    for _ in effects.tries("sweep"):
        removals = read_removals(workspace.table, pk)
        heads = _heads(workspace, study, series)
        wholly = [head for head in heads if head.arrival <= removals.of_series(head.series_instance_uid)]
        partly = rest_packs.partly_removed(workspace, [head for head in heads if head not in wholly], removals)
        replaced = series_rows.replaced(heads)
        for pack in partly:
            if pack.head not in replaced:  # what readers ignore has no rest that they would miss
                rest_packs.write_rest(workspace, pack, removals, {head.life_id for head in heads})
        walked = {series} if series else _series_of(workspace, pk, heads)
        arbiter = partial(decisions.arbitrate, workspace)
        after = cascade.walk(workspace, study, walked, arbiter=arbiter, effects=effects, touch=bool(partly))
        _trash_objects(workspace, study, series, removals, wholly, heads)
        for pack in partly:
            _trash_part(workspace, pack.head)
        for head in (*wholly, *(pack.head for pack in partly)):
            _drop_rows(workspace, pk, head)
        _drop_choices(workspace, pk, walked, removals)
        if after == removals:
            return


def _series_of(workspace: Workspace, pk: str, heads: Iterable[PackHead]) -> set[Uid]:
    rows = {Uid(item["sk"].removeprefix("1#")) for item in series_rows.query_all(workspace.table, pk, "1#")}
    return rows | {head.series_instance_uid for head in heads}


# Objects and rows.


def _trash_objects(
    workspace: Workspace,
    study: Uid,
    series: Uid | None,
    removals: Removals,
    wholly: Sequence[PackHead],
    heads: Sequence[PackHead],
) -> None:
    """Of studies and series: packs, what belongs to them, and orphans (written, never indexed) up to the cut-off."""
    removed = {(head.series_instance_uid, head.pack_id) for head in wholly}
    living = {head.series_instance_uid for head in heads if head not in wholly}
    if removals.study and series is None:
        listed: list[Uid | None] = [None]
    elif removals.study:
        listed = [series]
    else:
        listed = [each for each in removals.series if series in (None, each)]
    for scope in listed:
        for found in list(workspace.store.objects_of(study, scope)):
            if _is_removed(workspace, found.key, removed, living, removals):
                workspace.store.move_to_trash(found.key)


def _is_removed(
    workspace: Workspace, key: str, removed: set[tuple[Uid, str]], living: set[Uid], removals: Removals
) -> bool:
    """Of a pack that was removed, or of an orphan that arrived before the cut-off."""
    if key.startswith("blobs/thumbs/"):
        series = Uid(key.rpartition("/")[2].removesuffix(".jpg"))
        return series not in living and bool(removals.of_series(series))
    location = workspace.store.locate(key)
    until = removals.of_series(location.series)
    if (location.series, location.pack_id) not in removed and (location.series in living or not until):
        return False
    pack = workspace.store.pack_key(location.study, location.series, location.pack_id)
    try:
        return workspace.store.objects.head(pack).metadata.get("arrival", "") <= until
    except ObjectNotFoundError:
        return True


def _trash_part(workspace: Workspace, head: PackHead) -> None:
    """The thumbnail too: it may show what was removed."""
    study, series = head.study_instance_uid, head.series_instance_uid
    workspace.store.move_to_trash(workspace.store.thumbnail_key(study, series))
    trash_pack(workspace, PackLocation(study, series, head.pack_id), head.arrival)


def _drop_rows(workspace: Workspace, pk: str, head: PackHead) -> None:
    """Unless the same bytes arrived anew meanwhile."""
    try:
        sk = pack_head_sk(head.series_instance_uid, head.pack_id)
        workspace.table.delete(pk, sk, condition=Equals("arrival", head.arrival))
    except ConditionFailedError:
        if workspace.table.get(pk, sk) is not None:
            return
    workspace.table.delete(pk, instance_table_sk(head.series_instance_uid, head.pack_id))


def _drop_choices(workspace: Workspace, pk: str, series: Iterable[Uid], removals: Removals) -> None:
    """Choices about what was removed bind no later life of it."""
    for each in series:
        gone = removals.of_instances(each)
        whole = bool(removals.of_series(each)) and not series_rows.live_heads(
            workspace.table, pk, each, removals.of_series(each)
        )
        if not whole and not gone:
            continue
        prefix = choice_prefix(each)
        for choice in series_rows.query_all(workspace.table, pk, prefix):
            uid = Uid(choice["sk"].removeprefix(prefix))
            if whole or (uid in gone and not _lives(workspace, pk, each, uid, removals)):
                workspace.table.delete(pk, choice["sk"])


def _lives(workspace: Workspace, pk: str, series: Uid, instance: Uid, removals: Removals) -> bool:
    heads = series_rows.live_heads(workspace.table, pk, series, removals.of_series(series))
    until = removals.of(series, instance)
    later = series_rows.touched([head for head in heads if head.arrival > until], {instance: "~"})
    return bool(later)
