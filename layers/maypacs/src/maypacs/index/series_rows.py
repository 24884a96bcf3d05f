"""Rows of a study's packs as ingest, the cascade and readers read them: consistently, all pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from maypacs.index.cache import cache_of
from maypacs.index.pack_rows import Choice, PackHead, choice_prefix
from maypacs.index.resolution import OpenPack
from maypacs.index.rows import instance_table_prefix, instance_table_sk, pack_head_prefix, study_pk
from maypacs.index.table import Item, Table
from maypacs.uids import Uid

if TYPE_CHECKING:
    from maypacs.pack.instance_table import InstanceRow
    from maypacs.workspace import Workspace


def query_all(table: Table, pk: str, prefix: str) -> list[Item]:
    """Every row below a prefix, consistently, all pages."""
    page = table.query(pk, prefix=prefix, consistent=True)
    items = list(page.items)
    while page.next:
        page = table.query(pk, prefix=prefix, consistent=True, start=page.next)
        items += page.items
    return items


def living(heads: Sequence[PackHead], removed_until: str) -> list[PackHead]:
    """Those that count: of which something arrived after the cut-off, not replaced by another; by (arrival, id)."""
    over = {head.pack_id for head in replaced(heads)}
    live = [head for head in heads if head.arrival > removed_until and head.pack_id not in over]
    return sorted(live, key=lambda head: (head.first_arrival, head.pack_id))


def replaced(heads: Sequence[PackHead]) -> list[PackHead]:
    """Those in whose place another is there.

    What a deletion leaves of a merged pack may be, byte for byte, one of the packs that were merged: then it names
    itself, which means nothing, and the merged pack and it name each other until that is gone. Both hold what is to be
    seen; the one that names more is read.
    """
    if not any(head.replaces for head in heads):
        return []
    by_life = {head.life_id: head for head in heads}
    over: set[str] = set()
    for head in heads:
        for other in filter(None, map(by_life.get, head.replaces)):
            each_other = head.life_id in other.replaces
            if other is not head and not (each_other and _precedence(other) > _precedence(head)):
                over.add(other.pack_id)
    return [head for head in heads if head.pack_id in over]


def _precedence(head: PackHead) -> tuple[int, str]:
    return len(head.replaces), head.pack_id


def touched(heads: Iterable[PackHead], gone: Mapping[Uid, str], removed_until: str = "") -> list[PackHead]:
    """Packs that may hold an instance which was removed after it came: by itself, or (in a pack of several arrivals)
    with all of its series ``removed_until`` then."""
    from maypacs.pack.instance_table import uid_hash

    hashes = [(uid_hash(uid), until) for uid, until in gone.items()]
    return [
        head
        for head in heads
        if head.first_arrival <= removed_until
        or any(head.first_arrival <= until and (head.hashes is None or each in head.hashes) for each, until in hashes)
    ]


def all_heads(table: Table, pk: str, series: Uid) -> list[PackHead]:
    """Those that count, those that were replaced, and those of what was removed."""
    return [PackHead.from_item(item) for item in query_all(table, pk, pack_head_prefix(series))]


def live_heads(table: Table, pk: str, series: Uid, removed_until: str) -> list[PackHead]:
    return living(all_heads(table, pk, series), removed_until)


def read_choices(table: Table, pk: str, series: Uid) -> dict[str, Choice]:
    prefix = choice_prefix(series)
    return {item["sk"].removeprefix(prefix): Choice.from_item(item) for item in query_all(table, pk, prefix)}


def open_packs(workspace: Workspace, heads: Sequence[PackHead]) -> list[OpenPack]:
    """Some of a series' packs with their instance tables."""
    opened = []
    for head in heads:
        encoded = None
        if head.table_in_row and cache_of(workspace.store.objects).get(_table_key(head)) is None:
            sk = instance_table_sk(head.series_instance_uid, head.pack_id)
            item = workspace.table.get(study_pk(head.archive_id, head.study_instance_uid), sk)
            encoded = bytes(item["table"]) if item else None
        opened.append(OpenPack(head, open_pack(workspace, head, encoded)))
    return opened


def open_series(workspace: Workspace, heads: Sequence[PackHead]) -> list[OpenPack]:
    """All of these packs of one series: their tables in one query."""
    if not heads:
        return []
    pk, series = study_pk(heads[0].archive_id, heads[0].study_instance_uid), heads[0].series_instance_uid
    items = query_all(workspace.table, pk, instance_table_prefix(series))
    encoded = {item["sk"].rpartition("#")[2]: bytes(item["table"]) for item in items}
    return [OpenPack(head, open_pack(workspace, head, encoded.get(head.pack_id))) for head in heads]


def _table_key(head: PackHead) -> tuple[str, ...]:
    return head.archive_id, head.study_instance_uid, head.series_instance_uid, head.life


def open_pack(workspace: Workspace, head: PackHead, encoded: bytes | None) -> tuple[InstanceRow, ...]:
    """A pack's instances, of its encoded table or of the sidecar. Tables never change: those seen once are kept."""
    from maypacs.pack import instance_table

    cache = cache_of(workspace.store.objects)
    rows: tuple[InstanceRow, ...] | None = cache.get(_table_key(head))
    if rows is None:
        if encoded is None:
            encoded = workspace.store.get_table(head.study_instance_uid, head.series_instance_uid, head.pack_id)
        rows = instance_table.decode(encoded)
        cache.put(_table_key(head), rows)
    if rows and rows[0].arrival and not head.earliest:
        # The same bytes were put together out of several packs once, and arrived as one since: a table has no life.
        return tuple(replace(row, arrival="") for row in rows)
    return rows
