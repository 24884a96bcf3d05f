"""What a series or a study holds now: for every SOP Instance UID exactly one current instance, and where its bytes are.

`resolve` is the rule (pure); `series_contents` and `study_contents` read it from the index, one consistent ``get``
a request while nothing changed (a cache keyed by the revision of the series row).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from maypacs.errors import GoneError, NotFoundError
from maypacs.index import summaries
from maypacs.index.pack_rows import Choice, PackHead, choice_prefix
from maypacs.index.rows import (
    TOMBSTONE_SK,
    SeriesSummary,
    StudySummary,
    instance_table_sk,
    pack_head_prefix,
    series_sk,
    study_pk,
)
from maypacs.index.table import Item, Table
from maypacs.uids import Uid

if TYPE_CHECKING:
    from maypacs.pack.instance_table import InstanceRow
    from maypacs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class InstanceRef:
    """One instance, and the bytes of its Part 10 file: [offset, offset + length) of its pack."""

    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid
    sop_class_uid: str
    transfer_syntax_uid: str
    pack_id: str
    position: int  #: its place in the pack: its line in the sidecar, 0 the first
    offset: int
    length: int
    digest: bytes
    number_of_frames: int
    instance_number: int | None
    arrival: str
    frame_table: bytes | None = field(repr=False)  #: encoded `FrameTable`


@dataclass(frozen=True, slots=True)
class PackInfo:
    """A pack that holds at least one current instance."""

    pack_id: str
    arrival: str
    size: int
    count: int
    boundary: str
    joinable: bool
    clean: bool  #: every instance in it is current: it may be redirected to, and joined if joinable
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesContents:
    summary: SeriesSummary
    instances: tuple[InstanceRef, ...]  #: current ones, by (InstanceNumber, UID)
    packs: tuple[PackInfo, ...]  #: those that hold current instances, by (arrival, id)
    conflicts: tuple[InstanceRef, ...]  #: kept, not current

    @property
    def version(self) -> str:
        """Changes when anything in the series does; for ETags."""
        return f"{self.summary.revision:x}"

    @property
    def clean(self) -> bool:
        """The packs, joined, are the series."""
        return all(pack.clean and pack.joinable for pack in self.packs) and len({p.boundary for p in self.packs}) == 1

    def instance(self, sop_instance_uid: Uid) -> InstanceRef:
        for reference in self.instances:
            if reference.sop_instance_uid == sop_instance_uid:
                return reference
        raise NotFoundError("no such instance in this series")


@dataclass(frozen=True, slots=True)
class StudyContents:
    summary: StudySummary
    series: tuple[SeriesContents, ...]  #: by (SeriesNumber, UID)

    @property
    def version(self) -> str:
        import hashlib

        state = "".join(f"{s.summary.series_instance_uid}:{s.version};" for s in self.series)
        return hashlib.sha256(state.encode()).hexdigest()[:32]

    @property
    def clean(self) -> bool:
        """The packs of all series, joined, are the study."""
        packs = [pack for series in self.series for pack in series.packs]
        return all(series.clean for series in self.series) and len({pack.boundary for pack in packs}) == 1


# The rule.


@dataclass(frozen=True, slots=True)
class OpenPack:
    head: PackHead
    rows: tuple[InstanceRow, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of an instance: the ``position``-th of a pack."""

    pack: OpenPack
    position: int

    @property
    def row(self) -> InstanceRow:
        return self.pack.rows[self.position]

    @property
    def version(self) -> str:
        return version(self.row)

    @property
    def order(self) -> tuple[str, str, int]:
        return self.pack.head.arrival, self.pack.head.pack_id, self.position


@dataclass(frozen=True, slots=True)
class Resolution:
    current: Mapping[str, Copy]  #: by SOP Instance UID
    duplicates: Sequence[Copy]
    conflicts: Sequence[Copy]
    undecided: Mapping[str, Sequence[Copy]]  #: UIDs with versions that no decision orders yet; the first is current


def version(row: InstanceRow) -> str:
    """What "the same" means without looking at pixels: the digest of the data set in one transfer syntax."""
    return f"{row.transfer_syntax_uid}:{row.digest.hex()}"


