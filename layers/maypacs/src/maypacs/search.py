"""The Search transaction (QIDO-RS, PS3.18 10.6): studies, series and instances of one archive, newest first.

Its cost is bounded by the answer, not by the archive: `maypacs.index.plans` reads at most `MAX_EXAMINED` rows beyond
the offset to find candidates, `LOOK_AHEAD` of them beyond the page to say how many more there are. Order: date, time
and UID of the study, descending (studies without a date last, by arrival); within a study series by (SeriesNumber,
UID), instances by (InstanceNumber, UID). While others store, a walk of pages may repeat a row but loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from maypacs.errors import TooLargeError
from maypacs.index.candidates import Candidate, verify
from maypacs.index.matching import Match, is_private, matches_all
from maypacs.index.plans import study_candidates
from maypacs.index.reading import MAX_EXAMINED, Bounded, Reader
from maypacs.index.rows import Attributes, SeriesSummary, StudySummary, study_pk
from maypacs.index.summaries import number
from maypacs.index.table import Consumed
from maypacs.query import MODALITIES_IN_STUDY, MODALITY, SERIES_KEYS, STUDY_KEYS, Query
from maypacs.search_instances import InstanceHit, instance_hits
from maypacs.search_items import AVAILABILITY, ONLINE, SERIES_UID, SOP_CLASS, SOP_CLASSES, STUDY_UID, Items
from maypacs.uids import Uid
from maypacs.workspace import Workspace

#: How far a search looks beyond its page to count what else there is: exact up to this number, "at least" beyond.
LOOK_AHEAD = 100
#: Rows that counting may examine; beyond it one more match is looked for, and "at least" is said.
AHEAD_EXAMINED = 500
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SearchResult:
    items: tuple[Attributes, ...]  #: DICOM JSON; RetrieveURL is a path below the archive's DICOMweb root
    additional: int  #: matches that can still be asked for
    additional_is_exact: bool
    cursor: str | None  #: studies only: `Query.after` of the next page; None when this was the last
    warnings: tuple[str, ...]
    consumed: Consumed = field(default_factory=Consumed)

    @property
    def figures(self) -> dict[str, float]:
        """What it cost, for the log."""
        return {**_figures(self.consumed), "found": len(self.items)}

    @property
    def warning(self) -> str | None:
        """The text of one ``Warning: 299 <service>: `` header, None when there is nothing to warn of."""
        return "; ".join(self.warnings) or None


def search(workspace: Workspace, query: Query) -> SearchResult:
    """Raises TooLargeError, naming what to add, when the bound was reached before anything was found."""
    return {"study": search_studies, "series": search_series, "instance": search_instances}[query.level](
        workspace, query
    )


def search_studies(workspace: Workspace, query: Query) -> SearchResult:
    reader = _reader(workspace, query)
    keys, deep = study_keys(query), _private_keys(query)
    wanted = query.offset + query.limit + LOOK_AHEAD + 1
    found = study_candidates(reader, workspace.archive_id, keys, after=query.after, first_read=wanted)
    candidates = Bounded(_holding(workspace, reader, keys, deep, found) if deep else found)
    page: list[Candidate] = []
    _skip(candidates, query.offset)
    while len(page) < query.limit and (batch := list(islice(candidates, query.limit - len(page)))):
        page += verify(reader, workspace.archive_id, keys, batch)
    more, exact = _look_ahead(candidates, reader)
    presented = Items(query)
    items = []
    for study in (candidate.row for candidate in page if candidate.row):
        dataset = _any_dataset(workspace, reader, study, deep) if presented.needs_dataset else None
        items.append(presented.study(study, dataset))
    result = _result(query, items, more, exact, candidates.cut, reader)
    return replace(result, cursor=page[-1].order if page and (more or candidates.cut) else None)


def search_series(workspace: Workspace, query: Query) -> SearchResult:
    reader = _reader(workspace, query)
    deep = _private_keys(query)
    presented = Items(query)
    hits = _series_hits(workspace, reader, query)
    if deep:
        hits = (hit for hit in hits if _instance_of(workspace, reader, *hit, deep) is not None)

    def present(hit: tuple[StudySummary, SeriesSummary]) -> Attributes:
        study, series = hit
        found = _instance_of(workspace, reader, study, series, deep) if presented.needs_dataset else None
        return presented.series(series, study, found.dataset() if found else None)

    return _page(query, reader, hits, present)


def search_instances(workspace: Workspace, query: Query) -> SearchResult:
    reader = _reader(workspace, query)
    presented = Items(query)

    def hits() -> Iterator[InstanceHit]:
        keys = [key for key in query.matches if key.path[0] not in STUDY_KEYS | SERIES_KEYS]
        for study, series in _series_hits(workspace, reader, query):
            yield from instance_hits(workspace, reader, study, series, keys)

    return _page(query, reader, hits(), lambda hit: hit.item(presented))


def _private_keys(query: Query) -> list[Match]:
    """Private attributes have no level and no row keeps them: instances are looked at."""
    return [key for key in query.matches if is_private(key.path[0])]


def _holding(
    workspace: Workspace, reader: Reader, keys: Sequence[Match], deep: Sequence[Match], found: Iterator[Candidate]
) -> Iterator[Candidate]:
    """The candidates of which an instance matches the private keys, verified."""
    while batch := list(islice(found, 10)):
        for candidate in verify(reader, workspace.archive_id, keys, batch):
            if candidate.row and _any_dataset(workspace, reader, candidate.row, deep) is not None:
                yield candidate
            else:
                reader.drop(1)


def _any_dataset(
    workspace: Workspace, reader: Reader, study: StudySummary, keys: Sequence[Match]
) -> Mapping[str, Any] | None:
    """The first instance of a study that matches."""
    for series in _series_of(workspace, reader, study.study_instance_uid):
        found = _instance_of(workspace, reader, study, series, keys)
        if found is not None:
            return found.dataset()
    return None


def _instance_of(
    workspace: Workspace, reader: Reader, study: StudySummary, series: SeriesSummary, keys: Sequence[Match]
) -> InstanceHit | None:
    return next(instance_hits(workspace, reader, study, series, keys), None)


def _reader(workspace: Workspace, query: Query) -> Reader:
    return Reader(workspace.table, MAX_EXAMINED + query.offset)


def study_keys(query: Query) -> list[Match]:
    """The keys that choose studies: those of studies, and what those of series and instances say about their study."""
    keys = [key for key in query.matches if key.path[0] in STUDY_KEYS]
    for key in query.matches:
        if key.empty:
            continue  # one series without it says nothing of the others
        if key.path == (MODALITY,):
            keys.append(Match((MODALITIES_IN_STUDY,), key.value, "CS"))
        elif key.path == (SOP_CLASS,):
            keys.append(Match((SOP_CLASSES,), key.value, "UI"))
    if query.study is not None:
        keys.append(Match((STUDY_UID,), query.study, "UI"))
    return keys


def _series_hits(workspace: Workspace, reader: Reader, query: Query) -> Iterator[tuple[StudySummary, SeriesSummary]]:
    """Series, read consistently, of verified studies; each study counts as examined by its series."""
    keys = study_keys(query)
    series_keys = [key for key in query.matches if key.path[0] in SERIES_KEYS - STUDY_KEYS]
    if query.series is not None:
        series_keys.append(Match((SERIES_UID,), query.series, "UI"))
    wanted = min(query.offset + query.limit, 50)
    candidates = study_candidates(reader, workspace.archive_id, keys, after=query.after, first_read=wanted)
    while batch := list(islice(candidates, 20)):
        for candidate in verify(reader, workspace.archive_id, keys, batch):
            if candidate.row is not None:
                for series in _series_of(workspace, reader, candidate.study):
                    if matches_all(_searchable(series), series_keys):
                        yield candidate.row, series


def _series_of(workspace: Workspace, reader: Reader, study: Uid) -> list[SeriesSummary]:
    pk = study_pk(workspace.archive_id, study)
    rows = reader.rows(pk, prefix="1#", consistent=True, chunk=100)
    found = [SeriesSummary.from_item(row) for row in rows]
    return sorted(found, key=lambda each: (number(each.attributes, "00200011"), each.series_instance_uid))


def _searchable(series: SeriesSummary) -> Attributes:
    return series.attributes | {
        MODALITY: {"vr": "CS", "Value": [series.modality]},
        SERIES_UID: {"vr": "UI", "Value": [series.series_instance_uid]},
        "00201209": {"vr": "IS", "Value": [series.number_of_instances]},
        AVAILABILITY: ONLINE,
    }


def _page(query: Query, reader: Reader, hits: Iterator[_T], present: Callable[[_T], Attributes]) -> SearchResult:
    bounded = Bounded(hits)
    _skip(bounded, query.offset)
    items = [present(hit) for hit in islice(bounded, query.limit)]
    more, exact = _look_ahead(bounded, reader)
    return _result(query, items, more, exact, bounded.cut, reader)


def _look_ahead(hits: Bounded[_T], reader: Reader) -> tuple[int, bool]:
    """How many more there are, and whether that is exact: it is not worth more rows than `AHEAD_EXAMINED`."""
    left, more = reader.left, 0
    for _ in hits:
        more += 1
        if more > LOOK_AHEAD or left - reader.left > AHEAD_EXAMINED:
            return min(more, LOOK_AHEAD), False
    return more, not hits.cut


def _skip(hits: Iterator[_T], count: int) -> None:
    for _ in islice(hits, count):
        pass


def _result(
    query: Query, items: Sequence[Attributes], more: int, exact: bool, cut: bool, reader: Reader
) -> SearchResult:
    if cut and not items:
        raise TooLargeError(
            f"after {MAX_EXAMINED} rows nothing was found yet: add a StudyInstanceUID, PatientID or AccessionNumber, "
            "a range of StudyDate, or more of the name",
            figures=_figures(reader.consumed),
        )
    warnings = list(query.warnings)
    if cut:
        warnings.append(f"only the newest {MAX_EXAMINED} rows were examined; add a range of StudyDate to see the rest")
    elif more:
        at_least = "" if exact else "at least "
        warnings.append(f"There are {at_least}{more} additional results that can be requested")
    return SearchResult(tuple(items), more, exact, None, tuple(warnings), reader.consumed)


def _figures(cost: Consumed) -> dict[str, float]:
    return {"read_units": cost.read_units, "examined": cost.examined, "requests": cost.requests}
