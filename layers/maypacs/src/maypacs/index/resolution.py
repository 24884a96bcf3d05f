"""The rule of what is current (protocols: what an instance is): pure, the same for ingest, readers and reindex."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maypacs.index.pack_rows import Choice, PackHead, arrival_of
from maypacs.uids import Uid

if TYPE_CHECKING:
    from maypacs.pack.instance_table import InstanceRow


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
    def arrival(self) -> str:
        return arrival_of(self.pack.head, self.row)

    @property
    def order(self) -> tuple[str, str, int]:
        return self.arrival, self.pack.head.pack_id, self.position


@dataclass(frozen=True, slots=True)
class Resolution:
    current: Mapping[str, Copy]  #: by SOP Instance UID
    duplicates: Sequence[Copy]
    conflicts: Sequence[Copy]
    undecided: Mapping[str, Sequence[Copy]]  #: UIDs with versions that no decision orders yet; the first is current
    removed: Sequence[Copy] = ()  #: of instances that were removed by themselves: they count for nothing


def version(row: InstanceRow) -> str:
    """What "the same" means without looking at pixels: the digest of the data set in one transfer syntax."""
    return f"{row.transfer_syntax_uid}:{row.digest.hex()}"


def resolve(
    packs: Iterable[OpenPack],
    choices: Mapping[str, Choice],
    gone: Mapping[Uid, str] | None = None,
    removed_until: str = "",
) -> Resolution:
    """For every UID one current copy: the decision's choice, else the smallest (arrival, pack id). Nothing is lost:
    every other copy is a duplicate (of equal content) or a conflict. The order of ``packs`` makes no difference.

    ``gone``: cut-offs of instances that were removed by themselves; ``removed_until``: of all of the series. Copies
    that came up to then count for nothing."""
    copies: dict[str, list[Copy]] = {}
    removed: list[Copy] = []
    cutoffs = gone or {}
    for pack in packs:
        for position, row in enumerate(pack.rows):
            copy = Copy(pack, position)
            if copy.arrival <= max(removed_until, cutoffs.get(row.sop_instance_uid, "")):
                removed.append(copy)
            else:
                copies.setdefault(row.sop_instance_uid, []).append(copy)
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
    return Resolution(current, duplicates, conflicts, undecided, removed)
