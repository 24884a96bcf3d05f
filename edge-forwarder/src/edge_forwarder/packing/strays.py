"""Files of the spool that no event tells of: what a person put there, and what could not be read when it came.

A file that cannot be read holds up nobody: it is counted, said, and tried again.
"""

from __future__ import annotations

import os
import time
from typing import Final

from edge_forwarder.databases.journal import Journal
from edge_forwarder.logs import Log
from edge_forwarder.spool import naming
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile

#: The spool is looked through so often (seconds), and at most for a fiftieth of the time: it may hold a million files.
_LOOK_SECONDS: Final = 60.0
_SHARE: Final = 50


class Strays:
    """The keeper's thread looks and takes note; what is counted and named, any thread may ask."""

    def __init__(self, spool: Spool, journal: Journal, log: Log) -> None:
        self._spool, self._journal, self._log = spool, journal, log
        self.due = 0.0
        """When to look next, by the clock of `time.monotonic`."""
        self._unread: set[str] = set()
        self._unsettled: set[str] = set()
        """Under a name of ours, but touched a moment ago."""

    @property
    def unread(self) -> int:
        """How many files could not be read."""
        return len(self._unread)

    def senders(self) -> frozenset[str]:
        """Whose images these are that nobody has read yet: which, is not known."""
        names = frozenset(self._unread) | frozenset(self._unsettled)
        return frozenset(naming.sender(name).strip() for name in names if naming.is_ours(name))

    def look(self) -> list[SpooledFile]:
        """What is in ``received/``, has settled and is not in the journal, oldest first. What was put there by hand
        gets a name of ours. Raises OSError, sqlite3.Error.
        """
        started = time.monotonic()
        self.due = started + _LOOK_SECONDS
        known, found = self._journal.names(), []
        with os.scandir(self._spool.received) as entries:
            strangers = [e for e in entries if e.name not in known and e.name.endswith(".dcm") and e.is_file()]
        self._unread &= {entry.name for entry in strangers}
        self._unsettled &= {entry.name for entry in strangers}
        for entry in strangers:
            try:
                if not naming.is_settled(stat := entry.stat()):
                    self._unsettled.add(entry.name)
                else:
                    name = entry.name if naming.is_ours(entry.name) else self._adopt(entry.name, stat.st_size)
                    found.append(SpooledFile(name, stat.st_size))
            except FileNotFoundError:
                continue
            except OSError as error:
                self.note(entry.name, error)
        self.due = max(self.due, started + _SHARE * (time.monotonic() - started))
        return sorted(found, key=lambda file: file.name)

    def not_taken(self) -> int:
        """How many of its files the journal does not name. Raises OSError, sqlite3.Error."""
        return len({file.name for file in self._spool.files()} - self._journal.names())

    def note(self, name: str, error: OSError) -> None:
        """A file that cannot be read."""
        if name not in self._unread:
            self._log.error("a file of the spool cannot be read: it waits", why=error.strerror or type(error).__name__)
        self._unread.add(name)

    def taken(self, name: str) -> None:
        self._unread.discard(name)
        self._unsettled.discard(name)

    def _adopt(self, stranger: str, size: int) -> str:
        name = naming.new(naming.BY_HAND)
        self._spool.path(stranger).rename(self._spool.path(name))
        self._spool.sync_received()
        self._spool.account(size)
        return name
