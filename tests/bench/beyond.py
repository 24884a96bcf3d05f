"""`python -m tests.bench.beyond`: 100 hospitals of 1,000 studies a day on AWS, ten and a hundred times that, simulated.

What a study writes to each partition is counted: studies as hospitals have them (`tests.support.hospital`) go through
the real cascade, delivery by delivery. The rest is arithmetic and a queue: deliveries come at random in the busiest
hour, wait for a free function as SQS and Lambda let them, and take as long as their bytes and instances do. Everything
follows from a seed. ``--write`` puts the tables into docs/scale.md and the figures into docs/scale/beyond.json. Half a
minute.
"""

from __future__ import annotations

import heapq
import json
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.growth import GROWING, pack_rows, take_in, workspace_of
from tests.support import hospital

from maypacs.index import costs
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Item

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
FIGURES = DOCUMENT.parent / "scale" / "beyond.json"
BEGIN, END = "<!-- python -m tests.bench.beyond -->\n", "<!-- end -->\n"

HOSPITALS, STUDIES_A_DAY = 100, 1_000
TIMES = (1, 10, 100)
#: Of a day's studies, in the busiest hour.
BUSIEST_HOUR = 0.14
#: Bits a second of a hospital, after an outage.
UPLINK = 100e6
#: Reads of a study, and requests to the API of one read by the dashboard (docs/cost.md).
READS, REQUESTS_A_READ = 2, 20
#: The same of a viewer that asks for each frame by itself, as OHIF and Weasis do (view_by_frames, docs/cost.md).
REQUESTS_BY_FRAMES = 482
#: Requests to S3 and to the API that go with one upload (docs/cost.md): PUT, COPY, PUT of the sidecar, DELETE, PUT of a
#: thumbnail; a grant, two looks at its status, and once a study its boundary.
S3_WRITES, S3_READS, API_REQUESTS = 5, 5, 3.3
#: Read units: of taking a study in; of a read by the dashboard, with a page of the list and its thumbnails.
READ_UNITS_A_STUDY, READ_UNITS_A_READ = 67, 78
#: A modality that sends image by image: its packs are as many as its pauses.
PAUSES = {"US": 5}

# How long taking in lasts (docs/performance.md, docs/cost.md): requests one after the other, bytes, CPU.
S3_SECONDS, TABLE_SECONDS, S3_BYTES_A_SECOND = 0.03, 0.006, 80e6
CPU_AN_INSTANCE, CPU_A_MEGABYTE = 0.0003, 0.0025

