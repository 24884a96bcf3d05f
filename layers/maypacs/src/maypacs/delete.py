"""DELETE of a study, mode *removed* (protocols: decisions; an extension of DICOMweb).

Decision object → tombstone row → series, study and hint rows out of the index → objects into the trash → pack rows
gone. Answered only then; a repeat finishes what a crash left. Arrivals up to the cut-off are ignored for ever.
"""

from __future__ import annotations

from functools import partial

from maypacs import arrivals, decisions
from maypacs.errors import GoneError, NotFoundError, ObjectNotFoundError
from maypacs.index import cascade, series_rows
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.index.pack_rows import PackHead, choice_prefix
from maypacs.index.rows import instance_table_sk, pack_head_prefix, study_pk
from maypacs.uids import Uid
from maypacs.workspace import Workspace


def delete_study(workspace: Workspace, study: Uid, principal: str, *, effects: Effects = DEFAULT_EFFECTS) -> None:
    """Raises NotFoundError; GoneError when it was deleted before (what was left of it, is gone then too)."""
    pk = study_pk(workspace.archive_id, study)
    removed_until = series_rows.cutoff(workspace.table, pk)
    heads = [PackHead.from_item(item) for item in series_rows.query_all(workspace.table, pk, pack_head_prefix())]
    if not any(head.arrival > removed_until for head in heads):
        if not removed_until:
            raise NotFoundError("no such study")
        sweep(workspace, study, removed_until, effects=effects)
        raise GoneError("this study was deleted")
    now = effects.clock()
    # A clock of another machine may be ahead: what is seen is removed, whatever its arrival.
    until = max(arrivals.ulid_at(now), *(head.arrival for head in heads))
    removed_until = decisions.decide_removal(workspace, study, until, by=principal, now=now)
    sweep(workspace, study, removed_until, effects=effects)


def sweep(workspace: Workspace, study: Uid, removed_until: str, *, effects: Effects = DEFAULT_EFFECTS) -> None:
    """Takes everything that arrived up to the cut-off out of index and archive. Can be repeated, and finishes."""
    pk = study_pk(workspace.archive_id, study)
    heads = [PackHead.from_item(item) for item in series_rows.query_all(workspace.table, pk, pack_head_prefix())]
    series = {Uid(item["sk"].removeprefix("1#")) for item in series_rows.query_all(workspace.table, pk, "1#")}
    series |= {head.series_instance_uid for head in heads}
    cascade.walk(workspace, study, series, arbiter=partial(decisions.arbitrate, workspace), effects=effects)
    removed = {(head.series_instance_uid, head.pack_id) for head in heads if head.arrival <= removed_until}
    living = {head.series_instance_uid for head in heads if head.arrival > removed_until}
    for found in list(workspace.store.study_objects(study)):
        if _is_removed(workspace, found.key, removed, living, removed_until):
            workspace.store.move_to_trash(found.key)
    for head in heads:
        if head.arrival <= removed_until:
            workspace.table.delete(pk, f"{pack_head_prefix(head.series_instance_uid)}{head.pack_id}")
            workspace.table.delete(pk, instance_table_sk(head.series_instance_uid, head.pack_id))
    for each in series - living:
        for choice in series_rows.query_all(workspace.table, pk, choice_prefix(each)):
            workspace.table.delete(pk, choice["sk"])


def _is_removed(
    workspace: Workspace, key: str, removed: set[tuple[Uid, str]], living: set[Uid], removed_until: str
) -> bool:
    """Of a pack that was removed, or of an orphan (written, never indexed) that arrived before the cut-off."""
    if key.startswith("blobs/thumbs/"):
        return Uid(key.rpartition("/")[2].removesuffix(".jpg")) not in living
    location = workspace.store.locate(key)
    if (location.series, location.pack_id) in removed:
        return True
    if location.series in living:
        return False
    pack = workspace.store.pack_key(location.study, location.series, location.pack_id)
    try:
        return workspace.store.objects.head(pack).metadata.get("arrival", "") <= removed_until
    except ObjectNotFoundError:
        return True
