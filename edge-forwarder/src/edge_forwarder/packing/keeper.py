"""The keeper: one thread that takes each acknowledged instance into the journal and plans the packs.

It works behind the receive path, so that no header is read before an answer is sent; if it dies with the process, the
spool's files tell the next one everything.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from ulid import ULID

from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import Identity, claimed, identify
from edge_forwarder.errors import UnreadableError
from edge_forwarder.logs import Log
from edge_forwarder.packing.duplicate import duplicate_of
from edge_forwarder.packing.planner import ClosedPack, Limits, Planner, Received
from edge_forwarder.packing.strays import Strays
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile

#: So many events share one journal transaction at most.
_BATCH: Final = 256
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
        ledger: Ledger | None = None,
    ) -> None:
        self._ledger = ledger
        self._spool, self._journal, self._planner, self._submit, self._log = spool, journal, planner, submit, log
        self._events: queue.SimpleQueue[_Stored | _Ended | _Barrier | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._behind_since: float | None = None
        """When the journal could not be written; None while all is well."""
        self._failing_since: float | None = None
        """When that began."""
        self._strays = Strays(spool, journal, log)
        self._to_submit: list[str] = []
        self._duplicates: list[str] = []
        """Files to delete once it is written down whose equals they are."""
        self.is_stat: Callable[[str, Identity], bool] = lambda ae_title, identity: False
        """Whether an instance of that sender goes before others; set by the composition."""
        self.noticed: Callable[[str, str], None] = lambda ae_title, modality: None
        """Told the sender and the modality of each instance; set by the composition."""

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
        self._guard(lambda: self._settle(self._planner.close_all()))

    def _guard(self, work: Callable[[], None]) -> None:
        """Do it in one transaction. If the journal or the disk fails, the files stay: begin again from them, later."""
        try:
            # The ledger is committed first: what the journal knows, the ledger knows.
            ledger = self._ledger.transaction(synced=False) if self._ledger is not None else contextlib.nullcontext()
            with self._journal.transaction(), ledger:
                work()
        except Exception as error:
            self._is_behind()
            self._to_submit.clear()
            self._duplicates.clear()
            self._log.error("the keeper could not do its work", why=f"{type(error).__name__}: {error}")
        for name in self._duplicates:
            self._remove(name)
        self._duplicates.clear()
        for pack in self._to_submit:
            self._submit(pack)
        self._to_submit.clear()

    def _is_behind(self) -> None:
        self._behind_since = time.monotonic()
        if self._failing_since is None:
            self._failing_since = self._behind_since

    def _remove(self, name: str) -> bool:
        try:
            self._spool.remove(name)
        except OSError as error:  # it will be found again
            self._log.error("a file of the spool cannot be deleted", why=error.strerror or type(error).__name__)
            return False
        return True

    def _next_events(self) -> tuple[list[_Stored | _Ended | _Barrier], bool]:
        if self._behind_since is not None:
            due = self._behind_since + _RETRY_SECONDS
        else:
            due = min(self._planner.next_due() or self._strays.due, self._strays.due)
        timeout = max(0.0, due - time.monotonic())
        batch: list[_Stored | _Ended | _Barrier] = []
        try:
            event = self._events.get(timeout=timeout)
            while event is not None and len(batch) < _BATCH:
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
        self._guard(partial(self._recover_journal, {file.name for file in found}))
        for at in range(0, len(found), _BATCH):
            self._guard(partial(self._recover_files, found[at : at + _BATCH]))
        # Whoever sent these is gone: nothing more is coming that would be worth waiting for.
        self._guard(lambda: self._settle(self._planner.close_all()))
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
        for at in range(0, len(strays), _BATCH):
            self._guard(partial(self._recover_files, strays[at : at + _BATCH]))

    def _recover_journal(self, here: set[str]) -> None:
        """Finish the deletions that an earlier process began, and pack what it had received but not packed."""
        journal = self._journal
        for pack in journal.packs(PackState.INDEXED):
            if all(self._remove(member.name) for member in journal.members(pack.id)):
                journal.forget_pack(pack.id)
        waiting = journal.waiting_for_pack()
        gone = [row.name for row in waiting if row.name not in here]
        journal.forget_instances(gone)
        if lost := gone if self._ledger is None else self._ledger.lost(gone):
            self._log.error("files are gone from the spool", files=len(lost))
            journal.count("missing", len(lost))
        for row in waiting:
            if row.name not in here:
                continue
            if row.identity is None:
                self._new_pack([row.name])
            else:
                waiting_still = Received(row.name, row.size, row.identity, stat=row.stat)
                self._settle(self._planner.add(waiting_still, time.monotonic()))

    def _recover_files(self, files: Iterable[SpooledFile]) -> None:
        """Take up acknowledged files; those that the journal knows are skipped."""
        for file in files:
            self._take(_Stored(file, None))

    def _work(self, events: Iterable[_Stored | _Ended]) -> None:
        for event in events:
            if isinstance(event, _Ended):
                self._settle(self._planner.association_ended(event.association))
            else:
                self._take(event)
        self._settle(self._planner.due(time.monotonic()))

    def _take(self, event: _Stored) -> None:
        file, journal = event.file, self._journal
        known = journal.instance(file.name)
        try:
            identity = known.identity if known is not None else self._identity(file)
            # Of a data set that cannot be read too: its device may ask what became of it.
            entry = identity or claimed(self._spool.path(file.name))
        except FileNotFoundError:
            # Taken up by a scan meanwhile, uploaded and deleted; or somebody took it away.
            self._log.warning("a file is not in the spool any more", files=1)
            return
        except OSError as error:
            self._strays.note(file.name, error)
            return
        if known is not None:
            self._enter(file, entry)
            return
        self._strays.taken(file.name)
        journal.count("received")
        journal.count("received_bytes", file.size)
        journal.set_fact("last_received_at", file.received_at)
        other = duplicate_of(self._spool, journal, file, identity) if identity is not None else None
        self._enter(file, entry, other)
        if other is not None:
            self._duplicates.append(file.name)
            journal.count("duplicates")
            return
        stat = identity is not None and self.is_stat(file.calling_ae_title, identity)
        journal.add_instance(file.name, file.size, identity, stat=stat)
        if identity is None:
            self._new_pack([file.name])
        else:
            journal.set_fact(f"last_received_at.{identity.modality or 'OT'}", file.received_at)
            self.noticed(file.calling_ae_title, identity.modality or "")
            received = Received(file.name, file.size, identity, event.association, stat)
            self._settle(self._planner.add(received, time.monotonic()))

    def _identity(self, file: SpooledFile) -> Identity | None:
        """None: its data set has none. Raises OSError."""
        try:
            return identify(self._spool.path(file.name))
        except UnreadableError as error:
            self._log.warning("no pack can hold an instance: it goes up as a file", why=str(error))
            return None

    def _enter(self, file: SpooledFile, entry: Identity | None, other: str | None = None) -> None:
        """In the ledger."""
        if entry is not None and self._ledger is not None:
            self._ledger.add(file.name, file.calling_ae_title, entry, other)

    def _settle(self, closed: Iterable[ClosedPack]) -> None:
        for pack in closed:
            self._new_pack([member.name for member in pack.members], stat=pack.stat)
            modality = pack.modality or "OT"
            self._journal.count(f"packs.{modality}")
            self._journal.count(f"packed.{modality}", len(pack.members))
            self._journal.count(f"packed_bytes.{modality}", sum(member.size for member in pack.members))

    def _new_pack(self, names: list[str], *, stat: bool = False) -> None:
        pack = str(ULID())
        self._journal.add_pack(pack, names, stat=stat)
        self._to_submit.append(pack)