# What AWS gives unless it is asked for more; a partition's are no quotas and cannot be raised.
PARTITION_WRITES = 1_000
LAMBDA_FIRST, LAMBDA_A_MINUTE = 5, 300
LIMITS = (
    # what, limit, may be raised
    ("DynamoDB: write units a second, a table", 40_000, True),
    ("DynamoDB: the same, a new table's first minutes", 4_000, True),
    ("DynamoDB: read units a second, a table", 40_000, True),
    ("Lambda: functions at once, an account", 1_000, True),
    ("SQS to Lambda: ingest at once, a queue", 1_000, False),
    ("S3: PUT, COPY, DELETE a second, before it splits a prefix", 3_500, False),
    ("S3: GET a second, before it splits a prefix", 5_500, False),
    ("API Gateway: requests a second, an account", 10_000, True),
    ("API Gateway: the same, if every reader asks frame by frame", 10_000, True),
    ("Lambda: the same", 1_000, True),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    instances: int
    megabytes: float

    @property
    def seconds(self) -> float:
        requests = 4 * S3_SECONDS + 20 * TABLE_SECONDS
        cpu = self.instances * CPU_AN_INSTANCE + self.megabytes * CPU_A_MEGABYTE
        return requests + self.megabytes * 1e6 / S3_BYTES_A_SECOND + cpu


class Counting(SqliteTable):
    """Counts the write units of each partition, of the index apart."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.units: Counter[str] = Counter()

    def put(self, item: Item, **options: Any) -> None:
        before = self.consumed.write_units
        try:
            super().put(item, **options)
        finally:
            spent, own = self.consumed.write_units - before, costs.write_units(costs.item_size(item))
            self.units[item["pk"]] += min(spent, own)
            if "gpk" in item:
                self.units[item["gpk"]] += max(0.0, spent - own)


def written(studies: int = 400) -> tuple[float, dict[str, float]]:
    """Write units of a study: all of them, and those of each partition that studies share."""
    with tempfile.TemporaryDirectory(prefix="maypacs-beyond-") as folder:
        table = Counting(Path(folder) / "index.db")
        table._connection().execute("PRAGMA synchronous=OFF")
        workspace = workspace_of(table)
        for number in range(studies):
            for pack in pack_rows(workspace, number, PAUSES):
                take_in(workspace, [pack])  # an object in the inbox is a delivery of its own
        total = table.consumed.write_units / studies
        shared: Counter[str] = Counter()
        for pk, units in table.units.items():
            name = pk.removeprefix(f"{GROWING}#")
            if name.startswith("D#"):
                name = "D#{month}, the index by date"  # one month at a time is written to
            if not name.startswith("S#"):
                shared[name] += units / studies
        table.close()
    return total, dict(shared.most_common(9))


def deliveries(studies: int) -> list[list[Delivery]]:
    """Of each study: its packs as an edge uploads them."""
    found = []
    for number in range(studies):
        _, series = hospital.study(GROWING, number)
        packs = []
        for one in series:
            megabytes = one.size / 1e6
            count = max(-(-one.number_of_instances // 1_000), -(-one.size // 62_000_000), PAUSES.get(one.modality, 1))
            packs += [Delivery(max(1, one.number_of_instances // count), megabytes / count)] * count
        found.append(packs)
    return found


def queue(
    studies: Sequence[Sequence[Delivery]], a_second: float, *, most: int, seconds: int, dice: random.Random
) -> tuple[float, float, float]:
    """Seconds that deliveries wait for a function: median, p95, and of the last one."""
    free = [0.0] * LAMBDA_FIRST
    waits: list[float] = []
    now = 0.0
    while True:
        now += dice.expovariate(a_second)
        if now > seconds:
            return statistics.median(waits), sorted(waits)[int(len(waits) * 0.95)], waits[-1]
        for delivery in dice.choice(studies):
            allowed = min(most, LAMBDA_FIRST + int(now / 60 * LAMBDA_A_MINUTE))
            while len(free) < allowed:
                heapq.heappush(free, now)
            start = max(now, free[0])
            heapq.heapreplace(free, start + delivery.seconds)
            waits.append(start - now)


def figures() -> dict[str, Any]:
    """All that the tables are made of; kept beside them as JSON."""
    units, shared = written()
    studies = deliveries(4_000)
    a_study = statistics.fmean(len(each) for each in studies)
    lasting = statistics.fmean(one.seconds for each in studies for one in each)
    flood = HOSPITALS * UPLINK / 8e6 / statistics.fmean(sum(one.megabytes for one in each) for each in studies)
    cases = [(_title(times), times, _a_second(times), 600 // max(1, times // 50)) for times in TIMES]
    cases.append(("1x, every uplink full for 20 minutes", 2, flood, 1_200))
    waits = []
    for name, times, a_second, seconds in cases:
        for most in sorted({20, min(1_000, 50 * times)}):
            waited = queue(studies, a_second, most=most, seconds=seconds, dice=random.Random(times))
            uploads = a_second * a_study
            waits.append({"load": name, "uploads": uploads, "busy": uploads * lasting, "most": most, "waits": waited})
    return {
        "write_units": units,
        "shared": shared,
        "uploads_a_study": a_study,
        "seconds": lasting,
        "longest": max(one.seconds for each in studies for one in each),
        "queues": waits,
    }


def report(found: dict[str, Any]) -> str:
    """The tables of these figures."""
    units, a_study, lasting = found["write_units"], found["uploads_a_study"], found["seconds"]
    lines = [
        f"A study is {a_study:.1f} uploads and {units:.0f} write units on average; an upload is taken in within "
        f"{lasting:.2f} s on average, {found['longest']:.1f} s at most. {BUSIEST_HOUR:.0%} of a day's studies come in "
        "its busiest hour.",
        "",
        "| partition of one archive | write units a study | studies a day until it is full |",
        "|---|---|---|",
    ]
    for name, each in found["shared"].items():
        a_day = PARTITION_WRITES / each * 3600 / BUSIEST_HOUR
        lines.append(f"| `{name}` | {each:.2f} | {a_day / 1e6:,.1f} million |")
    lines += [
        "",
        f"| in the busiest hour | limit | {' | '.join(_title(times) for times in TIMES)} |",
        "|---|---|---|---|---|",
    ]
    loads = [load_of(times, units, a_study, lasting) for times in TIMES]
    for place, (what, limit, raised) in enumerate(LIMITS):
        shares = " | ".join(_share(load[place], limit) for load in loads)
        lines.append(f"| {what} | {limit:,}{'' if raised else ' (fixed)'} | {shares} |")
    lines += ["", "| uploads a second | functions at once | median wait, s | p95 | the last one |"]
    lines.append("|---|---|---|---|---|")
    for each in found["queues"]:
        p50, p95, last = each["waits"]
        lines.append(
            f"| {each['load']}: {each['uploads']:,.0f} | {each['most']:,}; {each['busy']:,.0f} are busy "
            f"| {p50:,.1f} | {p95:,.1f} | {last:,.1f} |"
        )
    return "\n".join(lines) + "\n"


def written_anew(text: str, found: dict[str, Any]) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("docs/scale.md has no place for the tables")
    return before + BEGIN + report(found) + END + after


def _a_second(times: int) -> float:
    return HOSPITALS * STUDIES_A_DAY * times * BUSIEST_HOUR / 3600


def load_of(times: int, units: float, a_study: float, lasting: float) -> tuple[float, ...]:
    a_second = _a_second(times)
    uploads = a_second * a_study
    reads = a_second * READS * REQUESTS_A_READ
    api = uploads * API_REQUESTS + reads
    ingest = uploads * lasting
    by_frames = uploads * API_REQUESTS + a_second * READS * REQUESTS_BY_FRAMES
    return (
        a_second * units,
        a_second * units,
        a_second * (READ_UNITS_A_STUDY + READS * READ_UNITS_A_READ),
        ingest + api * 0.05,
        ingest,
        uploads * S3_WRITES,
        uploads * S3_READS + reads,
        api,
        by_frames,
        ingest + by_frames * 0.05,
    )


def _share(load: float, limit: float) -> str:
    text = f"{load:,.0f} ({load / limit:.0%})"
    return f"**{text}**" if load > limit else text


def _title(times: int) -> str:
    return f"{times}x"


def main(arguments: Sequence[str]) -> None:
    found = figures()
    if "--write" in arguments:
        FIGURES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        found = json.loads(FIGURES.read_text(encoding="utf-8"))
        DOCUMENT.write_text(written_anew(DOCUMENT.read_text(encoding="utf-8"), found), encoding="utf-8")
    else:
        print(report(found), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
