"""The intake: one thread of the edge that takes what other processes hand over (`spool.handover`).

It moves each file from ``handed/`` to ``received/`` by one rename, so that a file is in exactly one of the two at any
moment, and tells the keeper.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from stat import S_ISREG
from typing import Final

from edge_forwarder.chore import Chore
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.errors import EdgeError
from edge_forwarder.logs import Log
from edge_forwarder.spool import naming
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.handover import HURRY
from edge_forwarder.spool.naming import SpooledFile

_LOOK_SECONDS: Final = 0.5
#: What is handed over is like one association, with a number that no other has; it ends when nothing more comes for so
#: long (seconds): an import's packs need not wait for what an ultrasound might still send.
ASSOCIATION: Final = -1
_QUIET_SECONDS: Final = 5.0


class Intake:
    """A thread of its own, from which it calls the keeper and the uploader."""

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
        self.folder = spool.layout.handed
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
