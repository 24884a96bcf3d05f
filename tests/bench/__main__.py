"""`make bench`: the first table of the goals, each row beside Debian's Orthanc and the bare object store, in one run.

Ratios matter, absolute times are this machine's. Orthanc rows are left out, and said so, where it is not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import requests
from samples.phantom import write_ct
from tests.support import orthanc as peer
from tests.support.processes import ROOT, Edge, Node, wait_until

STUDIES = 20  # small ones, so that a search has something to choose from


@dataclass
class Row:
    work: str
    unit: str
    better: str  #: "lower" or "higher"
    maypacs: float | None = None
    orthanc: float | None = None
    limit: float | None = None  #: the same bytes taken straight from the object store
    goal: str = ""
    note: str = ""

    def ratio(self) -> str:
        if not self.maypacs or not self.orthanc:
            return ""
        times = self.orthanc / self.maypacs if self.better == "lower" else self.maypacs / self.orthanc
        return f"{times:.1f}x"


@dataclass
class Server:
    """One DICOMweb server under test."""

    name: str
    root: str
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, accept: str, session: requests.Session | None = None) -> requests.Response:
        answer = (session or requests).get(self.root + path, headers={**self.headers, "Accept": accept}, timeout=120)
        answer.raise_for_status()
        return answer

    def finds(self, study: str, instances: int) -> bool:
        answer = requests.get(
            f"{self.root}/studies?StudyInstanceUID={study}&includefield=00201208",
            headers={**self.headers, "Accept": "application/dicom+json"},
            timeout=30,
        )
        found = answer.json() if answer.status_code == 200 else []
        return bool(found) and found[0].get("00201208", {}).get("Value", [0])[0] == instances


JSON = "application/dicom+json"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def median_seconds(call: Callable[[], Any], *, times: int, warm_up: int = 1) -> float:
    for _ in range(warm_up):
        call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def p95_milliseconds(call: Callable[[], Any], *, times: int = 100) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return sorted(taken)[int(times * 0.95) - 1]


def frames_per_second(server: Server, paths: list[str], *, clients: int, seconds: float = 4) -> float:
    done = 0
    deadline = time.perf_counter() + seconds

    def work(number: int) -> int:
        count = 0
        with requests.Session() as session:
            while time.perf_counter() < deadline:
                server.get(paths[(number * 37 + count) % len(paths)], FRAME, session)
                count += 1
        return count

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        done = sum(pool.map(work, range(clients)))
    return done / (time.perf_counter() - start)


def send(ae_title: str, port: int, folder: Path) -> float:
    """Seconds of one storescu association."""
    import subprocess

    from tests.support.processes import QUICK_TCP

    start = time.perf_counter()
    subprocess.run(
        ["storescu", "-aec", ae_title, "+sd", "127.0.0.1", str(port), str(folder)],
        env=QUICK_TCP,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


class Table:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def row(self, work: str, unit: str, better: str, goal: str = "", note: str = "") -> Row:
        return self.rows.setdefault(work, Row(work, unit, better, goal=goal, note=note))


def measure(table: Table, server: Server, column: str, study: str, series: str, uids: list[str]) -> None:
    n = len(uids)
    base = f"/studies/{study}/series/{series}"

    def put(work: str, unit: str, better: str, value: float, goal: str = "", note: str = "") -> None:
        setattr(table.row(work, unit, better, goal, note), column, value)

    put(
        f"series metadata, {n} slices",
        "s",
        "lower",
        median_seconds(lambda: server.get(base + "/metadata", JSON), times=5),
        "40x faster than Orthanc",
    )
    put(
        f"RetrieveSeries as stored, {n} slices",
        "s",
        "lower",
        median_seconds(lambda: server.get(base, STORED), times=5),
        "under 0.4 s for 500",
    )
    put(
        f"RetrieveSeries, default Accept, {n} slices",
        "s",
        "lower",
        median_seconds(lambda: server.get(base, 'multipart/related; type="application/dicom"'), times=3),
    )
    paths = [f"{base}/instances/{uid}/frames/1" for uid in uids]
    put("frames of 524 KB, 1 client", "/s", "higher", frames_per_second(server, paths, clients=1))
    put("frames of 524 KB, 8 clients", "/s", "higher", frames_per_second(server, paths, clients=8), "300/s")
    put(
        "rendered (JPEG) of a slice",
        "ms",
        "lower",
        median_seconds(lambda: server.get(f"{base}/instances/{uids[n // 2]}/rendered", "image/jpeg"), times=10) * 1000,
    )
    with requests.Session() as session:
        put(
            "QIDO by PatientID, p95",
            "ms",
            "lower",
            p95_milliseconds(lambda: server.get("/studies?PatientID=MAY-0001", JSON, session)),
            "under 10 ms",
        )
        put(
            "QIDO default list, p95",
            "ms",
            "lower",
            p95_milliseconds(lambda: server.get("/studies?limit=25", JSON, session)),
            "under 10 ms",
        )


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="maypacs-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bare_object_store(table: Table, node: Node, series: str, slices: int) -> None:
    """The same packs and ranges straight from the node's object store: the limit of what any server could do."""
    from maypacs_node.bench import object_store_client  # the node knows its own credentials

    client, bucket = object_store_client(node.data)
    keys = [o for o in client.list_objects_v2(Bucket=bucket, Prefix="blobs/packs/")["Contents"] if series in o["Key"]]

    def whole() -> None:
        for o in keys:
            client.get_object(Bucket=bucket, Key=o["Key"])["Body"].read()

    table.row(f"RetrieveSeries as stored, {slices} slices", "s", "lower").limit = median_seconds(whole, times=5)
    big = max(keys, key=lambda o: o["Size"])

    def ranges(clients: int, seconds: float = 4) -> float:
        deadline = time.perf_counter() + seconds

        def work(number: int) -> int:
            count = 0
            while time.perf_counter() < deadline:
                start = ((number * 31 + count) * 530_000) % max(1, big["Size"] - 530_000)
                client.get_object(Bucket=bucket, Key=big["Key"], Range=f"bytes={start}-{start + 524_287}")[
                    "Body"
                ].read()
                count += 1
            return count

        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            return sum(pool.map(work, range(clients))) / (time.perf_counter() - began)

    for clients in (1, 8):
        name = f"frames of 524 KB, {clients} client{'s' if clients > 1 else ''}"
        table.row(name, "/s", "higher").limit = ranges(clients)


