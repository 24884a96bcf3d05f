"""The line to the cloud: one shared pause while the cloud is away, busy, or does not know us."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Final

from edge_forwarder.cloud import retry
from edge_forwarder.databases.journal import Journal
from edge_forwarder.errors import CloudAwayError, CloudBusyError, CloudError, UnauthorizedError
from edge_forwarder.logs import Log

#: A key that is not accepted is tried this often (seconds): a person has to act, but may undo what they did.
_UNAUTHORIZED_PAUSE = 60.0


class Uplink(StrEnum):
    UNKNOWN = "unknown"
    """Not asked yet."""
    OK = "ok"
    AWAY = "away"
    BUSY = "busy"
    """It asks for patience."""
    KEY_REFUSED = "key_refused"
    """Revoked, most likely: images are kept here until this edge is enrolled again."""


_UPLINKS: Final = {
    CloudAwayError: Uplink.AWAY,
    CloudBusyError: Uplink.BUSY,
    UnauthorizedError: Uplink.KEY_REFUSED,
}


class Line:
    """Threads share it: `pause_left` before a request, and after it `failed`, or `worked` (an upload) or `answered`."""

    def __init__(
        self, journal: Journal, log: Log, longest: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._journal, self._log, self._longest, self._clock = journal, log, longest, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._noted = 0.0
        self._uplink, self._since = Uplink.UNKNOWN, time.time()
        self._stops_uploads = False
        """Whether it was an upload that failed: its storage may be another host than the one that answers questions."""

    @property
    def uplink(self) -> tuple[Uplink, float]:
        """How it stands, and since when (seconds since the epoch)."""
        return self._uplink, self._since

    def _is(self, uplink: Uplink) -> None:
        if self._uplink != uplink:
            self._uplink, self._since = uplink, time.time()

    def pause_left(self) -> float:
        """Seconds until the next request should be made."""
        return max(0.0, self._until - self._clock())

    def hurry(self) -> None:
        """End the pause: a person says that the next request will do."""
        with self._lock:
            self._failures, self._until = 0, 0.0

    def answered(self) -> None:
        """A question was answered. Uploads that could not go may be tried now, but only one that goes ends their
        outage.
        """
        with self._lock:
            uploads_stand = self._stops_uploads and self._uplink in (Uplink.AWAY, Uplink.BUSY)
            if uploads_stand and self._uplink == Uplink.AWAY:
                self._until = 0.0
        if not uploads_stand:
            self.worked()

    def worked(self) -> None:
        """An upload went."""
        with self._lock:
            was_down, self._failures, self._until = self._failures > 0, 0, 0.0
            self._stops_uploads = False
            self._is(Uplink.OK)
            now = self._clock()
            note, self._noted = was_down or now - self._noted > 1.0, now if now - self._noted > 1.0 else self._noted
        if was_down:
            self._log.info("the cloud answers again")
        if note:
            self._note(cloud_ok_at=time.time(), cloud_error=None)

    def failed(self, error: CloudError, *, upload: bool = False) -> bool:
        """Note a failure; True when it concerns every request, and not only the one that was made. ``upload``: of an
        upload, and not of a question.
        """
        self._note(cloud_error=str(error), cloud_error_at=time.time())
        if not isinstance(error, CloudAwayError | CloudBusyError | UnauthorizedError):
            return False
        with self._lock:
            first = self._failures == 0
            self._is(_UPLINKS[type(error)])
            self._stops_uploads = self._stops_uploads or upload
            # Requests that were under way together fail together: they count once.
            if self._clock() >= self._until:
                self._failures += 1
            asked = error.retry_after if isinstance(error, CloudBusyError) else None
            longest = max(self._longest, _UNAUTHORIZED_PAUSE) if isinstance(error, UnauthorizedError) else self._longest
            self._until = max(self._until, self._clock() + retry.pause(self._failures, longest, asked=asked))
        if first:
            self._log.warning("the cloud cannot take anything now", why=str(error))
        return True

    def _note(self, **facts: float | str | None) -> None:
        """For `status`; a journal that cannot be written now is no reason to stop."""
        with suppress(sqlite3.Error):
            for name, value in facts.items():
                self._journal.set_fact(name, value)
