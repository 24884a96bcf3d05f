"""A table with DynamoDB's anomalies, over a table that has none: what neither SQLite nor moto would ever show.

* Pages are short and each is read at its own moment; ``between_calls`` lets a test do something else at those moments.
* Reads that are not consistent, and every read of the index, may see the table as it was some writes ago.
* A write may be sent twice, as an SDK does whose first answer got lost: it is done, and a condition may fail on it.
* A write may be done and still end in ThrottledError; any call may end in one with nothing done.

Everything follows from the seed. `calm` switches all of it off for a while.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from maypacs.errors import ThrottledError
from maypacs.index import costs
from maypacs.index.table import BY_DATE, Condition, Consumed, Found, Item, Page, StartKey, Table, Value


@dataclass(frozen=True, slots=True)
class Chaos:
    """Chances from 0 to 1, and sizes."""

    largest_page: int = 3
    empty_page: float = 0.1
    stale: float = 0.5  #: a read that may be stale is
    lag: int = 4  #: by up to so many writes
    resent: float = 0.1
    lost_answer: float = 0.05  #: done, but the caller is told ThrottledError
    throttled: float = 0.05


#: Only what every caller must bear from any engine at any time: a page may be cut anywhere.
PAGES_ONLY = Chaos(stale=0, resent=0, lost_answer=0, throttled=0)


@dataclass(frozen=True, slots=True)
class _Write:
    key: tuple[str, str]
    old: Item | None
    new: Item | None


class ChaosTable:
    def __init__(
        self,
        inner: Table,
        seed: int = 0,
        chaos: Chaos | None = None,
        between_calls: Callable[[], None] | None = None,
    ) -> None:
        self.inner = inner
        self.chaos = chaos or Chaos()
        self.between_calls = between_calls
        self.consumed = Consumed()
        self.concurrency = getattr(inner, "concurrency", 1)
        self._dice = random.Random(seed)
        self._recent: deque[_Write] = deque(maxlen=64)
        self._lock = threading.RLock()
        self._calm = False

    @contextmanager
    def calm(self) -> Iterator[ChaosTable]:
        """No chaos: to look at the outcome."""
        before, self._calm = self._calm, True
        try:
            yield self
        finally:
            self._calm = before

    def get(self, pk: str, sk: str, *, consistent: bool = True) -> Item | None:
        self._moment()
        with self._lock:
            item = self.inner.get(pk, sk, consistent=consistent)
            if not consistent:
                for write in self._hidden():
                    if write.key == (pk, sk):
                        item = write.old
            return None if item is None else dict(item)

    def get_many(self, keys: Sequence[tuple[str, str]], *, consistent: bool = True) -> Found:
        """Each row at its own moment."""
        items = [self.get(pk, sk, consistent=consistent) for pk, sk in keys]
        return Found(items, Consumed(float(len(keys)), 0.0, sum(item is not None for item in items), 1))

    def put(self, item: Item, *, condition: Condition | None = None) -> None:
        self._write(item["pk"], item["sk"], lambda: self.inner.put(item, condition=condition))

    def update(
        self,
        pk: str,
        sk: str,
        *,
        set: Mapping[str, Value],
        remove: Sequence[str] = (),
        condition: Condition | None = None,
    ) -> None:
        self._write(pk, sk, lambda: self.inner.update(pk, sk, set=set, remove=remove, condition=condition))

    def delete(self, pk: str, sk: str, *, condition: Condition | None = None) -> None:
        self._write(pk, sk, lambda: self.inner.delete(pk, sk, condition=condition))

    def query(
        self,
        pk: str,
        *,
        prefix: str | None = None,
        between: tuple[str, str] | None = None,
        reverse: bool = False,
        limit: int | None = None,
        start: StartKey | None = None,
        index: str | None = None,
        consistent: bool = False,
        keys_only: bool = False,
    ) -> Page:
        if self._calm:
            return self.inner.query(
                pk,
                prefix=prefix,
                between=between,
                reverse=reverse,
                limit=limit,
                start=start,
                index=index,
                consistent=consistent,
                keys_only=keys_only,
            )
        costs.check_query(prefix=prefix, between=between, index=index, consistent=consistent, limit=limit)
        if between is not None and between[0] > between[1]:
            raise ValueError("between is (low, high)")
        self._moment()
        with self._lock:
            rows = self._partition(pk, index, stale=not consistent)
            most = self._dice.randint(1, self.chaos.largest_page)
            if self._happens(self.chaos.empty_page) and start is not None:
                return self._page([], start)
        names = ("gsk", "pk", "sk") if index == BY_DATE else ("sk",)
        key, places = names[0], [(tuple(row[name] for name in names), row) for row in rows]
        places.sort(key=lambda place: [part.encode() for part in place[0]], reverse=reverse)
        chosen = []
        for place, row in places:
            if prefix is not None and not row[key].startswith(prefix):
                continue
            if between is not None and not between[0].encode() <= row[key].encode() <= between[1].encode():
                continue
            if start is not None:
                at, last = ([p.encode() for p in place], [start[name].encode() for name in names])
                if at == last or (at > last) == reverse:
                    continue
            chosen.append(row)
        most = min(most, limit or most)
        page = chosen[:most]
        last_key = {name: page[-1][name] for name in {"pk", "sk", *names}} if len(chosen) > most else None
        if keys_only:
            page = [{name: row[name] for name in ("pk", "sk", "gpk", "gsk") if name in row} for row in page]
        return self._page(page, last_key)

    def _page(self, rows: list[Item], following: StartKey | None) -> Page:
        consumed = Consumed(costs.read_units(sum(map(costs.item_size, rows)), consistent=False), 0.0, len(rows), 1)
        self.consumed.add(consumed)
        return Page([dict(row) for row in rows], following, consumed)

    def _partition(self, pk: str, index: str | None, *, stale: bool) -> list[Item]:
        """All rows of a partition, as they were some writes ago when ``stale``."""
        found: dict[tuple[str, str], Item] = {}
        start = None
        while True:
            page = self.inner.query(pk, index=index, consistent=index is None, start=start)
            found |= {(item["pk"], item["sk"]): item for item in page.items}
            start = page.next
            if start is None:
                break
        if stale:
            for write in self._hidden():
                found.pop(write.key, None)
                if write.old is not None and self._belongs(write.old, pk, index):
                    found[write.key] = write.old
        return list(found.values())

    @staticmethod
    def _belongs(item: Item, pk: str, index: str | None) -> bool:
        return bool(item["pk"] == pk if index is None else item.get("gpk") == pk and "gsk" in item)

    def _hidden(self) -> list[_Write]:
        """The writes that a stale read does not see yet, newest first."""
        if self._calm or not self._happens(self.chaos.stale):
            return []
        return list(self._recent)[::-1][: self._dice.randint(0, self.chaos.lag)]

    def _write(self, pk: str, sk: str, write: Callable[[], None]) -> None:
        self._moment()
        with self._lock:
            old = self.inner.get(pk, sk)
            before = self.inner.consumed.write_units
            write()
            self.consumed.add(Consumed(write_units=self.inner.consumed.write_units - before, requests=1))
            self._recent.append(_Write((pk, sk), old, self.inner.get(pk, sk)))
            resent, lost = self._happens(self.chaos.resent), self._happens(self.chaos.lost_answer)
        if resent:
            write()
        if lost:
            raise ThrottledError("chaos: done, but the answer got lost")

    def _moment(self) -> None:
        if self._calm:
            return
        if self.between_calls is not None:
            hook, self.between_calls = self.between_calls, None  # what it does must not call it again
            try:
                hook()
            finally:
                self.between_calls = hook
        if self._happens(self.chaos.throttled):
            raise ThrottledError("chaos: throttled")

    def _happens(self, chance: float) -> bool:
        return not self._calm and chance > 0 and self._dice.random() < chance

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
