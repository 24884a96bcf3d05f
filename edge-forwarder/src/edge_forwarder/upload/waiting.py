"""Which pack is next, of those that are due: STAT before modalities before imports, then the oldest or newest. Pure.

Not safe from threads by itself: the uploader's condition guards it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Literal

Order = Literal["oldest", "newest"]


class Lane(IntEnum):
    """Smaller ones go first."""

    STAT = 0
    ROUTINE = 1
    BULK = 2
    """What `send` and `migrate` bring: nobody waits for it."""


ALL: Final = tuple(Lane)


class Waiting:
    """Lanes, each with the packs that are due and those that are not yet."""

    def __init__(self, order: Order = "oldest") -> None:
        self._sign = 1.0 if order == "oldest" else -1.0
        self._count = itertools.count()
        self._later: dict[Lane, list[tuple[float, int, float, str]]] = {lane: [] for lane in Lane}
        self._ready: dict[Lane, list[tuple[float, int, str]]] = {lane: [] for lane in Lane}

    def __len__(self) -> int:
        return sum(len(self._later[lane]) + len(self._ready[lane]) for lane in Lane)

    def push(self, pack: str, due: float, *, created_at: float, lane: Lane) -> None:
        """``due`` by the caller's clock; ``created_at`` orders those that are due."""
        heapq.heappush(self._later[lane], (due, next(self._count), created_at, pack))

    def pop(self, now: float, lanes: Sequence[Lane] = ALL) -> str | None:
        """The next of these lanes; None: nothing is due."""
        for lane in lanes:
            later, ready = self._later[lane], self._ready[lane]
            while later and later[0][0] <= now:
                _, number, created_at, pack = heapq.heappop(later)
                heapq.heappush(ready, (self._sign * created_at, number, pack))
            if ready:
                return heapq.heappop(ready)[2]
        return None

    def next_due(self, lanes: Sequence[Lane] = ALL) -> float | None:
        """When `pop` will next have something, by the clock of ``due``; the past when it has; None: nothing waits."""
        if any(self._ready[lane] for lane in lanes):
            return float("-inf")
        return min((self._later[lane][0][0] for lane in lanes if self._later[lane]), default=None)

    def hurry(self, now: float) -> None:
        """Everything is due now."""
        for lane in Lane:
            self._later[lane] = [(min(due, now), *rest) for due, *rest in self._later[lane]]  # type: ignore[misc]
            heapq.heapify(self._later[lane])
