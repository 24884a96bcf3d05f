"""`python -m tests.bench.search`: what a search costs in archives of different sizes, as a Markdown table.

Studies as hospitals have them (`tests.support.hospital`) in SQLite, a file for each size, and in dynalite (DynamoDB's
protocol in a process of its own, with DynamoDB's own sums of read units). Each question is asked of many different
patients, of the archives by turns. The goal is that a larger archive's p95 is within 1.5 of the smallest one's,
wherever the answers are of one size. Times are of the library (parameters in, DICOM JSON out), on this machine; items
examined and read units are the same everywhere. 1,000 and 100,000 in SQLite and 20,000 in dynalite take about five
minutes on two idle cores; ``--sizes 1000,100000,1000000`` ten more, and 15 GB of disk.
"""

from __future__ import annotations

import argparse
import gc
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
from tests.bench.questions import QUESTIONS, Archive, Params, Question
from tests.support import hospital
from tests.support.bulk import bulk_fill
from tests.support.tables import dynalite, dynamodb_client

from maypacs.index.dynamodb_table import encode_item
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Table
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

HOSP = ArchiveId("hosp1")
GOAL = 1.5  #: p95 of a larger archive against the smallest one's


@dataclass(frozen=True, slots=True)
class Answer:
    wall: float  #: seconds
    cpu: float  #: of this thread
    examined: int
    read_units: float
    requests: int
    found: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Of all askings of one question: milliseconds, and means of the rest."""

    p50: float
    p95: float
    cpu_p50: float
    cpu_p95: float
    examined: float
    read_units: float
    requests: float
    found: float


@dataclass(frozen=True, slots=True)
class Filled:
    archive: Archive
    table: Table
    archive_id: ArchiveId = HOSP


def ask(where: Filled, params: Params) -> Answer:
    workspace = Workspace(where.archive_id, where.table, None)  # type: ignore[arg-type]
    wall, cpu = time.perf_counter(), time.thread_time()
    result = search(workspace, parse_query({name: [value] for name, value in params.items()}, "study"))
    orjson.dumps(result.items)
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    cost = result.consumed
    return Answer(wall, cpu, cost.examined, cost.read_units, cost.requests, len(result.items))


def compare(filled: Sequence[Filled], *, times: int) -> dict[Question, list[Measured]]:
    """Each question to all archives, by turns: what disturbs one disturbs all."""
    found = {}
    for where in filled:
        for question in QUESTIONS:
            question.ask(where.archive, 0)  # what is known of an archive is worked out once
    gc.collect()
    gc.freeze()  # it is the bench's, and no search should wait for it to be looked through
    for question in QUESTIONS:
        answers: list[list[Answer]] = [[] for _ in filled]
        for turn, number in enumerate(random.Random(7).sample(range(1_000), times + 1)):
            for where, kept in zip(filled, answers, strict=True):
                params = question.ask(where.archive, number)
                ask(where, params)  # pages of the file in memory, whatever the machine did before
                kept.extend([ask(where, params)] if turn else [])
        found[question] = [summary(each) for each in answers]
    return found


def summary(answers: Sequence[Answer]) -> Measured:
    def p95(values: Iterator[float]) -> float:
        return sorted(values)[int(len(answers) * 0.95) - 1] * 1_000

    def mean(values: Iterator[float]) -> float:
        return statistics.fmean(values)

    return Measured(
        p50=statistics.median(each.wall for each in answers) * 1_000,
        p95=p95(each.wall for each in answers),
        cpu_p50=statistics.median(each.cpu for each in answers) * 1_000,
        cpu_p95=p95(each.cpu for each in answers),
        examined=mean(each.examined for each in answers),
        read_units=mean(each.read_units for each in answers),
        requests=mean(each.requests for each in answers),
        found=mean(each.found for each in answers),
    )


def within(measured: Sequence[Measured]) -> bool:
    """The goal, by what no other work of the machine disturbs: rows and read units."""
    first, *others = measured
    return all(each.examined <= GOAL * first.examined and each.read_units <= GOAL * first.read_units for each in others)


def render(engine: str, filled: Sequence[Filled], found: dict[Question, list[Measured]]) -> str:
    sizes = " → ".join(f"{where.archive.size:,}" for where in filled)
    lines = [
        f"## {engine}: {sizes} studies",
        "",
        "| search | found | rows examined | read units | requests | p50, ms | p95, ms | p95 to the smallest "
        "| CPU p95, ms | CPU ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for question, measured in sorted(found.items(), key=lambda each: each[0].grows):

        def row(name: str, form: str, measured: Sequence[Measured] = measured) -> str:
            return " → ".join(f"{getattr(each, name):{form}}" for each in measured)

        def ratio(name: str, measured: Sequence[Measured] = measured) -> str:
            return " ".join(f"{getattr(each, name) / getattr(measured[0], name):.2f}" for each in measured[1:])

        text = f"*{question.text}*" if question.grows else question.text
        lines.append(
            f"| {text} | {row('found', '.0f')} | {row('examined', '.0f')} | {row('read_units', '.1f')} "
            f"| {row('requests', '.0f')} | {row('p50', '.2f')} | {row('p95', '.2f')} | {ratio('p95')} "
            f"| {row('cpu_p95', '.2f')} | {ratio('cpu_p95')} |"
        )
    flat = [measured for question, measured in found.items() if not question.grows]
    slower = sum(any(each.p95 > GOAL * measured[0].p95 for each in measured[1:]) for measured in flat)
    lines += [
        "",
        "*In italics*: the larger archive's answer holds more, or counts more beyond its page (up to 100). "
        f"Of the other {len(flat)} questions "
        f"{sum(map(within, flat))} examine and read at most {GOAL} times what they do in the smallest archive, and "
        f"{len(flat) - slower} have a p95 within {GOAL} times.",
    ]
    return "\n".join(lines) + "\n"


def sqlite_path(folder: Path, size: int) -> Path:
    return folder / f"hospital-{size}.db"


@contextmanager
def in_sqlite(folder: Path, sizes: Sequence[int]) -> Iterator[list[Filled]]:
    """A file for each size, kept in ``folder`` for the next run."""
    with ExitStack() as stack:
        filled = []
        for size in sizes:
            path = sqlite_path(folder, size)
            if not path.exists():
                making = path.with_suffix(".making")
                bulk_fill(making, hospital.rows(HOSP, size))
                making.rename(path)
            table = SqliteTable(path)
            stack.callback(table.close)
            filled.append(Filled(Archive(size), table))
        yield filled


@contextmanager
def in_dynalite(folder: Path, sizes: Sequence[int]) -> Iterator[list[Filled]]:
    """An archive for each size in one table: the rows that a search for studies reads, without those of series."""
    with dynalite(folder / "dynalite") as server:
        table = server.new_table()
        client = dynamodb_client(server.endpoint)

        def put(part: tuple[ArchiveId, int, int]) -> None:
            archive_id, first, count = part
            found = (row for row in hospital.rows(archive_id, count, first=first) if not row["sk"].startswith("1#"))
            waiting = [{"PutRequest": {"Item": encode_item(row)}} for row in found]
            while waiting:
                left = client.batch_write_item(RequestItems={table.name: waiting[:25]})["UnprocessedItems"]
                waiting = waiting[25:] + left.get(table.name, [])

        filled = [Filled(Archive(size), table, ArchiveId(f"hosp{size}")) for size in sizes]
        parts = [
            (where.archive_id, first, min(250, where.archive.size - first))
            for where in filled
            for first in range(0, where.archive.size, 250)
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, parts))
        yield filled


def title(what: str, times: int) -> str:
    made = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}"
    return f"# {what}\n\n`python -m tests.bench.search` on {made}; {times} askings of each question.\n"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", default="1000,100000", help="studies in SQLite, the smallest first ('': leave it out)"
    )
    parser.add_argument("--dynalite", default="1000,20000", help="the same in dynalite")
    parser.add_argument("--times", type=int, default=200, help="askings of each question")
    parser.add_argument("--folder", type=Path, help="where the filled SQLite files are kept for the next run")
    parser.add_argument("--output", type=Path, help="a Markdown file to write")
    chosen = parser.parse_args(arguments)
    parts = [title("What a search costs", chosen.times)]
    with tempfile.TemporaryDirectory(prefix="maypacs-search-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for engine, opened, sizes in (("SQLite", in_sqlite, chosen.sizes), ("dynalite", in_dynalite, chosen.dynalite)):
            if sizes:
                with opened(folder, [int(size) for size in sizes.split(",")]) as filled:
                    parts.append(render(engine, filled, compare(filled, times=chosen.times)))
                    print(parts[-1], flush=True)
    if chosen.output:
        chosen.output.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
