"""Old things in ``attention/`` go, by age and by size: never unannounced, never what the cloud has not.

A folder that is to go gets a file that says so, for a day at least; the status says it too. Before it goes the cloud is
asked once more whether it has the upload's bytes (in the archive, beside it as a conflict, or in its quarantine). What
went up under no arrival id that is known (it cannot be read here, or its reason cannot) is announced never: nobody can
say that the cloud has it, so it stays, whatever the limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from edge_forwarder.chore import Chore
from edge_forwarder.cloud.inbox import BATCH, Inbox
from edge_forwarder.databases.journal import Journal
from edge_forwarder.logs import Log
from edge_forwarder.spool import attention
from edge_forwarder.spool.attention import NOTICE, Entry
from edge_forwarder.spool.folder import Spool

_NOTICE_SECONDS: Final = 24 * 3600.0
_LOOK_SECONDS: Final = 3600.0
#: The cloud's states of an upload whose bytes it has.
_HAS: Final = frozenset({"indexed", "partial", "quarantined"})


def too_much(entries: Iterable[Entry], now: float, *, max_age: float, max_bytes: int) -> list[Entry]:
    """What is older (seconds) than allowed, and the oldest of what is more (bytes) than allowed. 0: no limit. Pure."""
    newest_first = sorted(entries, key=lambda entry: -entry.at)
    found, held = [], 0
    for entry in newest_first:
        held += entry.bytes
        if (max_age and now - entry.at > max_age) or (max_bytes and held > max_bytes):
            found.append(entry)
    return found[::-1]


class Tidying:
    """One thread that looks once an hour."""

    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        inbox: Inbox,
        log: Log,
        *,
        max_age: float,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spool, self._journal, self._inbox, self._log = spool, journal, inbox, log
        self._max_age, self._max_bytes, self._clock = max_age, max_bytes, clock
        complaint = "old uploads in attention/ stay for now"  # nothing is lost: again in an hour
        self._chore = Chore("tidying", self._turn, log, again=_LOOK_SECONDS, complaint=complaint)

    @property
    def is_alive(self) -> bool:
        return self._chore.is_alive

    def start(self) -> None:
        self._chore.start()

    def stop(self, seconds: float = 2.0) -> None:
        self._chore.stop(seconds)

    def _turn(self) -> float:
        self.look()
        return _LOOK_SECONDS

    def look(self) -> None:
        """Announce, and delete what was announced long enough ago. Raises CloudError, OSError."""
        now = self._clock()
        entries = attention.entries(self._spool.attention)
        going = too_much(entries, now, max_age=self._max_age, max_bytes=self._max_bytes)
        going = [entry for entry in going if entry.arrival]
        for entry in entries:
            if entry not in going:
                (entry.folder / NOTICE).unlink(missing_ok=True)
        due = [entry for entry in going if self._announced(entry, now)]
        for at in range(0, len(due), BATCH):
            self._delete(due[at : at + BATCH])

    def _announced(self, entry: Entry, now: float) -> bool:
        """Whether it was, long enough ago; if not at all, it is now."""
        notice = entry.folder / NOTICE
        with suppress(FileNotFoundError):
            return now - notice.stat().st_mtime >= _NOTICE_SECONDS
        notice.write_text(
            "This folder is older than [spool] attention_days, or there is more in attention/ than attention_mib.\n"
            "It is deleted a day after this file was written, or later, once the cloud says that it has these images."
            " If it has not, the folder stays.\n",
            encoding="utf-8",
        )
        self._log.warning("an upload in attention/ will be deleted", pack=entry.name, files=len(entry.files))
        return False

    def _delete(self, entries: list[Entry]) -> None:
        states = {status.arrival: status.state for status in self._inbox.status([entry.arrival for entry in entries])}
        for entry in entries:
            if states.get(entry.arrival) not in _HAS:
                self._log.error("the cloud has not what is in attention/: it stays", pack=entry.name)
                continue
            files = attention.discard(entry)
            self._journal.count("tidied", files)
            self._log.warning("an upload in attention/ was deleted: the cloud has it", pack=entry.name, files=files)
