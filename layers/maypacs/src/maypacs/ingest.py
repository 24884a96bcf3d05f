"""Ingest: from an object in the inbox, or instances sent by STOW, to packs and the index (protocols: ingest).

A delivery may stop after any step, come twice, at once, in any order: every step can be repeated, and the inbox object
is deleted last.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from maypacs import arrivals, bundles, decisions, incoming, receipts
from maypacs.archive.objects import ObjectHead
from maypacs.archive.part_uploads import is_whole
from maypacs.archive.store import PackLocation
from maypacs.delete import sweep
from maypacs.errors import ObjectNotFoundError, PackError
from maypacs.incoming import Incoming
from maypacs.index import cascade
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.removals import Removals, read_removals
from maypacs.index.rows import study_pk
from maypacs.large import LargeSource, first_part, store_large
from maypacs.orphans import take_back
from maypacs.pack import grammar
from maypacs.pack_writer import CopySource, name_of, write_to_trash
from maypacs.packing import split, store_series
from maypacs.receipts import Outcome, Receipt, read_receipt
from maypacs.uids import Uid
from maypacs.workspace import Workspace

#: What is read into memory at once: a pack at its limit.
IN_MEMORY = grammar.MAX_BYTES


def ingest_object(
    workspace: Workspace, inbox_key: str, *, size: int | None = None, effects: Effects = DEFAULT_EFFECTS
) -> Receipt | None:
    """Takes in one object of the inbox, and deletes it. ``size`` (an event tells it) saves a request.

    None: the object is gone, and nothing is known of it but that (it was done before, or never was).
    Raises StorageError, TableError, BusyError: to be tried again.
    """
    inbox = workspace.store.inbox
    try:
        body: bytes | None = None
        if size is not None and size <= IN_MEMORY:
            body, head = inbox.get_with_head(inbox_key)
        else:
            head = inbox.head(inbox_key)
            if head.size <= IN_MEMORY:
                body, head = inbox.get_with_head(inbox_key)
        arrival = arrivals.arrival_of(head)
        receipt = Receipt.of(arrival, _take_in(workspace, arrival, head, body, effects))
    except ObjectNotFoundError:
        if _is_there(workspace, inbox_key):
            raise
        return _receipt_of_key(workspace, inbox_key)  # done by another delivery, before or meanwhile
    workspace.table.put(receipt.to_item(workspace.archive_id))
    inbox.delete(inbox_key)
    return receipt


def _take_in(
    workspace: Workspace, arrival: str, head: ObjectHead, body: bytes | None, effects: Effects
) -> list[Outcome]:
    """By kind. ``body``: None when the object is too large to be held."""
    if not is_whole(workspace.store.inbox, head, body):
        workspace.store.quarantine_inbox_object(arrival, head.key, {"reason": receipts.DAMAGED})
        return [receipts.failure(receipts.DAMAGED)]
    first = body[: arrivals.SNIFF] if body is not None else workspace.store.inbox.get(head.key, length=arrivals.SNIFF)
    kind = arrivals.kind_of(first)
    if kind in ("empty", "hl7"):
        reason = receipts.EMPTY if kind == "empty" else receipts.HL7
        workspace.store.quarantine_inbox_object(arrival, head.key, {"reason": reason, "kind": kind})
        return [receipts.failure(reason)]
    if kind == "zip" or kind == "tar":
        return _ingest_bundle(workspace, arrival, head, kind, effects)
    if body is None:
        return _ingest_large(workspace, arrival, head, kind, first, effects)
    if kind == "pack":
        return _ingest_pack(workspace, arrival, head, body, effects)
    return take(workspace, arrival, [(body, "")], quarantine=True, effects=effects)


def _is_there(workspace: Workspace, inbox_key: str) -> bool:
    try:
        workspace.store.inbox.head(inbox_key)
    except ObjectNotFoundError:
        return False
    return True


def _receipt_of_key(workspace: Workspace, inbox_key: str) -> Receipt | None:
    arrival = inbox_key.rpartition("/")[2]
    return read_receipt(workspace.table, workspace.archive_id, arrival) if arrivals.is_arrival(arrival) else None


def store_instances(
    workspace: Workspace,
    arrival: str,
    instances: Sequence[bytes | memoryview],
    *,
    expect_study: Uid | None = None,
    effects: Effects = DEFAULT_EFFECTS,
) -> list[Outcome]:
    """STOW: the outcomes in the order given. What fails is the sender's to keep: it is told, nothing is quarantined."""
    numbered = [(data, str(number)) for number, data in enumerate(instances, 1)]
    return take(workspace, arrival, numbered, expect_study=expect_study, effects=effects)


