"""Instances of one series for a search: from its instance tables, and from the sidecars only what must be looked at.

A sidecar has one instance a line, in pack order: a page without keys of instances parses its own lines and no others.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from maypacs import search_items
from maypacs.errors import GoneError, NotFoundError
from maypacs.index.contents import InstanceRef, series_contents
from maypacs.index.matching import Match, matches_all, text_matches
from maypacs.index.pack_rows import PackHead
from maypacs.index.reading import Reader
from maypacs.index.rows import Attributes, SeriesSummary, StudySummary, pack_head_prefix, study_pk
from maypacs.pack.instance_table import uid_hash
from maypacs.workspace import Workspace

Dataset = dict[str, Any]
#: A sidecar that is opened counts as so many rows examined: some milliseconds of storage.
SIDECAR_WEIGHT = 25


@dataclass(frozen=True, slots=True)
class InstanceHit:
    reference: InstanceRef
    study: StudySummary
    series: SeriesSummary
    dataset: Callable[[], Dataset]

    def item(self, items: search_items.Items) -> Attributes:
        return items.instance(self.dataset(), self.reference.sop_instance_uid, self.series, self.study)


def instance_hits(
    workspace: Workspace, reader: Reader, study: StudySummary, series: SeriesSummary, keys: Sequence[Match]
) -> Iterator[InstanceHit]:
    """The current instances of a series that match, by (InstanceNumber, UID)."""
    wanted = next((key.uids for key in keys if key.path == (search_items.SOP_INSTANCE,)), None)
    if wanted is not None and not _may_hold(workspace, reader, series, wanted):
        return
    try:
        contents = series_contents(workspace, series.study_instance_uid, series.series_instance_uid)
    except (NotFoundError, GoneError):  # deleted since its row was read
        return
    lines = _Lines(workspace, reader)
    told = [(_TELLS[key.path], key) for key in keys if key.path in _TELLS and not key.empty]
    rest = [key for key in keys if key.path not in _TELLS or key.empty]
    only = None if wanted is None else frozenset(wanted)
    for reference in contents.instances:
        if only is not None and reference.sop_instance_uid not in only:
            continue
        if not all(tells(reference, key) for tells, key in told):
            continue
        hit = InstanceHit(reference, study, series, lambda reference=reference: lines.dataset(reference))  # type: ignore[misc]
        if not rest or matches_all(hit.dataset(), rest):
            yield hit


def _may_hold(workspace: Workspace, reader: Reader, series: SeriesSummary, instances: Sequence[str]) -> bool:
    """Whether the heads of the series' packs leave it possible; no instance table is opened for that."""
    wanted = {uid_hash(each) for each in instances}
    pk = study_pk(workspace.archive_id, series.study_instance_uid)
    for row in reader.rows(pk, prefix=pack_head_prefix(series.series_instance_uid), consistent=True, chunk=64):
        hashes = PackHead.from_item(row).hashes
        if hashes is None or hashes & wanted:
            return True
    return False


#: Keys that an instance table tells; of thousands of instances, so without a data set made for it.
_TELLS: dict[tuple[str, ...], Callable[[InstanceRef, Match], bool]] = {
    (search_items.SOP_CLASS,): lambda reference, key: reference.sop_class_uid in key.uids,
    (search_items.SOP_INSTANCE,): lambda reference, key: reference.sop_instance_uid in key.uids,
    ("00200013",): lambda reference, key: text_matches(reference.instance_number, key.value),
}


class _Lines:
    """The sidecars of one series, each fetched once and kept as lines; a line is parsed when it is asked for."""

    def __init__(self, workspace: Workspace, reader: Reader) -> None:
        self._workspace = workspace
        self._reader = reader
        self._packs: dict[str, list[bytes]] = {}

    def dataset(self, reference: InstanceRef) -> Dataset:
        lines = self._packs.get(reference.pack_id)
        if lines is None:
            self._reader.drop(SIDECAR_WEIGHT)
            packed = self._workspace.store.get_sidecar(
                reference.study_instance_uid, reference.series_instance_uid, reference.pack_id
            )
            lines = self._packs[reference.pack_id] = gzip.decompress(packed).split(b"\n")[1:-2]
        dataset: Dataset = orjson.loads(lines[reference.position].rstrip(b","))
        return dataset
