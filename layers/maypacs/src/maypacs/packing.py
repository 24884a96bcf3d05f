"""From parsed instances of one series to packs, sidecars and rows (protocols: ingest, steps 1 and 2).

What the series already holds is looked up first: an instance that is there with the same bytes is not stored again; one
that differs from the current one is a conflict, decided before its rows exist, and kept in a pack of its own so that
the others' packs stay clean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maypacs import decisions, receipts, sameness
from maypacs.incoming import Incoming
from maypacs.index import series_rows
from maypacs.index.pack_rows import Choice
from maypacs.index.removals import read_removals
from maypacs.index.resolution import Copy, resolve
from maypacs.index.rows import study_pk
from maypacs.pack import grammar, instance_table
from maypacs.pack_writer import CopySource, WrittenPack, finish, write
from maypacs.receipts import Outcome
from maypacs.uids import Uid
from maypacs.workspace import Workspace


@dataclass(slots=True)
class Sorted:
    """A series' arrivals, sorted by what is to be done with them."""

    new: list[Incoming] = field(default_factory=list)
    conflicting: list[Incoming] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)  #: by index in what was given


def store_series(
    workspace: Workspace, arrival: str, incoming: Sequence[Incoming], copy_from: CopySource | None = None
) -> list[Outcome]:
    """Packs and rows of instances of one series; the outcomes in the order given. The cascade is the caller's."""
    work = sort(workspace, arrival, incoming)
    study, series = incoming[0].study, incoming[0].series
    if copy_from and len(work.new) == len(incoming) and _copyable(workspace, copy_from, incoming):
        written = WrittenPack(
            copy_from.pack_id, copy_from.size, copy_from.boundary, True, tuple(p.offset for p in copy_from.parts)
        )
        finish(workspace, arrival, study, series, incoming, written, copy_from)
    else:
        for group in (*split(sorted(work.new, key=lambda each: each.order)), *split(work.conflicting)):
            write(workspace, arrival, study, series, group)
    return [work.outcomes[index] for index in range(len(incoming))]


def sort(workspace: Workspace, arrival: str, incoming: Sequence[Incoming]) -> Sorted:
    """Compares with what the series holds now. Conflicts are decided here, before any row of theirs exists."""
    study, series = incoming[0].study, incoming[0].series
    held, current, choices = _held(workspace, study, series, {each.instance for each in incoming})
    work = Sorted()
    taken: dict[Uid, dict[str, bool]] = {}  # versions of this delivery: True = the current one
    for index, each in enumerate(incoming):
        copies = held.get(each.instance, [])
        same = [copy for copy in copies if copy.version == each.version]
        here = taken.setdefault(each.instance, {})
        if same:
            work.outcomes[index] = _already(each, same, current.get(each.instance), choices, arrival)
        elif each.version in here:
            work.outcomes[index] = each.outcome("duplicate" if here[each.version] else "conflict", _why(here, each))
        elif copies:
            _against(workspace, each, index, current[each.instance], work, here)
        elif here:
            first = next(version for version, is_current in here.items() if is_current)
            decisions.decide_conflict(workspace, study, series, each.instance, current=first, arrival=arrival)
            _conflicting(work, each, index, here)
        else:
            here[each.version] = True
            work.new.append(each)
            work.outcomes[index] = each.outcome("stored")
    return work


def _why(here: Mapping[str, bool], each: Incoming) -> str:
    return "" if here[each.version] else receipts.DIFFERS


def _conflicting(work: Sorted, each: Incoming, index: int, here: dict[str, bool]) -> None:
    here[each.version] = False
    work.conflicting.append(each)
    work.outcomes[index] = each.outcome("conflict", receipts.DIFFERS)


def _against(
    workspace: Workspace, each: Incoming, index: int, current: Copy, work: Sorted, here: dict[str, bool]
) -> None:
    """An instance under a UID whose current version has other bytes."""
    if _equal_content(workspace, each, current):
        work.outcomes[index] = each.outcome("duplicate")
        return
    decisions.decide_conflict(
        workspace,
        each.study,
        each.series,
        each.instance,
        current=current.version,
        arrival=current.arrival,
    )
    _conflicting(work, each, index, here)


def _already(
    each: Incoming, same: Sequence[Copy], current: Copy | None, choices: Mapping[str, Choice], arrival: str
) -> Outcome:
    """These bytes are held. By this very delivery: what it said the first time, it says again."""
    choice = choices.get(each.instance)
    is_current = current is not None and each.version == current.version
    if not is_current and not (choice and each.version in choice.equal):
        return each.outcome("conflict", receipts.DIFFERS)
    return each.outcome("stored" if any(copy.arrival == arrival for copy in same) else "duplicate")


def _held(
    workspace: Workspace, study: Uid, series: Uid, uids: set[Uid]
) -> tuple[dict[str, list[Copy]], Mapping[str, Copy], Mapping[str, Choice]]:
    """Copies the series holds of these instances, which of them is current, and what was decided."""
    pk = study_pk(workspace.archive_id, study)
    removals = read_removals(workspace.table, pk)
    heads = series_rows.live_heads(workspace.table, pk, series, removals.of_series(series))
    hashes = {instance_table.uid_hash(uid) for uid in uids}
    wanted = [head for head in heads if head.hashes is None or hashes & head.hashes]
    if not wanted:
        return {}, {}, {}
    choices = series_rows.read_choices(workspace.table, pk, series)
    opened = series_rows.open_packs(workspace, wanted)
    held: dict[str, list[Copy]] = {}
    for pack in opened:
        for position, row in enumerate(pack.rows):
            uid, copy = row.sop_instance_uid, Copy(pack, position)
            if uid in uids and not removals.hit(copy.arrival, series, [uid]):
                held.setdefault(uid, []).append(copy)
    gone, until = removals.of_instances(series), removals.of_series(series)
    return held, resolve(opened, choices, gone, until).current, choices


def _equal_content(workspace: Workspace, each: Incoming, current: Copy) -> bool:
    if not each.data or current.row.length > sameness.LIMIT:
        return False
    head, row = current.pack.head, current.row
    stored = workspace.store.get_range(each.study, each.series, head.pack_id, row.offset, row.length)
    return sameness.same_content(stored, each.data)


def split(group: Sequence[Incoming]) -> Iterator[list[Incoming]]:
    """Into packs within the grammar's limits; never the same instance twice in one (two versions of it conflict)."""
    batch: list[Incoming] = []
    uids: set[Uid] = set()
    size = 0
    for each in group:
        room = each.length + grammar.MAX_HEADER_BYTES + 128
        if batch and (size + room > grammar.MAX_BYTES or len(batch) == grammar.MAX_INSTANCES or each.instance in uids):
            yield batch
            batch, uids, size = [], set(), 0
        batch.append(each)
        uids.add(each.instance)
        size += room
    if batch:
        yield batch


def _copyable(workspace: Workspace, source: CopySource, incoming: Sequence[Incoming]) -> bool:
    """Is the pack what we would have written: our boundary, one series, our order, true headers?"""
    archive_id = workspace.archive_id
    return (
        source.boundary == workspace.store.boundary(incoming[0].study)
        and list(incoming) == sorted(incoming, key=lambda each: each.order)
        and len({each.instance for each in incoming}) == len(incoming) == len(source.parts)
        and all(
            part.transfer_syntax_uid == each.transfer_syntax
            and part.content_location == grammar.content_location(archive_id, each.study, each.series, each.instance)
            for part, each in zip(source.parts, incoming, strict=True)
        )
    )
