"""The intake: how other processes of this machine hand instances to the spool, whichever process works on it.

Only who holds the spool's lock touches ``received/`` and the journal. The commands (`send`, `retry`, `migrate`) put
whole Part 10 files into ``handed/`` by way of a folder in there, with the same care as a C-STORE: write, fsync,
rename, fsync of the folder. From then on a file is as safe as one that was acknowledged. A thread of the edge moves it
to ``received/`` by one rename, so it is in exactly one of the two at any moment, and tells the keeper. With no edge
running it waits for the next start.

A file's name is that of a spooled one; instead of a calling AE title it has a label of more than 16 characters, which
no AE title can be.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from stat import S_ISREG
from typing import Final

from edge_forwarder.chore import Chore
from edge_forwarder.config import MIB, Config
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.errors import EdgeError
from edge_forwarder.logs import Log
from edge_forwarder.spool import naming
from edge_forwarder.spool.folder import Spool, SpooledFile

FOLDER: Final = "handed"
#: A file of this name asks the edge to try again now what it would try later.
HURRY: Final = "hurry"
_LOOK_SECONDS: Final = 0.5
#: What is handed over is like one association, with a number that no other has; it ends when nothing more comes for so
#: long (seconds): an import's packs need not wait for what an ultrasound might still send.
ASSOCIATION: Final = -1
_QUIET_SECONDS: Final = 5.0
#: What a command knows of the spool's size is at most so old (seconds).
_COUNT_SECONDS: Final = 2.0


class Handover(Spool):
    """The side of a command: a spool whose files another process takes. One command of a kind at a time holds it.

    It leaves twice the free space that the spool must leave: the modalities' images come first.
    """

    busy = "another of this command works on the spool {folder}"

    def __init__(self, config: Config, command: str) -> None:
        super().__init__(
            config.spool_folder,
            min_free_bytes=2 * config.spool.min_free_mib * MIB,
            max_bytes=config.spool.max_mib * MIB,
        )
        self.max_instance_bytes = config.spool.max_instance_mib * MIB
        self._truth = self.received
        self.lock_name = f"{FOLDER}/{command}.lock"
        self.incoming, self.received = self.folder / FOLDER / f"{command}.writing", self.folder / FOLDER
        self._counted_at = -_COUNT_SECONDS

    def check_room(self, more: int) -> None:
        if self._max and time.monotonic() > self._counted_at + _COUNT_SECONDS:
            self._held = sum(_size(folder) for folder in (self._truth, self.received, self.incoming))
            self._counted_at = time.monotonic()
        super().check_room(more)


def _size(folder: Path) -> int:
    """Of the files right in it."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # the edge may move or delete it at any time
                total += entry.stat().st_size if entry.is_file() else 0
    return total


def folder(spool: Path) -> Path:
    """Where another process hands over what is complete, by one rename within the file system. Raises OSError."""
    handed = spool / FOLDER
    handed.mkdir(parents=True, exist_ok=True, mode=0o750)
    return handed


def hurry(spool: Path) -> None:
    """Ask the edge that works, or will work, on this spool to try at once what it would try later. Raises OSError."""
    (folder(spool) / HURRY).touch(mode=0o640)


class Intake:
    """The side of the edge: one thread that looks into ``handed/``."""

    def __init__(
        self,
        spool: Spool,
        ledger: Ledger,
        stored: Callable[[SpooledFile, int], None],
        ended: Callable[[int], None],
        hurry: Callable[[], None],
        log: Log,
    ) -> None:
        self._spool, self._ledger, self._log = spool, ledger, log
        self._stored, self._ended, self._hurry = stored, ended, hurry
        self._taken_at: float | None = None
        """When the last file was taken; None when that is long ago."""
        self.not_taken = 0
        """How many files could not be taken when it last looked."""
        self.folder = spool.folder / FOLDER
        # The disk, the ledger: what was handed over stays, and is looked at again.
        complaint = "what was handed over cannot be taken"
        self._chore = Chore("intake", self._turn, log, again=_LOOK_SECONDS, complaint=complaint)

    @property
    def is_alive(self) -> bool:
        return self._chore.is_alive

    def start(self) -> None:
        self._chore.start()

    def stop(self, seconds: float = 5.0) -> None:
        self._chore.stop(seconds)

    def _turn(self) -> float:
        self.look()
        return _LOOK_SECONDS

    def look(self) -> int:
        """Take what is there now; how many. Raises OSError, sqlite3.Error, EdgeError."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return 0
        if HURRY in names:
            (self.folder / HURRY).unlink(missing_ok=True)
            self._hurry()
        files = [name for name in names if name.endswith(".dcm")]
        # What was set aside before (`retry`) waits again; said before the file is where it could be uploaded from.
        self._ledger.spooled_again(list(self._ledger.states([name for name in files if naming.is_ours(name)])))
        taken, failed = self._take_each(files)
        if taken:
            # The renames are durable before the keeper acts on them.
            self._spool.sync_received()
            for file in taken:
                self._stored(file, ASSOCIATION)
            self._taken_at = time.monotonic()
            self._log.info("took what was handed over", files=len(taken))
        elif self._taken_at is not None and time.monotonic() > self._taken_at + _QUIET_SECONDS:
            self._ended(ASSOCIATION)
            self._taken_at = None
        self.not_taken = len(failed)
        if failed:
            raise EdgeError(f"{len(failed)} files; the first: {failed[0]}")
        return len(taken)

    def _take_each(self, names: Iterable[str]) -> tuple[list[SpooledFile], list[str]]:
        """Those that were taken, and why others could not be: one is no obstacle to the next."""
        taken: list[SpooledFile] = []
        failed: list[str] = []
        for name in names:
            try:
                if (file := self._take(name)) is not None:
                    taken.append(file)
            except FileNotFoundError:  # somebody took it back
                continue
            except OSError as error:
                failed.append(error.strerror or type(error).__name__)
            except EdgeError as error:
                failed.append(str(error))
        return taken, failed

    def _take(self, name: str) -> SpooledFile | None:
        """None: no file, or one that was put there by hand and may not be whole yet."""
        source = self.folder / name
        stat = source.stat()
        if not S_ISREG(stat.st_mode):
            return None
        if not naming.is_ours(name):
            if not naming.is_settled(stat):
                return None
            name = naming.new(naming.BY_HAND)
        target = self._spool.path(name)
        if target.exists():
            raise EdgeError("a file of that name is in the spool already")
        source.rename(target)
        self._spool.account(stat.st_size)
        return SpooledFile(name, stat.st_size)
