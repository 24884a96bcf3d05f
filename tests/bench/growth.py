"""What grows with an archive and what does not: taking in, the size of the index, keeping house, reindexing.

CPU of this process, write units and rows, which are the same however busy the machine is.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import hospital
from tests.support.instances import slice_of
from tests.support.memory_objects import MemoryBuckets
from tests.support.workspaces import PACK_KEY, Bench

from maypacs import arrivals
from maypacs.archive.store import ArchiveStore
from maypacs.housekeeping import expire_exports, waiting
from maypacs.index.cascade import put_pack_rows, walk
from maypacs.index.rows import SeriesSummary
from maypacs.index.sqlite_table import SqliteTable
from maypacs.ingest import store_instances
from maypacs.pack.instance_table import InstanceRow
from maypacs.pack_writer import WrittenPack, facts, head_of, put_sidecar
from maypacs.reindex import reindex
from maypacs.uids import ArchiveId, Uid
from maypacs.workspace import Workspace

#: An archive in the same table as the large one, where studies are taken in to be measured, and removed again.
GROWING = ArchiveId("growing")
_PACK_INSTANCES, _PACK_BYTES = 1_000, 60 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ingest:
    cpu_ms: float  #: of the index, a study
    write_units: float
    requests: float
    p95_ms: float


def ingest(path: Path, *, studies: int = 100) -> Ingest:
    """The rows of new studies (packs, series, study, hints) put into a table as deliveries put them."""
    table = SqliteTable(path)
    workspace = workspace_of(table)
    taken: list[float] = []
    before, spent = (table.consumed.write_units, table.consumed.requests), 0.0
    try:
        for number in range(10_000_000, 10_000_000 + studies):
            packs = list(pack_rows(workspace, number))
            wall, cpu = time.perf_counter(), time.thread_time()
            take_in(workspace, packs)
            spent += time.thread_time() - cpu
            taken.append((time.perf_counter() - wall) * 1_000)
        units, requests = table.consumed.write_units - before[0], table.consumed.requests - before[1]
    finally:
        _remove(path, GROWING)
        table.close()
    p95 = sorted(taken)[int(studies * 0.95) - 1]
    return Ingest(spent / studies * 1_000, units / studies, requests / studies, p95)


def index_size(path: Path, *, studies: int = 1_000) -> tuple[float, float]:
    """Bytes of the SQLite file and rows, a study, with the rows of packs, after puts in order of arrival."""
    table = SqliteTable(path)
    workspace = workspace_of(table)
    connection = sqlite3.connect(path, isolation_level=None)
    table._connection().execute("PRAGMA synchronous=OFF")  # the size is asked for, not the time
    for number in range(studies):
        take_in(workspace, list(pack_rows(workspace, number)))
    table.close()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (rows,) = connection.execute("SELECT count(*) FROM rows").fetchone()
    connection.close()
    return path.stat().st_size / studies, rows / studies


def bytes_used(path: Path) -> int:
    """Of the file, without pages that are free."""
    connection = sqlite3.connect(path)
    page_size, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    connection.close()
    return int(page_size * (pages - free))


def take_in(workspace: Workspace, packs: Sequence[tuple[Any, bytes]]) -> None:
    """A delivery a series: its packs, and the walk up to the study."""
    by_series: dict[Uid, list[tuple[Any, bytes]]] = {}
    for head, table in packs:
        by_series.setdefault(head.series_instance_uid, []).append((head, table))
    for series, found in by_series.items():
        for head, table in found:
            put_pack_rows(workspace, head, table)
        walk(workspace, packs[0][0].study_instance_uid, [series], arbiter=_no_conflict)


def pack_rows(
    workspace: Workspace, number: int, pauses: Mapping[str, int] | None = None
) -> Iterator[tuple[Any, bytes]]:
    """Heads and encoded instance tables of a hospital's study. ``pauses``: packs of a series at least, by modality."""
    _, series = hospital.study(workspace.archive_id, number)
    dice = random.Random(number)
    for one in series:
        left = one.number_of_instances
        most = max(1, min(_PACK_INSTANCES, _PACK_BYTES * one.number_of_instances // max(1, one.size)))
        most = max(1, min(most, left // (pauses or {}).get(one.modality, 1)))
        while left > 0:
            count = min(left, most)
            yield _pack(workspace, one, one.number_of_instances - left, count, dice)
            left -= count


def _pack(
    workspace: Workspace, series: SeriesSummary, first: int, count: int, dice: random.Random
) -> tuple[Any, bytes]:
    length = series.size // series.number_of_instances
    rows = [
        InstanceRow(
            sop_instance_uid=Uid(f"{series.series_instance_uid}.{dice.randrange(10**12)}.{first + i + 1}"),
            sop_class_uid=Uid(series.sop_classes[0]),
            transfer_syntax_uid=series.transfer_syntaxes[0],
            offset=300 + i * (length + 300),
            length=length + dice.randrange(2_000) * 2,
            digest=dice.randbytes(16),
            number_of_frames=1,
            instance_number=first + i + 1,
            frame_table=None,
        )
        for i in range(count)
    ]
    pack_id = dice.randbytes(16).hex()
    written = WrittenPack(pack_id, count * length, "b" * 40, True, tuple(row.offset for row in rows))
    told = facts(series.first_arrival, written)
    study = series.study_instance_uid
    datasets = [series.attributes]
    encoded = put_sidecar(workspace, study, series.series_instance_uid, rows, datasets, told, written)
    head = head_of(workspace, study, series.series_instance_uid, told, pack_id, rows, datasets, len(encoded))
    return head, encoded


def reindexing(folder: Path, sizes: Sequence[int] = (250, 1_000, 10_000)) -> dict[int, float]:
    """CPU milliseconds a study of two instances, of an archive of so many, from packs and sidecars that are at hand."""
    found = {}
    for size in sizes:
        bench = Bench(folder / f"reindex-{size}")
        workspace = bench.workspace()
        for number in range(size):
            study = f"1.2.3.{number}"
            data = [slice_of(study, f"{study}.1", i, patient_id=f"P{number}") for i in (1, 2)]
            store_instances(workspace, arrivals.new_arrival(), data)
        again = bench.workspace_with_new_table("again")
        start = time.process_time()
        done = reindex(again)
        found[size] = (time.process_time() - start) / done.studies * 1_000
        if done.studies != size:
            raise RuntimeError("reindex lost studies")
    return found


def housekeeping(folder: Path, sizes: Sequence[int] = (0, 1_000, 10_000, 100_000)) -> dict[int, float]:
    """CPU milliseconds of one round, by what lies in the inbox: an archive's own size is nowhere in it."""
    found = {}
    for size in sizes:
        bench = Bench(folder / f"house-{size}")
        for number in range(size):
            bench.upload(f"{arrivals.new_arrival()}{number}", b"")
        start = time.process_time()
        list(waiting(bench.inbox))
        expire_exports(bench.objects)
        found[size] = (time.process_time() - start) * 1_000
    return found


def workspace_of(table: SqliteTable) -> Workspace:
    """Objects in memory: large instance tables are beside the packs."""
    buckets = MemoryBuckets()
    objects, inbox = buckets.bucket("archive"), buckets.bucket("inbox")
    return Workspace(GROWING, table, ArchiveStore(GROWING, objects=objects, inbox=inbox, pack_key=PACK_KEY))


def _no_conflict(*_: object) -> Any:
    raise RuntimeError("synthetic packs never meet")


def _remove(path: Path, archive_id: ArchiveId) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM rows WHERE pk >= ? AND pk < ?", (f"{archive_id}#", f"{archive_id}$"))
    connection.close()
