"""What a series or a study holds now: for every SOP Instance UID exactly one current instance, and where its bytes are.

`series_contents` and `study_contents`: one consistent read a request while nothing changed (a cache keyed by the
revision of the series row). The rule is in `resolution`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from maypacs.errors import GoneError, NotFoundError
from maypacs.index import summaries
from maypacs.index.cache import cache_of
from maypacs.index.pack_rows import Choice, PackHead
from maypacs.index.removals import Removals, read_removals
from maypacs.index.resolution import Copy, OpenPack, resolve
from maypacs.index.rows import SeriesSummary, StudySummary, series_sk, study_pk
from maypacs.index.series_rows import all_heads, living, open_pack, query_all
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
    removed: frozenset[Uid] = frozenset()  #: deleted by themselves, not erased, and not stored again since
    content: str = ""  #: what its current instances are, wherever they lie: the same before and after a compaction
    _places: Mapping[Uid, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {each.sop_instance_uid: place for place, each in enumerate(self.instances)}
        object.__setattr__(self, "_places", places)

    @property
    def version(self) -> str:
        """Changes when anything in the series does; for ETags."""
        return f"{self.summary.revision:x}"

    @property
    def clean(self) -> bool:
        """The packs, joined, are the series."""
        return all(pack.clean and pack.joinable for pack in self.packs) and len({p.boundary for p in self.packs}) == 1

    def instance(self, sop_instance_uid: Uid) -> InstanceRef:
        place = self._places.get(sop_instance_uid)
        if place is not None:
            return self.instances[place]
        if sop_instance_uid in self.removed:
            raise GoneError("this instance was deleted")
        raise NotFoundError("no such instance in this series")

    def version_of(self, sop_instance_uid: Uid, digest: str) -> InstanceRef:
        """The version of that digest (hex), current or not."""
        for reference in (self.instance(sop_instance_uid), *self.conflicts):
            if reference.sop_instance_uid == sop_instance_uid and reference.digest.hex() == digest:
                return reference
        raise NotFoundError("no such version of this instance")


@dataclass(frozen=True, slots=True)
class StudyContents:
    summary: StudySummary
    series: tuple[SeriesContents, ...]  #: by (SeriesNumber, UID)

    @property
    def version(self) -> str:
        state = "".join(f"{s.summary.series_instance_uid}:{s.version};" for s in self.series)
        return hashlib.sha256(state.encode()).hexdigest()[:32]

    @property
    def clean(self) -> bool:
        """The packs of all series, joined, are the study."""
        packs = [pack for series in self.series for pack in series.packs]
        return all(series.clean for series in self.series) and len({pack.boundary for pack in packs}) == 1


# Reading it from the index.


def series_contents(workspace: Workspace, study: Uid, series: Uid) -> SeriesContents:
    """Raises NotFoundError, GoneError (deleted)."""
    item = workspace.table.get(study_pk(workspace.archive_id, study), series_sk(series))
    if item is None:
        raise _absent(workspace, study, series)
    return _contents(workspace, study, [SeriesSummary.from_item(item)], series)[0]


def series_holding(workspace: Workspace, study: Uid, series: Uid, instances: Iterable[Uid]) -> SeriesContents | None:
    """Contents of a series; None if it holds none of these instances, which costs less to find out: one row of a series
    that is not there, the heads of its packs beside it of one that is. Raises GoneError (deleted).
    """
    pk = study_pk(workspace.archive_id, study)
    item = workspace.table.get(pk, series_sk(series))
    if item is None:
        return None
    summary = SeriesSummary.from_item(item)
    known = cache_of(workspace.store.objects).get((summary.archive_id, study, series, summary.revision))
    if known is None:
        from maypacs.pack.instance_table import uid_hash

        asked = {uid_hash(each) for each in instances}
        heads = all_heads(workspace.table, pk, series)
        if all(head.hashes is not None and head.hashes.isdisjoint(asked) for head in heads):
            return None
    return _contents(workspace, study, [summary], series)[0]


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


def _absent(workspace: Workspace, study: Uid, series: Uid | None = None) -> NotFoundError | GoneError:
    if read_removals(workspace.table, study_pk(workspace.archive_id, study)).held(series):
        return GoneError("this was deleted")
    return NotFoundError("no such study or series")


def _contents(workspace: Workspace, study: Uid, series: list[SeriesSummary], only: Uid | None) -> list[SeriesContents]:
    """Contents of these series: of ``only`` one, or of all of a study. What is not known yet takes three queries."""
    cache = cache_of(workspace.store.objects)
    keys = [(each.archive_id, study, each.series_instance_uid, each.revision) for each in series]
    found: list[SeriesContents | None] = [cache.get(key) for key in keys]
    if None in found:
        heads, rows, choices, removals = _read(workspace, study, only)
        for index, summary in enumerate(series):
            if found[index] is None and heads.get(summary.series_instance_uid):
                packs = [
                    OpenPack(head, rows.get(head.pack_id) or open_pack(workspace, head, None))
                    for head in heads[summary.series_instance_uid]
                ]
                found[index] = _resolved(
                    summary,
                    packs,
                    choices.get(summary.series_instance_uid, {}),
                    removals,
                )
                cache.put(keys[index], found[index])
    known = [each for each in found if each is not None]
    if not known:
        raise _absent(workspace, study, only)
    return known


def _read(
    workspace: Workspace, study: Uid, only: Uid | None
) -> tuple[dict[Uid, list[PackHead]], dict[str, tuple[InstanceRow, ...]], dict[str, dict[str, Choice]], Removals]:
    """Live heads by series, instance tables by pack, choices by series, tombstones."""
    table, pk = workspace.table, study_pk(workspace.archive_id, study)
    below = f"{only}#" if only else ""
    removals = read_removals(table, pk)
    grouped: dict[Uid, list[PackHead]] = {}
    for item in query_all(table, pk, f"2#{below}"):
        head = PackHead.from_item(item)
        grouped.setdefault(head.series_instance_uid, []).append(head)
    heads = {series: living(found, removals.of_series(series)) for series, found in grouped.items()}
    encoded = {item["sk"].rpartition("#")[2]: bytes(item["table"]) for item in query_all(table, pk, f"3#{below}")}
    rows = {
        head.pack_id: open_pack(workspace, head, encoded[head.pack_id])
        for found in heads.values()
        for head in found
        if head.pack_id in encoded
    }
    choices: dict[str, dict[str, Choice]] = {}
    for item in query_all(table, pk, f"4#{below}"):
        _, series, instance = item["sk"].split("#")
        choices.setdefault(series, {})[instance] = Choice.from_item(item)
    return heads, rows, choices, removals


def _resolved(
    summary: SeriesSummary, packs: list[OpenPack], choices: Mapping[str, Choice], removals: Removals
) -> SeriesContents:
    series = summary.series_instance_uid
    gone = removals.of_instances(series)
    resolution = resolve(packs, choices, gone, removals.of_series(series))
    current = [_reference(copy) for copy in resolution.current.values()]
    current.sort(key=lambda each: (each.instance_number or 0, each.sop_instance_uid))
    live = {copy.pack.head.pack_id for copy in resolution.current.values()}
    unclean = {copy.pack.head.pack_id for copy in (*resolution.duplicates, *resolution.conflicts, *resolution.removed)}
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
        removed=frozenset(uid for uid in gone if uid not in resolution.current and removals.held(series, uid)),
        content=_content(current),
    )


def _content(instances: Sequence[InstanceRef]) -> str:
    told = (f"{each.sop_instance_uid} {each.transfer_syntax_uid} {each.digest.hex()}" for each in instances)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


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
        arrival=copy.arrival,
        frame_table=row.frame_table,
    )
