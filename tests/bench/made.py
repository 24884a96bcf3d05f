"""What the benchmarks send: a CT, also under other UIDs, small studies, a CT in JPEG-LS, a cine, one large instance."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import UID
from samples.phantom import stable_uid, write_ct
from tests.support import orthanc

STUDIES = 20  # small ones, so that a search has something to choose from
MOST_FRAMES, STOWED_FRAMES = 2048, 256  #: 1 GiB and 128 MiB
CINE_FRAMES = 48  #: 24 MiB, as a run of an angiography or of an ultrasound has
#: Memory of Orthanc for each frame of the large instance, with 8 clients: it reads the whole instance for each of them,
#: more than once (20,755 MB of 2,048 frames).
_MB_A_FRAME, _MB_OF_OTHERS = 10.2, 1000


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="maypacs-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def frames_that_fit() -> int:
    """As many frames as Orthanc can serve in the memory that is there; all of them where it is not installed; few where
    they come by STOW, because there is no storescu."""
    if not shutil.which("storescu"):
        return STOWED_FRAMES
    if not orthanc.executable():
        return MOST_FRAMES
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable"))
    return max(16, min(MOST_FRAMES, int((available - _MB_OF_OTHERS) / _MB_A_FRAME) // 64 * 64))


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


def multi_frame(path: Path, frames: int, seed: int) -> Path:
    """One instance of so many frames of 512 KiB, written frame by frame."""
    (model,) = write_ct(path.parent / "model", slices=1, seed=seed, patient_id=f"MAY-000{seed}", study_date="20261117")
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


class Made:
    """What is sent to both servers."""

    def __init__(self, folder: Path, slices: int, frames: int, repeats: int) -> None:
        self.ct = write_ct(folder / "ct", slices=slices)
        self.ct_uids = uids_of(self.ct)
        #: The same CT of other patients, each a study of its own; the first is `ct`.
        self.cts = [folder / "ct"]
        for number in range(1, repeats):
            self.cts.append(folder / f"ct{number}")
            write_ct(self.cts[-1], slices=slices, seed=10 + number, patient_id=f"MAY-{2000 + number}")
        self.small = folder / "small"
        for number in range(STUDIES):
            date = f"202609{number % 28 + 1:02d}"
            name, patient = f"Trần^Thị Thử {number}", f"MAY-{1000 + number}"
            where = self.small / str(number)
            write_ct(where, slices=2, seed=100 + number, patient_id=patient, patient_name=name, study_date=date)
        self.jls = jpeg_ls(folder, slices)
        self.jls_uids = uids_of(self.jls) if self.jls else None
        #: Instances of many frames, the large one last.
        self.multi = {
            count: multi_frame(folder / f"multi{count}" / "multi.dcm", count, seed)
            for count, seed in ((min(CINE_FRAMES, frames - 1), 4), (frames, 3))
        }
        self.multi_uids = {count: uids_of([path]) for count, path in self.multi.items()}

    @property
    def rest(self) -> list[Path]:
        """Folders beside those of `cts`."""
        return [self.small, *([self.jls[0].parent] if self.jls else []), *(path.parent for path in self.multi.values())]

    @property
    def last(self) -> list[tuple[str, int]]:
        """Studies that are there when `rest` is there, with their instances."""
        large = [(study, 1) for study, _, _ in self.multi_uids.values()]
        return [*large, *([(self.jls_uids[0], len(self.jls))] if self.jls_uids else [])]

    @property
    def frames(self) -> int:
        """Of the largest instance."""
        return max(self.multi)
