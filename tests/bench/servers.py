"""What is measured of a DICOMweb server over HTTP, the same for both."""

from __future__ import annotations

import io
import statistics
import time
import uuid
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import UID
from tests.bench.client import Answer, Client, Server, processes, rate, repeated
from tests.bench.table import Column, Table

JSON = "application/dicom+json"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
DEFAULT = 'multipart/related; type="application/dicom"'
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
FRAME_DEFAULT = 'multipart/related; type="application/octet-stream"'
#: Name, query, goal.
SEARCHES = (
    ("by PatientID", "PatientID=MAY-0001", "under 10 ms"),
    ("default list", "limit=25", "under 10 ms"),
    ("by a part of a name", "PatientName=*Th*&limit=25", ""),
    ("by a month", "StudyDate=20260901-20260930&limit=25", ""),
)


class Measure:
    """Puts rows into the table's column of one server."""

    def __init__(self, table: Table, server: Server, column: Column) -> None:
        self.table, self.server, self.column = table, server, column

    def put(
        self, work: str, unit: str, value: float, cpu: float | None = None, *, higher: bool = False, goal: str = ""
    ) -> None:
        row = self.table.row(work, unit, "higher" if higher else "lower", goal)
        setattr(row, self.column, value)
        if cpu is not None:
            setattr(row, f"cpu_{self.column}", cpu)

    def path(self, work: str, redirected: bool) -> None:
        """How MayPACS answered, as it was seen."""
        if self.column == "maypacs":
            self.table.rows[work].path = "/blobs/" if redirected else "function"

    def latency(
        self, work: str, path: str, accept: str, *, times: int = 5, p95: bool = False, unit: str = "s", goal: str = ""
    ) -> None:
        """Median, or the 95th percentile, after one request to warm up."""
        with self.server.client() as client:
            taken, cpu, redirected = repeated(self.server, lambda: client.get(path, accept), times=times)
        seconds = taken[int(times * 0.95) - 1] if p95 else taken[times // 2]
        self.put(work, unit, seconds * (1000 if unit == "ms" else 1), cpu, goal=goal)
        self.path(work, redirected)

    def first(self, work: str, path: str, accept: str, *, goal: str = "") -> None:
        """What nobody has asked for before."""
        with self.server.client() as client:
            before, start = self.server.cpu_seconds(), time.perf_counter()
            answer = client.get(path, accept)
            self.put(work, "s", time.perf_counter() - start, (self.server.cpu_seconds() - before) * 1000, goal=goal)
        self.path(work, answer.redirected)

    def frames(self, work: str, paths: list[str], accept: str, *, clients: int, goal: str = "") -> None:
        found = rate(self.server, paths, accept, clients=clients)
        self.put(work, "/s", found.a_second, found.cpu, higher=True, goal=goal)
        self.path(work, found.redirected)

    def series(self, study: str, series: str, uids: list[str]) -> None:
        """A series of uncompressed slices."""
        n, base = len(uids), f"/studies/{study}/series/{series}"
        self.first(f"RetrieveSeries as stored, {n} slices, the first time", base, STORED)
        goal = "under 0.4 s for 500"
        self.latency(f"RetrieveSeries as stored, {n} slices", base, STORED, goal=goal)
        self.latency(f"RetrieveStudy as stored, {n} slices", f"/studies/{study}", STORED)
        self.latency(f"RetrieveSeries, default Accept, {n} slices", base, DEFAULT)
        self.latency(f"RetrieveStudy, default Accept, {n} slices", f"/studies/{study}", DEFAULT)
        self.first(f"series metadata, {n} slices, the first time", base + "/metadata", JSON)
        self.latency(f"series metadata, {n} slices", base + "/metadata", JSON, goal="40x faster")
        paths = [f"{base}/instances/{uid}/frames/1" for uid in uids]
        self.frames("frames of 524 KB, 1 client", paths, FRAME, clients=1)
        self.frames("frames of 524 KB, 8 clients", paths, FRAME, clients=8, goal="300/s")
        self.frames("frames of 524 KB, 8 clients, default Accept", paths, FRAME_DEFAULT, clients=8)
        rendered = f"{base}/instances/{uids[n // 2]}/rendered"
        self.latency("rendered (JPEG) of a slice", rendered, "image/jpeg", times=10, unit="ms")
        if self.column == "maypacs":  # Debian's plugin has no thumbnails
            self.latency("thumbnail of a series", base + "/thumbnail", "image/jpeg", times=10, unit="ms")

    def compressed(self, study: str, series: str, uids: list[str]) -> None:
        """A series of JPEG-LS slices."""
        n, base = len(uids), f"/studies/{study}/series/{series}"
        work = f"RetrieveSeries, {n} JPEG-LS slices to Explicit LE"
        self.first(f"{work}, the first time", base, DEFAULT, goal="once")
        self.latency(work, base, DEFAULT, times=3, goal="as RetrieveSeries")
        paths = [f"{base}/instances/{uid}/frames/1" for uid in uids]
        for clients in (1, 8):
            self.frames(f"JPEG-LS frames as stored, {_clients(clients)}", paths, FRAME, clients=clients)
        for clients in (1, 8):
            work = f"JPEG-LS frames to native (default Accept), {_clients(clients)}"
            self.frames(work, paths, FRAME_DEFAULT, clients=clients)

    def multi_frame(self, study: str, series: str, uid: str, frames: int) -> None:
        """Frames of one instance that has many."""
        paths = [f"/studies/{study}/series/{series}/instances/{uid}/frames/{n}" for n in range(1, frames + 1)]
        work = f"frames of one instance of {frames}"
        for clients in (1, 8):
            self.frames(f"{work}, {_clients(clients)}", paths, FRAME, clients=clients)
        self.frames(f"{work}, 8 clients, default Accept", paths, FRAME_DEFAULT, clients=8)

    def searches(self, more: str = "") -> None:
        """`more`: what the archive holds beside what was sent."""
        for what, path, goal in SEARCHES:
            work = f"QIDO {what}{more}, p95"
            self.latency(work, f"/studies?{path}", JSON, times=100, p95=True, unit="ms", goal=goal)

    def stow(self, ct: list[Path], counts: tuple[int, ...], repeats: int) -> None:
        """Slices under UIDs that nobody has seen, in one request; the median."""
        for count in counts:
            work, taken, spent = f"STOW of {count} slices", [], []
            for _ in range(repeats):
                study, series = (UID(f"2.25.{uuid.uuid4().int}") for _ in range(2))
                body, content_type = stow_body([under_new_uids(path, study, series) for path in ct[:count]])
                with self.server.client() as client:
                    before, start = self.server.cpu_seconds(), time.perf_counter()
                    answer = post(client, body, content_type)
                    taken.append(time.perf_counter() - start)
                if answer.status not in (200, 202):
                    self.table.row(work, "s", "lower").note = f"{self.server.name}: {answer.status}"
                    break
                spent.append((self.server.cpu_seconds() - before) * 1000)
            else:
                self.put(work, "s", statistics.median(taken), statistics.median(spent))
                self.table.rows[work].note = f"median of {repeats} studies"
                self.path(work, answer.redirected)

    def usage(self, pid: int, name: str) -> None:
        """CPU of the whole run, and the most memory that a process ever had, by kind of process."""
        kinds: dict[str, list[Any]] = {}
        for process in processes(pid):
            kinds.setdefault(process.kind, []).append(process)
        for kind, them in sorted(kinds.items()):
            row = self.table.row(f"{name}: {kind}, CPU of the whole run", "s", "lower")
            setattr(row, self.column, sum(process.seconds for process in them))
            each = ", ".join(f"{process.peak:.0f}" for process in sorted(them, key=lambda each: -each.peak))
            row.note = f"peak memory {each} MB" + (f", {len(them)} processes" if len(them) > 1 else "")


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def post(client: Client, body: bytes, content_type: str) -> Answer:
    return client.request("POST", "/studies", {"Content-Type": content_type, "Accept": JSON}, body)


def stow_body(files: list[bytes]) -> tuple[bytes, str]:
    """Without transfer-syntax in the types of the parts: Debian's Orthanc stores nothing otherwise."""
    boundary = uuid.uuid4().hex
    body = bytearray()
    for file in files:
        body += f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body += file
        body += b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return bytes(body), f'multipart/related; type="application/dicom"; boundary={boundary}'


def under_new_uids(path: Path, study: UID, series: UID) -> bytes:
    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{uuid.uuid4().int}")
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()
