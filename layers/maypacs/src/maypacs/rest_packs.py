"""What a deletion of single instances leaves of their packs: packs without them, in the place of the old ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence, Set

from maypacs.archive import sidecar
from maypacs.errors import ObjectNotFoundError
from maypacs.index import series_rows
from maypacs.index.pack_rows import PackHead, arrival_of
from maypacs.index.removals import Removals
from maypacs.index.resolution import OpenPack
from maypacs.pack import grammar
from maypacs.pack_writer import WrittenPack, facts, index_rows, put_object
from maypacs.workspace import Workspace


def partly_removed(workspace: Workspace, heads: Sequence[PackHead], removals: Removals) -> list[OpenPack]:
    found = []
    for series in sorted({head.series_instance_uid for head in heads}):
        ours = [head for head in heads if head.series_instance_uid == series]
        meant = series_rows.touched(ours, removals.of_instances(series), removals.of_series(series))
        for head in meant:
            try:
                (pack,) = series_rows.open_packs(workspace, [head])
            except ObjectNotFoundError:
                if _is_there(workspace, head):
                    raise  # damaged: nothing to be taken away
                found.append(OpenPack(head, ()))  # its objects went while its rows were written: these go too
                continue
            if len(_rest(pack, removals)) < len(pack.rows):
                found.append(pack)
    return found


def _is_there(workspace: Workspace, head: PackHead) -> bool:
    """Is the object of this pack there?"""
    key = workspace.store.pack_key(head.study_instance_uid, head.series_instance_uid, head.pack_id)
    try:
        workspace.store.objects.head(key)
    except ObjectNotFoundError:
        return False
    return True


def _rest(pack: OpenPack, removals: Removals) -> list[int]:
    """Positions of what was not removed."""
    head = pack.head
    return [
        position
        for position, row in enumerate(pack.rows)
        if not removals.hit(arrival_of(head, row), head.series_instance_uid, [row.sop_instance_uid])
    ]


def write_rest(workspace: Workspace, pack: OpenPack, removals: Removals, there: Set[str]) -> None:
    """A pack without its removed instances; it replaces the old one for readers, who ignore that from now on, and of
    those that the old one replaced what is still ``there``."""
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
