"""An edge process enrolled with the stub cloud, small DICOM files to send to it, and dcmtk's tools to send them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from tests.support.processes import BIN, QUICK_TCP, Child, free_port
from tests.support.stub_cloud import CODE, StubCloud

AET = "MAYEDGE"


class StubEdge(Child):
    """``maypacs-edge run`` against a `StubCloud`; start it again after `kill` to see what it remembers."""

    def __init__(self, folder: Path, cloud: StubCloud, extra: str = "", devices: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "edge.toml"
        self.port = free_port()
        if not self.config.exists():
            enrolled = subprocess.run(
                [str(BIN / "maypacs-edge"), "enroll", "--url", cloud.url, "--code", CODE, "--config", str(self.config)]
                + ["--aet", AET, "--port", str(self.port), "--name", "edge of a test"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert enrolled.returncode == 0, enrolled.stderr
            self._quick(extra)
            with self.config.open("a") as config:
                config.write(devices)
        super().__init__([BIN / "maypacs-edge", "run", "--config", self.config], log=folder / "edge.log")

    def _quick(self, extra: str) -> None:
        """Short pauses; loopback only; ``extra`` lines go where their section is."""
        text = self.config.read_text()
        changes = {
            "# bind = ": 'bind = "127.0.0.1"',
            "# retry_max_seconds = ": "retry_max_seconds = 0.3",
            "# status_poll_seconds = ": "status_poll_seconds = 0.3",
            "# read_timeout_seconds = ": "read_timeout_seconds = 5.0",
            "# min_free_mib = ": "min_free_mib = 16",
            "# quiet_seconds = ": "quiet_seconds = 1.0",
            "# quiet_seconds_by_modality = ": "quiet_seconds_by_modality = { US = 1.0 }",
        }
        for line in filter(None, extra.splitlines()):
            changes[f"# {line.partition(' = ')[0]} = "] = line
        lines = [next((new for old, new in changes.items() if x.startswith(old)), x) for x in text.splitlines()]
        self.config.write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        self.run()
        return self

    def run(self) -> None:
        line = self.start(r"^ready ")
        assert line.strip() == f"ready {AET}@127.0.0.1:{self.port}"

    @property
    def received(self) -> Path:
        return self.folder / "spool" / "received"

    def spooled(self) -> list[str]:
        return sorted(path.name for path in self.received.glob("*.dcm"))

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            [str(BIN / "maypacs-edge"), "status", "--config", str(self.config), "--json"],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def storescu(self, *paths: Path, extra: Sequence[str] = (), aet: str = AET) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["storescu", "-v", "-aec", aet, *extra, "127.0.0.1", str(self.port), *map(str, paths)],
            env=QUICK_TCP,
            capture_output=True,
            text=True,
            timeout=120,
        )


def dataset_bytes(part10: bytes) -> bytes:
    """What follows group 0002."""
    length = int.from_bytes(part10[140:144], "little")
    return part10[144 + length :]


def write_ct(
    path: Path,
    *,
    study: str = "2.25.1",
    series: str = "2.25.11",
    sop: str,
    number: int = 1,
    size: int = 2000,
    fill: int = 0,
) -> Path:
    """A CT image of ``size`` bytes of pixels, of somebody who is obviously nobody."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, sop
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.PatientName, ds.PatientID, ds.Modality = "Nguyễn^Văn Thử", "THU-0001", "CT"
    ds.InstanceNumber = number
    columns = 8192 if size > 2**25 else 512 if size % 1024 == 0 else size // 2
    ds.Rows, ds.Columns = size // 2 // columns, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.PixelData = bytes((number * 7 + i + fill) % 251 for i in range(256)) * (size // 256) + b"\1" * (size % 256)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path, count: int, *, study: str = "2.25.1", series: str = "2.25.11", size: int = 2000
) -> list[Path]:
    return [
        write_ct(folder / f"{n:04}.dcm", study=study, series=series, sop=f"{series}.{n}", number=n, size=size)
        for n in range(1, count + 1)
    ]


def sent_dataset(path: Path) -> bytes:
    """The data set bytes of a file on disk, as they are sent when the receiver takes its transfer syntax."""
    data = path.read_bytes()
    assert pydicom.dcmread(path, stop_before_pixels=True).file_meta
    return dataset_bytes(data)
