"""A pack and all that goes with it: object, sidecar, rows (protocols: ingest, steps 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from maypacs.archive import sidecar
from maypacs.archive.objects import CopyRange
from maypacs.archive.store import FORMAT_VERSION
from maypacs.errors import ObjectNotFoundError, PreconditionFailedError
from maypacs.incoming import Incoming
from maypacs.index import cascade, summaries
from maypacs.index.pack_rows import HASHED_INSTANCES, TABLE_ROW_LIMIT, PackHead, life_id
from maypacs.index.removals import read_removals
from maypacs.index.rows import study_pk
from maypacs.pack import grammar, instance_table
from maypacs.pack.instance_table import InstanceRow
from maypacs.uids import Uid
from maypacs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CopySource:
    """An object in the inbox that is a pack of the grammar: if everything in it is new, storage copies it."""

    key: str
    etag: str
    pack_id: str
    boundary: str
    parts: tuple[grammar.Part, ...]
    size: int


@dataclass(frozen=True, slots=True)
class WrittenPack:
    """A pack that exists as an object, and its parts in order."""

    pack_id: str
    size: int
    boundary: str
    joinable: bool
    offsets: tuple[int, ...]


def write(workspace: Workspace, arrival: str, study: Uid, series: Uid, group: Sequence[Incoming]) -> None:
    finish(workspace, arrival, study, series, group, *_planned(workspace, study, series, group))


def write_to_trash(workspace: Workspace, arrival: str, study: Uid, series: Uid, group: Sequence[Incoming]) -> None:
    """What arrived late, of something that was removed: where the rest of it is, so that a restore finds all of it."""
    written, body = _planned(workspace, study, series, group)
    store = workspace.store
    with suppress(PreconditionFailedError):  # an earlier delivery did it, or it was there before it was removed
        store.objects.put(
            store.trash_key(store.pack_key(study, series, written.pack_id)),
            body,
            content_type=grammar.CONTENT_TYPE.format(written.boundary),
            metadata=metadata_of(arrival, written),
            only_if_absent=True,
        )


def name_of(workspace: Workspace, group: Sequence[Incoming]) -> str:
    """What a pack of these is called."""
    return _planned(workspace, group[0].study, group[0].series, group)[0].pack_id


def _planned(workspace: Workspace, study: Uid, series: Uid, group: Sequence[Incoming]) -> tuple[WrittenPack, bytes]:
    instances = [grammar.Instance(each.data, each.transfer_syntax, study, series, each.instance) for each in group]
    plan = grammar.plan_pack(instances, archive_id=workspace.archive_id, secret=workspace.store.pack_secret)
    offsets = tuple(part.offset for part in plan.parts)
    return WrittenPack(plan.digest_id(), plan.size, plan.boundary, plan.joinable, offsets), b"".join(plan.chunks)


def finish(
    workspace: Workspace,
    arrival: str,
    study: Uid,
    series: Uid,
    group: Sequence[Incoming],
    written: WrittenPack,
    body: bytes | CopySource,
) -> None:
    uids = [each.instance for each in group]
    arrival = put_object(workspace, arrival, study, series, uids, written, body)
    index_pack(workspace, arrival, study, series, group, written)


def index_pack(
    workspace: Workspace, arrival: str, study: Uid, series: Uid, group: Sequence[Incoming], written: WrittenPack
) -> None:
    """Sidecar and rows of a pack that exists as an object."""
    rows = tuple(
        InstanceRow(
            sop_instance_uid=each.instance,
            sop_class_uid=Uid(each.sop_class),
            transfer_syntax_uid=each.transfer_syntax,
            offset=offset,
            length=each.length,
            digest=each.digest,
            number_of_frames=each.number_of_frames,
            instance_number=each.instance_number,
            frame_table=each.frames,
        )
        for each, offset in zip(group, written.offsets, strict=True)
    )
    index_rows(workspace, study, series, rows, [each.dataset for each in group], facts(arrival, written), written)


def index_rows(
    workspace: Workspace,
    study: Uid,
    series: Uid,
    rows: Sequence[InstanceRow],
    datasets: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    written: WrittenPack,
) -> None:
    table = put_sidecar(workspace, study, series, rows, datasets, facts, written)
    head = head_of(workspace, study, series, facts, written.pack_id, rows, datasets, len(table))
    # A pack that replaces others says so, also where the same pack is there on its own account.
    uids = [row.sop_instance_uid for row in rows]
    cascade.put_pack_rows(workspace, head, table, uids, replace=bool(facts["replaces"]))


def put_sidecar(
    workspace: Workspace,
    study: Uid,
    series: Uid,
    rows: Sequence[InstanceRow],
    datasets: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    written: WrittenPack,
) -> bytes:
    """Returns the encoded instance table, which is in the sidecar or, when it is too large for that, beside it."""
    store = workspace.store
    table = instance_table.encode(rows)
    if len(table) > sidecar.TABLE_LIMIT:
        store.objects.put(store.table_key(study, series, written.pack_id), table)
    store.objects.put(
        store.sidecar_key(study, series, written.pack_id),
        sidecar.encode(datasets, facts, table if len(table) <= sidecar.TABLE_LIMIT else None),
        content_type="application/dicom+json",
        content_encoding="gzip",
    )
    return table


def facts(arrival: str, written: WrittenPack, replaces: Sequence[str] = ()) -> dict[str, Any]:
    """What a sidecar tells beyond data sets and table."""
    return {
        "v": int(FORMAT_VERSION),
        "arrival": arrival,
        "size": written.size,
        "boundary": written.boundary,
        "joinable": written.joinable,
        "replaces": list(replaces),
    }


def head_of(
    workspace: Workspace,
    study: Uid,
    series: Uid,
    facts: Mapping[str, Any],
    pack_id: str,
    rows: Sequence[InstanceRow],
    datasets: Sequence[Mapping[str, Any]],
    table_size: int,
) -> PackHead:
    """The head row of a pack, from its sidecar's content alone: ingest and reindex make the same."""
    hashes = sorted(instance_table.uid_hash(row.sop_instance_uid) for row in rows)
    first = min(row.arrival or facts["arrival"] for row in rows)
    return PackHead(
        archive_id=workspace.archive_id,
        study_instance_uid=study,
        series_instance_uid=series,
        pack_id=pack_id,
        arrival=facts["arrival"],
        size=facts["size"],
        instance_bytes=sum(row.length for row in rows),
        count=len(rows),
        boundary=facts["boundary"],
        joinable=facts["joinable"],
        replaces=tuple(life_id(each) for each in facts["replaces"]),
        attributes=summaries.pack_attributes(datasets),
        sop_classes=tuple(sorted({row.sop_class_uid for row in rows})),
        transfer_syntaxes=tuple(sorted({row.transfer_syntax_uid for row in rows})),
        patient_ids=summaries.distinct(datasets, summaries.PATIENT_ID),
        patient_names=summaries.distinct(datasets, summaries.PATIENT_NAME),
        accession_numbers=summaries.distinct(datasets, summaries.ACCESSION),
        uid_hashes=b"".join(hashes) if len(hashes) <= HASHED_INSTANCES else b"",
        table_in_row=table_size <= TABLE_ROW_LIMIT,
        earliest="" if first == facts["arrival"] else first,
    )


