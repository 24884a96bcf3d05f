"""A workstation in the storm: it retrieves studies by C-GET, and what it gets must be what was sent."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pydicom
from tests.support.processes import QUICK_TCP
from tests.torture.cloud import CloudState
from tests.torture.material import Item
from tests.torture.senders import Answers

TITLE = "READER"
#: Its entry in edge.toml.
DEVICE = f'\n[[device]]\nae_title = "{TITLE}"\nrights = ["query", "retrieve"]\n'


class Reader(threading.Thread):
    """Retrieves until the storm is over. Of what we wrote ourselves, for that is not converted on its way."""

    def __init__(
        self,
        items: Iterable[Item],
        digest: Callable[[bytes], str],
        answers: Answers,
        where: tuple[int, str],
        folder: Path,
        storm_over: threading.Event,
        dice: random.Random,
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self._digest = digest
        self._answers, self._where, self._folder, self._dice = answers, where, folder, dice
        self._storm_over = storm_over
        self._digests: dict[str, set[str]] = {}
        for item in items:
            if item.plain:
                self._digests.setdefault(item.sop, set()).add(item.digest)
        self.retrieves = self.images = 0
        self.faults: list[str] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self._storm_over.wait(self._dice.uniform(0.5, 4)):
                if studies := self._some(1):
                    self._read(*studies)
        except Exception as error:
            self.error = error

    def check(self, state: CloudState, count: int = 10) -> None:
        """In fair weather: by C-GET comes what comes by DICOMweb, all of it; what takes the cloud longer to convert
        than this edge has patience comes when it is asked for again.
        """
        for study in self._some(count):
            there = {key[2]: digest for key, digest in state.current if key[0] == study}
            for _ in range(3):
                if (got := self._read(study)) == there:
                    break
            else:
                same = len(got.items() & there.items())
                self.faults.append(f"{study}: {len(got)} images by C-GET, {len(there)} by DICOMweb, {same} the same")

    def _some(self, count: int) -> list[str]:
        """Studies of which something was answered success."""
        with self._answers.lock:
            taken = [item for item in self._answers.taken if item.plain]
        some = self._dice.sample(taken, min(count, len(taken)))
        return sorted({str(_head(item.path, "StudyInstanceUID").StudyInstanceUID) for item in some})

    def _read(self, study: str) -> dict[str, str]:
        """The digests of what came, by SOP Instance UID."""
        port, called = self._where
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        command = ["getscu", "-S", "+B", "-od", str(self._folder), "-aet", TITLE, "-aec", called, "-to", "10"]
        command += ["-ta", "30", "-td", "60", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
        done = subprocess.run([*command, "127.0.0.1", str(port)], env=QUICK_TCP, capture_output=True, timeout=180)
        self.retrieves += 1
        got = {}
        files = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        # Where it broke off, the last one may be half of one.
        for path in files[:-1] if done.returncode else files:
            got[str(_head(path, "SOPInstanceUID").SOPInstanceUID)] = self._digest(path.read_bytes())
        self.images += len(got)
        self.faults += [
            f"{sop}: what is retrieved was never sent" for sop in got if got[sop] not in self._digests.get(sop, ())
        ]
        return got


def _head(path: Path, keyword: str) -> pydicom.Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[keyword])
