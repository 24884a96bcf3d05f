"""A table that holds one archive: partition keys of others are refused, whatever a caller was made to ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maypacs.errors import ForbiddenError
from maypacs.index.table import Condition, Consumed, Found, Item, Page, StartKey, Table, Value
from maypacs.uids import ArchiveId


class ScopedTable:
    """The table port over the partitions ``{archive}#…`` alone.

    The delimiter is part of the test, so that ``hosp1`` never reaches ``hosp10``. The index obeys the same rule: its
    partition key begins with the archive too. Rows that come back are checked once more: an index or an adapter at
    fault must not turn into another hospital's patient.
    """

    def __init__(self, table: Table, archive_id: ArchiveId) -> None:
        self._table = table
        self._prefix = f"{archive_id}#"

    @property
    def consumed(self) -> Consumed:
        return self._table.consumed

    @consumed.setter
    def consumed(self, value: Consumed) -> None:
        self._table.consumed = value

    @property
    def concurrency(self) -> int:
        """How many calls at once the engine gains from (1: none)."""
        return int(getattr(self._table, "concurrency", 1))

    def get(self, pk: str, sk: str, *, consistent: bool = True) -> Item | None:
        self._check(pk)
        item = self._table.get(pk, sk, consistent=consistent)
        if item is not None:
            self._check_item(item)
        return item

    def get_many(self, keys: Sequence[tuple[str, str]], *, consistent: bool = True) -> Found:
        for pk, _ in keys:
            self._check(pk)
        found = self._table.get_many(keys, consistent=consistent)
        for item in found.items:
            if item is not None:
                self._check_item(item)
        return found

    def put(self, item: Item, *, condition: Condition | None = None) -> None:
        self._check_item(item)
        self._table.put(item, condition=condition)

    def update(
        self,
        pk: str,
        sk: str,
        *,
        set: Mapping[str, Value],
        remove: Sequence[str] = (),
        condition: Condition | None = None,
    ) -> None:
        self._check(pk)
        if "gpk" in set:
            self._check(set["gpk"])
        self._table.update(pk, sk, set=set, remove=remove, condition=condition)

    def delete(self, pk: str, sk: str, *, condition: Condition | None = None) -> None:
        self._check(pk)
        self._table.delete(pk, sk, condition=condition)

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
        self._check(pk)
        for name in ("pk", "gpk"):
            if start and name in start:
                self._check(start[name])
        page = self._table.query(
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
        for item in page.items:
            self._check_item(item)
        return page

    def _check(self, pk: Value) -> None:
        if not isinstance(pk, str) or not pk.startswith(self._prefix):
            raise ForbiddenError("a row of another archive was asked for")

    def _check_item(self, item: Item) -> None:
        self._check(item["pk"])
        if "gpk" in item:
            self._check(item["gpk"])