def metadata_of(arrival: str, written: WrittenPack) -> dict[str, str]:
    return {
        "arrival": arrival,
        "format": FORMAT_VERSION,
        "boundary": written.boundary,
        "joinable": "1" if written.joinable else "0",
    }


def put_object(
    workspace: Workspace,
    arrival: str,
    study: Uid,
    series: Uid,
    instances: Sequence[Uid],
    written: WrittenPack,
    body: bytes | CopySource,
) -> str:
    """Step 1. Returns the arrival of the pack: an earlier delivery of the same pack keeps its own."""
    store = workspace.store
    key = store.pack_key(study, series, written.pack_id)

    def put(only_if_absent: bool) -> None:
        content_type = grammar.CONTENT_TYPE.format(written.boundary)
        metadata = metadata_of(arrival, written)
        if isinstance(body, bytes):
            store.objects.put(key, body, content_type=content_type, metadata=metadata, only_if_absent=only_if_absent)
        else:
            store.objects.copy(
                CopyRange(body.key, bucket=store.inbox.bucket),
                key,
                content_type=content_type,
                metadata=metadata,
                source_etag=body.etag,
                only_if_absent=only_if_absent,
            )

    try:
        put(True)
    except PreconditionFailedError:
        return resume(workspace, arrival, study, series, instances, key, put)
    return arrival


def resume(
    workspace: Workspace,
    arrival: str,
    study: Uid,
    series: Uid,
    instances: Sequence[Uid],
    key: str,
    put: Callable[[bool], None],
) -> str:
    """The object exists (its name is its content): it keeps its arrival, unless what it brought was removed."""
    try:
        earlier = workspace.store.objects.head(key).metadata.get("arrival", "")
    except ObjectNotFoundError:
        earlier = ""  # it was the source that changed, or the object went: write again and let that tell
    removals = read_removals(workspace.table, study_pk(workspace.archive_id, study))
    if earlier and not removals.hit(earlier, series, instances):
        return earlier
    put(False)
    return arrival
