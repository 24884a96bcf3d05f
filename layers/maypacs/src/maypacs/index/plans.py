"""Which rows drive a search for studies: the cheapest that the keys allow (protocols: search bounds).

In this order: StudyInstanceUIDs; an accession number or a PatientID; their beginnings; names and modalities, of which
the rarest drives (of a name two of its words together, where there are two); a date range; everything. Every plan gives
candidates in one order, newest first (`terms.study_order` reversed), so that pages of one query fit together whichever
plan made them. Candidates passed the keys on a hint or on the index's copy of a study row; those that leave here
without the row are still to be verified against it (`candidates.verify`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from maypacs.index import terms
from maypacs.index.candidates import Candidate, below, newest_first, of_key, once, verified
from maypacs.index.matching import Match, is_words
from maypacs.index.moments import date_range, widened
from maypacs.index.probes import (
    HEAD,
    LAST,
    SHORTEST,
    Probe,
    Stream,
    beginning,
    id_on_hint,
    name_terms,
    name_words_of,
    phrase_range,
)
from maypacs.index.reading import Reader, gather
from maypacs.index.rows import ABSENT_MONTH, STUDY_SK, StudySummary, study_pk
from maypacs.index.study_keys import (
    ACCESSION,
    MODALITIES,
    ON_ROW,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_UID,
    hint_may_match,
    study_matches,
)
from maypacs.index.table import BY_DATE, Item
from maypacs.uids import ArchiveId, Uid, uid

#: Rows of a range read before looking elsewhere; then, while that finds too little, more of them.
_PROBE, _DEEPER_PROBE = 300, 2_000
#: Rows that a stream examines before the range is read on, unless one row in so many matches.
_PATIENCE, _DENSE = 500, 20
_ID_KINDS: dict[str, Literal["acc", "pid"]] = {ACCESSION: "acc", PATIENT_ID: "pid"}
#: Keys that every hint tells, beside the one that drives.
_TOLD = {(STUDY_DATE,), (PATIENT_NAME,), (MODALITIES,)}


def study_candidates(
    reader: Reader, archive_id: ArchiveId, keys: Sequence[Match], *, after: str | None, first_read: int
) -> Iterator[Candidate]:
    """Candidates below ``after``, newest first, each once. ``first_read``: how many the caller needs at least.

    Raises BoundReachedError when the reader's bound ends before the candidates do.
    """
    plan = _Plan(reader, archive_id, tuple(keys), first_read)
    found = (c for c in plan.candidates(after) if c is not None and (after is None or c.order < after))
    yield from once(found if plan.hints_tell_all() else verified(reader, archive_id, plan.keys, found))


class _Plan:
    def __init__(self, reader: Reader, archive_id: ArchiveId, keys: tuple[Match, ...], first_read: int) -> None:
        self.reader = reader
        self.archive_id = archive_id
        self.keys = keys
        self.first_read = first_read
        self.driver = self._driver()
        self.dates = self._dates()

    def candidates(self, after: str | None) -> Iterator[Candidate | None]:
        """None for a row that was examined in vain: who waits for a candidate may want to try something else."""
        driver = self.driver
        if driver is None:
            return self._by_date(after)
        if driver.path == (STUDY_UID,):
            return self._by_uid([uid(value) for value in driver.uids])
        if driver.path == (PATIENT_NAME,) and not driver.wild and not driver.fuzzy and not is_words(driver.value):
            return self._by_whole_name(driver, after)
        if driver.path in {(PATIENT_NAME,), (MODALITIES,)}:
            return self._by_terms(after)
        return self._by_beginning(driver, after) if driver.wild else self._by_id(driver, after)

    def hints_tell_all(self) -> bool:
        """Whether what drives tests every key: then skipping and counting need not read the study rows."""
        if self.driver is None or self.driver.path == (STUDY_UID,):
            return True
        others = [key for key in self.keys if key is not self.driver]
        return self._told(others) and (
            self.driver.path == (PATIENT_NAME,) or len(self.driver.value) < terms.LONGEST_TERM
        )

    def _told(self, keys: Iterable[Match]) -> bool:
        """Whether hints tell these keys."""
        return all(key.path in _TOLD and key.plainly for key in keys)

    def _driver(self) -> Match | None:
        """The key that drives, None when the dates do. A beginning of an id comes before a name, which hints tell."""
        keys = [key for key in self.keys if not key.empty]
        ids = [key for tag in (ACCESSION, PATIENT_ID) for key in keys if key.path == (tag,)]
        preferred = [
            *(key for key in keys if key.path == (STUDY_UID,)),
            *(key for key in ids if not key.wild),
            *(key for key in ids if len(beginning(key)) >= SHORTEST),
            *(key for key in keys if key.path == (PATIENT_NAME,)),
            # The index's rows tell other keys too, a hint of a modality would need the study's row for each of them.
            *(key for key in keys if _names_modalities(key) and self._told(self.keys)),
        ]
        return preferred[0] if preferred else None

    def _dates(self) -> tuple[str, str] | None:
        """Days within which every study lies that the StudyDate keys allow."""
        ranges = []
        for key in self.keys:
            if key.path == (STUDY_DATE,) and key.empty:
                ranges.append((terms.NO_DATE, terms.NO_DATE))
            elif key.path == (STUDY_DATE,):
                days = date_range(key.value)
                ranges.append(days if key.zone is None else widened(*days))
        return (max(low for low, _ in ranges), min(high for _, high in ranges)) if ranges else None

    def _by_uid(self, uids: Sequence[Uid]) -> Iterator[Candidate]:
        rows = self.reader.get_all([(study_pk(self.archive_id, each), STUDY_SK) for each in dict.fromkeys(uids)])
        studies = [StudySummary.from_item(row) for row in rows if row is not None]
        yield from newest_first(self._of_study(study, verified=True) for study in studies)

    def _by_id(self, key: Match, after: str | None) -> Iterator[Candidate | None]:
        value = terms.plain(key.value)
        low, high = self._between(after)
        between = terms.id_sk(value, low), terms.id_sk(value, high)
        if low > high:
            return
        pk = terms.id_pk(self.archive_id, _ID_KINDS[key.path[0]], value)
        for hint in self.reader.rows(pk, between=between, reverse=True, chunk=self.first_read):
            yield self._of_hint(hint) if terms.is_row_of_id(hint, value) else None

    def _by_whole_name(self, key: Match, after: str | None) -> Iterator[Candidate | None]:
        name = terms.name_groups(key.value)[0]
        low, high = self._between(after)
        if low > high:
            return
        between = terms.name_sk(name, low), terms.name_sk(name, high)
        pk = terms.names_pk(self.archive_id, name)
        for hint in self.reader.rows(pk, between=between, reverse=True, chunk=self.first_read):
            yield self._of_hint(hint)

    def _by_terms(self, after: str | None) -> Iterator[Candidate | None]:
        """The rarest of what a name and a modality offer drives; the studies that have it are known newest first."""
        between = self._between(after)
        if between[0] > between[1]:
            return
        name = next((key for key in self.keys if key.path == (PATIENT_NAME,) and not key.empty), None)
        offers = name_terms(self.reader, self.archive_id, name_words_of(name)) if name else []
        offers += [self._modalities(key) for key in self.keys if _names_modalities(key)]
        chunk = HEAD if len(offers) > 1 else max(HEAD, self.first_read)
        streams = [Stream(self.reader, pks, between, chunk) for pks in offers]
        gather(self.reader.table, [stream.open for stream in streams])
        rarest = min(streams, key=lambda each: each.rarity, default=None)
        found = map(self._of_hint, rarest.rows()) if rarest else self._by_date(after)
        phrase = phrase_range(name) if name else None
        if phrase is None:
            yield from found
        else:
            yield from self._watched(
                found, Probe(self.reader, terms.names_pk(self.archive_id, phrase[0]), phrase), after
            )

    def _modalities(self, key: Match) -> list[str]:
        return [terms.modality_pk(self.archive_id, each) for each in dict.fromkeys(map(terms.plain, key.texts))]

    def _by_beginning(self, key: Match, after: str | None) -> Iterator[Candidate | None]:
        """Ids that begin so, when they are few; else the newest studies hold enough of them."""
        start = beginning(key)
        pk = terms.id_pk(self.archive_id, _ID_KINDS[key.path[0]], start)
        probe = Probe(self.reader, pk, (start, start + LAST), lambda row: id_on_hint(row, key))
        probe.read(_PROBE)
        if probe.ended:
            yield from newest_first(map(self._of_hint, probe.rows))
        else:
            yield from self._watched(self._by_date(after), probe, after)

    def _watched(
        self, stream: Iterator[Candidate | None], probe: Probe, after: str | None
    ) -> Iterator[Candidate | None]:
        """A stream; where it finds little, the range that holds every match is read, and gives the rest if it ends."""
        before, matched, patient = self.reader.left, 0, True
        last = after
        for candidate in stream:
            yield candidate
            if candidate is not None:
                last = candidate.order
                matched += 1
            examined = before - self.reader.left
            if patient and examined > _PATIENCE and matched * _DENSE < examined:
                patient = False
                probe.read(_DEEPER_PROBE)
                if probe.ended:
                    yield from below(last, map(self._of_hint, probe.rows))
                    return

    def _by_date(self, after: str | None) -> Iterator[Candidate | None]:
        between = self._between(after)
        if between[0] > between[1]:
            return
        filtered = any(key.path != (STUDY_DATE,) or not key.plainly for key in self.keys)
        chunk = max(self.first_read, 250) if filtered else self.first_read
        hints = [key for key in self.keys if key.path in ON_ROW and key.plainly]
        told_all = len(hints) + sum(key.path == (STUDY_DATE,) and key.plainly for key in self.keys) == len(self.keys)
        for month in self._months(between):
            if month == ABSENT_MONTH:
                bounds = None if between[1] >= terms.NO_DATE + "~" else ("!", between[1][len(terms.NO_DATE) :])
            else:
                bounds = between
            pk = terms.by_date_pk(self.archive_id, month)
            for row in self.reader.rows(
                pk, between=bounds, reverse=True, index=BY_DATE, chunk=chunk, keys_only=not filtered
            ):
                chunk = max(HEAD, chunk - 1)  # the next month has to give what this one left wanting
                if not filtered:  # of keys alone
                    yield of_key(row)
                    continue
                if not all(ON_ROW[key.path](row, key) for key in hints):
                    yield None
                else:
                    yield of_key(row) if told_all else self._of_study(StudySummary.from_item(row))

    def _months(self, between: tuple[str, str]) -> Iterator[str]:
        """Months that may hold orders of a range, newest first; the one of studies without a date comes last."""
        low = ABSENT_MONTH if self.dates is None else between[0][:6]
        high = max(low, ABSENT_MONTH if between[1] < "00000101" else between[1][:6])
        for row in self.reader.rows(terms.months_pk(self.archive_id), between=(low, high), reverse=True, chunk=4):
            yield row["sk"]

    def _between(self, after: str | None) -> tuple[str, str]:
        """The orders that the dates and ``after`` leave, as keys; ``~`` sorts after every character of an order."""
        low, high = (self.dates[0], self.dates[1] + "~") if self.dates else ("!", "~")
        return low, high if after is None else min(high, after)

    def _of_study(self, study: StudySummary, *, verified: bool = False) -> Candidate | None:
        if not study_matches(study, self.keys):
            return None
        return Candidate(terms.order_of(study), study.study_instance_uid, study if verified else None)

    def _of_hint(self, hint: Item) -> Candidate | None:
        """What a hint can tell is tested here, and saves reading the study: names, modalities, dates."""
        order: str = hint["order"]
        if self.dates is not None and not self.dates[0] <= order[:8] <= self.dates[1]:
            return None
        return Candidate(order, Uid(hint["study"])) if hint_may_match(hint, self.keys) else None


def _names_modalities(key: Match) -> bool:
    """Whether the partitions of modalities hold every study that matches."""
    return key.path == (MODALITIES,) and key.plainly and not key.wild
