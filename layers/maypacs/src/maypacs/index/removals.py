"""What was removed: tombstones of a study, its series, single instances (protocols: decisions).

A tombstone holds a cut-off: what arrived up to it is ignored for ever, wherever it still lies; later arrivals count.
Where a person refused more (modes *rejected* and *erased*), the cut-off is above every arrival until it is lifted.
Rows: ``9`` the study, ``9#{series}``, ``9#{series}#{sop}``. Each member of a row only grows, so that decisions can be
applied late, twice and in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from maypacs.index.rows import TOMBSTONE_SK
from maypacs.index.table import Item, Table
from maypacs.uids import Uid

#: Above every arrival id.
FOR_EVER = "~"
#: Series, then SOP Instance UID: () is the study.
Level = tuple[Uid, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Members are ULIDs, "" is none."""

    cutoff: str = ""
    refused: str = ""  #: the last decision that refuses whatever comes
    erasing: str = ""  #: the last of these that also erases; what comes is not even kept in the trash
    lifted: str = ""  #: the last decision that takes refusals back
    erased: str = ""  #: proven: nothing that arrived up to then is anywhere

    @classmethod
    def from_item(cls, item: Item) -> Tombstone:
        return cls(**{name: item.get(name, "") for name in MEMBERS})

    @property
    def is_refused(self) -> bool:
        return self.refused > self.lifted

    @property
    def is_erased(self) -> bool:
        """Is it refused because it was, or is being, erased?"""
        return self.erasing > self.lifted

    @property
    def until(self) -> str:
        return FOR_EVER if self.is_refused else max(self.cutoff, self.lifted)


MEMBERS = ("cutoff", "refused", "erasing", "lifted", "erased")


@dataclass(frozen=True)
class Removals:
    """The tombstones of one study."""

    rows: Mapping[Level, Tombstone] = field(default_factory=dict)

    @cached_property
    def study(self) -> str:
        """The cut-off of the study; "" is none."""
        return self.rows[()].until if () in self.rows else ""

    @cached_property
    def series(self) -> Mapping[Uid, str]:
        return {level[0]: row.until for level, row in self.rows.items() if len(level) == 1}

    @cached_property
    def instances(self) -> Mapping[Uid, Mapping[Uid, str]]:
        """By series, then SOP Instance UID."""
        found: dict[Uid, dict[Uid, str]] = {}
        for level, row in self.rows.items():
            if len(level) == 2:
                found.setdefault(level[0], {})[level[1]] = row.until
        return found

    def of_series(self, series: Uid) -> str:
        """What removes whole packs of the series."""
        return max(self.study, self.series.get(series, ""))

    def of_instances(self, series: Uid) -> Mapping[Uid, str]:
        """Cut-offs of single instances of the series."""
        return self.instances.get(series, {})

    def of(self, series: Uid, instance: Uid) -> str:
        """The cut-off that holds for an instance: the latest of its three levels."""
        return max(self.of_series(series), self.of_instances(series).get(instance, ""))

    def hit(self, arrival: str, series: Uid, instances: Iterable[Uid]) -> bool:
        """Was any of these, which arrived then, removed?"""
        return any(arrival <= self.of(series, instance) for instance in instances)

    def refuses(self, series: Uid, instance: Uid) -> bool:
        """Is it refused, whenever it comes?"""
        return self.of(series, instance) == FOR_EVER

    def is_refused(self, series: Uid | None = None, instance: Uid | None = None) -> bool:
        """The same of any level."""
        return any(row.is_refused for row in self._around(series, instance))

    def erases(self, series: Uid | None = None, instance: Uid | None = None) -> bool:
        """Must nothing of it be kept, not even in the trash?"""
        return any(row.is_erased for row in self._around(series, instance))

    def held(self, series: Uid | None = None, instance: Uid | None = None) -> bool:
        """Was this, or something that it was in or that was in it, ever removed, and not erased since? Then its
        absence is 410, not 404."""
        wanted = _level(series, instance)
        for level, row in self.rows.items():
            part = level if len(level) > len(wanted) else wanted  # of what is asked for, what the row is about
            if part[: len(wanted)] != wanted or part[: len(level)] != level or (instance and len(level) > len(wanted)):
                continue
            if row.cutoff > max(self.rows[above].erased for above in _above(part) if above in self.rows):
                return True
        return False

    def latest(self) -> str:
        """The largest of all cut-offs, for what is to arrive after them. Refusals have none: they must be lifted."""
        return max((max(row.cutoff, row.lifted) for row in self.rows.values()), default="")

    def _around(self, series: Uid | None, instance: Uid | None) -> Iterator[Tombstone]:
        return (self.rows[level] for level in _above(_level(series, instance)) if level in self.rows)


def _level(series: Uid | None, instance: Uid | None) -> Level:
    return tuple(each for each in (series, instance) if each)


def _above(level: Level) -> list[Level]:
    """A level and those that it is in."""
    return [level[:depth] for depth in range(len(level) + 1)]


def tombstone_sk(series: Uid | None = None, instance: Uid | None = None) -> str:
    return "#".join([TOMBSTONE_SK, *_level(series, instance)])


def read_removals(table: Table, pk: str) -> Removals:
    """The tombstones of a study, consistently: one small request while there are few."""
    rows: dict[Level, Tombstone] = {}
    start = None
    while True:
        page = table.query(pk, prefix=TOMBSTONE_SK, consistent=True, start=start)
        for item in page.items:
            rows[tuple(Uid(each) for each in item["sk"].split("#")[1:])] = Tombstone.from_item(item)
        start = page.next
        if start is None:
            return Removals(rows)