def take(
    workspace: Workspace,
    arrival: str,
    files: Sequence[tuple[bytes | memoryview, str]],
    *,
    expect_study: Uid | None = None,
    quarantine: bool = False,
    copy_from: CopySource | None = None,
    effects: Effects = DEFAULT_EFFECTS,
) -> list[Outcome]:
    """Stores Part 10 files (each with the name of its part); the outcomes in the order given."""
    outcomes: dict[int, Outcome] = {}
    series: dict[tuple[Uid, Uid], list[tuple[int, Incoming]]] = {}
    for index, (data, part) in enumerate(files):
        read = incoming.read(data, part)
        if isinstance(read, Outcome):
            outcomes[index] = read
            if quarantine:
                workspace.store.quarantine(arrival, bytes(data), {"reason": read.reason, "part": part}, part)
        elif expect_study and read.study != expect_study:
            outcomes[index] = read.outcome("failed", receipts.STUDY_MISMATCH)
        else:
            series.setdefault((read.study, read.series), []).append((index, read))
    walks: dict[Uid, dict[Uid, list[Uid]]] = {}
    removals: dict[Uid, Removals] = {}
    earlier: dict[tuple[Uid, Uid], list[str]] = {}
    for (study, each), numbered in series.items():
        if study not in removals:
            removals[study] = read_removals(workspace.table, study_pk(workspace.archive_id, study))
        gone = [(index, read) for index, read in numbered if removals[study].hit(arrival, each, [read.instance])]
        if gone:
            outcomes.update((index, _ignored(read, removals[study])) for index, read in gone)
            kept = (read for _, read in gone if not removals[study].erases(each, read.instance))
            for lot in split(sorted(kept, key=lambda read: read.order)):
                write_to_trash(workspace, arrival, study, each, lot)  # nobody else has it any more
            sweep(workspace, study, each, effects=effects)  # what an earlier try may have left
            wholes = [copy_from.pack_id] if copy_from and len(series) == 1 else []
            earlier[study, each] = [*wholes, *_packs_of(workspace, numbered), *_packs_of(workspace, gone)]
            numbered = [pair for pair in numbered if pair not in gone]
        if not numbered:
            continue
        source = copy_from if len(series) == 1 and not outcomes else None
        stored = store_series(workspace, arrival, [read for _, read in numbered], source)
        outcomes.update(zip((index for index, _ in numbered), stored, strict=True))
        walks.setdefault(study, {})[each] = [read.instance for _, read in numbered]
    for study, found in walks.items():
        _walk(workspace, arrival, study, found, effects)
    for (study, each), pack_ids in earlier.items():  # last: what they hold beside is stored by now
        take_back(workspace, arrival, [PackLocation(study, each, pack_id) for pack_id in pack_ids])
    return [outcomes[index] for index in range(len(files))]


def _packs_of(workspace: Workspace, numbered: Sequence[tuple[int, Incoming]]) -> list[str]:
    """What packs of these would be called: those that an earlier try of the same delivery may have written."""
    lots = split(sorted((read for _, read in numbered), key=lambda read: read.order))
    return [name_of(workspace, lot) for lot in lots]


def _ignored(read: Incoming, removals: Removals) -> Outcome:
    refused = removals.refuses(read.series, read.instance)
    return read.outcome("ignored", receipts.REFUSED if refused else receipts.DELETED)


def _walk(
    workspace: Workspace, arrival: str, study: Uid, written: Mapping[Uid, Sequence[Uid]], effects: Effects
) -> None:
    """``written``: the instances, by series."""
    arbiter = partial(decisions.arbitrate, workspace)
    removals = cascade.walk(workspace, study, written, arbiter=arbiter, effects=effects)
    for series, instances in written.items():
        if removals.hit(arrival, series, instances):
            # It was deleted while we wrote: what we wrote goes the same way.
            sweep(workspace, study, series, effects=effects)


def _ingest_pack(workspace: Workspace, arrival: str, head: ObjectHead, body: bytes, effects: Effects) -> list[Outcome]:
    try:
        scanned = grammar.scan_pack(body)
    except PackError:  # a multipart body of another spelling, as STOW takes it
        return _ingest_bundle(workspace, arrival, head, "pack", effects)
    files = [
        (body[part.offset : part.offset + part.length], str(number)) for number, part in enumerate(scanned.parts, 1)
    ]
    source = CopySource(head.key, head.etag, grammar.pack_id(body), scanned.boundary, scanned.parts, len(body))
    return take(workspace, arrival, files, quarantine=True, copy_from=source, effects=effects)


