"""Erasure: every copy of a study, a series or an instance is destroyed, and what was done is proven (protocols §4).

It begins as a deletion whose tombstone refuses whatever comes (`delete.remove`, mode *erased*): from then on nobody
sees it, and what is uploaded of it is dropped. The rest is done by the housekeeper, in rounds, for it alone may delete
versions: each round takes out of index and packs what a late delivery left, writes down what it finds (an immutable
record, before anything goes), and destroys it. Whatever was under way when it was decided has ended after
`SETTLE_SECONDS`; a round after which nothing is listed any more is then the last one, and writes the proof. A
repetition after a crash finds what is left. Records and proof name keys, UIDs and digests, and no patient.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from maypacs import arrivals, decisions, erasures
from maypacs.archive import sidecar
from maypacs.delete import remove, sweep
from maypacs.erasures import Erasure
from maypacs.errors import BadRequestError, ConflictError, ObjectNotFoundError, PackError
from maypacs.exports import drop_exports
from maypacs.holds import LONGEST_REASON, pass_gate
from maypacs.index import cascade
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.removals import read_removals
from maypacs.index.rows import SCHEMA_VERSION, study_pk
from maypacs.pack import grammar, instance_table
from maypacs.remains import Obstacle, Remain, Target, remains, unsearchable, waiting_since
from maypacs.uids import Uid
from maypacs.workspace import Workspace

#: Longer than anything may last that began before the decision: a bulk delivery has 15 minutes.
SETTLE_SECONDS = 20 * 60
#: What storage's clock and ours may differ by.
_CLOCKS = timedelta(minutes=1)
_BATCH = 50
_PASSES = 3


def erase(
    workspace: Workspace,
    study: Uid,
    series: Uid | None,
    instance: Uid | None,
    *,
    by: str,
    reason: str,
    effects: Effects = DEFAULT_EFFECTS,
) -> Erasure:
    """Decides it, and takes it out of sight. What is being erased, or was, gives the same erasure again.

    Raises NotFoundError, BadRequestError without a reason, ConflictError when it is held.
    """
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise BadRequestError(f"reason: 1 to {LONGEST_REASON} characters are needed")
    decided = remove(workspace, study, series, instance, by, mode=decisions.ERASED, reason=reason, effects=effects)
    return erasures.find(workspace, decided)


def carry_on(workspace: Workspace, *, effects: Effects = DEFAULT_EFFECTS) -> dict[str, int]:
    """A round of everything that is to be erased in an archive. Returns how many are done, and how many wait."""
    done = {"erased": 0, "erasing": 0}
    for erasure in list(erasures.erasures(workspace.table, workspace.archive_id)):
        if erasure.state == erasures.PENDING:
            done["erased" if carry_out(workspace, erasure, effects=effects) else "erasing"] += 1
    return done


def carry_out(workspace: Workspace, erasure: Erasure, *, effects: Effects = DEFAULT_EFFECTS) -> bool:
    """One round; True when it is proven. What it waits for is in its row."""
    target = Target(erasure.study, erasure.series, erasure.instance)
    removals = read_removals(workspace.table, study_pk(workspace.archive_id, target.study))
    if not removals.is_refused(target.series, target.instance):
        erasures.waits(workspace, erasure, "lifted")
        return False
    try:
        pass_gate(workspace, target.study, target.series, target.instance, effects=effects)
    except ConflictError:
        erasures.waits(workspace, erasure, "hold")
        return False
    began = datetime.fromtimestamp(effects.clock(), UTC)
    sweep(workspace, target.study, target.series, effects=effects)
    drop_exports(workspace.store, target.study)
    for _ in range(_PASSES):  # what is left of an object may be the mark of its deletion: that goes in the next pass
        found = list(remains(workspace, target, began))
        going = [each for each in found if isinstance(each, Remain)]
        if not going:
            break
        _destroy(workspace, erasure, target, going)
    obstacles = [each.why for each in found if isinstance(each, Obstacle)] + ["more" for _ in going]
    decided = datetime.fromisoformat(erasure.at)
    obstacles += [each.why for each in waiting_since(workspace.store, decided + _CLOCKS)]
    if (began - decided).total_seconds() < SETTLE_SECONDS:
        obstacles.append("settling")
    if obstacles:
        erasures.waits(workspace, erasure, obstacles[0])
        return False
    cutoff = max(row.cutoff for row in removals.rows.values())
    _prove(workspace, erasure, target, began, max(cutoff, arrivals.ulid_at(began.timestamp())), effects)
    return True


def lift(
    workspace: Workspace,
    study: Uid,
    series: Uid | None,
    instance: Uid | None,
    *,
    by: str,
    reason: str = "",
    effects: Effects = DEFAULT_EFFECTS,
) -> None:
    """What was refused at this level is taken again from now on. Raises ConflictError: it is not refused here, or the
    erasure is not done."""
    pk = study_pk(workspace.archive_id, study)
    row = read_removals(workspace.table, pk).rows.get(tuple(each for each in (series, instance) if each))
    if row is None or not row.is_refused:
        raise ConflictError("nothing is refused at this level")
    if row.is_erased and erasures.find(workspace, row.erasing).state != erasures.DONE:
        raise ConflictError("it is being erased: lift the refusal when that is proven")
    decisions.decide_lift(workspace, study, series, instance, by=by, now=effects.clock(), reason=reason)


# Destroying.


def _destroy(workspace: Workspace, erasure: Erasure, target: Target, going: Sequence[Remain]) -> None:
    for start in range(0, len(going), _BATCH):
        batch = going[start : start + _BATCH]
        for each in batch:
            if each.others:
                _keep_others(workspace, target, each)
        _record(workspace, erasure, batch)
        for each in batch:
            workspace.store.objects.delete_version(each.version.key, each.version.version_id)


def _record(workspace: Workspace, erasure: Erasure, batch: Sequence[Remain]) -> None:
    """Before it goes: a crash in between finds the rest and records it again, under the same name or another."""
    found = [
        {
            "key": each.version.key,
            "version": each.version.version_id,
            "marker": each.version.is_marker,
            "bytes": each.version.size,
            "sha256": each.sha256,
            "instances": list(each.instances),
        }
        for each in batch
    ]
    name = hashlib.sha256("\n".join(f"{each['key']} {each['version']}" for each in found).encode()).hexdigest()[:16]
    document = {"v": SCHEMA_VERSION, "kind": "erased", "erasure": erasure.erasure_id, "study": erasure.study}
    workspace.store.put_decision(f"erasure-{erasure.erasure_id}-{name}", document | {"found": found})


def _keep_others(workspace: Workspace, target: Target, remain: Remain) -> None:
    """A pack of the trash anew without what is erased; a restoration finds the others there."""
    store = workspace.store
    if not remain.version.is_latest:
        return  # its successor was written before
    try:
        body, head = store.objects.get_with_head(remain.version.key)
        parts = grammar.scan_pack(body, limits=False).parts
    except (ObjectNotFoundError, PackError):
        return
    kept = [position for position, part in enumerate(parts) if part.uids[2] != target.instance]
    place = store.locate(remain.version.key)
    instances = [
        grammar.Instance(
            body[part.offset : part.offset + part.length], part.transfer_syntax_uid, *_place(part, place.study)
        )
        for part in (parts[position] for position in kept)
    ]
    plan = grammar.plan_pack(instances, archive_id=workspace.archive_id, secret=store.pack_secret)
    metadata = {
        **head.metadata,
        "boundary": plan.boundary,
        "joinable": "1" if plan.joinable else "0",
    }
    pack_id = plan.digest_id()
    with suppress(ObjectNotFoundError, PackError):
        _keep_sidecar(workspace, place.study, place.series, place.pack_id, pack_id, kept, plan)
    store.objects.put(
        store.trash_key(store.pack_key(place.study, place.series, pack_id)),
        b"".join(plan.chunks),
        content_type=grammar.CONTENT_TYPE.format(plan.boundary),
        metadata=metadata,
    )


def _place(part: grammar.Part, study: Uid) -> tuple[Uid, Uid, Uid]:
    _, series, instance = part.uids
    return study, series, instance


def _keep_sidecar(
    workspace: Workspace, study: Uid, series: Uid, old: str, new: str, kept: Sequence[int], plan: grammar.PackPlan
) -> None:
    """What the trash knows of the instances that stay: when each of them arrived. Raises ObjectNotFoundError."""
    store = workspace.store
    known = sidecar.decode(store.objects.get(store.trash_key(store.sidecar_key(study, series, old))))
    table = known.table
    if table is None:
        table = store.objects.get(store.trash_key(store.table_key(study, series, old)))
    rows = instance_table.decode(table)
    moved = [
        dataclasses.replace(rows[position], offset=part.offset) for position, part in zip(kept, plan.parts, strict=True)
    ]
    encoded = instance_table.encode(moved)
    if len(encoded) > sidecar.TABLE_LIMIT:
        store.objects.put(store.trash_key(store.table_key(study, series, new)), encoded)
    facts = {**known.facts, "size": plan.size, "boundary": plan.boundary, "joinable": plan.joinable}
    store.objects.put(
        store.trash_key(store.sidecar_key(study, series, new)),
        sidecar.encode(
            [known.datasets[position] for position in kept],
            facts,
            encoded if len(encoded) <= sidecar.TABLE_LIMIT else None,
        ),
        content_type="application/dicom+json",
        content_encoding="gzip",
    )


# The proof.


def proof_name(erasure_id: str) -> str:
    return f"erasure-{erasure_id}"


def _prove(workspace: Workspace, erasure: Erasure, target: Target, now: datetime, until: str, effects: Effects) -> None:
    """``until``: nothing that arrived up to then is there; what arrives after a lift is something else."""
    found = _records(workspace, erasure.erasure_id)
    document: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "kind": erasures.PROOF,
        "erasure": erasure.erasure_id,
        "study": erasure.study,
        "by": erasure.by,
        "at": erasure.at,
        "finished": now.isoformat(timespec="seconds"),
        "until": until,
        "destroyed": len(found),
        "bytes": sum(each["bytes"] for each in found.values()),
        "instances": sorted({uid for each in found.values() for uid in each["instances"]}),
        "listed_again": 0,
        "not_searched": unsearchable(workspace.store),
    }
    levels = {"series": target.series, "instance": target.instance}
    document |= {level: value for level, value in levels.items() if value}
    held = workspace.store.put_decision(proof_name(erasure.erasure_id), document)
    decisions.apply_proof(workspace, held)
    # 404 where 410 was, also for those who remember the series.
    walked = [target.series] if target.series else []
    arbiter = partial(decisions.arbitrate, workspace)
    cascade.walk(workspace, target.study, walked, arbiter=arbiter, effects=effects, touch=True)


def proof(workspace: Workspace, erasure_id: str) -> Mapping[str, Any]:
    """What was found and destroyed so far, and the proof once there is one. Raises NotFoundError."""
    erasure = erasures.find(workspace, erasure_id)
    found = sorted(_records(workspace, erasure_id).values(), key=lambda each: (each["key"], each["version"]))
    document: Mapping[str, Any] | None = None
    with suppress(ObjectNotFoundError):
        document = workspace.store.get_decision(proof_name(erasure_id))
    return {**dataclasses.asdict(erasure), "proof": document, "found": found}


def _records(workspace: Workspace, erasure_id: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Everything that was written down before it went, each once."""
    documents = workspace.store.decisions(f"{proof_name(erasure_id)}-")
    return {(each["key"], each["version"]): each for document in documents for each in document["found"]}
