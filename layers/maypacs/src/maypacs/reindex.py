"""The image index anew, from the objects: packs, sidecars, decisions (protocols: decisions).

Nothing is read from the old rows but what is to be removed: rows of packs and studies that no object stands for.
Can run while others write: it puts the rows that ingest would put, and walks the same cascade.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from maypacs import decisions, erasures, holds, incoming
from maypacs.archive import sidecar
from maypacs.archive.store import PackLocation
from maypacs.delete import sweep
from maypacs.errors import ObjectNotFoundError, PackError
from maypacs.incoming import Incoming
from maypacs.index import cascade, series_rows
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.pack_rows import PackHead
from maypacs.index.removals import Removals, read_removals
from maypacs.index.rows import instance_table_sk, pack_head_prefix, study_pk
from maypacs.index.table import BY_DATE
from maypacs.index.terms import by_date_pk, months_pk
from maypacs.large import index_large
from maypacs.pack import grammar, instance_table
from maypacs.pack_writer import WrittenPack, head_of, index_pack
from maypacs.uids import Uid
from maypacs.workspace import Workspace


@dataclass(slots=True)
class Reindexed:
    studies: int = 0
    packs: int = 0
    rebuilt_sidecars: int = 0  #: packs whose sidecar was missing: read whole
    removed_studies: int = 0  #: rows that no object stood for
    unreadable_packs: int = 0  #: kept as they are, not in the index


def reindex(workspace: Workspace, *, effects: Effects = DEFAULT_EFFECTS) -> Reindexed:
    """Rebuilds the rows of one archive. Can be repeated; raises what table and store raise."""
    done = Reindexed()
    _apply_decisions(workspace)
    seen: set[Uid] = set()
    for study, locations in groupby(workspace.store.packs(), key=lambda location: location.study):
        seen.add(study)
        done.studies += _study(workspace, study, list(locations), done, effects)
    for study in list(indexed_studies(workspace)):
        if study not in seen:
            _study(workspace, study, [], done, effects)
            done.removed_studies += 1
    return done


def _apply_decisions(workspace: Workspace) -> None:
    """Tombstones and holds, then choices: those of an instance's present life only."""
    conflicts = []
    applied = {
        decisions.DELETE: decisions.apply_removal,
        decisions.LIFT: decisions.apply_lift,
        erasures.PROOF: decisions.apply_proof,
        holds.HOLD: holds.apply_hold,
        holds.RELEASE: holds.apply_release,
    }
    for document in workspace.store.decisions():
        if document["kind"] in applied:
            applied[document["kind"]](workspace, document)
        elif document["kind"] in (decisions.CONFLICT, decisions.PROMOTE):
            conflicts.append(document)
    removals: dict[str, Removals] = {}
    for document in conflicts:
        pk = study_pk(workspace.archive_id, Uid(document["study"]))
        if pk not in removals:
            removals[pk] = read_removals(workspace.table, pk)
        if document["removed_until"] == removals[pk].of(Uid(document["series"]), Uid(document["instance"])):
            decisions.apply_conflict(workspace, document)


def _study(
    workspace: Workspace,
    study: Uid,
    locations: list[PackLocation],
    done: Reindexed,
    effects: Effects,
) -> int:
    """Rows of one study. Returns 1 if anything of it is living."""
    pk = study_pk(workspace.archive_id, study)
    objects = {(location.series, location.pack_id) for location in locations}
    held = {
        (head.series_instance_uid, head.pack_id): head
        for head in map(PackHead.from_item, series_rows.query_all(workspace.table, pk, pack_head_prefix()))
    }
    series = {Uid(item["sk"].removeprefix("1#")) for item in series_rows.query_all(workspace.table, pk, "1#")}
    series |= {location.series for location in locations}
    for gone in held.keys() - objects:
        if _exists(workspace, study, *gone):  # came after the listing
            continue
        workspace.table.delete(pk, f"{pack_head_prefix(gone[0])}{gone[1]}")
        workspace.table.delete(pk, instance_table_sk(*gone))
    found = [head for head in (_pack(workspace, location, done) for location in locations) if head]
    removals = read_removals(workspace.table, pk)
    for each in sorted({head.series_instance_uid for head in found}):  # deletions that stopped halfway
        heads = [head for head in found if head.series_instance_uid == each]
        until, singly = removals.of_series(each), removals.of_instances(each)
        if series_rows.touched(heads, singly, until):
            sweep(workspace, study, each, effects=effects)
    for each in series:  # made anew when it is asked for, by the rules of this version
        workspace.store.objects.delete(workspace.store.thumbnail_key(study, each))
    cascade.walk(
        workspace, study, series, arbiter=partial(decisions.arbitrate, workspace), effects=effects, rebuild=True
    )
    return int(any(head.arrival > removals.of_series(head.series_instance_uid) for head in found))


def _exists(workspace: Workspace, study: Uid, series: Uid, pack_id: str) -> bool:
    try:
        workspace.store.objects.head(workspace.store.pack_key(study, series, pack_id))
    except ObjectNotFoundError:
        return False
    return True


def _pack(workspace: Workspace, location: PackLocation, done: Reindexed) -> PackHead | None:
    """Head and table rows of one pack, from its sidecar."""
    store = workspace.store
    where = (location.study, location.series, location.pack_id)
    try:
        found = sidecar.decode(store.get_sidecar(*where))
        table = found.table if found.table is not None else store.objects.get(store.table_key(*where))
    except (ObjectNotFoundError, PackError):
        if not _rebuild(workspace, location, done):
            done.unreadable_packs += 1
            return None
        found = sidecar.decode(store.get_sidecar(*where))
        table = found.table if found.table is not None else store.objects.get(store.table_key(*where))
    rows = instance_table.decode(table)
    head = head_of(
        workspace, location.study, location.series, found.facts, location.pack_id, rows, found.datasets, len(table)
    )
    done.packs += 1
    return cascade.put_pack_rows(workspace, head, table, replace=True)


def _rebuild(workspace: Workspace, location: PackLocation, done: Reindexed) -> bool:
    """A pack without its sidecar (a delivery that stopped in between): made again from the pack."""
    key = workspace.store.pack_key(location.study, location.series, location.pack_id)
    head = workspace.store.objects.head(key)
    if head.size > grammar.MAX_BYTES:
        rebuilt = index_large(workspace, location, head)
        done.rebuilt_sidecars += rebuilt
        return rebuilt
    body = workspace.store.objects.get(key)
    try:
        scanned = grammar.scan_pack(body, limits=False)
    except PackError:
        return False
    read = [incoming.read(body[part.offset : part.offset + part.length]) for part in scanned.parts]
    group = [each for each in read if isinstance(each, Incoming)]
    if len(group) != len(read):
        return False
    written = WrittenPack(
        location.pack_id,
        len(body),
        scanned.boundary,
        head.metadata.get("joinable") == "1",
        tuple(part.offset for part in scanned.parts),
    )
    index_pack(workspace, head.metadata["arrival"], location.study, location.series, group, written)
    done.rebuilt_sidecars += 1
    return True


def indexed_studies(workspace: Workspace) -> Iterator[Uid]:
    """Every study the index lists, by month."""
    months = [item["sk"] for item in series_rows.query_all(workspace.table, months_pk(workspace.archive_id), "")]
    for month in months:
        start = None
        while True:
            page = workspace.table.query(by_date_pk(workspace.archive_id, month), index=BY_DATE, start=start)
            for item in page.items:
                yield Uid(item["gsk"].partition("#")[2])
            start = page.next
            if start is None:
                break
