"""Restore out of the trash: a study, a series or an instance that was removed (an extension of DICOMweb).

A removal stands for ever, so nothing comes back as what it was: what lies in the trash is taken in again, as new
arrivals after the cut-off and in the order of the old ones. Then late retries stay ignored, and whatever was stored
under the same UIDs meanwhile stays current. What a narrower removal took (an instance of a study that is restored)
stays removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from maypacs import arrivals, decisions
from maypacs.archive import sidecar
from maypacs.archive.objects import ObjectHead
from maypacs.errors import ConflictError, NotFoundError, ObjectNotFoundError, PackError
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.removals import Removals, read_removals
from maypacs.index.rows import study_pk
from maypacs.pack import grammar, instance_table
from maypacs.uids import Uid, uid
from maypacs.workspace import Workspace

_LOCATION = re.compile(rb"\r\nContent-Location: [!-~]{1,300}/instances/([0-9.]{1,64})\r\n\r\n")


@dataclass(frozen=True, slots=True)
class _Member:
    """An instance in the trash: bytes [offset, offset + length) of a pack."""

    instance: Uid
    offset: int
    length: int


def restore(
    workspace: Workspace,
    study: Uid,
    series: Uid | None,
    instance: Uid | None,
    principal: str,
    *,
    effects: Effects = DEFAULT_EFFECTS,
) -> int:
    """Returns how many instances came back. Can be repeated.

    Raises NotFoundError: nothing of it is in the trash (any more); ConflictError: it is refused until that is lifted.
    """
    removals = read_removals(workspace.table, study_pk(workspace.archive_id, study))
    if removals.is_refused(series, instance):
        raise ConflictError("this was rejected or erased: it is refused until that is lifted")
    now = effects.clock()
    trashed = [(head, found) for head, found in _trashed(workspace, study, series, instance, removals) if found]
    if not trashed:
        raise NotFoundError("nothing of this is in the trash: it was never there, or its time there is over")
    decisions.decide_restore(workspace, study, series, instance, by=principal, now=now)
    latest = removals.latest()
    count = 0
    for number, (head, members) in enumerate(trashed):
        # A thousandth of a second apart: the new arrivals keep the order of the old.
        arrival = arrivals.after(latest, now + number / 1000)
        latest = max(latest, arrival)
        count += _take(workspace, arrival, head, members, effects)
        _forget(workspace, head, len(members))
    return count


def _trashed(
    workspace: Workspace, study: Uid, series: Uid | None, instance: Uid | None, removals: Removals
) -> list[tuple[ObjectHead, list[_Member]]]:
    """Packs in the trash by old arrival, each with what of it is to come back."""
    objects = workspace.store.objects
    heads = [objects.head(listed.key) for listed in workspace.store.trashed_packs(study, series)]
    own_arrivals = {head.key: _own_arrivals(workspace, head) for head in heads}

    def order(head: ObjectHead) -> tuple[str, str]:
        """By the first of its instances: whatever differs from one of them came later, in a pack of its own."""
        return min(own_arrivals[head.key].values(), default=head.metadata.get("arrival", "")), head.key

    found = []
    for head in sorted(heads, key=order):
        location = workspace.store.locate(head.key)
        arrival, own = head.metadata.get("arrival", ""), own_arrivals[head.key]
        members = [
            member
            for member in _members(workspace, head)
            if instance in (None, member.instance)
            and not removals.refuses(location.series, member.instance)
            and _removed_by(
                removals, series, instance, location.series, member.instance, own.get(member.instance, arrival)
            )
        ]
        found.append((head, members))
    return found


def _own_arrivals(workspace: Workspace, head: ObjectHead) -> dict[Uid, str]:
    """Of the instances of a pack that was put together out of several."""
    store = workspace.store
    where = store.locate(head.key)
    try:
        packed = store.objects.get(store.trash_key(store.sidecar_key(where.study, where.series, where.pack_id)))
        table = sidecar.table_of(packed)
        if table is None:
            table = store.objects.get(store.trash_key(store.table_key(where.study, where.series, where.pack_id)))
        return {row.sop_instance_uid: row.arrival for row in instance_table.decode(table) if row.arrival}
    except (ObjectNotFoundError, PackError):
        return {}  # one that never was in the index has none


def _removed_by(
    removals: Removals, series: Uid | None, instance: Uid | None, its_series: Uid, its_uid: Uid, arrival: str
) -> bool:
    """Was it a removal at the level asked for, or a wider one, that took it, and none that is narrower?"""
    if not arrival <= removals.of(its_series, its_uid):
        return False
    narrower = [] if instance else [removals.of_instances(its_series).get(its_uid, "")]
    if series is None:
        narrower.append(removals.series.get(its_series, ""))
    return all(arrival > until for until in narrower)


def _members(workspace: Workspace, head: ObjectHead) -> Iterator[_Member]:
    objects = workspace.store.objects
    if head.size > grammar.MAX_BYTES:  # one instance larger than a pack
        from maypacs.large import first_part

        start = objects.get(head.key, length=1024)
        part, location = first_part(start, head.size), _LOCATION.search(start)
        if part and location:
            yield _Member(uid(location[1].decode()), *part)
        return
    try:
        parts = grammar.scan_pack(objects.get(head.key), limits=False).parts
    except (PackError, ObjectNotFoundError):
        return
    for each in parts:
        yield _Member(each.uids[2], each.offset, each.length)


def _take(workspace: Workspace, arrival: str, head: ObjectHead, members: list[_Member], effects: Effects) -> int:
    """How many came back: what lay in several packs of the trash counts once."""
    from maypacs.ingest import take, take_large
    from maypacs.large import LargeSource

    objects = workspace.store.objects
    if head.size > grammar.MAX_BYTES:
        (member,) = members
        source = LargeSource(objects, head.key, head.etag, member.offset, member.length)
        return int(take_large(workspace, arrival, source, effects).result != "duplicate")
    body = objects.get(head.key)
    files = [
        (body[member.offset : member.offset + member.length], str(number)) for number, member in enumerate(members, 1)
    ]
    outcomes = take(workspace, arrival, files, effects=effects)
    return sum(outcome.result != "duplicate" for outcome in outcomes)


def _forget(workspace: Workspace, head: ObjectHead, restored: int) -> None:
    """Out of the trash, when all of the pack has come back; the pack last, for a repetition begins with it."""
    store = workspace.store
    location = store.locate(head.key)
    if restored < sum(1 for _ in _members(workspace, head)):
        return
    where = location.study, location.series, location.pack_id
    for key in (store.sidecar_key(*where), store.table_key(*where)):
        store.objects.delete(store.trash_key(key))
    store.objects.delete(head.key)
