"""Studies that may match, on their way from the rows that drive a search to its answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from maypacs.index import terms
from maypacs.index.matching import Match
from maypacs.index.reading import Reader
from maypacs.index.rows import STUDY_SK, StudySummary, study_pk
from maypacs.index.study_keys import study_matches
from maypacs.index.table import Item
from maypacs.uids import ArchiveId, Uid


@dataclass(frozen=True, slots=True)
class Candidate:
    order: str
    study: Uid
    row: StudySummary | None = None  #: read consistently: verified


def verify(
    reader: Reader, archive_id: ArchiveId, keys: Sequence[Match], candidates: Sequence[Candidate]
) -> list[Candidate]:
    """The candidates that are what they seem, with their rows; the others moved, changed or went meanwhile."""
    unread = [c.study for c in candidates if c.row is None]
    rows = dict(zip(unread, reader.get_all([(study_pk(archive_id, s), STUDY_SK) for s in unread]), strict=True))
    kept = []
    for candidate in candidates:
        if candidate.row is None:
            item = rows[candidate.study]
            if item is None or terms.order_of_row(item) != candidate.order:
                continue
            row = StudySummary.from_item(item)
            if not study_matches(row, keys):
                continue
            candidate = Candidate(candidate.order, candidate.study, row)
        kept.append(candidate)
    reader.drop(len(candidates) - len(kept))
    return kept


def verified(
    reader: Reader, archive_id: ArchiveId, keys: Sequence[Match], candidates: Iterator[Candidate]
) -> Iterator[Candidate]:
    while batch := list(islice(candidates, 50)):
        yield from verify(reader, archive_id, keys, batch)


def once(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """By order, not by study alone: a stale hint of a study must not hide the true one, which verifying tells apart."""
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.order not in seen:
            seen.add(candidate.order)
            yield candidate


def of_key(row: Item) -> Candidate:
    """A candidate of the index without a look at the row: the key is the order, and verifying reads the row anyway."""
    return Candidate(terms.order_of_row(row), Uid(row["pk"].rpartition("#")[2]))


def below(order: str | None, candidates: Iterable[Candidate | None]) -> Iterator[Candidate]:
    return (c for c in newest_first(candidates) if order is None or c.order < order)


def newest_first(candidates: Iterable[Candidate | None]) -> list[Candidate]:
    return sorted((c for c in candidates if c is not None), key=lambda c: c.order, reverse=True)
