"""The compaction of one series whose row is ours (docs/adr/0016-compaction.md).

Each step can be repeated, and a run may stop after any: a pack counts from the moment that its head row is there, and
then for all that it replaces at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from maypacs import decisions, merge
from maypacs.clean_up import clean_up
from maypacs.delete import sweep
from maypacs.errors import MayPACSError
from maypacs.holds import held
from maypacs.index import cascade, due, merging, series_rows
from maypacs.index.cascade import Effects
from maypacs.index.due import Due
from maypacs.index.pack_rows import PackHead
from maypacs.index.removals import Removals, read_removals
from maypacs.index.resolution import Copy, OpenPack, resolve
from maypacs.index.rows import series_sk, study_pk
from maypacs.merge import DamagedError
from maypacs.workspace import Workspace

HOUR = 3_600_000
#: A series that cannot be worked on now (it is held, a pack is damaged) is looked at again a day later.
LATER = 24 * HOUR


@dataclass(slots=True)
class Compacted:
    """What a run did; a dry run: would do."""

    series: int = 0  #: put together
    packs: int = 0  #: that are replaced
    into: int = 0
    bytes_written: int = 0
    cleaned: int = 0  #: replaced packs that were taken away
    failed: int = 0  #: series; their rows wait, and they are tried again
    faults: list[str] = field(default_factory=list)  #: kinds of errors, no data
    unfinished: bool = False  #: something waits for which there was no time

    def put_together(self, group: Sequence[OpenPack], size: int) -> None:
        self.packs += len(group)
        self.into += 1
        self.bytes_written += size


class ChangedError(MayPACSError):
    """The series is not what it was when the work on it began."""


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """What the rows say at one moment."""

    removals: Removals
    heads: list[PackHead]  #: all of them, also those that were replaced

    @property
    def state(self) -> tuple[Removals, set[str]]:
        return self.removals, {head.life for head in self.heads}


def now_of(effects: Effects) -> int:
    """Milliseconds since the epoch."""
    return int(effects.clock() * 1000)


def read_rows(workspace: Workspace, row: Due) -> SeriesRows:
    pk = study_pk(workspace.archive_id, row.study)
    return SeriesRows(read_removals(workspace.table, pk), series_rows.all_heads(workspace.table, pk, row.series))


def groups(workspace: Workspace, row: Due, series: SeriesRows) -> Iterator[tuple[list[OpenPack], list[Copy]]]:
    """Packs to put together, each group with the instances that its pack is to have: the current ones.

    A pack is left alone while it holds anything else than current instances and second copies of them, and while packs
    that it replaces are still there.
    """
    gone, until = series.removals.of_instances(row.series), series.removals.of_series(row.series)
    live = series_rows.living(series.heads, until)
    if sum(merging.is_small(head) for head in live) < merging.MIN_PACKS:
        return
    there = {head.life_id for head in series.heads}
    opened = series_rows.open_series(workspace, live)
    choices = series_rows.read_choices(workspace.table, study_pk(workspace.archive_id, row.study), row.series)
    found = resolve(opened, choices, gone, until)
    second = [copy for copy in found.duplicates if copy.version == found.current[copy.row.sop_instance_uid].version]
    fit = {(copy.pack.head.pack_id, copy.position) for copy in (*found.current.values(), *second)}
    free = [
        pack
        for pack in opened
        if not there.intersection(pack.head.replaces)
        and all((pack.head.pack_id, position) in fit for position in range(len(pack.rows)))
    ]
    free.sort(key=lambda pack: min((row.instance_number or 0, row.sop_instance_uid) for row in pack.rows))
    current: dict[str, list[Copy]] = {}
    for copy in found.current.values():
        current.setdefault(copy.pack.head.pack_id, []).append(copy)
    by_id = {pack.head.pack_id: pack for pack in free}
    for heads in merging.plan(pack.head for pack in free):
        chosen = [copy for head in heads for copy in current.get(head.pack_id, ())]
        if chosen:
            yield [by_id[head.pack_id] for head in heads], chosen


class SeriesWork:
    """On one series whose row is ours."""

    def __init__(
        self,
        workspace: Workspace,
        row: Due,
        *,
        quiet_hours: int,
        effects: Effects,
        enough: Callable[[], bool],
        done: Compacted,
        clean_only: bool,
    ) -> None:
        self._workspace, self._row, self._effects, self._done = workspace, row, effects, done
        self._quiet, self._enough = quiet_hours * HOUR, enough
        self._is_unfinished, self._clean_only = False, clean_only
        self._pk = study_pk(workspace.archive_id, row.study)

    def run(self) -> None:
        try:
            self._run()
        except DamagedError:
            self._leave_until(self._now() + LATER)
            raise

    def _run(self) -> None:
        series = self._read()
        self._take_up_what_was_begun(series)
        if not series.heads:
            due.drop(self._workspace.table, self._row)
            return
        if held(self._workspace, self._row.study, self._row.series):
            self._leave_until(self._now() + LATER)
            return
        until, gone = series.removals.of_series(self._row.series), series.removals.of_instances(self._row.series)
        if series_rows.touched(series.heads, gone, until):  # a deletion that stopped halfway
            sweep(self._workspace, self._row.study, self._row.series, effects=self._effects)
            series = self._read()
        series = self._clean(series)
        if self._is_unfinished:
            self._leave_until(self._now())
            return
        quiet_from = self._last_change() + self._quiet
        if self._clean_only or quiet_from > self._now():
            self._leave_until(max(quiet_from, self._now() + HOUR))
            return
        self._finish(self._put_together(series))

    def _read(self) -> SeriesRows:
        return read_rows(self._workspace, self._row)

    def _now(self) -> int:
        return now_of(self._effects)

    def _last_change(self) -> int:
        """A series' revision is the time of its last change (`Effects.revision`)."""
        item = self._workspace.table.get(self._pk, series_sk(self._row.series))
        return item["revision"] if item else 0

    def _change(self, **values: int | str) -> None:
        """Of our row. Raises ChangedError: it is not ours any more."""
        changed = due.change(self._workspace.table, self._row, **values)
        if changed is None:
            raise ChangedError("somebody else has taken the series")
        self._row = changed

    def _leave_until(self, moment: int) -> None:
        due.change(self._workspace.table, self._row, due=moment, writing="", worker="")

    def _walk(self, removals: Removals) -> None:
        """Readers see what was put together: the series gets a new revision. What was deleted meanwhile goes."""
        study, series = self._row.study, self._row.series
        arbiter = partial(decisions.arbitrate, self._workspace)
        after = cascade.walk(self._workspace, study, [series], arbiter=arbiter, effects=self._effects, touch=True)
        if after != removals:
            sweep(self._workspace, study, series, effects=self._effects)

    def _take_up_what_was_begun(self, series: SeriesRows) -> None:
        """An earlier run stopped. Of the pack that it was writing there may be no row: it is made anew, if it is still
        wanted. Of those before there may be rows that no walk followed."""
        if not self._row.writing:
            return
        if all(head.pack_id != self._row.writing for head in series.heads):
            merge.remove_objects(self._workspace, self._row.study, self._row.series, self._row.writing)
        self._walk(series.removals)
        self._change(writing="")

    # Taking away what was replaced.

    def _clean(self, series: SeriesRows) -> SeriesRows:
        over = series_rows.replaced(series.heads)
        if over and not self._row.clean:  # nobody told since when: an index that was built anew
            self._change(clean=self._now() + due.GRACE)
        if not over or self._row.clean > self._now():
            return series
        cleaned = clean_up(self._workspace, series.heads, series.removals, effects=self._effects, enough=self._enough)
        self._done.cleaned += cleaned
        self._done.unfinished |= cleaned < len(over)
        series = self._read()
        if series_rows.replaced(series.heads):
            self._is_unfinished = True
        else:
            self._change(clean=0)
        return series

    # Putting together.

    def _put_together(self, before: SeriesRows) -> SeriesRows:
        """Returns the series as it is then."""
        series = before
        try:
            for group, chosen in list(groups(self._workspace, self._row, before)):
                if series is not before and self._enough():
                    self._is_unfinished = self._done.unfinished = True
                    break
                series = self._put_group(series, group, chosen)
        finally:
            if series is not before:
                self._done.series += 1
                self._walk(before.removals)
        return series

    def _put_group(self, series: SeriesRows, group: list[OpenPack], chosen: list[Copy]) -> SeriesRows:
        """Returns the series as it is then. Raises ChangedError, when it changed since it was read."""
        merged = merge.compose(self._workspace, group, chosen)
        if any(head.pack_id == merged.head.pack_id for head in series.heads):
            return series  # somebody sent it so, beside the others
        now = self._now()
        self._change(due=now + due.LEASE, clean=now + due.GRACE, writing=merged.head.pack_id)
        merge.put_objects(self._workspace, merged)
        is_held = held(self._workspace, self._row.study, self._row.series)
        if is_held or self._read().state != series.state:
            where = self._row.study, self._row.series, merged.head.pack_id
            merge.remove_objects(self._workspace, *where, has_table=not merged.head.table_in_row)
            self._leave_until(self._now() + (LATER if is_held else HOUR))
            raise ChangedError("the series changed while its packs were put together")
        merge.put_rows(self._workspace, merged)
        self._done.put_together(group, merged.written.size)
        return replace(series, heads=[*series.heads, merged.head])

    def _finish(self, series: SeriesRows) -> None:
        """Comes back for what was replaced; else the row goes, unless something came while we looked."""
        if self._is_unfinished or series_rows.replaced(series.heads):
            self._leave_until(self._now() if self._is_unfinished else max(self._row.clean, self._now() + HOUR))
            return
        due.drop(self._workspace.table, self._row)
        now = self._read()
        if now.state != series.state and now.heads:
            due.notice(self._workspace.table, now.heads, self._now())
