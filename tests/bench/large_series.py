"""`python -m tests.bench.large_series`: series of 5,000 and 20,000 slices, taken in and opened; a Markdown table.

Through the library, with objects in memory and SQLite on disk: CPU of this process, requests to storage, bytes. Slices
of 64 x 64 (8 KB), as fMRI's are.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.large_series import SERIES, STUDY, instance_uid, packs, slice_number
from tests.support.workspaces import PACK_KEY, Bench

from maypacs import arrivals
from maypacs.http.answers import gzip_member
from maypacs.index.contents import series_contents
from maypacs.ingest import ingest_object
from maypacs.metadata import compose
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.selection import select

PIXELS = 64 * 64 * 2


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    cpu_ms: float
    requests: int  #: to storage
    note: str


def measure(slices: int, folder: Path) -> list[Row]:
    bench = Bench(folder / str(slices))
    workspace = bench.workspace()
    rows: list[Row] = []

    def row(what: str, work: Callable[[], str]) -> None:
        bench.objects.calls.clear()
        start = time.process_time()
        note = work()
        rows.append(Row(what, (time.process_time() - start) * 1_000, bench.objects.calls.total(), note))

    for number, body in enumerate(packs(slices, archive_id=workspace.archive_id, secret=PACK_KEY, pixels=PIXELS)):
        key = bench.upload(arrivals.new_arrival(), body)
        before = workspace.table.consumed.write_units

        def take_in(key: str = key, size: int = len(body), before: float = before) -> str:
            ingest_object(workspace, key, size=size)
            return f"{workspace.table.consumed.write_units - before:.0f} write units"

        if number in (0, slices // 1_000 - 1):
            row(f"taking in a pack of 1,000, the {'last' if number else 'first'} of {slices // 1_000}", take_in)
        else:
            take_in()

    bench.objects = bench.buckets.bucket("archive")  # as another process sees it, which remembers nothing
    workspace = bench.workspace()

    def ask(**params: str) -> str:
        query = parse_query({name: [value] for name, value in params.items()}, "instance", study=STUDY, series=SERIES)
        result = search(workspace, query)
        return f"{len(result.items)} found, {result.consumed.examined} rows examined"

    row(
        "what the series holds, for a process that knows nothing",
        lambda: f"{len(series_contents(workspace, STUDY, SERIES).packs)} packs",
    )
    row("the first 100 instances", lambda: ask(limit="100"))
    row("the last 100 instances", lambda: ask(limit="100", offset=str(slices - 100)))
    row("an instance by InstanceNumber", lambda: ask(InstanceNumber=str(slices - 7)))
    row("an instance by SOPInstanceUID", lambda: ask(SOPInstanceUID=instance_uid(slices - 7)))

    def metadata() -> str:
        body = compose(workspace, select(workspace, STUDY, SERIES, None), "https://pacs.example/dicomweb/hosp1")
        packed = gzip_member(body)
        return f"{len(body) / 1e6:.1f} MB of JSON, {len(packed) / 1e6:.2f} MB as sent"

    row("metadata of the series, the first time", metadata)

    def frame() -> str:
        reference = series_contents(workspace, STUDY, SERIES).instance(instance_uid(slices))
        key = workspace.store.pack_key(STUDY, SERIES, reference.pack_id)
        data = bench.objects.get(key, offset=reference.offset, length=reference.length)
        return f"slice {slice_number(data[-PIXELS:]):,}, {len(data) / 1e3:.1f} KB"

    row("the last slice", frame)
    held = series_contents(workspace, STUDY, SERIES)
    size = sum(pack.size for pack in held.packs) / 1e6
    rows.append(
        Row(
            "the whole series, as a viewer streams it",
            0,
            len(held.packs),
            f"{size:.0f} MB in {len(held.packs)} objects",
        )
    )
    return rows


def render(found: dict[int, list[Row]]) -> str:
    lines = []
    for slices, rows in found.items():
        lines += [
            f"### A series of {slices:,} slices",
            "",
            "| work | CPU, ms | requests to storage | |",
            "|---|---|---|---|",
            *(f"| {row.what} | {row.cpu_ms:.1f} | {row.requests} | {row.note} |" for row in rows),
            "",
        ]
    return "\n".join(lines)


def run() -> str:
    with tempfile.TemporaryDirectory(prefix="maypacs-series-") as folder:
        return render({slices: measure(slices, Path(folder)) for slices in (5_000, 20_000)})


if __name__ == "__main__":
    print(run())
