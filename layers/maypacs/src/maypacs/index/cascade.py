"""From a pack's rows to what searches see (protocols: ingest, steps 2 to 5): pack rows → series → study → hints.

Every delivery walks all of it; an equal value may skip a write, never the walk. A summary's revision is read *before*
the rows it is computed from, and it is written only if that revision still holds: whoever lost starts over.
"""

from __future__ import annotations

import dataclasses
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from maypacs.errors import BusyError, ConditionFailedError
from maypacs.index import due, series_rows, summaries
from maypacs.index.hints import hints_of, put_hint, remove_hints
from maypacs.index.pack_rows import Choice, PackHead, table_item
from maypacs.index.removals import Removals, read_removals
from maypacs.index.resolution import Copy, resolve
from maypacs.index.rows import STUDY_SK, SeriesSummary, StudySummary, series_sk, study_pk
from maypacs.index.table import Absent, Condition, Equals, Item
from maypacs.uids import Uid
from maypacs.workspace import Workspace

TRIES = 10
_BASE_SECONDS = 0.05
_CAP_SECONDS = 2.0
#: Rounds in which a hint that nobody should have written yet means that another delivery of the study is about to write
#: its row: start over, and most of its hints need not be written once more. Later rounds write through what a writer
#: left that died.
_PATIENCE = 2

#: Decides which of several versions of an instance is current, durably, and returns what holds.
Arbiter = Callable[[Uid, Uid, Uid, Sequence[Copy]], Choice]


@dataclass(frozen=True, slots=True)
class Effects:
    """What a walk takes from the world."""

    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    clock: Callable[[], float] = time.time

    def tries(self, what: str) -> Iterator[None]:
        """Up to `TRIES` rounds with full jitter between them, then BusyError."""
        for attempt in range(TRIES):
            if attempt:
                self.sleep(self.random() * min(_CAP_SECONDS, _BASE_SECONDS * 2**attempt))
            yield
        raise BusyError(f"{what}: others kept writing")

    def revision(self, previous: int) -> int:
        """Larger than the one before, and than any of a row of this key that was deleted earlier."""
        return max(previous + 1, int(self.clock() * 1000))


DEFAULT_EFFECTS = Effects()


def put_pack_rows(
    workspace: Workspace, head: PackHead, encoded_table: bytes, instances: Iterable[Uid] = (), *, replace: bool = False
) -> PackHead:
    """Step 2: table row, then head row, put if absent; returns the head that holds (an earlier writer's, if any).

    ``instances``: those in the pack, so that a life of it that was removed is told from one that counts.
    """
    item = head.to_item()
    if replace:  # reindex: the objects are the truth, whatever the rows say
        if head.table_in_row:
            workspace.table.put(table_item(head, encoded_table))
        workspace.table.put(item)
        return head
    if head.table_in_row:
        _put_once(workspace, table_item(head, encoded_table))
    held = _put_once(workspace, item)
    if held is None:
        return head
    earlier = PackHead.from_item(held)
    removals = read_removals(workspace.table, item["pk"])
    series = head.series_instance_uid
    first = earlier.first_arrival
    if first > removals.of_series(series) and not removals.hit(first, series, instances):
        return earlier
    # What the earlier one brought was removed, but its row was not yet: this is a new life of the same bytes.
    workspace.table.put(item)
    return head


def _put_once(workspace: Workspace, item: Item) -> Item | None:
    """Puts if absent; None when the row is ours, else the row that was there.

    A retry inside the SDK looks like somebody else's row: the nonce tells our own.
    """
    nonce = uuid.uuid4().hex[:16]
    try:
        workspace.table.put({**item, "nonce": nonce}, condition=Absent())
    except ConditionFailedError:
        held = workspace.table.get(item["pk"], item["sk"])
        if held is None:  # deleted in between: put again, without a condition, is what the newcomer wants
            workspace.table.put({**item, "nonce": nonce})
            return None
        return None if held.get("nonce") == nonce else held
    return None


def walk(
    workspace: Workspace,
    study: Uid,
    series: Iterable[Uid],
    *,
    arbiter: Arbiter,
    effects: Effects = DEFAULT_EFFECTS,
    rebuild: bool = False,
    touch: bool = False,
) -> Removals:
    """Steps 3 to 5 for these series of a study. Returns the study's tombstones.

    A deletion writes its tombstone before it looks at rows; so a walk that still sees the old tombstones after its last
    write wrote nothing that the deletion overlooks. Else it walks again. ``rebuild``: hints are put even where the
    study row says they are there. ``touch``: series get a new revision in any case, for packs were rewritten and what
    readers remember of the old ones must not be used again. Raises BusyError after ten tries.
    """
    series = sorted(set(series))
    pk = study_pk(workspace.archive_id, study)
    before = read_removals(workspace.table, pk)
    for _ in effects.tries("study"):
        for each in series:
            refresh_series(workspace, study, each, before, arbiter=arbiter, effects=effects, touch=touch)
        refresh_study(workspace, study, effects=effects, rebuild=rebuild)
        after = read_removals(workspace.table, pk)
        if after == before:
            break
        before = after
    return before


