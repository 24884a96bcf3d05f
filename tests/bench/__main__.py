"""`make bench`: the table of docs/benchmarks.md, each row beside Debian's Orthanc and the bare store, in one run.

Ratios and CPU matter, absolute times are this machine's. Where Orthanc or dcmtk is not installed, their rows are empty.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import UID
from samples.phantom import stable_uid, write_ct
from tests.bench import inside
from tests.bench.client import Answer, Server, rate, repeated, usage
from tests.bench.servers import JSON, Measure
from tests.bench.table import Column, Table, load, today
from tests.support import orthanc as peer
from tests.support.processes import QUICK_TCP, ROOT, Edge, Node, wait_until

STUDIES = 20  # small ones, so that a search has something to choose from


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="maypacs-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def uids_of(paths: list[Path]) -> tuple[str, str, list[str]]:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    return str(headers[0].StudyInstanceUID), str(headers[0].SeriesInstanceUID), [str(h.SOPInstanceUID) for h in headers]


def jpeg_ls(folder: Path, slices: int) -> list[Path]:
    """A second CT, compressed by dcmtk; none where it is not installed."""
    if not shutil.which("dcmcjpls"):
        return []
    plain = write_ct(folder / "plain", slices=slices, seed=2, patient_id="MAY-0002", study_date="20261116")
    packed = []
    for path in plain:
        target = folder / "jls" / path.name
        target.parent.mkdir(exist_ok=True)
        subprocess.run(["dcmcjpls", str(path), str(target)], check=True, capture_output=True)
        path.unlink()
        packed.append(target)
    return packed


def multi_frame(path: Path, frames: int) -> Path:
    """One instance of so many frames of 512 KiB (1 GiB: 2,048), written frame by frame."""
    (model,) = write_ct(path.parent / "model", slices=1, seed=3, patient_id="MAY-0003", study_date="20261117")
    dataset = pydicom.dcmread(model)
    frame = dataset.PixelData
    dataset.NumberOfFrames = frames
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7.3")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(stable_uid("multi", frames))
    noise = np.frombuffer(frame, np.uint16)
    dataset.PixelData = b"".join((noise + number % 64).astype(np.uint16).tobytes() for number in range(frames))
    shutil.rmtree(model.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path


def send(ae_title: str, port: int, folder: Path) -> float:
    """Seconds of one storescu association."""
    start = time.perf_counter()
    command = ["storescu", "-aec", ae_title, "+sd", "+r"]
    if folder.name == "jls":
        command.append("--propose-jls-lossless")
    subprocess.run([*command, "127.0.0.1", str(port), str(folder)], env=QUICK_TCP, check=True, capture_output=True)
    return time.perf_counter() - start


def is_searchable(server: Server, study: str, instances: int) -> bool:
    url = f"{server.root}/studies?StudyInstanceUID={study}&includefield=00201208"
    request = urllib.request.Request(url, headers={**server.headers, "Accept": JSON})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    found = json.loads(text) if text else []
    return bool(found) and found[0].get("00201208", {}).get("Value", [0])[0] == instances


def store(measure: Measure, ae_title: str, port: int, folder: Path, study: str, slices: int, edge: int = 0) -> None:
    """C-STORE of the CT, and from its last answer to where a search finds all of it."""
    before = measure.server.cpu_seconds() + sum(seconds for seconds, _ in usage(edge).values() if edge)
    seconds = send(ae_title, port, folder)
    start = time.perf_counter()
    wait_until(lambda: is_searchable(measure.server, study, slices), seconds=300, what="the study in the search")
    searchable = time.perf_counter() - start
    after = measure.server.cpu_seconds() + sum(seconds for seconds, _ in usage(edge).values() if edge)
    work = f"C-STORE of {slices} slices, one association"
    measure.put(work, "/s", slices / seconds, higher=True, goal="as fast; stretch 3x")
    measure.table.rows[work].note = "ours after fsync; Orthanc to its own disk without"
    measure.put("last C-STORE answer to searchable", "s", searchable, goal="under 3 s")
    measure.put("CPU of both for a slice, edge included", "ms", (after - before) / slices * 1000)


def bare_object_store(table: Table, node: Node, server: Server, series: str, slices: int) -> None:
    """The same packs and ranges straight from the node's object store, by boto3: what any server could do at most."""
    from maypacs_node.bench import object_store_client  # the node knows its own credentials

    client, bucket = object_store_client(node.data)
    packs = [o for o in client.list_objects_v2(Bucket=bucket, Prefix="blobs/packs/")["Contents"] if series in o["Key"]]

    def whole() -> Answer:
        for pack in packs:
            body = client.get_object(Bucket=bucket, Key=pack["Key"])["Body"]
            while body.read(1 << 20):
                pass
        return Answer(200, 0, False)

    taken, _, _ = repeated(server, whole, times=5)
    table.rows[f"RetrieveSeries as stored, {slices} slices"].limit = taken[2]
    big = max(packs, key=lambda pack: pack["Size"])

    class Ranges:
        """A client whose frames are ranges."""

        def __enter__(self) -> Ranges:
            return self

        def __exit__(self, *_: object) -> None: ...

        def get(self, path: str, accept: str) -> None:
            start = int(path) * 530_000 % max(1, big["Size"] - 530_000)
            asked = f"bytes={start}-{start + 524_287}"
            client.get_object(Bucket=bucket, Key=big["Key"], Range=asked)["Body"].read()

    class Bare(Server):
        def client(self) -> Ranges:  # type: ignore[override]
            return Ranges()

    bare = Bare("bare", "", os.getpid())
    for clients, name in ((1, "1 client"), (8, "8 clients")):
        table.rows[f"frames of 524 KB, {name}"].limit, _ = rate(bare, list(map(str, range(100))), "", clients=clients)


