"""The uplink's tap: windows of bandwidth and pauses, one for all uploads, by a token bucket on their bytes.

A change, by the clock or by `configure`, is felt within a second: bytes pass in small pieces. A pause ends what is
under way (what came in parts goes on from there). Urgent bytes go before others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from edge_forwarder.config import windows
from edge_forwarder.config.windows import Window
from edge_forwarder.errors import PausedError

#: The longest wait before the clock and the settings are looked at again (seconds).
_LOOK_SECONDS: Final = 1.0
#: So much time's worth of bytes may pass at once (seconds), and so many bytes at least and at most.
_PIECE_SECONDS: Final = 0.25
_SMALLEST: Final = 1024
_LARGEST: Final = 256 * 1024


def local_time() -> datetime:
    return datetime.now().astimezone()


class Throttle:
    """Threads share it."""

    def __init__(
        self,
        limits: Sequence[Window] = (),
        *,
        paused: bool = False,
        clock: Callable[[], float] = time.monotonic,
        local: Callable[[], datetime] = local_time,
    ) -> None:
        self._windows, self._paused, self._clock, self._local = tuple(limits), paused, clock, local
        self._wake = threading.Condition()
        self._closed = False
        self._tokens = 0.0
        self._filled_at = clock()
        self._urgent = 0
        """Threads that wait with urgent bytes."""

    def configure(self, limits: Sequence[Window], *, paused: bool) -> None:
        """New settings, at once."""
        with self._wake:
            self._windows, self._paused = tuple(limits), paused
            self._wake.notify_all()

    def close(self) -> None:
        """For a stop: nothing passes any more."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    @property
    def limit(self) -> float | None:
        """Bytes a second now; 0: nothing may pass; None: no limit."""
        if self._closed or self._paused:
            return 0.0
        window = windows.at(self._windows, self._local())
        return window.limit if window is not None else None

    @property
    def told(self) -> str:
        """The same for people."""
        if self._paused:
            return "paused"
        window = windows.at(self._windows, self._local())
        return window.text if window is not None else "unlimited"

    def pass_through(self, chunks: Iterable[bytes], *, urgent: bool = False) -> Iterator[bytes]:
        """The same bytes in smaller pieces, as fast as they may. Raises PausedError."""
        for chunk in chunks:
            view, at = memoryview(chunk), 0
            while at < len(view):
                size = self._take(len(view) - at, urgent=urgent)
                yield bytes(view[at : at + size])
                at += size

    def _take(self, wanted: int, *, urgent: bool) -> int:
        """Wait until some may pass: how many."""
        with self._wake, self._waiting(urgent=urgent):
            while True:
                limit = self.limit
                if limit == 0.0:
                    raise PausedError("uploads are paused")
                if limit is None:
                    self._tokens, self._filled_at = 0.0, self._clock()
                    return min(wanted, _LARGEST)
                self._fill(limit)
                first = urgent or not self._urgent
                if first and self._tokens > 0:
                    # The last piece may overdraw: the next one waits for that.
                    size = min(wanted, _piece(limit))
                    self._tokens -= size
                    return size
                wait = (1 - self._tokens) / limit if first else _PIECE_SECONDS
                self._sleep(min(wait, _LOOK_SECONDS))

    def _sleep(self, seconds: float) -> None:
        self._wake.wait(seconds)

    @contextmanager
    def _waiting(self, *, urgent: bool) -> Iterator[None]:
        self._urgent += urgent
        try:
            yield
        finally:
            self._urgent -= urgent

    def _fill(self, limit: float) -> None:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._filled_at) * limit, float(_piece(limit)))
        self._filled_at = now


def _piece(limit: float) -> int:
    return int(min(max(limit * _PIECE_SECONDS, _SMALLEST), _LARGEST))
