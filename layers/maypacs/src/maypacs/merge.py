"""One pack out of several of a series: composed in memory, written as any pack is, and only then named by a row.

Every member is read whole and compared with its name, which is a digest of it: what is replaced was right. The sidecar
is written before the pack, so that a pack of many arrivals is never without them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from maypacs.errors import PreconditionFailedError, StorageError
from maypacs.index import cascade, reading
from maypacs.index.pack_rows import PackHead, arrival_of
from maypacs.index.resolution import Copy, OpenPack
from maypacs.pack import grammar, instance_table
from maypacs.pack.instance_table import InstanceRow
from maypacs.pack_writer import WrittenPack, facts, head_of, metadata_of, put_sidecar
from maypacs.uids import Uid
from maypacs.workspace import Workspace

Dataset = dict[str, Any]


class DamagedError(StorageError):
    """What is stored is not what the index says. Nothing is replaced, nothing is taken away."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A pack that is to stand for others."""

    written: WrittenPack
    body: bytes
    rows: tuple[InstanceRow, ...]
    datasets: list[Dataset]
    facts: dict[str, Any]
    head: PackHead


def compose(workspace: Workspace, members: Sequence[OpenPack], chosen: Sequence[Copy]) -> Merged:
    """The pack of ``chosen``, the current instances of the members. Raises DamagedError: a member is not what its name
    says; ObjectNotFoundError: one has gone."""
    first = members[0].head
    study, series = first.study_instance_uid, first.series_instance_uid
    # As many at once as the table takes calls: on a node one, on AWS as many as a function has connections.
    read = reading.gather(workspace.table, [partial(_read, workspace, pack.head) for pack in members])
    told = reading.gather(workspace.table, [partial(_datasets, workspace, pack) for pack in members])
    bodies = {pack.head.pack_id: body for pack, body in zip(members, read, strict=True)}
    datasets = {pack.head.pack_id: found for pack, found in zip(members, told, strict=True)}
    ordered = sorted(chosen, key=lambda copy: (copy.row.instance_number or 0, copy.row.sop_instance_uid))
    plan = grammar.plan_pack(
        [
            grammar.Instance(
                bodies[copy.pack.head.pack_id][copy.row.offset : copy.row.offset + copy.row.length],
                copy.row.transfer_syntax_uid,
                study,
                series,
                copy.row.sop_instance_uid,
            )
            for copy in ordered
        ],
        archive_id=workspace.archive_id,
        secret=workspace.store.pack_secret,
    )
    offsets = tuple(part.offset for part in plan.parts)
    written = WrittenPack(plan.digest_id(), plan.size, plan.boundary, plan.joinable, offsets)
    rows = tuple(
        dataclasses.replace(copy.row, offset=offset, arrival=arrival_of(copy.pack.head, copy.row))
        for copy, offset in zip(ordered, offsets, strict=True)
    )
    about = facts(max(pack.head.arrival for pack in members), written, [pack.head.life_id for pack in members])
    chosen_datasets = [datasets[copy.pack.head.pack_id][copy.position] for copy in ordered]
    size = len(instance_table.encode(rows))
    head = head_of(workspace, study, series, about, written.pack_id, rows, chosen_datasets, size)
    return Merged(written, b"".join(plan.chunks), rows, chosen_datasets, about, head)


def _read(workspace: Workspace, head: PackHead) -> memoryview:
    key = workspace.store.pack_key(head.study_instance_uid, head.series_instance_uid, head.pack_id)
    body = workspace.store.objects.get(key)
    if grammar.pack_id(body) != head.pack_id:
        raise DamagedError("a pack is not what its name says")
    return memoryview(body)


def _datasets(workspace: Workspace, pack: OpenPack) -> list[Dataset]:
    from maypacs.archive import sidecar

    head = pack.head
    packed = workspace.store.get_sidecar(head.study_instance_uid, head.series_instance_uid, head.pack_id)
    datasets = sidecar.decode(packed).datasets
    if len(datasets) != len(pack.rows):
        raise DamagedError("a sidecar has not as many instances as its pack")
    return datasets


def put_objects(workspace: Workspace, merged: Merged) -> None:
    """Sidecar, then pack. Both are the same bytes whoever writes them."""
    head, store = merged.head, workspace.store
    study, series = head.study_instance_uid, head.series_instance_uid
    put_sidecar(workspace, study, series, merged.rows, merged.datasets, merged.facts, merged.written)
    with suppress(PreconditionFailedError):  # an earlier try wrote it
        store.objects.put(
            store.pack_key(study, series, head.pack_id),
            merged.body,
            content_type=grammar.CONTENT_TYPE.format(merged.written.boundary),
            metadata=metadata_of(head.arrival, merged.written),
            only_if_absent=True,
        )


def put_rows(workspace: Workspace, merged: Merged) -> None:
    """From here on readers see this pack, and not those that it replaces."""
    cascade.put_pack_rows(workspace, merged.head, instance_table.encode(merged.rows), replace=True)


def remove_objects(workspace: Workspace, study: Uid, series: Uid, pack_id: str, *, has_table: bool = True) -> None:
    """Of a pack that no row names, or that another replaces. The pack last: what belongs to it is found by it.

    ``has_table``: there may be one beside the sidecar (the deletion of nothing leaves a mark in a versioned bucket).
    """
    store = workspace.store
    tables = [store.table_key] if has_table else []
    for key in (store.sidecar_key, *tables, store.pack_key):
        store.objects.delete(key(study, series, pack_id))
