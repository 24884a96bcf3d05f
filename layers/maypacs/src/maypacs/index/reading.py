"""Bounded reading: what one search may examine, and many gets at once where the engine is far away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from maypacs.index.table import Consumed, Item, Page, Table

#: Items that may be read to find candidates, a request (protocols: search bounds).
MAX_EXAMINED = 5_000
#: Rows of the smallest page after the first, and of the largest.
_FEW, _MOST = 50, 1_000

_T = TypeVar("_T")


class BoundReachedError(Exception):
    """Internal to a search: it may not examine more. `maypacs.search` turns it into a Warning or a TooLargeError."""


class Reader:
    """A table, read within a bound; counts what it costs."""

    def __init__(self, table: Table, bound: int = MAX_EXAMINED) -> None:
        self.table = table
        self.left = bound
        self.consumed = Consumed()
        self._lock = threading.Lock()

    def page(self, pk: str, *, limit: int, **query: Any) -> Page:
        """One page of at most ``limit`` rows. Raises BoundReachedError when nothing may be examined any more."""
        if self.left <= 0:
            raise BoundReachedError
        page = self.table.query(pk, limit=min(limit, self.left), **query)
        with self._lock:
            self.left -= max(1, len(page.items))
            self.consumed.add(page.consumed)
        return page

    def rows(self, pk: str, *, chunk: int, **query: Any) -> Iterator[Item]:
        """Rows of all pages, read as they are asked for: ``chunk`` of them, then half as many as there were, each time:
        whoever stops has read little in vain."""
        start, read, few = None, 0, min(chunk, _FEW)
        while True:
            page = self.page(pk, limit=chunk, start=start, **query)
            yield from page.items
            if page.next is None:
                return
            start, read = page.next, read + len(page.items)
            chunk = min(max(few, read // 2), _MOST)

    def get_all(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """Consistent gets: they verify candidates, so the answer bounds them (and `drop` what does not get into it)."""
        if not keys:
            return []
        found = self.table.get_many(keys)
        with self._lock:
            self.consumed.add(found.consumed)
        return found.items

    def drop(self, count: int) -> None:
        """Verified for nothing: these count as examined."""
        self.left -= count


class Bounded(Iterator[_T]):
    """An iterator that ends at the bound, and says so in ``cut``: what was found before it is kept."""

    def __init__(self, inner: Iterator[_T]) -> None:
        self._inner = inner
        self.cut = False

    def __next__(self) -> _T:
        try:
            return next(self._inner)
        except BoundReachedError:
            self.cut = True
            raise StopIteration from None


def gather(table: Table, calls: Sequence[Callable[[], _T]]) -> list[_T]:
    """The results of calls on a table, at once when the engine has ``concurrency`` above 1."""
    concurrency = min(getattr(table, "concurrency", 1), len(calls))
    if concurrency <= 1:
        return [call() for call in calls]
    with ThreadPoolExecutor(concurrency) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
