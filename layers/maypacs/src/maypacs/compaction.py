"""Compaction: the many small packs of quiet series become few (docs/adr/0016-compaction.md).

One series at a time, found by its row among those that wait (`index.due`): what was replaced is taken away when its
time is over, then what lies in many small packs is put together (`compact_series`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from maypacs.compact_series import Compacted, SeriesWork, groups, now_of, read_rows
from maypacs.errors import MayPACSError
from maypacs.index import due, series_rows
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.due import Due
from maypacs.index.pack_rows import PackHead
from maypacs.index.rows import study_pk
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace


def compact_archives(
    archives: Sequence[ArchiveId],
    open_workspace: Callable[[ArchiveId], Workspace],
    *,
    quiet_hours: int,
    seconds: float,
    clock: Callable[[], float],
    clean_only: bool = False,
) -> Iterator[tuple[ArchiveId, Compacted]]:
    """What the schedule does, for about so many seconds: each archive has its share of what is left, and those that had
    too little have shares of what the others did not need."""
    end, waiting = clock() + seconds, list(archives)
    while waiting:
        unfinished = []
        for number, archive_id in enumerate(waiting):
            until = clock() + (end - clock()) / (len(waiting) - number)
            enough = _later_than(until, clock)
            workspace = open_workspace(archive_id)
            done = compact(workspace, quiet_hours=quiet_hours, enough=enough, clean_only=clean_only)
            if done.unfinished:
                unfinished.append(archive_id)
            yield archive_id, done
        waiting = unfinished if clock() < end else []


def _later_than(moment: float, clock: Callable[[], float]) -> Callable[[], bool]:
    return lambda: clock() > moment


def compact(
    workspace: Workspace,
    *,
    quiet_hours: int,
    at_once: bool = False,
    enough: Callable[[], bool] = lambda: False,
    clean_only: bool = False,
    effects: Effects = DEFAULT_EFFECTS,
) -> Compacted:
    """Works on the series that wait, until ``enough``. ``at_once``: looks at those too whose time has not come.
    ``clean_only``: takes away what was replaced, and writes no pack."""
    done = Compacted()
    rows = sorted(due.waiting(workspace.table, workspace.archive_id), key=lambda row: row.due)
    for row in rows:
        moment = now_of(effects)
        if row.due > moment and (row.worker or not at_once):
            continue
        if enough():
            done.unfinished = True
            break
        try:
            if taken := due.take(workspace.table, row, moment):
                SeriesWork(
                    workspace,
                    taken,
                    quiet_hours=quiet_hours,
                    effects=effects,
                    enough=enough,
                    done=done,
                    clean_only=clean_only,
                ).run()
        except MayPACSError as error:  # its row keeps it: it comes again when the lease is over
            done.failed += 1
            done.faults.append(type(error).__name__)
    return done


def plan_only(workspace: Workspace, rows: Iterable[Due]) -> Compacted:
    """What `compact` would do to these series, quiet or not; nothing is written."""
    done = Compacted()
    for row in rows:
        series = read_rows(workspace, row)
        found = list(groups(workspace, row, series))
        done.series += bool(found)
        for group, _ in found:
            done.put_together(group, sum(pack.head.size for pack in group))
        done.cleaned += len(series_rows.replaced(series.heads))
    return done


def wanting(workspace: Workspace) -> Iterator[Sequence[PackHead]]:
    """The packs of each series of the archive that wants compaction, registered or not: reads all of the index."""
    from maypacs.reindex import indexed_studies

    for study in indexed_studies(workspace):
        by_series: dict[str, list[PackHead]] = {}
        pk = study_pk(workspace.archive_id, study)
        for item in series_rows.query_all(workspace.table, pk, "2#"):
            head = PackHead.from_item(item)
            by_series.setdefault(head.series_instance_uid, []).append(head)
        yield from (heads for heads in by_series.values() if due.wants(heads))


def register(workspace: Workspace, *, effects: Effects = DEFAULT_EFFECTS) -> int:
    """Registers every series that wants it: of an archive older than compaction. Returns how many want it."""
    return sum(due.notice(workspace.table, heads, now_of(effects)) for heads in wanting(workspace))
