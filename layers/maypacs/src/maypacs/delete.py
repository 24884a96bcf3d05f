"""Deletion of a study, a series or an instance: into the trash (protocols: decisions; an extension of DICOMweb).

Decision object → tombstone row → packs that hold a removed instance and others are written anew without it → series,
study and hint rows → objects into the trash → pack rows gone. Answered only then; a repeat finishes what a crash left.
Arrivals up to the cut-off are ignored for ever; `decisions` has the modes. `erase` goes on from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from functools import partial

from maypacs import arrivals, decisions
from maypacs.archive import sidecar
from maypacs.errors import ConditionFailedError, GoneError, NotFoundError, ObjectNotFoundError
from maypacs.exports import drop_exports
from maypacs.holds import pass_gate
from maypacs.index import cascade, series_rows
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.pack_rows import PackHead, arrival_of, choice_prefix
from maypacs.index.removals import Removals, Tombstone, read_removals
from maypacs.index.resolution import OpenPack
from maypacs.index.rows import instance_table_sk, pack_head_sk, study_pk
from maypacs.index.table import Equals
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
        partly = _partly_removed(workspace, [head for head in heads if head not in wholly], removals)
        replaced = series_rows.replaced(heads)
        for pack in partly:
            if pack.head not in replaced:  # what readers ignore has no rest that they would miss
                _write_rest(workspace, pack, removals, {head.life_id for head in heads})
        walked = {series} if series else _series_of(workspace, pk, heads)
        arbiter = partial(decisions.arbitrate, workspace)
        after = cascade.walk(workspace, study, walked, arbiter=arbiter, effects=effects, touch=bool(partly))
        _trash_objects(workspace, study, series, removals, wholly, heads)
        for pack in partly:
            _trash_pack(workspace, pack.head)
        for head in (*wholly, *(pack.head for pack in partly)):
            _drop_rows(workspace, pk, head)
        _drop_choices(workspace, pk, walked, removals)
        if after == removals:
            return


def _series_of(workspace: Workspace, pk: str, heads: Iterable[PackHead]) -> set[Uid]:
    rows = {Uid(item["sk"].removeprefix("1#")) for item in series_rows.query_all(workspace.table, pk, "1#")}
    return rows | {head.series_instance_uid for head in heads}


# Single instances: the rest of their packs.


def _partly_removed(workspace: Workspace, heads: Sequence[PackHead], removals: Removals) -> list[OpenPack]:
    found = []
    for series in sorted({head.series_instance_uid for head in heads}):
        ours = [head for head in heads if head.series_instance_uid == series]
        meant = series_rows.touched(ours, removals.of_instances(series), removals.of_series(series))
        opened = series_rows.open_packs(workspace, meant)
        found += [pack for pack in opened if len(_rest(pack, removals)) < len(pack.rows)]
    return found


def _rest(pack: OpenPack, removals: Removals) -> list[int]:
    """Positions of what was not removed."""
    head = pack.head
    return [
        position
        for position, row in enumerate(pack.rows)
        if not removals.hit(arrival_of(head, row), head.series_instance_uid, [row.sop_instance_uid])
    ]


def _write_rest(workspace: Workspace, pack: OpenPack, removals: Removals, there: Set[str]) -> None:
    """A pack without its removed instances; it replaces the old one for readers, who ignore that from now on, and of
    those that the old one replaced what is still ``there``."""
    import dataclasses

    from maypacs.pack import grammar
    from maypacs.pack_writer import WrittenPack, facts, index_rows, put_object

    head, store = pack.head, workspace.store
    rest = _rest(pack, removals)
    if not rest:
        return
    study, series = head.study_instance_uid, head.series_instance_uid
    try:
        datasets = sidecar.decode(store.get_sidecar(study, series, head.pack_id)).datasets
        body = memoryview(store.objects.get(store.pack_key(study, series, head.pack_id)))
    except ObjectNotFoundError:
        return  # in the trash: whoever put it there has written the rest before
    rows = [pack.rows[position] for position in rest]
    plan = grammar.plan_pack(
        [
            grammar.Instance(
                bytes(body[row.offset : row.offset + row.length]),
                row.transfer_syntax_uid,
                study,
                series,
                row.sop_instance_uid,
            )
            for row in rows
        ],
        archive_id=workspace.archive_id,
        secret=store.pack_secret,
    )
    offsets = tuple(part.offset for part in plan.parts)
    written = WrittenPack(plan.digest_id(), plan.size, plan.boundary, plan.joinable, offsets)
    uids = [row.sop_instance_uid for row in rows]
    replaces = (head.life_id, *(life for life in head.replaces if life in there))
    arrival = put_object(workspace, head.arrival, study, series, uids, written, b"".join(plan.chunks))
    moved = tuple(dataclasses.replace(row, offset=offset) for row, offset in zip(rows, offsets, strict=True))
    told = facts(arrival, written, replaces)
    index_rows(workspace, study, series, moved, [datasets[position] for position in rest], told, written)


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


def _trash_pack(workspace: Workspace, head: PackHead) -> None:
    """The pack last: while it is there, a repetition begins anew. The thumbnail too: it may show what was removed."""
    store, study, series = workspace.store, head.study_instance_uid, head.series_instance_uid
    pack = store.pack_key(study, series, head.pack_id)
    try:
        if store.objects.head(pack).metadata.get("arrival", "") > head.arrival:
            return  # the same bytes arrived anew meanwhile
    except ObjectNotFoundError:
        pass
    store.move_to_trash(store.thumbnail_key(study, series))
    store.move_to_trash(store.sidecar_key(study, series, head.pack_id))
    store.move_to_trash(store.table_key(study, series, head.pack_id))
    store.move_to_trash(pack, unless_after=head.arrival)


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