def _ingest_large(
    workspace: Workspace, arrival: str, head: ObjectHead, kind: str, first: bytes, effects: Effects
) -> list[Outcome]:
    """What does not fit in memory: one instance, alone or as the one part of a pack, or many in a multipart body."""
    source = LargeSource(workspace.store.inbox, head.key, head.etag, 0, head.size)
    if kind == "pack":
        rest = workspace.store.inbox.get(head.key, offset=len(first), length=1024)
        part = first_part(first + rest, head.size)
        if part is None:
            return _ingest_bundle(workspace, arrival, head, "pack", effects)
        source = LargeSource(workspace.store.inbox, head.key, head.etag, *part)
    outcome = take_large(workspace, arrival, source, effects)
    if outcome.result == "failed":
        workspace.store.quarantine_inbox_object(arrival, head.key, {"reason": outcome.reason})
    return [outcome]


def take_large(workspace: Workspace, arrival: str, source: LargeSource, effects: Effects, part: str = "") -> Outcome:
    """Stores one instance that is too large for memory."""
    outcome = store_large(workspace, arrival, source, part)
    if outcome.result not in ("failed", "ignored"):
        written = {Uid(outcome.series_instance_uid): [Uid(outcome.sop_instance_uid)]}
        _walk(workspace, arrival, Uid(outcome.study_instance_uid), written, effects)
    return outcome


def _ingest_bundle(
    workspace: Workspace, arrival: str, head: ObjectHead, kind: bundles.BundleKind, effects: Effects
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    reader = bundles.RangeReader(workspace.store.inbox, head.key, head.size, head.etag)
    try:
        for batch in _batches(workspace, arrival, bundles.members(kind, reader, head.size), outcomes, effects):
            outcomes += take(workspace, arrival, batch, quarantine=True, effects=effects)
    except bundles.BundleError as error:
        outcomes.append(receipts.failure(error.reason))
    if not outcomes:
        outcomes.append(receipts.failure(receipts.EMPTY))
    unread = {receipts.BAD_BUNDLE, receipts.BAD_PACK, receipts.TOO_LARGE, receipts.ENCRYPTED, receipts.EMPTY}
    if reasons := sorted({outcome.reason for outcome in outcomes if outcome.reason in unread}):
        # Some of it could not be read, so it could not be kept member by member: it is kept whole.
        workspace.store.quarantine_inbox_object(arrival, head.key, {"reason": reasons[0], "kind": kind})
    return outcomes


def _batches(
    workspace: Workspace,
    arrival: str,
    members: Iterator[bundles.Member],
    outcomes: list[Outcome],
    effects: Effects,
) -> Iterator[list[tuple[bytes, str]]]:
    """Members in lots of a pack's size; the large ones are stored on the way, through an object of their own.

    Raises BundleError, after the lot before it.
    """
    batch: list[tuple[bytes, str]] = []
    size = 0
    try:
        for member in members:
            if member.reason:
                outcomes.append(receipts.failure(member.reason, member.part))
                continue
            try:
                data = member.body.read(IN_MEMORY + 1)
                if len(data) > IN_MEMORY:
                    outcomes.append(_spill(workspace, arrival, member, data, effects))
                    continue
            except bundles.MemberError as error:
                outcomes.append(receipts.failure(error.reason, member.part))
                continue
            batch.append((data, member.part))
            size += len(data)
            if size >= IN_MEMORY or len(batch) >= grammar.MAX_INSTANCES:
                yield batch
                batch, size = [], 0
    except bundles.BundleError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _spill(workspace: Workspace, arrival: str, member: bundles.Member, first: bytes, effects: Effects) -> Outcome:
    objects = workspace.store.objects
    key = workspace.store.spill_key(arrival, member.part)
    body = io.BufferedReader(_Chained(first, member.body), 1024 * 1024)
    objects.put(key, body)
    head = objects.head(key)
    outcome = take_large(workspace, arrival, LargeSource(objects, key, head.etag, 0, head.size), effects, member.part)
    if outcome.result == "failed":
        workspace.store.quarantine_object(arrival, key, {"reason": outcome.reason, "part": member.part}, member.part)
    objects.delete(key)
    return outcome


class _Chained(io.RawIOBase):
    """What was read already, then the rest."""

    def __init__(self, first: bytes, rest: io.IOBase | object) -> None:
        self._first, self._rest = io.BytesIO(first), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._first.read(len(buffer)) or self._rest.read(len(buffer))  # type: ignore[union-attr]
        buffer[: len(data)] = data
        return len(data)
