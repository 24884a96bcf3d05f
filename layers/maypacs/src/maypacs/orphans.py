"""Packs that no row names: of a delivery that died between the object and its rows, while what it brought was deleted.

Its repetition ignores what was deleted, so nobody would come back for them; and an address that was signed for the
same bytes before would go on to serve them. The repetition knows what the packs of the try before it were, by name, and
takes them back. No other pack is touched: one without a row may belong to somebody who is still at work.
"""

from __future__ import annotations

from collections.abc import Iterable

from maypacs.archive.store import PackLocation
from maypacs.errors import ObjectNotFoundError
from maypacs.index.rows import instance_table_sk, pack_head_sk, study_pk
from maypacs.workspace import Workspace


def take_back(workspace: Workspace, arrival: str, places: Iterable[PackLocation]) -> None:
    """Into the trash: those of these packs that came with this arrival and that no row names."""
    store, table = workspace.store, workspace.table
    for place in places:
        pk = study_pk(workspace.archive_id, place.study)
        try:
            head = store.objects.head(store.pack_key(place.study, place.series, place.pack_id))
        except ObjectNotFoundError:
            continue
        if head.metadata.get("arrival") == arrival and table.get(pk, pack_head_sk(place.series, place.pack_id)) is None:
            table.delete(pk, instance_table_sk(place.series, place.pack_id))
            trash_pack(workspace, place, arrival)


def trash_pack(workspace: Workspace, place: PackLocation, arrival: str) -> None:
    """A pack that came then, with what belongs to it, unless the same bytes arrived anew meanwhile.

    The pack last: while it is there, a repetition begins anew.
    """
    store = workspace.store
    pack = store.pack_key(place.study, place.series, place.pack_id)
    try:
        if store.objects.head(pack).metadata.get("arrival", "") > arrival:
            return
    except ObjectNotFoundError:
        pass
    store.move_to_trash(store.sidecar_key(place.study, place.series, place.pack_id))
    store.move_to_trash(store.table_key(place.study, place.series, place.pack_id))
    store.move_to_trash(pack, unless_after=arrival)
