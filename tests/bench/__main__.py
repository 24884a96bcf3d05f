"""`make bench`: the table of docs/benchmarks.md, each row beside Debian's Orthanc and the bare store, in one run; and
the table of goals in docs/performance.md, by the same figures.

Ratios and CPU matter, absolute times are this machine's. Where Orthanc or dcmtk is not installed, their rows are empty.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import time
from pathlib import Path

from tests.bench import bare, cold, goals, inside, packages
from tests.bench.client import Server
from tests.bench.made import MOST_FRAMES, STUDIES, Made, frames_that_fit, workplace
from tests.bench.sending import store
from tests.bench.servers import Measure
from tests.bench.table import DOCUMENT, Table, load, today
from tests.support import hospital
from tests.support import orthanc as peer
from tests.support.processes import Edge, Node

from maypacs.index.sqlite_table import SqliteTable

REPEATS = 3
MORE_STUDIES = 10_000  #: of a hospital, put beside what was sent


def run(slices: int, frames: int, output: Path | None) -> None:
    table, loads, start = Table(), [load()], time.monotonic()
    with workplace() as folder:
        made = Made(folder, slices, frames, REPEATS)
        ours(table, made, folder)
        loads.append(load())
        if peer.executable():
            theirs(table, made, folder)
            loads.append(load())
        inside.ingest_cost(table, made.ct, folder / "ingest")
        inside.searches_as_it_grows(table, folder / "searches")
        cold.imports(table)
        try:
            cold.first_requests(table, folder / "cold")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # dynalite comes by npm: not everywhere
            print(f"no first requests: {type(error).__name__} {error}")
        disk = int(subprocess.run(["du", "-sm", folder], capture_output=True, text=True).stdout.split()[0])
    loads.append(load())
    minutes = (time.monotonic() - start) / 60
    text = table.markdown(introduction(made, loads, minutes, disk))
    print(text)
    if output:
        output.write_text(text, encoding="utf-8")
        output.with_suffix(".json").write_text(table.document(), encoding="utf-8")
    if output == DOCUMENT:
        goals.write()


def ours(table: Table, made: Made, folder: Path) -> None:
    with Node(folder / "node") as node:
        key = node.archive("hosp1", "admin")
        assert node.process is not None
        root = f"{node.url}/dicomweb/hosp1"
        server = Server("MayPACS", root, node.process.pid, {"Authorization": f"Bearer {key}"})
        measure = Measure(table, server, "maypacs")
        with Edge(folder / "edge", node) as edge:
            assert edge.process is not None
            store(measure, made, edge.ae_title, edge.port, edge.process.pid)
            time.sleep(2)  # thumbnails and what else follows
            everything(measure, made)
            measure.usage(edge.process.pid, "MayPACS")
        bare.object_store(table, node.data, made, of_stow(made))
        bare.index(table, node.data, "hosp1")
        rows = SqliteTable(node.data / "index.sqlite")
        hospital_rows(rows, 0, MORE_STUDIES)
        rows.close()
        more = f", {MORE_STUDIES:,} studies more"
        measure.searches(more)
        bare.index(table, node.data, "hosp1", more)
        for name, row in table.rows.items():
            if more in name:
                row.note = "rows of a hospital's studies, written into the table: Orthanc cannot be filled so"


def theirs(table: Table, made: Made, folder: Path) -> None:
    with peer.Orthanc(folder / "orthanc") as orthanc:
        assert orthanc.process is not None
        measure = Measure(table, Server("Orthanc", orthanc.root, orthanc.process.pid), "orthanc")
        store(measure, made, "ORTHANC", orthanc.dicom_port)
        everything(measure, made)


def hospital_rows(rows: SqliteTable, first: int, last: int) -> None:
    for start in range(first, last, 5_000):
        count = min(5_000, last - start)
        rows.put_many(hospital.rows(inside.HOSP, count, first=start))


def of_stow(made: Made) -> tuple[int, ...]:
    return 1, min(100, len(made.ct)), len(made.ct)


def everything(measure: Measure, made: Made) -> None:
    measure.series(*made.ct_uids)
    measure.searches()
    if made.jls_uids:
        measure.compressed(*made.jls_uids)
    for frames, (study, series, (uid,)) in made.multi_uids.items():
        measure.multi_frame(study, series, uid, frames)
    measure.stow(made.ct, of_stow(made), REPEATS)
    measure.usage(measure.server.pid, measure.server.name)


def introduction(made: Made, loads: list[float], minutes: float, disk: int) -> str:
    """Machine, date, and how much else the machine had to do."""
    fewer = f", fewer than {MOST_FRAMES}: as told, or as Orthanc's memory or a STOW without dcmtk allows"
    fits = "" if made.frames == MOST_FRAMES else fewer
    return f"""\
Made by `make bench` on {today()}: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()};
clients, servers and storage on one machine; {len(made.cts)} CT studies of {len(made.ct)} slices of 530 KB beside
{STUDIES} small ones, a CT in JPEG-LS, and instances of {" and ".join(map(str, made.multi))} frames of 512 KiB{fits};
a default node (2 workers, no gateway limits). It took {minutes:.0f} minutes and {disk / 1000:.1f} GB of disk. Load of
the machine while this ran: {", ".join(f"{each:.1f}" for each in loads)}: above 2, times and rates say less than ratios,
and ratios less than CPU.

Ratios are MayPACS against Debian's Orthanc in the same run, and against the limit: what the node's object store and
table alone can do on this machine, the same bytes got or put by boto3, the same rows read from the table in one
process. "As stored" asks for `transfer-syntax=*`; "default Accept" for the media type alone. CPU is of all processes of
a server, for one request; `path` says what was seen: that the function answered itself (a body in base64, as behind a
gateway), that it redirected to `/blobs/`, or that the edge received."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--install", action="store_true", help="Orthanc and dcmtk, when they are missing, by apt-get")
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--frames", type=int, help="of the multi-frame instance; without: by the memory, 2048 at most")
    parser.add_argument("--output", type=Path, default=DOCUMENT)
    arguments = parser.parse_args()
    if arguments.install:
        packages.install()
    run(arguments.slices, arguments.frames or frames_that_fit(), arguments.output)