def cpu_seconds_of_group(pid: int) -> float:
    """User and system seconds of every live process of a session (Linux)."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == pid:
                total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def run(slices: int, output: Path | None) -> None:
    table = Table()
    with workplace() as folder:
        ct = write_ct(folder / "ct", slices=slices)
        for number in range(STUDIES):
            write_ct(
                folder / "small" / str(number),
                slices=2,
                seed=100 + number,
                patient_id=f"MAY-{1000 + number}",
                patient_name=f"Trần^Thị Thử {number}",
                study_date=f"202609{number % 28 + 1:02d}",
            )
        import pydicom

        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in ct]
        study, series = str(headers[0].StudyInstanceUID), str(headers[0].SeriesInstanceUID)
        uids = [str(h.SOPInstanceUID) for h in headers]
        stored = table.row(f"C-STORE of {slices} slices, one association", "/s", "higher", "as fast; stretch 3x")
        stored.note = "ours after fsync; Orthanc to its disk without"
        searchable = table.row("last C-STORE answer to searchable", "s", "lower", "under 3 s")

        with Node(folder / "node") as node:
            key = node.archive("hosp1", "admin")
            server = Server("MayPACS", f"{node.url}/dicomweb/hosp1", {"Authorization": f"Bearer {key}"})
            with Edge(folder / "edge", node) as edge:
                for number in range(STUDIES):
                    send(edge.ae_title, edge.port, folder / "small" / str(number))
                seconds = send(edge.ae_title, edge.port, folder / "ct")
                stored.maypacs = slices / seconds
                start = time.perf_counter()
                wait_until(lambda: server.finds(study, slices), seconds=120, what="the study in the search")
                searchable.maypacs = time.perf_counter() - start
                measure(table, server, "maypacs", study, series, uids)
                bare_object_store(table, node, series, slices)

        if peer.executable():
            with peer.Orthanc(folder / "orthanc") as orthanc:
                server = Server("Orthanc", orthanc.root)
                for number in range(STUDIES):
                    send("ORTHANC", orthanc.dicom_port, folder / "small" / str(number))
                stored.orthanc = slices / send("ORTHANC", orthanc.dicom_port, folder / "ct")
                start = time.perf_counter()
                wait_until(lambda: server.finds(study, slices), seconds=120, what="the study in Orthanc's search")
                searchable.orthanc = time.perf_counter() - start
                measure(table, server, "orthanc", study, series, uids)
        else:
            print("Orthanc is not installed (apt-get install orthanc orthanc-dicomweb): its column is empty.\n")

    text = render(table, slices)
    print(text)
    if output:
        output.write_text(text, encoding="utf-8")
        output.with_suffix(".json").write_text(
            json.dumps({"date": date.today().isoformat(), "rows": [asdict(r) for r in table.rows.values()]}, indent=1)  # noqa: DTZ011
        )


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def render(table: Table, slices: int) -> str:
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench` on {date.today().isoformat()}: {os.cpu_count()} cores, {platform.machine()}, "  # noqa: DTZ011
        f"Python {platform.python_version()}; client, servers and storage on one machine;",
        f"a CT of {slices} slices of 530 KB beside {STUDIES} small studies; a default node (2 workers,",
        "no gateway limits). Ratios are MayPACS against Debian's Orthanc in the same run; the limit is the same bytes",
        "taken from the node's object store by boto3.",
        "",
        "| work | unit | MayPACS | Orthanc | ratio | limit | goal | note |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.rows.values():
        cells = [row.work, row.unit, number(row.maypacs), number(row.orthanc), row.ratio(), number(row.limit)]
        lines.append("| " + " | ".join([*cells, row.goal, row.note]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    arguments = parser.parse_args()
    run(arguments.slices, arguments.output)