def resolve(packs: Iterable[OpenPack], choices: Mapping[str, Choice]) -> Resolution:
    """For every UID one current copy: the decision's choice, else the smallest (arrival, pack id). Nothing is lost:
    every other copy is a duplicate (of equal content) or a conflict. The order of ``packs`` makes no difference."""
    copies: dict[str, list[Copy]] = {}
    for pack in packs:
        for position, row in enumerate(pack.rows):
            copies.setdefault(row.sop_instance_uid, []).append(Copy(pack, position))
    current: dict[str, Copy] = {}
    duplicates: list[Copy] = []
    conflicts: list[Copy] = []
    undecided: dict[str, list[Copy]] = {}
    for uid, found in copies.items():
        found.sort(key=lambda copy: copy.order)
        choice = choices.get(uid)
        first = next((copy for copy in found if choice and copy.version == choice.current), found[0])
        current[uid] = first
        equal = {first.version, *(choice.equal if choice else ())}
        others = [copy for copy in found if copy is not first]
        differing: dict[str, Copy] = {}
        for copy in others:
            if copy.version in equal or copy.version in differing:
                duplicates.append(copy)
            else:
                differing[copy.version] = copy
        conflicts += differing.values()
        if differing and (choice is None or choice.current != first.version):
            undecided[uid] = [first, *differing.values()]
    return Resolution(current, duplicates, conflicts, undecided)


# Reading it from the index.


def series_contents(workspace: Workspace, study: Uid, series: Uid) -> SeriesContents:
    """Raises NotFoundError, GoneError (deleted)."""
    item = workspace.table.get(study_pk(workspace.archive_id, study), series_sk(series))
    if item is None:
        raise _absent(workspace, study)
    return _contents(workspace, study, [SeriesSummary.from_item(item)], series)[0]


def study_contents(workspace: Workspace, study: Uid) -> StudyContents:
    """Raises NotFoundError, GoneError (deleted)."""
    rows = query_all(workspace.table, study_pk(workspace.archive_id, study), "1#")
    if not rows:
        raise _absent(workspace, study)
    found = _contents(workspace, study, [SeriesSummary.from_item(row) for row in rows], None)
    found.sort(
        key=lambda each: (summaries.number(each.summary.attributes, "00200011"), each.summary.series_instance_uid)
    )
    return StudyContents(summaries.study_summary([each.summary for each in found], revision=0), tuple(found))


def _absent(workspace: Workspace, study: Uid) -> NotFoundError | GoneError:
    if cutoff(workspace.table, study_pk(workspace.archive_id, study)):
        return GoneError("this study was deleted")
    return NotFoundError("no such study or series")


def _contents(workspace: Workspace, study: Uid, series: list[SeriesSummary], only: Uid | None) -> list[SeriesContents]:
    """Contents of these series: of ``only`` one, or of all of a study. What is not known yet is read in three queries."""
    cache = _cache_of(workspace)
    keys = [(each.archive_id, study, each.series_instance_uid, each.revision) for each in series]
    found: list[SeriesContents | None] = [cache.get(key) for key in keys]
    if None in found:
        heads, rows, choices = _read(workspace, study, only)
        for index, summary in enumerate(series):
            if found[index] is None and heads.get(summary.series_instance_uid):
                packs = [
                    OpenPack(head, rows.get(head.pack_id) or _open(workspace, head, None))
                    for head in heads[summary.series_instance_uid]
                ]
                found[index] = _resolved(summary, packs, choices.get(summary.series_instance_uid, {}))
                cache.put(keys[index], found[index])
    known = [each for each in found if each is not None]
    if not known:
        raise _absent(workspace, study)
    return known


def _read(
    workspace: Workspace, study: Uid, only: Uid | None
) -> tuple[dict[str, list[PackHead]], dict[str, tuple[InstanceRow, ...]], dict[str, dict[str, Choice]]]:
    """Live heads by series, instance tables by pack, choices by series."""
    table, pk = workspace.table, study_pk(workspace.archive_id, study)
    below = f"{only}#" if only else ""
    removed_until = cutoff(table, pk)
    grouped: dict[str, list[PackHead]] = {}
    for item in query_all(table, pk, f"2#{below}"):
        head = PackHead.from_item(item)
        grouped.setdefault(head.series_instance_uid, []).append(head)
    heads = {series: living(found, removed_until) for series, found in grouped.items()}
    encoded = {item["sk"].rpartition("#")[2]: bytes(item["table"]) for item in query_all(table, pk, f"3#{below}")}
    rows = {
        head.pack_id: _open(workspace, head, encoded[head.pack_id])
        for found in heads.values()
        for head in found
        if head.pack_id in encoded
    }
    choices: dict[str, dict[str, Choice]] = {}
    for item in query_all(table, pk, f"4#{below}"):
        _, series, instance = item["sk"].split("#")
        choices.setdefault(series, {})[instance] = Choice.from_item(item)
    return heads, rows, choices


def _resolved(summary: SeriesSummary, packs: list[OpenPack], choices: Mapping[str, Choice]) -> SeriesContents:
    resolution = resolve(packs, choices)
    current = [_reference(copy) for copy in resolution.current.values()]
    current.sort(key=lambda each: (each.instance_number or 0, each.sop_instance_uid))
    live = {copy.pack.head.pack_id for copy in resolution.current.values()}
    unclean = {copy.pack.head.pack_id for copy in (*resolution.duplicates, *resolution.conflicts)}
    return SeriesContents(
        summary=summary,
        instances=tuple(current),
        packs=tuple(
            PackInfo(
                pack_id=head.pack_id,
                arrival=head.arrival,
                size=head.size,
                count=head.count,
                boundary=head.boundary,
                joinable=head.joinable,
                clean=head.pack_id not in unclean,
                transfer_syntaxes=head.transfer_syntaxes,
            )
            for head in (pack.head for pack in packs)
            if head.pack_id in live
        ),
        conflicts=tuple(_reference(copy) for copy in resolution.conflicts),
    )


