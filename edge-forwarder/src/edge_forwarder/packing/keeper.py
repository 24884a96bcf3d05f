"""The keeper: one thread through which each acknowledged instance goes into journal, ledger and packs.

It has events written down (`registrar`) a transaction at a time, and when that fails begins again from the files
(`recovery`). It works behind the receive path, so that no header is read before an answer is sent; if it dies with the
process, the spool's files tell the next one everything.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.logs import Log
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.packing.recovery import BATCH, Recovery, batches
from edge_forwarder.packing.registrar import Registrar
from edge_forwarder.packing.strays import Strays
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile

#: After the journal could not be written, it is tried again so much later (seconds).
_RETRY_SECONDS: Final = 2.0
#: When nothing could be taken in for so long (seconds), somebody should know.
_BEHIND_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Stored:
    file: SpooledFile
    association: int | None


@dataclass(frozen=True, slots=True)
class _Ended:
    association: int


@dataclass(frozen=True, slots=True)
class _Barrier:
    reached: threading.Event


class Keeper:
    """Owns the planner; everybody else talks to it through `stored` and `ended`, from any thread."""

    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        planner: Planner,
        submit: Callable[[str], None],
        log: Log,
        ledger: Ledger,
    ) -> None:
        self._spool, self._journal, self._ledger, self._log = spool, journal, ledger, log
        self._planner, self._submit = planner, submit
        self._to_submit: list[str] = []
        """Packs that are in the journal, and not yet with the uploader."""
        self._events: queue.SimpleQueue[_Stored | _Ended | _Barrier | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._behind_since: float | None = None
        """When the journal could not be written; None while all is well."""
        self._failing_since: float | None = None
        """When that began."""
        self._strays = Strays(spool, journal, log)
        self.registrar = Registrar(spool, journal, planner, self._strays, log, ledger)
        self._recovery = Recovery(journal, planner, self.registrar, log, ledger)

    def configure(self, limits: Limits) -> None:
        """Other limits for what is packed from now on."""
        self._planner.configure(limits)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def not_taken(self) -> int:
        """How many files of the spool are not in the journal, though it is time. Raises OSError, sqlite3.Error."""
        since = self._failing_since
        if since is None or time.monotonic() - since < _BEHIND_SECONDS:
            return self._strays.unread
        return max(1, self._strays.not_taken())

    def unread(self) -> frozenset[str]:
        """The AE titles from which images came that could not be read yet."""
        return self._strays.senders()

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """Work off what is queued, then end."""
        self._events.put(None)
        self._thread.join(seconds)

    def stored(self, file: SpooledFile, association: int | None = None) -> None:
        self._events.put(_Stored(file, association))

    def ended(self, association: int) -> None:
        self._events.put(_Ended(association))

    def caught_up(self, seconds: float = 10.0) -> bool:
        """Wait until everything that was acknowledged before this call is in the journal and the ledger; False when
        that does not come to be.
        """
        barrier = _Barrier(threading.Event())
        self._events.put(barrier)
        return barrier.reached.wait(seconds) and self._behind_since is None

    def _run(self) -> None:
        self._recover()
        stopping = False
        while not stopping:
            events, stopping = self._next_events()
            batch = [event for event in events if not isinstance(event, _Barrier)]
            if self._behind_since is None:
                self._guard(partial(self._work, batch))
                if time.monotonic() >= self._strays.due:
                    self._take_strays()
            elif time.monotonic() >= self._behind_since + _RETRY_SECONDS:
                # What the events told of is on the disk, and found there.
                self._recover()
            for event in events:
                if isinstance(event, _Barrier):
                    event.reached.set()
        self._guard(lambda: self.registrar.close(self._planner.close_all()))

    def _guard(self, work: Callable[[], None]) -> None:
        """Do it in one transaction. If the journal or the disk fails, the files stay: begin again from them, later."""
        try:
            # The ledger is committed first: what the journal knows, the ledger knows.
            with self._journal.transaction(), self._ledger.transaction(synced=False):
                work()
        except Exception as error:
            self._is_behind()
            self.registrar.rolled_back()
            self._log.error("the keeper could not do its work", why=f"{type(error).__name__}: {error}")
        self._to_submit += self.registrar.committed()
        try:
            while self._to_submit:
                self._submit(self._to_submit[0])
                del self._to_submit[0]
        except sqlite3.Error as error:  # they are in the journal, which cannot be read now: later
            self._is_behind()
            self._log.error("packs cannot be submitted", why=f"{type(error).__name__}: {error}")

    def _is_behind(self) -> None:
        self._behind_since = time.monotonic()
        if self._failing_since is None:
            self._failing_since = self._behind_since

    def _next_events(self) -> tuple[list[_Stored | _Ended | _Barrier], bool]:
        if self._behind_since is not None:
            due = self._behind_since + _RETRY_SECONDS
        else:
            due = min(self._planner.next_due() or self._strays.due, self._strays.due)
        timeout = max(0.0, due - time.monotonic())
        batch: list[_Stored | _Ended | _Barrier] = []
        try:
            event = self._events.get(timeout=timeout)
            while event is not None and len(batch) < BATCH:
                batch.append(event)
                event = self._events.get_nowait()
            if event is None:
                return batch, True
            batch.append(event)
        except queue.Empty:
            pass
        return batch, False

    def _recover(self) -> None:
        """Begin from the disk: at the start, and after the journal could not be written."""
        self._behind_since = None
        self._planner.clear()
        try:
            found = tuple(self._spool.files())
        except OSError as error:
            self._is_behind()
            self._log.error("the spool cannot be listed", why=type(error).__name__)
            return
        for step in self._recovery.steps(found):
            self._guard(step)
        if self._behind_since is None:
            self._failing_since = None
        self._strays.due = time.monotonic()
        if found:
            self._log.info("took up what the spool held", instances=len(found))

    def _take_strays(self) -> None:
        try:
            strays = self._strays.look()
        except (OSError, sqlite3.Error) as error:
            self._log.error("the spool cannot be looked through", why=f"{type(error).__name__}: {error}")
            return
        for some in batches(strays):
            self._guard(partial(self.registrar.take_all, some))

    def _work(self, events: Iterable[_Stored | _Ended]) -> None:
        for event in events:
            if isinstance(event, _Ended):
                self.registrar.close(self._planner.association_ended(event.association))
            else:
                self.registrar.take(event.file, event.association)
        self.registrar.close(self._planner.due(time.monotonic()))
