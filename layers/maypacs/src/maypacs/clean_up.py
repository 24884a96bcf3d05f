"""After a compaction: the packs that were replaced are taken away, once nobody can be reading them any more.

Not into the trash: the same instances are in the pack that replaces them. That is looked at once more before the first
of them goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from maypacs import merge
from maypacs.errors import ConditionFailedError, ObjectNotFoundError
from maypacs.exports import drop_exports
from maypacs.holds import pass_gate
from maypacs.housekeeping import EXPORT_AGE
from maypacs.index import reading, series_rows
from maypacs.index.cascade import Effects
from maypacs.index.pack_rows import PackHead, arrival_of
from maypacs.index.removals import Removals
from maypacs.index.resolution import OpenPack, version
from maypacs.index.rows import instance_table_sk, pack_head_sk, study_pk
from maypacs.index.table import Equals
from maypacs.workspace import Workspace


def clean_up(
    workspace: Workspace,
    heads: Sequence[PackHead],
    removals: Removals,
    *,
    effects: Effects,
    enough: Callable[[], bool] = lambda: False,
) -> int:
    """Takes the replaced packs of one series away, until ``enough``; returns how many. Can be repeated.

    Raises ConflictError: the series is held; DamagedError: an instance of theirs is nowhere else, which cannot be.
    """
    over = series_rows.replaced(heads)
    if not over:
        return 0
    study, series = over[0].study_instance_uid, over[0].series_instance_uid
    live = series_rows.living(heads, removals.of_series(series))
    opened = series_rows.open_series(workspace, [*live, *over])
    _check(workspace, opened[: len(live)], opened[len(live) :], removals)
    pass_gate(workspace, study, series, effects=effects)
    # Answers of before may be lists of ranges of these packs; whose time is over are gone, if the housekeeper came.
    drop_exports(workspace.store, study, before=datetime.fromtimestamp(effects.clock(), UTC) - EXPORT_AGE)
    at_once: int = getattr(workspace.table, "concurrency", 1)
    for start in range(0, len(over), at_once):
        if enough():
            return start
        reading.gather(workspace.table, [partial(_remove, workspace, head) for head in over[start : start + at_once]])
    return len(over)


def _check(workspace: Workspace, live: Sequence[OpenPack], over: Sequence[OpenPack], removals: Removals) -> None:
    """Is every instance of the replaced packs, but for removed ones, in one that lives, and is that there?"""
    where = {(row.sop_instance_uid, version(row)): pack.head for pack in live for row in pack.rows}
    needed: dict[str, PackHead] = {}
    for pack in over:
        for row in pack.rows:
            holder = where.get((row.sop_instance_uid, version(row)))
            if holder:
                needed[holder.pack_id] = holder
            elif not removals.hit(arrival_of(pack.head, row), pack.head.series_instance_uid, [row.sop_instance_uid]):
                raise merge.DamagedError("an instance of a replaced pack is in no other")
    _check_objects(workspace, needed.values())


def _check_objects(workspace: Workspace, heads: Iterable[PackHead]) -> None:
    store = workspace.store
    for head in heads:
        where = head.study_instance_uid, head.series_instance_uid, head.pack_id
        try:
            size = store.objects.head(store.pack_key(*where)).size
            store.objects.head(store.sidecar_key(*where))
        except ObjectNotFoundError:
            size = -1
        if size != head.size:
            raise merge.DamagedError("a pack that replaces others is not there as its row says")


def _remove(workspace: Workspace, head: PackHead) -> None:
    """Objects, then rows, which are found again as long as anything of it is there. What arrived anew stays."""
    study, series = head.study_instance_uid, head.series_instance_uid
    try:
        metadata = workspace.store.objects.head(workspace.store.pack_key(study, series, head.pack_id)).metadata
        if metadata.get("arrival", "") > head.arrival:
            return
    except ObjectNotFoundError:
        pass
    merge.remove_objects(workspace, study, series, head.pack_id, has_table=not head.table_in_row)
    pk = study_pk(workspace.archive_id, study)
    try:
        workspace.table.delete(pk, pack_head_sk(series, head.pack_id), condition=Equals("arrival", head.arrival))
    except ConditionFailedError:
        if workspace.table.get(pk, pack_head_sk(series, head.pack_id)) is not None:
            return
    workspace.table.delete(pk, instance_table_sk(series, head.pack_id))
