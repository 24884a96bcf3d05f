"""The table port: one sorted table, the little that DynamoDB, ScyllaDB Alternator, ExtendDB and SQLite share.

A row (`Item`) is a dict with the string attributes ``pk`` and ``sk``; other values are str, int, bool, bytes, None,
lists and dicts of these (no floats). Rows that carry both ``gpk`` and ``gsk`` (strings) are also in the index
``by_date``; rows without them are not.

No transactions, no TTL, no streams, no scans: what the adapters do not share is not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = Any
Item: TypeAlias = dict[str, Value]
#: Where the next page starts: opaque to callers, JSON-serialisable (a dict of strings), made by the adapter.
StartKey: TypeAlias = dict[str, str]

BY_DATE = "by_date"


@dataclass(frozen=True, slots=True)
class Absent:
    """No row of that key exists."""


@dataclass(frozen=True, slots=True)
class Present:
    """A row of that key exists."""


@dataclass(frozen=True, slots=True)
class Equals:
    """The row exists and its attribute equals the value."""

    attribute: str
    value: str | int | bytes


@dataclass(frozen=True, slots=True)
class AbsentOrEquals:
    """No row of that key exists, or its attribute equals the value."""

    attribute: str
    value: str | int | bytes


Condition: TypeAlias = Absent | Present | Equals | AbsentOrEquals


@dataclass(slots=True)
class Consumed:
    """What calls cost, in DynamoDB's units (other adapters estimate by the same rules), summed."""

    read_units: float = 0.0
    write_units: float = 0.0
    examined: int = 0
    requests: int = 0

    def add(self, other: Consumed) -> None:
        self.read_units += other.read_units
        self.write_units += other.write_units
        self.examined += other.examined
        self.requests += other.requests


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Item]
    next: StartKey | None  #: None: this was the last page. A page may be empty and still have a next one.
    consumed: Consumed = field(default_factory=Consumed)


@dataclass(frozen=True, slots=True)
class Found:
    items: list[Item | None]  #: in the order of the keys, None where there is no row
    consumed: Consumed = field(default_factory=Consumed)


class Table(Protocol):
    """Raises ConditionFailedError, ThrottledError (after the adapter's own retries), TableError.

    ``consumed`` is what this object's calls cost since it was made.
    """

    consumed: Consumed

    def get(self, pk: str, sk: str, *, consistent: bool = True) -> Item | None: ...

    def get_many(self, keys: Sequence[tuple[str, str]], *, consistent: bool = True) -> Found:
        """The rows of many keys, in their order, None where there is none. Not one moment's: as that many gets."""
        ...

    def put(self, item: Item, *, condition: Condition | None = None) -> None: ...

    def update(
        self,
        pk: str,
        sk: str,
        *,
        set: Mapping[str, Value],
        remove: Sequence[str] = (),
        condition: Condition | None = None,
    ) -> None:
        """Sets and removes attributes; creates the row if there is none and no condition forbids it."""
        ...

    def delete(self, pk: str, sk: str, *, condition: Condition | None = None) -> None:
        """Deletes the row; deleting what is not there is a success (unless a condition says otherwise)."""
        ...

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
        """Rows of one partition in the order of ``sk`` (``gsk`` when ``index`` is BY_DATE, where ``pk`` means ``gpk``).

        ``between`` is inclusive at both ends; not both of prefix and between. Follow ``Page.next`` for the rest: an
        adapter may cut a page anywhere. ``keys_only`` gives rows of their keys alone (pk, sk, gpk, gsk), which costs as
        many read units but far less of everything else. ``index`` together with ``consistent=True`` is a ValueError in
        every adapter: index hits are candidates, to be verified.
        """
        ...
