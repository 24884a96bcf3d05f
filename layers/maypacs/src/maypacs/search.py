"""The Search transaction (QIDO-RS, PS3.18 10.6): studies, series and instances of one archive, newest first.

Its cost is bounded by the answer, not by the archive: `maypacs.index.plans` reads at most `MAX_EXAMINED` rows beyond
the offset to find candidates, `LOOK_AHEAD` of them beyond the page to say how many more there are. Order: date, time
and UID of the study, descending (studies without a date last, by arrival); within a study series by (SeriesNumber,
UID), instances by (InstanceNumber, UID). While others store, a walk of pages may repeat a row but loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from maypacs import search_items
from maypacs.errors import TooLargeError
from maypacs.index.matching import Match, matches_all
from maypacs.index.plans import Candidate, study_candidates, verify
from maypacs.index.reading import MAX_EXAMINED, Bounded, Reader
from maypacs.index.rows import Attributes, SeriesSummary, StudySummary, study_pk
from maypacs.index.summaries import number
from maypacs.index.table import Consumed
from maypacs.query import MODALITIES_IN_STUDY, MODALITY, SERIES_KEYS, STUDY_KEYS, Query
from maypacs.search_instances import InstanceHit, instance_hits
from maypacs.uids import Uid
from maypacs.workspace import Workspace

#: How far a search looks beyond its page to count what else there is: exact up to this number, "at least" beyond.
LOOK_AHEAD = 100
#: An offset above this starts from where an earlier page of the same query ended, when this process remembers it.
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
    keys = study_keys(query)
    wanted = query.offset + query.limit + LOOK_AHEAD + 1
    candidates = Bounded(study_candidates(reader, workspace.archive_id, keys, after=query.after, first_read=wanted))
    found: list[Candidate] = []
    _skip(candidates, query.offset)
    while len(found) < query.limit and (batch := list(islice(candidates, query.limit - len(found)))):
        found += verify(reader, workspace.archive_id, keys, batch)
    more = sum(1 for _ in islice(candidates, LOOK_AHEAD + 1))
    items = [search_items.study_item(candidate.row, query) for candidate in found if candidate.row]
    result = _result(query, items, more, candidates.cut, reader)
    return replace(result, cursor=found[-1].order if found and (more or candidates.cut) else None)


def search_series(workspace: Workspace, query: Query) -> SearchResult:
    reader = _reader(workspace, query)
    hits = _series_hits(workspace, reader, query)
    return _page(query, reader, hits, lambda hit: search_items.series_item(hit[1], hit[0], query))


def search_instances(workspace: Workspace, query: Query) -> SearchResult:
    reader = _reader(workspace, query)

    def hits() -> Iterator[InstanceHit]:
        keys = [key for key in query.matches if key.path[0] not in STUDY_KEYS | SERIES_KEYS]
        for study, series in _series_hits(workspace, reader, query):
            yield from instance_hits(workspace, reader, study, series, keys)

    return _page(query, reader, hits(), lambda hit: hit.item(query))


def _reader(workspace: Workspace, query: Query) -> Reader:
    return Reader(workspace.table, MAX_EXAMINED + query.offset)


def study_keys(query: Query) -> list[Match]:
    """The keys that choose studies: those of studies, and what those of series and instances say about their study."""
    keys = [key for key in query.matches if key.path[0] in STUDY_KEYS]
    for key in query.matches:
        if key.path == (MODALITY,):
            keys.append(Match((MODALITIES_IN_STUDY,), key.value, "CS"))
        elif key.path == (search_items.SOP_CLASS,):
            keys.append(Match((search_items.SOP_CLASSES,), key.value, "UI"))
    if query.study is not None:
        keys.append(Match((search_items.STUDY_UID,), query.study, "UI"))
    return keys


def _series_hits(workspace: Workspace, reader: Reader, query: Query) -> Iterator[tuple[StudySummary, SeriesSummary]]:
    """Series, read consistently, of verified studies; each study counts as examined by its series."""
    keys = study_keys(query)
    series_keys = [key for key in query.matches if key.path[0] in SERIES_KEYS - STUDY_KEYS]
    if query.series is not None:
        series_keys.append(Match((search_items.SERIES_UID,), query.series, "UI"))
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
        search_items.SERIES_UID: {"vr": "UI", "Value": [series.series_instance_uid]},
        "00201209": {"vr": "IS", "Value": [series.number_of_instances]},
    }


def _page(query: Query, reader: Reader, hits: Iterator[_T], present: Callable[[_T], Attributes]) -> SearchResult:
    bounded = Bounded(hits)
    _skip(bounded, query.offset)
    items = [present(hit) for hit in islice(bounded, query.limit)]
    more = sum(1 for _ in islice(bounded, LOOK_AHEAD + 1))
    return _result(query, items, more, bounded.cut, reader)


def _skip(hits: Iterator[_T], count: int) -> None:
    for _ in islice(hits, count):
        pass


def _result(query: Query, items: Sequence[Attributes], more: int, cut: bool, reader: Reader) -> SearchResult:
    if cut and not items:
        raise TooLargeError(
            f"after {MAX_EXAMINED} rows nothing was found yet: add a StudyInstanceUID, PatientID or AccessionNumber, "
            "a range of StudyDate, or more of the name"
        )
    warnings = list(query.warnings)
    exact = not cut and more <= LOOK_AHEAD
    more = min(more, LOOK_AHEAD)
    if cut:
        warnings.append(f"only the newest {MAX_EXAMINED} rows were examined; add a range of StudyDate to see the rest")
    elif more:
        at_least = "" if exact else "at least "
        warnings.append(f"There are {at_least}{more} additional results that can be requested")
    return SearchResult(tuple(items), more, exact, None, tuple(warnings), reader.consumed)