def refresh_series(
    workspace: Workspace,
    study: Uid,
    series: Uid,
    removals: Removals,
    *,
    arbiter: Arbiter,
    effects: Effects,
    touch: bool = False,
) -> None:
    """Step 3."""
    pk, sk = study_pk(workspace.archive_id, study), series_sk(series)
    for _ in effects.tries("series"):
        row = workspace.table.get(pk, sk)
        held = SeriesSummary.from_item(row) if row else None
        every = series_rows.all_heads(workspace.table, pk, series)
        heads = series_rows.living(every, removals.of_series(series))
        live, conflicts = _live(workspace, heads, removals, arbiter)
        try:
            if not live:
                if held:
                    workspace.table.delete(pk, sk, condition=Equals("revision", held.revision))
                return
            revision = effects.revision(held.revision if held else 0)
            new = summaries.series_summary(live, conflicts=conflicts, revision=revision)
            if touch or held is None or dataclasses.replace(new, revision=held.revision) != held:
                workspace.table.put(new.to_item(), condition=_unchanged(held))
        except ConditionFailedError:
            if not _is_ours(workspace, pk, sk, live and new.to_item()):
                continue
        due.notice(workspace.table, every, int(effects.clock() * 1000))
        return


def _unchanged(held: SeriesSummary | StudySummary | None) -> Condition:
    return Equals("revision", held.revision) if held else Absent()


def _is_ours(workspace: Workspace, pk: str, sk: str, item: Item | Sequence[object]) -> bool:
    """After a failed condition: an ambiguous success (the SDK's retry met its own write) left exactly our row."""
    return bool(item) and workspace.table.get(pk, sk) == item


def _live(
    workspace: Workspace, heads: Sequence[PackHead], removals: Removals, arbiter: Arbiter
) -> tuple[list[summaries.LivePack], int]:
    """What of each pack is current, and how many conflicts; opens tables only where UID hashes meet each other, or
    those of removed instances."""
    if not heads:
        return [], 0
    study, series = heads[0].study_instance_uid, heads[0].series_instance_uid
    gone, until = removals.of_instances(series), removals.of_series(series)
    meeting = _meeting(heads) | {head.pack_id for head in series_rows.touched(heads, gone, until)}
    if not meeting:
        return [summaries.LivePack.whole(head) for head in heads], 0
    opened = series_rows.open_packs(workspace, [head for head in heads if head.pack_id in meeting])
    choices = series_rows.read_choices(workspace.table, study_pk(workspace.archive_id, study), series)
    resolution = resolve(opened, choices, gone, until)
    if resolution.undecided:
        for uid, versions in resolution.undecided.items():
            choices[uid] = arbiter(study, series, Uid(uid), versions)
        resolution = resolve(opened, choices, gone, until)
    current: dict[str, list[Copy]] = {}
    for copy in resolution.current.values():
        current.setdefault(copy.pack.head.pack_id, []).append(copy)
    live = []
    for head in heads:
        if head.pack_id not in meeting:
            live.append(summaries.LivePack.whole(head))
        elif head.pack_id in current:
            copies = current[head.pack_id]
            live.append(
                summaries.LivePack(
                    head,
                    len(copies),
                    sum(copy.row.length for copy in copies),
                    tuple({copy.row.sop_class_uid for copy in copies}),
                    tuple({copy.row.transfer_syntax_uid for copy in copies}),
                    clean=len(copies) == head.count,
                )
            )
    return live, len(resolution.conflicts)


def _meeting(heads: Sequence[PackHead]) -> set[str]:
    """Packs that may share an instance with another."""
    if len(heads) < 2:
        return set()
    if any(head.hashes is None for head in heads):
        return {head.pack_id for head in heads}
    count = Counter(each for head in heads for each in head.hashes or ())
    twice = {each for each, times in count.items() if times > 1}
    return {head.pack_id for head in heads if twice & (head.hashes or frozenset())}


def refresh_study(workspace: Workspace, study: Uid, *, effects: Effects, rebuild: bool = False) -> None:
    """Steps 4 and 5: new hints, the study row, then stale hints."""
    pk = study_pk(workspace.archive_id, study)
    for attempt, _ in enumerate(effects.tries("study row")):
        row = workspace.table.get(pk, STUDY_SK)
        held = StudySummary.from_item(row) if row else None
        series = [SeriesSummary.from_item(item) for item in series_rows.query_all(workspace.table, pk, "1#")]
        old = hints_of(held)
        try:
            if not series:
                if held:
                    workspace.table.delete(pk, STUDY_SK, condition=Equals("revision", held.revision))
                    remove_hints(workspace, old.values(), held.revision)
                return
            revision = effects.revision(held.revision if held else 0)
            new = summaries.study_summary(series, revision=revision)
            same = held is not None and dataclasses.replace(new, revision=held.revision) == held
            if same and not rebuild:
                return
            hints = hints_of(new)
            for key, hint in hints.items():
                if rebuild or old.get(key) != hint:
                    put_hint(workspace, hint, revision, alone=attempt < _PATIENCE and key not in old and not rebuild)
            workspace.table.put(new.to_item(), condition=_unchanged(held))
        except ConditionFailedError:
            if not (series and _is_ours(workspace, pk, STUDY_SK, new.to_item())):
                continue
        remove_hints(workspace, [hint for key, hint in old.items() if key not in hints], revision)
        return
