"""`python -m tests.bench.search`: what a search costs in archives of different sizes, as a Markdown table.

1,000 and 100,000 synthetic studies in SQLite, 1,000 and 20,000 in dynalite (DynamoDB's protocol in a process of its
own, with DynamoDB's own sums of read units); two in five patients are Nguyễn. Each question is asked of many different
patients; the goal is that the larger archive's p95 is within 1.5 of the smaller one's. Times are of the library
(parameters in, DICOM JSON out), on this machine; items examined and read units are the same everywhere.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import orjson
from tests.support.fill import NAMED, add_named, fill, rows_of, synthetic_study, unique_name
from tests.support.tables import dynalite, dynamodb_client

from maypacs.index.dynamodb_table import encode_item
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Table
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

SMALL, LARGE = ArchiveId("small"), ArchiveId("large")
Answer: TypeAlias = tuple[float, float, int, int, int]
#: A question and the parameters of its n-th asking, about a study that both archives hold.
Question = Callable[[int], dict[str, str]]


def _patient(number: int) -> str:
    found: str = synthetic_study(SMALL, number)[0].patient_ids[0]
    return found


def _name(number: int) -> str:
    found: str = synthetic_study(SMALL, number)[0].patient_names[0]
    return found


def _day(number: int) -> str:
    return f"{2022 + number % 5}{number % 12 + 1:02}{number % 28 + 1:02}"


QUESTIONS: dict[str, Question] = {
    "PatientID": lambda n: {"PatientID": _patient(n)},
    "PatientID, its beginning (`P123*`)": lambda n: {"PatientID": f"{_patient(n)[:6]}*"},
    "AccessionNumber": lambda n: {"AccessionNumber": f"A{n:08}"},
    "StudyInstanceUID": lambda n: {"StudyInstanceUID": f"1.2.826.0.1.3680043.10.1.0.{n}"},
    "PatientName of one patient": lambda n: {"PatientName": unique_name(n % NAMED), "limit": "25"},
    "PatientName of more in the larger": lambda n: {"PatientName": _name(n), "limit": "25"},
    "PatientName=nguyen*": lambda n: {"PatientName": "nguyen*", "limit": "25", "offset": str(n % 50)},
    "PatientName, two words, fuzzy": lambda n: {
        "PatientName": f"{_name(n).split('^')[0]} {_name(n).split(' ')[-1]}",
        "fuzzymatching": "true",
        "limit": "25",
    },
    "StudyDate, from a day on": lambda n: {"StudyDate": f"{_day(n)}-", "limit": "25"},
    "ModalitiesInStudy=CT": lambda n: {"ModalitiesInStudy": "CT", "limit": "25", "offset": str(n % 50)},
    "default list (100)": lambda _: {},
    "dashboard's list (limit=25)": lambda _: {"limit": "25"},
}


@dataclass(frozen=True, slots=True)
class Measured:
    p50: float  #: milliseconds
    p95: float
    examined: float  #: items of the table, the mean of all askings
    read_units: float
    requests: float
    found: float


def ask(
    table: Table, archive_id: ArchiveId, params: dict[str, str], clock: Callable[[], float] = time.perf_counter
) -> Answer:
    """Seconds, read units, items examined, requests, studies found."""
    workspace = Workspace(archive_id, table, None)  # type: ignore[arg-type]
    start = clock()
    result = search(workspace, parse_query({name: [value] for name, value in params.items()}, "study"))
    orjson.dumps(result.items)
    seconds = clock() - start
    cost = result.consumed
    return seconds, cost.read_units, cost.examined, cost.requests, len(result.items)


def compare(
    table: Table, *, times: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, tuple[Measured, Measured]]:
    """Each question to the small and to the large archive of a table, by turns: what disturbs one disturbs both."""
    found = {}
    for name, question in QUESTIONS.items():
        asked: dict[ArchiveId, list[Answer]] = {SMALL: [], LARGE: []}
        for turn, number in enumerate(random.Random(7).sample(range(1_000), times + 1)):
            for archive_id, answers in asked.items():
                answer = ask(table, archive_id, question(number), clock)
                answers.extend([answer] if turn else [])  # the first is a warm start
        found[name] = summary(asked[SMALL]), summary(asked[LARGE])
    return found


def summary(answers: Sequence[Answer]) -> Measured:
    seconds = sorted(answer[0] * 1_000 for answer in answers)
    units, examined, requests, found = (statistics.fmean(answer[i] for answer in answers) for i in (1, 2, 3, 4))
    p95 = seconds[int(len(seconds) * 0.95) - 1]
    return Measured(statistics.median(seconds), p95, examined, units, requests, found)


def render(engine: str, sizes: tuple[int, int], found: dict[str, tuple[Measured, Measured]]) -> str:
    small, large = (f"{size:,}" for size in sizes)
    lines = [
        f"## {engine}: {small} and {large} studies",
        "",
        f"| search | p50 at {small}, ms | p50 at {large} | p95 at {small} | p95 at {large} | p95 ratio "
        "| found | examined | read units | requests |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (less, more) in found.items():
        times = f"{less.p50:.2f} | {more.p50:.2f} | {less.p95:.2f} | {more.p95:.2f} | {more.p95 / less.p95:.2f}"
        costs = f"{less.examined:.0f} → {more.examined:.0f} | {less.read_units:.1f} → {more.read_units:.1f}"
        found_of = f"{less.found:.0f} → {more.found:.0f}"
        lines.append(f"| {name} | {times} | {found_of} | {costs} | {less.requests:.0f} → {more.requests:.0f} |")
    return "\n".join(lines) + "\n"


@contextmanager
def sqlite(folder: Path, large: int) -> Iterator[Table]:
    table = SqliteTable(folder / f"index-{large}.db")
    for archive_id, size in ((SMALL, 1_000), (LARGE, large)):
        if not table.query(f"{archive_id}#M", limit=1).items:
            fill(table, archive_id, size)
            add_named(table, archive_id)
    yield table
    table.close()


@contextmanager
def in_dynalite(folder: Path, large: int) -> Iterator[Table]:
    """The rows that a search for studies reads, without those of their series."""
    with dynalite(folder / "dynalite") as server:
        table = server.new_table()
        client = dynamodb_client(server.endpoint)

        def put(numbers: tuple[ArchiveId, int]) -> None:
            archive_id, first = numbers
            studies = [synthetic_study(archive_id, number)[0] for number in range(first, first + 250)]
            rows = {(row["pk"], row["sk"]): row for study in studies for row in rows_of(study)}  # months come often
            waiting = [{"PutRequest": {"Item": encode_item(row)}} for row in rows.values()]
            while waiting:
                left = client.batch_write_item(RequestItems={table.name: waiting[:25]})["UnprocessedItems"]
                waiting = waiting[25:] + left.get(table.name, [])

        parts = [
            (archive_id, first)
            for archive_id, size in ((SMALL, 1_000), (LARGE, large))
            for first in range(0, size, 250)
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, parts))
        for archive_id in (SMALL, LARGE):
            add_named(table, archive_id)
        yield table


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sqlite", type=int, default=100_000, help="studies in SQLite (0: leave it out)")
    parser.add_argument("--dynalite", type=int, default=20_000, help="studies in dynalite (0: leave it out)")
    parser.add_argument("--times", type=int, default=200, help="askings of each question")
    parser.add_argument(
        "--cpu", action="store_true", help="CPU time of this thread: for SQLite on a machine that is busy"
    )
    parser.add_argument("--folder", type=Path, help="where a filled SQLite file is kept for the next run")
    parser.add_argument("--output", type=Path, help="a Markdown file to write")
    chosen = parser.parse_args(arguments)
    clock = time.thread_time if chosen.cpu else time.perf_counter
    made = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}"
    parts = [f"# What a search costs\n\n`python -m tests.bench.search` on {made}; {chosen.times} askings each.\n"]
    with tempfile.TemporaryDirectory(prefix="maypacs-search-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for engine, opened, large in (("SQLite", sqlite, chosen.sqlite), ("dynalite", in_dynalite, chosen.dynalite)):
            if large:
                with opened(folder, large) as table:
                    parts.append(render(engine, (1_000, large), compare(table, times=chosen.times, clock=clock)))
                    print(parts[-1], flush=True)
    if chosen.output:
        chosen.output.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
