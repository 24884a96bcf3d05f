"""What was removed: tombstones of a study, its series, single instances (protocols: decisions, mode *removed*).

A tombstone holds a cut-off: what arrived up to it is ignored for ever, wherever it still lies; later arrivals count.
Rows: ``9`` the study, ``9#{series}``, ``9#{series}#{sop}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from maypacs.index.rows import TOMBSTONE_SK
from maypacs.index.table import Table
from maypacs.uids import Uid


@dataclass(frozen=True, slots=True)
class Removals:
    """The cut-offs of one study; "" is none."""

    study: str = ""
    series: Mapping[Uid, str] = field(default_factory=dict)
    instances: Mapping[Uid, Mapping[Uid, str]] = field(default_factory=dict)  #: by series, then SOP Instance UID

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

    def held(self, series: Uid | None = None, instance: Uid | None = None) -> bool:
        """Was this, or something that it was in or that was in it, ever removed? Then its absence is 410, not 404."""
        if self.study or series is None:
            return bool(self.study or self.series or self.instances)
        if instance is not None:
            return bool(self.of(series, instance))
        return series in self.series or series in self.instances


def tombstone_sk(series: Uid | None = None, instance: Uid | None = None) -> str:
    return "#".join([TOMBSTONE_SK, *(each for each in (series, instance) if each)])


def read_removals(table: Table, pk: str) -> Removals:
    """The tombstones of a study, consistently: one small request while there are few."""
    study = ""
    series: dict[Uid, str] = {}
    instances: dict[Uid, dict[Uid, str]] = {}
    start = None
    while True:
        page = table.query(pk, prefix=TOMBSTONE_SK, consistent=True, start=start)
        for item in page.items:
            levels = [Uid(each) for each in item["sk"].split("#")[1:]]
            if not levels:
                study = item["cutoff"]
            elif len(levels) == 1:
                series[levels[0]] = item["cutoff"]
            else:
                instances.setdefault(levels[0], {})[levels[1]] = item["cutoff"]
        start = page.next
        if start is None:
            return Removals(study, series, instances)
