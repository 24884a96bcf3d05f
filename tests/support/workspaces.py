"""Workspaces of one archive on cheap engines."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from tests.support.memory_objects import MemoryBuckets, MemoryObjects

from maypacs.archive.store import ArchiveStore
from maypacs.errors import GoneError, NotFoundError
from maypacs.incoming import Incoming
from maypacs.index import contents, series_rows
from maypacs.index.cascade import Effects
from maypacs.index.rows import SeriesSummary, StudySummary, study_pk
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Item, Table
from maypacs.index.terms import hint_rows
from maypacs.pack import grammar
from maypacs.reindex import indexed_studies
from maypacs.uids import ArchiveId, Uid
from maypacs.workspace import Workspace

HOSP = ArchiveId("hosp1")
PACK_KEY = bytes(range(32))
QUICK = Effects(sleep=lambda seconds: None)
#: Of 530 KB: as an edge packs them, up to 64 MiB.
SLICES_A_PACK = 125


def packs_of(slices: Sequence[Incoming]) -> Iterator[bytes]:
    """What an edge uploads of them."""
    for start in range(0, len(slices), SLICES_A_PACK):
        parts = [
            grammar.Instance(each.data, each.transfer_syntax, each.study, each.series, each.instance)
            for each in slices[start : start + SLICES_A_PACK]
        ]
        yield grammar.write_pack(parts, archive_id=HOSP, secret=PACK_KEY).data


@dataclass
class Bench:
    """One archive in memory (table: SQLite in a folder of the test's)."""

    folder: Path
    buckets: MemoryBuckets = field(default_factory=MemoryBuckets)
    archive_id: ArchiveId = HOSP

    def __post_init__(self) -> None:
        self.objects: MemoryObjects = self.buckets.bucket("archive")
        self.inbox: MemoryObjects = self.buckets.bucket("inbox")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.table: Table = SqliteTable(self.folder / "index.sqlite")

    def workspace(self, table: Table | None = None, objects: MemoryObjects | None = None) -> Workspace:
        store = ArchiveStore(self.archive_id, objects=objects or self.objects, inbox=self.inbox, pack_key=PACK_KEY)
        return Workspace(self.archive_id, table or self.table, store)

    def workspace_with_new_table(self, name: str) -> Workspace:
        return self.workspace(SqliteTable(self.folder / f"{name}.sqlite"))

    def upload(self, arrival: str, body: bytes) -> str:
        key = f"{self.archive_id}/uploads/{arrival}"
        self.inbox.put(key, body)
        return key


def visible(workspace: Workspace) -> dict[str, object]:
    """All that a reader of the index can see of an archive, without what only says how it came to be.

    Left out: revisions, and pack counts (deliveries at once may store an instance twice; one of them is current).
    """
    table = workspace.table
    seen: dict[str, object] = {}
    for study in sorted(indexed_studies(workspace)):
        pk = study_pk(workspace.archive_id, study)
        row = table.get(pk, "0")
        assert row is not None, "the by-date index lists a study that has no row"
        seen[f"study {study}"] = _plain(row)
        summary = StudySummary.from_item(row)
        hints = hint_rows(summary)
        missing = [hint for hint in hints if not _same_hint(table.get(hint["pk"], hint["sk"]), hint)]
        seen[f"hints {study}"] = {"count": len(hints), "missing": missing}
        for item in series_rows.query_all(table, pk, "1#"):
            series = SeriesSummary.from_item(item)
            held = contents.series_contents(workspace, study, series.series_instance_uid)
            seen[f"series {study} {series.series_instance_uid}"] = _plain(item)
            seen[f"instances {study} {series.series_instance_uid}"] = [
                (each.sop_instance_uid, each.digest.hex(), each.length) for each in held.instances
            ]
            seen[f"conflicts {study} {series.series_instance_uid}"] = sorted(
                {(each.sop_instance_uid, each.digest.hex()) for each in held.conflicts}
            )
    return seen


_HOW = {"revision", "packs", "clean", "first_arrival", "last_arrival", "gsk"}


def _plain(item: Item) -> dict[str, object]:
    shown = {name: value for name, value in item.items() if name not in _HOW}
    shown["attributes"] = orjson.loads(item["attributes"])
    return shown


def _same_hint(held: Item | None, hint: Item) -> bool:
    return held is not None and {**held, "revision": 0} == {**hint, "revision": 0}


def hint_keys(bench: Bench) -> set[tuple[str, str]]:
    """Every term and name row there is, stale ones included (a look past the port: it has no scan)."""
    with closing(sqlite3.connect(bench.folder / "index.sqlite")) as connection:
        found = connection.execute("SELECT pk, sk FROM rows WHERE pk LIKE '%#T#%' OR pk LIKE '%#N#%'")
        return {(pk, sk) for pk, sk in found}


def every_byte_is_there(workspace: Workspace, study: Uid, series: Uid) -> dict[str, bytes]:
    """The current instances, read back from their packs."""
    try:
        held = contents.series_contents(workspace, study, series)
    except (NotFoundError, GoneError):
        return {}
    return {
        each.sop_instance_uid: workspace.store.get_range(study, series, each.pack_id, each.offset, each.length)
        for each in held.instances
    }
