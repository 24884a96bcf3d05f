"""Which packs of a series are to become one: pure, of their heads alone (docs/adr/0016-compaction.md).

A pack is *small* up to half of a pack's limits. Where `MIN_PACKS` small ones lie in one series, they are put together
under the limits of every pack. A pack is rewritten only together with at least as many bytes of others, so that no byte
is rewritten more often than a pack can double.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from maypacs.index.pack_rows import HASHED_INSTANCES, PackHead

#: Of a pack (`maypacs.pack.grammar`; not imported, for every delivery asks here).
MAX_BYTES = 64 << 20
MAX_INSTANCES = 1_000
#: Fewer small packs than these are few already.
MIN_PACKS = 8
#: A head names so many packs that it replaces, as it names so many instances.
MAX_MEMBERS = HASHED_INSTANCES


def is_small(head: PackHead) -> bool:
    """May it be put together with others? One whose boundary is not the study's own may not: it could not be joined."""
    return head.joinable and head.size <= MAX_BYTES // 2 and head.count <= MAX_INSTANCES // 2


def plan(heads: Iterable[PackHead]) -> list[list[PackHead]]:
    """Groups of packs, each to become one, in the order given; what is in no group stays as it is.

    Only packs of equal attributes go together: then the series has the same attributes whatever arrives between them.
    """
    alike: dict[bytes, list[PackHead]] = {}
    for head in heads:
        if is_small(head):
            alike.setdefault(orjson.dumps(head.attributes, option=orjson.OPT_SORT_KEYS), []).append(head)
    return [group for each in alike.values() for group in _filled(_worthwhile(each)) if _doubles(group)]


def _doubles(group: Sequence[PackHead]) -> bool:
    """Is the largest rewritten with at least as much of others?"""
    sizes = [head.size for head in group]
    return 2 * max(sizes) <= sum(sizes)


def _worthwhile(heads: Sequence[PackHead]) -> list[PackHead]:
    """Without those that are larger than all smaller ones together; none when too few are left."""
    total = sum(head.size for head in heads)
    chosen: set[str] = set()
    for head in sorted(heads, key=lambda head: (head.size, head.pack_id), reverse=True):
        if 2 * head.size <= total or chosen:
            chosen.add(head.pack_id)
        else:
            total -= head.size
    return [head for head in heads if head.pack_id in chosen] if len(chosen) >= MIN_PACKS else []


def _filled(heads: Iterable[PackHead]) -> list[list[PackHead]]:
    """Up to the limits of a pack."""
    groups: list[list[PackHead]] = []
    size = count = 0
    for head in heads:
        if (
            not groups
            or size + head.size > MAX_BYTES
            or count + head.count > MAX_INSTANCES
            or len(groups[-1]) == MAX_MEMBERS
        ):
            groups.append([])
            size = count = 0
        groups[-1].append(head)
        size += head.size
        count += head.count
    return groups
