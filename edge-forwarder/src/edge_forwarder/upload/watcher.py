"""The watcher: one thread that asks what became of each upload, and only then lets go of the files.

How, is `settle.Settler`'s. An upload the cloud has never seen, or that reached it damaged, is uploaded again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge_forwarder.cloud import retry
from edge_forwarder.cloud.inbox import BATCH, Inbox, UploadStatus
from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.errors import CloudError
from edge_forwarder.logs import Log
from edge_forwarder.upload.line import Line
from edge_forwarder.upload.settle import Settler

#: The first look is when uploads have been indexed by, of late; within these bounds (seconds).
_SOONEST: Final = 0.2
_LATEST: Final = 5.0
#: An object that is in no inbox and has no receipt is looked for so often and so long (seconds) before it is sent
#: again.
_LOST_LOOKS: Final = 3
_LOST_SECONDS: Final = 60.0
#: The cloud's reason for an upload whose bytes are not those that were granted; the longest pause before the next try.
_DAMAGED: Final = "damaged-on-the-way"
_DAMAGED_SECONDS: Final = 3600.0


@dataclass(slots=True)
class _Watched:
    pack: str
    since: float
    due: float
    pause: float
    lost: int = 0


@dataclass(slots=True)
class Pace:
    """How long the cloud takes to index an upload, of late: a question before that is a question for nothing."""

    seconds: float = 0.0
    """0: not known yet."""

    @property
    def first(self) -> float:
        """When to look first, after the upload."""
        return min(max(0.8 * self.seconds, _SOONEST), _LATEST)

    @property
    def second(self) -> float:
        """How long after that to look again; from then on twice as long each time."""
        return max(0.5 * self.first, _SOONEST)

    def learn(self, seconds: float) -> None:
        """An upload was found indexed so long after it was sent: a slow one counts a little, a quick one at once."""
        slower = self.seconds and seconds > self.seconds
        self.seconds = 0.7 * self.seconds + 0.3 * seconds if slower else seconds


class Watcher:
    """A thread of its own; `watch` may be called from any. What is set by the composition is called from its thread."""

    def __init__(
        self, settler: Settler, journal: Journal, inbox: Inbox, line: Line, log: Log, *, longest_pause: float = 15.0
    ) -> None:
        self._settler, self._journal, self._inbox, self._line, self._log = settler, journal, inbox, line, log
        self._longest_pause = longest_pause
        self._wake = threading.Condition()
        self._watched: dict[str, _Watched] = {}
        """By arrival id."""
        self._pace = Pace()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._damages: dict[str, int] = {}
        self.upload_again: Callable[[str, float], None] = lambda pack, delay: None
        """Told of a pack that has to be uploaded again, so many seconds from now; set by the composition."""
        self.doubted: Callable[[str], None] = lambda pack: None
        """Told of a pack whose bytes did not arrive as they were granted; set by the composition."""

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        for pack in self._journal.packs(PackState.SENT):
            if pack.arrival:
                self.watch(pack.id, pack.arrival)
            else:
                self._repeat(pack.id, keep_arrival=False)
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(seconds)

    def watch(self, pack: str, arrival: str) -> None:
        now = time.monotonic()
        with self._wake:
            self._watched[arrival] = _Watched(pack, now, now + self._pace.first, self._pace.second)
            self._wake.notify()

    def _run(self) -> None:
        while arrivals := self._next():
            try:
                answers = self._inbox.status(arrivals)
                self._line.answered()
                for answer in answers:
                    self._try(answer)
                self._later(arrivals)
            except CloudError as error:
                self._line.failed(error)
                self._later(arrivals)
            except Exception as error:  # the disk or the journal: nothing is lost, ask again later
                self._log.error("the watcher could not do its work", why=f"{type(error).__name__}: {error}")
                self._later(arrivals)

    def _next(self) -> list[str]:
        """Arrivals that are due, at most a batch; empty at a stop."""
        with self._wake:
            while not self._stopping:
                if not self._watched:
                    self._wake.wait()
                    continue
                now = time.monotonic()
                wait = max(min(w.due for w in self._watched.values()) - now, self._line.pause_left())
                if wait <= 0:
                    # One question for all that are due, or will be in a moment.
                    soon = ((w, arrival) for arrival, w in self._watched.items() if w.due <= now + w.pause / 2)
                    due = sorted((w.due, arrival) for w, arrival in soon)
                    return [arrival for _, arrival in due[:BATCH]]
                self._wake.wait(wait)
        return []

    def _later(self, arrivals: list[str]) -> None:
        """Those that are still open: look again after twice the pause."""
        with self._wake:
            for arrival in arrivals:
                if (watched := self._watched.get(arrival)) is not None:
                    watched.due = time.monotonic() + watched.pause
                    watched.pause = min(watched.pause * 2, self._longest_pause)

    def _try(self, answer: UploadStatus) -> None:
        """One upload that cannot be settled now holds up no other. Raises CloudError."""
        try:
            self._hear(answer)
        except CloudError:
            raise
        except Exception as error:  # the disk or the journal: nothing is lost, ask again later
            why = f"{type(error).__name__}: {error}"
            self._log.error("an upload cannot be settled", arrival=answer.arrival, why=why)

    def _hear(self, answer: UploadStatus) -> None:
        with self._wake:
            watched = self._watched.get(answer.arrival)
        if watched is None:
            return
        if answer.state == "quarantined" and answer.reason == _DAMAGED:
            self._log.warning("an upload arrived damaged: sent again", pack=watched.pack, arrival=answer.arrival)
            self.doubted(watched.pack)
            self._repeat(watched.pack, keep_arrival=False, delay=self._damaged(watched.pack))
        elif answer.state in ("indexed", "partial", "quarantined"):
            self._pace.learn(time.monotonic() - watched.since)
            self._settler.heard(watched.pack, answer)
        elif answer.state == "pending":
            watched.lost = 0 if answer.in_inbox else watched.lost + 1
            if watched.lost < _LOST_LOOKS or time.monotonic() - watched.since < _LOST_SECONDS:
                return
            self._log.warning("an upload is in no inbox and has no receipt: sent again", pack=watched.pack)
            self._repeat(watched.pack, keep_arrival=True)
        else:
            self._log.warning("the cloud does not know an upload: sent again", pack=watched.pack)
            self._repeat(watched.pack, keep_arrival=False)
        with self._wake:
            self._watched.pop(answer.arrival, None)

    def _damaged(self, pack: str) -> float:
        """How long to wait with it: each time longer, for the cloud keeps what was damaged."""
        times = self._damages[pack] = self._damages.get(pack, 0) + 1
        return 0.0 if times == 1 else retry.pause(times + 4, _DAMAGED_SECONDS)

    def _repeat(self, pack: str, *, keep_arrival: bool, delay: float = 0.0) -> None:
        values = {} if keep_arrival else {"arrival": None}
        self._journal.update_pack(pack, PackState.PACKED, sent_at=None, **values)
        self.upload_again(pack, delay)