def processes(table: Table, server: Server, column: Column) -> None:
    for kind, (seconds, peak) in sorted(usage(server.pid).items()):
        row = table.row(f"{server.name}: {kind}, CPU of the whole run", "s", "lower")
        setattr(row, column, seconds)
        row.note = f"peak memory {peak:.0f} MB"


def everything(table: Table, server: Server, column: Column, made: Made) -> Measure:
    measure = Measure(table, server, column)
    measure.series(*made.ct_uids)
    measure.searches()
    if made.jls_uids:
        measure.compressed(*made.jls_uids)
    study, series, (uid,) = made.multi_uids
    measure.multi_frame(study, series, uid, made.frames)
    measure.stow(made.ct, (1, min(100, len(made.ct)), len(made.ct)))
    processes(table, server, column)
    return measure


class Made:
    """What is sent to both."""

    def __init__(self, folder: Path, slices: int, frames: int) -> None:
        self.ct = write_ct(folder / "ct", slices=slices)
        self.ct_uids = uids_of(self.ct)
        self.small = folder / "small"
        for number in range(STUDIES):
            date = f"202609{number % 28 + 1:02d}"
            name, patient = f"Trần^Thị Thử {number}", f"MAY-{1000 + number}"
            where = self.small / str(number)
            write_ct(where, slices=2, seed=100 + number, patient_id=patient, patient_name=name, study_date=date)
        self.jls = jpeg_ls(folder, slices)
        self.jls_uids = uids_of(self.jls) if self.jls else None
        self.frames = frames
        self.multi = multi_frame(folder / "multi" / "multi.dcm", frames)
        self.multi_uids = uids_of([self.multi])
        self.folders = [self.small, *([folder / "jls"] if self.jls else []), self.multi.parent]

    def send_rest(self, ae_title: str, port: int) -> None:
        for folder in self.folders:
            send(ae_title, port, folder)

    @property
    def last(self) -> list[tuple[str, int]]:
        """Studies that are there when all is there, with their instances."""
        return [(self.multi_uids[0], 1), *([(self.jls_uids[0], len(self.jls))] if self.jls_uids else [])]


def run(slices: int, frames: int, output: Path | None) -> None:
    table, loads = Table(), [load()]
    with workplace() as folder:
        made = Made(folder, slices, frames)
        study, series, _ = made.ct_uids
        with Node(folder / "node") as node:
            key = node.archive("hosp1", "admin")
            assert node.process is not None
            root = f"{node.url}/dicomweb/hosp1"
            server = Server("MayPACS", root, node.process.pid, {"Authorization": f"Bearer {key}"})
            with Edge(folder / "edge", node) as edge:
                assert edge.process is not None
                measure = Measure(table, server, "maypacs")
                store(measure, edge.ae_title, edge.port, folder / "ct", study, slices, edge.process.pid)
                made.send_rest(edge.ae_title, edge.port)
                for other, count in made.last:
                    wait_until(lambda o=other, c=count: is_searchable(server, o, c), seconds=300, what=other)  # type: ignore[misc]
                time.sleep(2)  # thumbnails and what else follows
                loads.append(load())
                everything(table, server, "maypacs", made)
                bare_object_store(table, node, server, series, slices)
        if peer.executable():
            with peer.Orthanc(folder / "orthanc") as orthanc:
                assert orthanc.process is not None
                server = Server("Orthanc", orthanc.root, orthanc.process.pid)
                store(Measure(table, server, "orthanc"), "ORTHANC", orthanc.dicom_port, folder / "ct", study, slices)
                made.send_rest("ORTHANC", orthanc.dicom_port)
                loads.append(load())
                everything(table, server, "orthanc", made)
        inside.ingest_cost(table, made.ct, folder / "ingest")
        inside.searches_as_it_grows(table, folder / "searches")
        inside.cold_starts(table)
    loads.append(load())
    text = table.markdown(introduction(slices, loads))
    print(text)
    if output:
        output.write_text(text, encoding="utf-8")
        output.with_suffix(".json").write_text(table.document(), encoding="utf-8")


def introduction(slices: int, loads: list[float]) -> str:
    """Machine, date, and how much else the machine had to do."""
    return f"""\
Made by `make bench` on {today()}: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()};
clients, servers and storage on one machine; a CT of {slices} slices of 530 KB beside {STUDIES} small studies, a CT in
JPEG-LS and one multi-frame instance of 1 GiB; a default node (2 workers, no gateway limits). Load of the machine while
this ran: {", ".join(f"{each:.1f}" for each in loads)}: above 2, times and rates say less than ratios,
and ratios less than CPU.

Ratios are MayPACS against Debian's Orthanc in the same run. The limit is the same bytes taken from the node's object
store by boto3. CPU is of all processes of a server, for one request; `path` says whether the function answered itself
or redirected to `/blobs/`."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--frames", type=int, default=2048, help="of the multi-frame instance; 2048 make 1 GiB")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    arguments = parser.parse_args()
    run(arguments.slices, arguments.frames, arguments.output)
