"""An old PACS that is emptied into the archive during the storm: ``maypacs-edge migrate``, killed and started again."""

from __future__ import annotations

import csv
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pydicom
from tests.support.strange_pacs import StrangePacs
from tests.support.stub_edge import write_ct
from tests.torture.cloud import CloudState
from tests.torture.material import Item, item_of
from tests.torture.senders import Answers

TITLE = "STRANGE"
#: What the report calls images that are in the cloud.
_THERE = {"indexed", "there"}
_PER_STUDY = 6


def images(folder: Path, count: int, dice: random.Random) -> list[Item]:
    """Of studies of the old PACS alone: of a few days, of one day, and without a date."""
    items, root = [], dice.getrandbits(60)
    for number in range(count):
        nth = number // _PER_STUDY
        study, day = f"2.25.{root}.{nth}", f"2024010{nth % 4}" if nth % 4 else ""
        sop = f"{study}.1.{number}"
        path = write_ct(folder / f"{number:04}.dcm", study=study, series=f"{study}.1", sop=sop, number=number)
        ds = pydicom.dcmread(path)
        ds.StudyDate = day
        ds.save_as(path)
        items.append(item_of(path, sop))
    return items


class Migration(threading.Thread):
    """Until a run that began after the storm has ended. The source breaks off now and then, lists one
    image that it never sends, and has some that the modalities send, too.
    """

    def __init__(
        self,
        start: Callable[[Sequence[str]], subprocess.Popen[bytes]],
        own: Sequence[Item],
        others: Sequence[Item],
        answers: Answers,
        report: Path,
        edge_port: int,
        storm_over: threading.Event,
        dice: random.Random,
    ) -> None:
        super().__init__(name="migration", daemon=True)
        self.withheld, self.items = own[0], [*own[1:], *others]
        self._answers = answers
        self._start, self._report, self._dice, self._storm_over = start, report, dice, storm_over
        sources = [pydicom.dcmread(item.path) for item in (self.withheld, *self.items)]
        self._studies = {str(ds.SOPInstanceUID): str(ds.StudyInstanceUID) for ds in sources}
        self.pacs = StrangePacs(
            sources,
            destination=("127.0.0.1", edge_port),
            withheld=frozenset({self.withheld.sop}),
            drops=3,
        )
        self.over = threading.Event()
        self.error: Exception | None = None
        self.runs = 0

    @property
    def device(self) -> str:
        """Its entry in edge.toml."""
        return f'\n[[device]]\nae_title = "{TITLE}"\nhost = "127.0.0.1"\nport = {self.pacs.port}\n'

    def run(self) -> None:
        try:
            while not self._storm_over.is_set():
                self._once(self._dice.choice(("move", "get")), self._dice.uniform(0.5, 8))
                time.sleep(0.3)  # one that finds no edge, or another command at work, ends at once
            for method in ("move", "get"):
                self._report.unlink(missing_ok=True)
                self._once(method, 200)
                if self._is_over():
                    break
            self._answers.note(self.items, dict.fromkeys(self.items, 0))
        except Exception as error:
            self.error = error
        finally:
            self.over.set()

    def _once(self, method: str, patience: float) -> None:
        process = self._start(("migrate", "--from", TITLE, "--method", method, "--report", str(self._report)))
        self.runs += 1
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _fates(self) -> dict[str, str]:
        """By SOP Instance UID, what the report says of an image, or of all of its study."""
        if not self._report.exists():
            return {}
        with self._report.open(newline="", encoding="utf-8") as file:
            rows = [*csv.DictReader(file)]
        # More is there when modalities have sent other images of the study.
        whole = [row for row in rows if row["state"] == "done" and int(row["in the cloud"]) >= int(row["counted"])]
        done = {row["study"] for row in whole}
        fates = {sop: "indexed" for sop, study in self._studies.items() if study in done}
        return fates | {row["image"]: row["fate"] for row in rows if row["image"]}

    def _is_over(self) -> bool:
        fates = self._fates()
        return all(fates.get(item.sop) in _THERE for item in self.items)

    def faults(self, state: CloudState) -> Iterator[str]:
        """Everything of the source is in the cloud, once, and the report says so; what it withheld is named."""
        fates = self._fates()
        if not fates:
            yield "the migration came to no report"
            return
        found = Counter(digest for _, digest in state.current)
        for item in self.items:
            if found[item.digest] != 1:
                count, fate = found[item.digest], fates.get(item.sop)
                yield f"migrated {item.path.name}: {count} times in the cloud; reported {fate}"
            elif fates.get(item.sop) not in _THERE:
                yield f"migrated {item.path.name}: in the cloud, and reported {fates.get(item.sop)}"
        if fates.get(self.withheld.sop) != "missing":
            yield f"an image that the source does not send is reported {fates.get(self.withheld.sop)}"
