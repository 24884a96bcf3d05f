"""`python -m tests.bench.compaction`: what compaction does to series of small packs, and what it costs; writes
docs/compaction.json and the table of docs/performance.md between its marks.

Every request is counted where it leaves us (botocore's hook, on moto's S3), units of the table by DynamoDB's rules over
SQLite: no times, so it may run on a busy machine. Each question is asked by a process that remembers nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.functional.dicomweb.client import STORED, Client
from tests.support.functions import load_function
from tests.support.instances import slice_of
from tests.support.moto_cloud import REGION, moto_cloud

from maypacs import arrivals, metadata
from maypacs.access import accounts, keys
from maypacs.access.principals import Role
from maypacs.compaction import compact
from maypacs.exports import drop_exports
from maypacs.index import series_rows
from maypacs.index.cascade import Effects
from maypacs.index.costs import item_size
from maypacs.index.rows import study_pk
from maypacs.index.sqlite_table import SqliteTable
from maypacs.ingest import ingest_object
from maypacs.runtime import Runtime
from maypacs.uids import Uid

DOCS = Path(__file__).resolve().parents[2] / "docs"
_MARKS = "<!-- compaction: tests.bench.compaction -->", "<!-- end of compaction -->"
_READS = ("GetObject", "HeadObject")
_DAY = 86_400
HOSP = "hosp1"


@dataclass(frozen=True, slots=True)
class Case:
    """A series whose images came one by one."""

    name: str
    images: int
    kilobytes: int  #: of one image

    @property
    def uids(self) -> tuple[str, str]:
        study = f"1.2.840.99999.{len(self.name)}.{self.images}"
        return study, f"{study}.1"


CASES = (
    Case("US, an image a minute", 25, 480),
    Case("US, a long examination", 120, 480),
    Case("CR, two images", 2, 4000),
    Case("CT, copied as single files", 400, 90),
    Case("MR, copied as single files", 600, 80),
)


@dataclass(slots=True)
class State:
    """Of one series, before or after."""

    packs: int
    objects: int
    rows: int
    row_kilobytes: float
    metadata_requests: int  #: to storage, for /series/{uid}/metadata
    metadata_read_units: float
    retrieve_requests: int  #: for RetrieveSeries as stored, on AWS: to the redirect and through it
    retrieve_copied: int  #: bytes that storage had to join first
    next_image_read_units: float  #: of the table, when one more image is stored

    @property
    def cells(self) -> list[str]:
        return [
            f"{self.packs}",
            f"{self.objects}",
            f"{self.rows} ({self.row_kilobytes:.0f} KB)",
            f"{self.metadata_requests}",
            f"{self.metadata_read_units:.0f}",
            f"{self.retrieve_requests}",
            f"{self.retrieve_copied / 1e6:.0f}",
            f"{self.next_image_read_units:.0f}",
        ]


@dataclass(slots=True)
class Cost:
    """Of the compaction of one series, and of taking away what it replaced."""

    stored: int  #: bytes of the series' packs before
    read: int
    written: int
    requests: dict[str, int]
    write_units: float
    cpu_seconds: float

    @property
    def amplification(self) -> float:
        """Bytes of packs written in all, for each that was sent."""
        return (self.stored + self.written) / self.stored


class Storage(Counter[str]):
    """Requests by operation, bytes of bodies; boto3's hook, which the reads past boto3 honour too."""

    def __call__(self, event_name: str, request: Any = None, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        self[operation] += 1
        headers = getattr(request, "headers", {})
        if operation in ("PutObject", "UploadPart"):
            self["bytes"] += int(headers.get("Content-Length", 0))
        if operation == "UploadPartCopy":
            first, last = _text(headers["x-amz-copy-source-range"]).removeprefix("bytes=").split("-")
            self["copied"] += int(last) - int(first) + 1


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@dataclass(slots=True)
class World:
    runtime: Runtime
    storage: Storage
    table: SqliteTable

    def forget(self) -> Client:
        """A process of the function that remembers nothing."""
        metadata._cache = metadata._Cache(metadata.CACHE_BYTES)
        runtime = Runtime.from_environment()
        runtime.__dict__["index"] = self.table
        handler = load_function("dicomweb")
        vars(handler)["runtime"] = lambda: runtime
        key = keys.add_key(self.runtime.accounts, HOSP, Role.ADMIN, name="bench").key
        assert runtime.gatekeeper
        return Client(handler, runtime, HOSP, key)

    def store(self, case: Case, number: int, moment: float) -> float:
        """Read units of the table that it took."""
        study, series = case.uids
        pixels = os.urandom(1024) * case.kilobytes
        body = slice_of(study, series, number, rows=512, columns=case.kilobytes, pixels=pixels)
        workspace = self.runtime.unscoped_workspace(accounts.list_archives(self.runtime.accounts)[0].archive_id)
        key = workspace.store.upload_key(arrivals.ulid_at(moment))
        workspace.store.inbox.put(key, body)
        units = self.table.consumed.read_units
        ingest_object(workspace, key, size=len(body), effects=Effects(clock=lambda: moment))
        return self.table.consumed.read_units - units


@contextmanager
def world(folder: Path) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        sqlite = f"sqlite:{folder / 'index.sqlite'}"
        settings = {"MAYPACS_INDEX_TABLE": sqlite, "POWERTOOLS_METRICS_DISABLED": "true"}
        with moto_cloud(folder, patch, **settings, POWERTOOLS_LOG_LEVEL="CRITICAL") as cloud:
            session = boto3.Session(region_name=REGION)
            storage = Storage()
            session.events.register_first("before-send.s3", storage)
            patch.setattr(boto3, "DEFAULT_SESSION", session)
            accounts.add_archive(cloud.runtime.accounts, HOSP, name="Bệnh viện Thử")
            table = cloud.runtime.index
            assert isinstance(table, SqliteTable)
            yield World(cloud.runtime, storage, table)


def look(found: World, case: Case, next_image: float) -> State:
    study, series = case.uids
    archive = accounts.list_archives(found.runtime.accounts)[0].archive_id
    workspace = found.runtime.unscoped_workspace(archive)
    rows = [
        item
        for kind in (f"2#{series}", f"3#{series}")
        for item in series_rows.query_all(found.table, study_pk(archive, Uid(study)), kind)
    ]
    objects = list(workspace.store.objects_of(Uid(study), Uid(series)))
    path = f"/studies/{study}/series/{series}"

    client = found.forget()
    found.storage.clear()
    units = found.table.consumed.read_units
    assert len(client.metadata(path)) == case.images
    metadata_requests = sum(found.storage[name] for name in _READS)
    metadata_units = found.table.consumed.read_units - units

    client = found.forget()
    drop_exports(workspace.store, study)
    found.storage.clear()
    assert client.get(path, STORED).status == 200
    retrieved = Counter(found.storage)
    return State(
        packs=sum(head.key.startswith("blobs/packs/") for head in objects),
        objects=len(objects),
        rows=len(rows),
        row_kilobytes=sum(map(item_size, rows)) / 1000,
        metadata_requests=metadata_requests,
        metadata_read_units=metadata_units,
        retrieve_requests=sum(n for name, n in retrieved.items() if name not in ("bytes", "copied")),
        retrieve_copied=retrieved["copied"] + retrieved["bytes"],
        next_image_read_units=next_image,
    )


def measure(case: Case) -> tuple[State, Cost, State]:
    with tempfile.TemporaryDirectory(prefix="maypacs-compaction-") as folder, world(Path(folder)) as found:
        start = time.time() - 30 * _DAY
        for number in range(1, case.images + 1):
            last = found.store(case, number, start + 60 * number)
        before = look(found, case, last)
        archive = accounts.list_archives(found.runtime.accounts)[0].archive_id
        workspace = Runtime.from_environment().unscoped_workspace(archive)
        study, series = case.uids
        heads = series_rows.all_heads(found.table, study_pk(archive, Uid(study)), Uid(series))
        found.storage.clear()
        units, cpu = workspace.table.consumed.write_units, time.process_time()
        for days in (3, 6):
            later = Effects(clock=lambda days=days: start + days * _DAY)  # type: ignore[misc]
            done = compact(workspace, quiet_hours=24, effects=later)
            assert done.failed == 0, done.faults
        requests = Counter(found.storage)
        packs = requests.pop("bytes", 0)
        cost = Cost(
            stored=sum(head.size for head in heads),
            read=sum(head.size for head in heads) if packs else 0,
            written=packs,
            requests={name: count for name, count in sorted(requests.items()) if name != "copied"},
            write_units=workspace.table.consumed.write_units - units,
            cpu_seconds=time.process_time() - cpu,
        )
        after = look(found, case, 0)
        after.next_image_read_units = found.store(case, case.images + 1, start + 8 * _DAY)
        return before, cost, after


def render(results: dict[str, tuple[State, Cost, State]]) -> str:
    names = ["packs", "objects", "rows", "metadata: requests", "read units", "RetrieveSeries: requests", "MB joined"]
    lines = ["| series | | " + " | ".join([*names, "one more image: read units"]) + " |", "|---" * 10 + "|"]
    for name, (before, _, after) in results.items():
        lines.append(f"| {name} | before | " + " | ".join(before.cells) + " |")
        lines.append("| | after | " + " | ".join(after.cells) + " |")
    lines += ["", "| series | MB stored | MB read | MB written | bytes written in all | requests | write units |"]
    lines.append("|---" * 7 + "|")
    for name, (_, cost, _) in results.items():
        told = ", ".join(f"{count} {operation}" for operation, count in cost.requests.items()) or "none"
        megabytes = (f"{size / 1e6:.1f}" for size in (cost.stored, cost.read, cost.written))
        units = f"{cost.write_units:.0f}"
        lines.append(f"| {name} | " + " | ".join([*megabytes, f"{cost.amplification:.2f} times", told, units]) + " |")
    return "\n".join(lines)


def main() -> None:
    results = {f"{case.name}: {case.images} x {case.kilobytes} KB": measure(case) for case in CASES}
    table = render(results)
    print(table)
    document = {name: [asdict(each) for each in found] for name, found in results.items()}
    (DOCS / "compaction.json").write_text(json.dumps(document, indent=1) + "\n")
    page = DOCS / "performance.md"
    text = page.read_text(encoding="utf-8")
    if _MARKS[0] in text:
        head, _, rest = text.partition(_MARKS[0])
        page.write_text(f"{head}{_MARKS[0]}\n{table}\n{_MARKS[1]}{rest.partition(_MARKS[1])[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
