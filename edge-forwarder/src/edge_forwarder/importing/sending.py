"""`send`: files of this machine into the archive, by way of the spool, as if a modality had sent them.

Each file is written down (`memory`), handed over, and then looked for in the ledger until the cloud has it. There
is never more than `AHEAD_BYTES` of it in the spool, and a second reserve of free disk beyond the spool's own: the
modalities' images come first.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Final

from edge_forwarder.config import MIB, Config
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.dicom.found_files import dress
from edge_forwarder.dicom.peek import HEAD_BYTES, identify
from edge_forwarder.errors import SourceError, SpoolFullError, TooLargeError, UnreadableError
from edge_forwarder.importing.memory import Imports, ImportState
from edge_forwarder.importing.sources import Source, Unusable, find
from edge_forwarder.progress import Progress
from edge_forwarder.spool import attention
from edge_forwarder.spool.handover import Handover
from edge_forwarder.spool.layout import Layout
from edge_forwarder.spool.lock import is_locked

#: In the place of a calling AE title: too long to be one.
LABEL: Final = "maypacs-edge send"
AHEAD_BYTES: Final = 2048 * MIB
AHEAD_FILES: Final = 20_000
_CHUNK: Final = 1024 * 1024
_LOOK_SECONDS: Final = 0.5
#: So many are looked up at once: the first ones, which are settled first.
_LOOK_AT: Final = 2000
_LOST_SECONDS: Final = 5.0
_STATES: Final = {
    SentState.INDEXED: ImportState.INDEXED,
    SentState.CONFLICT: ImportState.CONFLICT,
    SentState.REFUSED: ImportState.REFUSED,
}
_WORDS: Final = {
    ImportState.CONFLICT: "the archive has another image under this UID; it keeps both, and a person decides",
    ImportState.REFUSED: "the cloud could not take it",
}


@dataclass(slots=True)
class Report:
    """What became of the files."""

    sent: int = 0
    sent_bytes: int = 0
    there: int = 0
    """The cloud had them: sent by an earlier run of the same import, or by anybody, byte for byte."""
    waiting: int = 0
    """Handed over, and not yet known to be in the cloud: the edge goes on with them."""
    skipped: list[Unusable] = field(default_factory=list)
    failed: list[Unusable] = field(default_factory=list)


class Sending:
    """One run; a context manager, which holds the handing over for itself. Raises ConfigError, SpoolError."""

    def __init__(self, config: Config, progress: Progress, *, again: bool = False) -> None:
        self._config, self._progress, self._again = config, progress, again
        self.report = Report()
        self._handover = Handover(config, "send")
        self._layout = Layout(config.spool_folder)
        self._waiting: dict[str, Source] = {}
        """Handed over, by the spool's name, in that order."""
        self._ahead = 0
        """Their bytes."""
        self._looked_at = 0.0
        self._done = 0

    def __enter__(self) -> Sending:
        self._handover.open()
        self._imports = Imports.open(self._layout.imports)
        return self

    def __exit__(self, *_: object) -> None:
        self.report.waiting = len(self._waiting)
        self._imports.close()
        self._handover.close()

    def send(self, paths: Iterable[Path]) -> None:
        """Hand over everything there is."""
        for item in find(paths):
            if isinstance(item, Unusable):
                (self.report.failed if item.wrong else self.report.skipped).append(item)
                continue
            while len(self._waiting) >= AHEAD_FILES or self._ahead > AHEAD_BYTES:
                self._pause("waits for the uplink")
            self._take(item)
            self._done += 1
            self._settle()
            self._show()

    def wait(self) -> None:
        """Until the cloud has told what became of all of it."""
        lost_at = time.monotonic() + _LOST_SECONDS
        while self._waiting:
            self._pause("")
            if time.monotonic() > lost_at:
                self._give_up_on_lost()
                lost_at = time.monotonic() + _LOST_SECONDS

    # One file

    def _take(self, source: Source) -> None:
        known = None if self._again else self._imports.find(source)
        if known is not None:
            if known.state == ImportState.INDEXED:
                self.report.there += 1
                return
            if known.state != ImportState.HANDED:
                self._fail(source, f"{_WORDS[known.state]} (an earlier run)")
                return
            if self._is_under_way(known.name):
                self._await(known.name, source)
                return
        while True:
            try:
                self._hand_over(source)
                return
            except SpoolFullError as error:
                if self._config.spool.max_mib and source.size >= self._config.spool.max_mib * MIB:
                    self._fail(source, "larger than the spool may be ([spool] max_mib)")
                    return
                self._pause(f"waits: {error}")
            except (SourceError, UnreadableError, TooLargeError) as error:
                self._fail(source, str(error))
                return
            except OSError as error:
                self._fail(source, error.strerror or "cannot be read")
                return

    def _hand_over(self, source: Source) -> None:
        """Raises SpoolError, SourceError, UnreadableError, OSError; then nothing was handed over."""
        self._handover.check_room(source.size)
        with source.open() as stream:
            head = stream.read(HEAD_BYTES)
            dressed = dress(head)
            if dressed is None:
                self.report.skipped.append(Unusable(source.name, "not DICOM", wrong=False))
                return
            writer = self._handover.begin(LABEL)
            try:
                writer.write(dressed.lead)
                writer.write(head[dressed.skip :])
                read = len(head) + _copy(stream, writer.write)
                if read != source.size:
                    raise SourceError("it changed while it was read")
                identify(writer.temporary)
                self._imports.handing(source, writer.name)
                writer.commit()
            except BaseException:
                writer.discard()
                raise
        self._await(writer.name, source)

    def _fail(self, source: Source, reason: str) -> None:
        self.report.failed.append(Unusable(source.name, reason))

    # What became of it

    def _is_under_way(self, name: str) -> bool:
        """In this order: a file moves on while we look, and is in the ledger before it goes."""
        received = self._layout.received / name
        return self._handover.path(name).exists() or received.exists() or self._is_in_ledger(name)

    def _is_in_ledger(self, name: str) -> bool:
        with suppress(sqlite3.Error), self._ledger() as ledger:
            return bool(ledger.states([name]))
        return False

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        """Raises sqlite3.Error, also while there is none yet."""
        ledger = Ledger.read_only(self._layout.ledger)
        try:
            yield ledger
        finally:
            ledger.close()

    def _settle(self) -> None:
        if time.monotonic() < self._looked_at + _LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        names = list(islice(self._waiting, _LOOK_AT))
        states: dict[str, SentState] = {}
        known: set[str] = set()
        with suppress(sqlite3.Error), self._ledger() as ledger:
            states, known = ledger.states(names), ledger.known(names)
        settled: dict[bytes, ImportState] = {}
        for name, sent in states.items():
            if (state := _STATES.get(sent)) is not None:
                source = self._settled(name)
                settled[source.key] = state
                self._count(name, source, state, known=name in known)
        self._imports.settle(settled)

    def _count(self, name: str, source: Source, state: ImportState, *, known: bool) -> None:
        report = self.report
        if state != ImportState.INDEXED:
            told = attention.why(self._layout.attention, name)
            self._fail(source, f"{_WORDS[state]}{f' ({told})' if told else ''}")
        elif known:
            report.there += 1
        else:
            report.sent += 1
            report.sent_bytes += source.size

    def _give_up_on_lost(self) -> None:
        for name in [name for name in self._waiting if not self._is_under_way(name)]:
            self._fail(self._settled(name), "its copy was taken out of the spool: send it again")

    def _await(self, name: str, source: Source) -> None:
        self._waiting[name] = source
        self._ahead += source.size

    def _settled(self, name: str) -> Source:
        source = self._waiting.pop(name)
        self._ahead -= source.size
        return source

    def _pause(self, note: str) -> None:
        time.sleep(_LOOK_SECONDS)
        self._settle()
        if not is_locked(self._config.spool_folder):
            note = "no edge is running: start it, and this goes on"
        elif self._config.upload.pause:
            note = "uploads are paused ([upload] pause)"
        self._show(note)

    def _show(self, note: str = "") -> None:
        words = [f"{self.report.sent} in the cloud", f"{len(self._waiting)} on their way"]
        words += [f"{len(self.report.failed)} failed"] if self.report.failed else []
        self._progress.show(self._done, ", ".join([*words, note] if note else words))


def _copy(stream: IO[bytes], write: Callable[[bytes], None]) -> int:
    """How many bytes."""
    read = 0
    while chunk := stream.read(_CHUNK):
        write(chunk)
        read += len(chunk)
    return read