def _reference(copy: Copy) -> InstanceRef:
    head, row = copy.pack.head, copy.row
    return InstanceRef(
        study_instance_uid=head.study_instance_uid,
        series_instance_uid=head.series_instance_uid,
        sop_instance_uid=Uid(row.sop_instance_uid),
        sop_class_uid=row.sop_class_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        pack_id=head.pack_id,
        position=copy.position,
        offset=row.offset,
        length=row.length,
        digest=row.digest,
        number_of_frames=row.number_of_frames,
        instance_number=row.instance_number,
        arrival=head.arrival,
        frame_table=row.frame_table,
    )


# What the cascade and ingest share.


def query_all(table: Table, pk: str, prefix: str) -> list[Item]:
    """Every row below a prefix, consistently, all pages."""
    page = table.query(pk, prefix=prefix, consistent=True)
    items = list(page.items)
    while page.next:
        page = table.query(pk, prefix=prefix, consistent=True, start=page.next)
        items += page.items
    return items


def cutoff(table: Table, pk: str) -> str:
    """Arrivals up to this id were removed from the study; "" when nothing was."""
    item = table.get(pk, TOMBSTONE_SK)
    return item["cutoff"] if item else ""


def living(heads: Sequence[PackHead], removed_until: str) -> list[PackHead]:
    """Those that count: arrived after the cut-off, not replaced by another; by (arrival, id)."""
    replaced = {pack_id for head in heads for pack_id in head.replaces}
    live = [head for head in heads if head.arrival > removed_until and head.pack_id not in replaced]
    return sorted(live, key=lambda head: (head.arrival, head.pack_id))


def live_heads(table: Table, pk: str, series: Uid, removed_until: str) -> list[PackHead]:
    return living([PackHead.from_item(item) for item in query_all(table, pk, pack_head_prefix(series))], removed_until)


def read_choices(table: Table, pk: str, series: Uid) -> dict[str, Choice]:
    prefix = choice_prefix(series)
    return {item["sk"].removeprefix(prefix): Choice.from_item(item) for item in query_all(table, pk, prefix)}


def open_packs(workspace: Workspace, heads: Sequence[PackHead]) -> list[OpenPack]:
    """Some of a series' packs with their instance tables."""
    opened = []
    for head in heads:
        encoded = None
        if head.table_in_row and _cache_of(workspace).get(_table_key(head)) is None:
            sk = instance_table_sk(head.series_instance_uid, head.pack_id)
            item = workspace.table.get(study_pk(head.archive_id, head.study_instance_uid), sk)
            encoded = bytes(item["table"]) if item else None
        opened.append(OpenPack(head, _open(workspace, head, encoded)))
    return opened


def _table_key(head: PackHead) -> tuple[str, ...]:
    return head.archive_id, head.study_instance_uid, head.series_instance_uid, head.pack_id


def _open(workspace: Workspace, head: PackHead, encoded: bytes | None) -> tuple[InstanceRow, ...]:
    """A pack's instances, of its encoded table or of the sidecar. Tables never change: those seen once are kept."""
    from maypacs.pack import instance_table

    cache = _cache_of(workspace)
    rows: tuple[InstanceRow, ...] | None = cache.get(_table_key(head))
    if rows is None:
        if encoded is None:
            encoded = workspace.store.get_table(head.study_instance_uid, head.series_instance_uid, head.pack_id)
        rows = instance_table.decode(encoded)
        cache.put(_table_key(head), rows)
    return rows


class _Lru:
    """Least recently used out first, bounded by instances; one a process and bucket, shared by its threads."""

    def __init__(self, instances: int = 100_000) -> None:
        self._room = instances
        self._held = 0
        self._entries: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Any, value: Any) -> None:
        with self._lock:
            self._held += _weight(value) - _weight(self._entries.pop(key, ()))
            self._entries[key] = value
            while self._held > self._room and len(self._entries) > 1:
                self._held -= _weight(self._entries.popitem(last=False)[1])


def _weight(value: Any) -> int:
    return len(value.instances if isinstance(value, SeriesContents) else value)


_CACHES: WeakKeyDictionary[Any, _Lru] = WeakKeyDictionary()
_CACHES_LOCK = threading.Lock()


def _cache_of(workspace: Workspace) -> _Lru:
    with _CACHES_LOCK:
        return _CACHES.setdefault(workspace.store.objects, _Lru())
