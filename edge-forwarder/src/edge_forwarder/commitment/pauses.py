"""Who is left alone for a while, for what was asked of it failed. By a clock that nobody sets; not kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

from edge_forwarder.cloud import retry


class Pauses:
    """Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[Hashable, tuple[int, float]] = {}
        """Failures in a row, and until when."""

    def begin(self, key: Hashable, longest: float) -> float:
        """It failed (again): how many seconds it is left alone, ``longest`` at most."""
        with self._lock:
            failures = self.failures(key) + 1
            seconds = retry.pause(failures, longest)
            self._of[key] = failures, time.monotonic() + seconds
        return seconds

    def over(self, key: Hashable) -> None:
        self._of.pop(key, None)

    def clear(self) -> None:
        """Everybody may be asked at once."""
        self._of.clear()

    def holds(self, key: Hashable) -> bool:
        return time.monotonic() < self._of.get(key, (0, 0.0))[1]

    def failures(self, key: Hashable) -> int:
        """In a row."""
        return self._of.get(key, (0, 0.0))[0]
