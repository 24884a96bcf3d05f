"""The modalities: each sends its share, keeps what was not taken, and sends it again."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import raw_scu
from tests.support.processes import QUICK_TCP
from tests.torture.commitments import Commitments
from tests.torture.material import Item

#: Both of dcmtk's tools print each answer so with --debug.
_ANSWER = re.compile(
    r"Message Type\s*: C-STORE RSP.*?Affected SOP Instance UID\s*: (\S+).*?DIMSE Status\s*: 0x([0-9a-fA-F]{4})", re.S
)


@dataclass
class Answers:
    """What was said about each item. Threads share it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    taken: Counter[Item] = field(default_factory=Counter)
    """How often each was answered success."""
    refused: dict[Item, int] = field(default_factory=dict)
    """The last status that was not success."""
    sent: set[Item] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    """Associations that ended without all their answers."""

    def note(self, sent: Sequence[Item], statuses: dict[Item, int]) -> None:
        with self.lock:
            self.sent |= set(sent)
            self.broken += len(statuses) < len(sent)
            for item, status in statuses.items():
                self.statuses[status] += 1
                if status == 0:
                    self.taken[item] += 1
                    self.refused.pop(item, None)
                elif item not in self.taken:
                    self.refused[item] = status


def by_raw_scu(port: int, called: str, calling: str, items: Sequence[Item]) -> dict[Item, int]:
    by_path = {item.path: item for item in items}
    sent = raw_scu.send(port, by_path, called=called, calling=calling)
    return {by_path[path]: status for path, status in sent.items()}


def by_dcmtk(tool: str) -> Callable[[int, str, str, Sequence[Item]], dict[Item, int]]:
    def send(port: int, called: str, calling: str, items: Sequence[Item]) -> dict[Item, int]:
        # Two files under one UID could not be told apart in its answers.
        by_uid = {item.sop: item for item in items}
        command = [tool, "--debug", "-aet", calling, "-aec", called, "-to", "10", "-ta", "30", "-td", "30"]
        command += ["127.0.0.1", str(port), *(str(item.path) for item in by_uid.values())]
        try:
            done = subprocess.run(command, env=QUICK_TCP, capture_output=True, text=True, timeout=180)
            text = done.stderr + done.stdout
        except subprocess.TimeoutExpired as late:
            text = "".join(part.decode() for part in (late.stderr, late.stdout) if isinstance(part, bytes))
        found = {uid.rstrip("\0"): int(status, 16) for uid, status in _ANSWER.findall(text)}
        return {item: found[uid] for uid, item in by_uid.items() if uid in found}

    return send


WAYS = {"raw": by_raw_scu, "storescu": by_dcmtk("storescu"), "dcmsend": by_dcmtk("dcmsend")}


class Sender(threading.Thread):
    """One modality. It sends until all its items were taken and the storm is over; what was taken it may send again.
    Now and then, and in the end, it asks for storage commitment of what it got success for.
    """

    def __init__(
        self,
        way: str,
        items: Iterable[Item],
        answers: Answers,
        commitments: Commitments,
        where: Callable[[], tuple[int, str]],
        storm_over: threading.Event,
        dice: random.Random,
        pace: float,
    ) -> None:
        super().__init__(name=f"{way} sender", daemon=True)
        self._way, self._items, self._answers, self._where = way, list(items), answers, where
        self._storm_over, self._dice, self._pace = storm_over, dice, pace
        self._commitments = commitments
        self.over = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._send()
            self._have_all_committed()
        except Exception as error:
            self.error = error
        finally:
            self.over.set()

    def _send(self) -> None:
        pending, dice = list(self._items), self._dice
        tries: Counter[Item] = Counter()
        while pending or not self._storm_over.is_set():
            batch = pending[: dice.choice((1, 3, 10, 40))] or dice.sample(self._items, min(5, len(self._items)))
            if pending and dice.random() < 0.2:
                batch += dice.sample(self._items, min(5, len(self._items)))
            batch = list(dict.fromkeys(batch))
            statuses = WAYS[self._way](*self._where(), self._commitments.title, batch)
            self._answers.note(batch, statuses)
            if (taken := self._taken(statuses)) and dice.random() < 0.3:
                self._commitments.ask(self._where()[0], taken)
            tries.update(statuses.keys())
            # What is refused time and again in fair weather has its reason, which the verdict looks at.
            pending = [
                i for i in pending if i not in self._answers.taken and not (self._storm_over.is_set() and tries[i] > 25)
            ]
            if self._storm_over.is_set():
                time.sleep(0.05)
            else:
                self._storm_over.wait(dice.uniform(0, 2 * self._pace * len(batch)))

    def _taken(self, statuses: dict[Item, int]) -> list[Item]:
        """What may be asked for; what was sent, and not answered, may have been taken all the same."""
        taken = [item for item, status in statuses.items() if status == 0]
        self._commitments.sent.update(taken)
        return taken

    def _have_all_committed(self) -> None:
        deadline = time.monotonic() + 120
        while (mine := self._commitments.sent) and not self._commitments.ask(self._where()[0], mine):
            assert time.monotonic() < deadline, "no storage commitment is taken on"
            time.sleep(1)


class Import(threading.Thread):
    """``maypacs-edge send`` of a folder, killed and started again until it says that everything is in the cloud."""

    def __init__(
        self,
        start: Callable[[Sequence[str]], subprocess.Popen[bytes]],
        folder: Path,
        items: Sequence[Item],
        answers: Answers,
        storm_over: threading.Event,
        dice: random.Random,
    ) -> None:
        super().__init__(name="import", daemon=True)
        self._start, self._folder, self._items, self._answers = start, folder, items, answers
        self._storm_over, self._dice = storm_over, dice
        self.over = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while self._once() != 0:
                time.sleep(0.2)  # one that finds the spool taken by another command ends at once
            self._answers.note(self._items, dict.fromkeys(self._items, 0))
        except Exception as error:
            self.error = error
        finally:
            self.over.set()

    def _once(self) -> int | None:
        process = self._start(("send", str(self._folder)))
        patience = 200.0 if self._storm_over.is_set() else self._dice.uniform(0.5, 8)
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
