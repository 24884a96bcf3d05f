"""The PACS that `migrate` moves from: what it has, and having it sent. Each call is an association of its own.

What a PACS answers is not always all it has: some end a query early, with or without saying so. A day's answer that
failed half way, or that has a suspiciously round number of matches, is asked again by halves of the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydicom.dataset import Dataset

from edge_forwarder.dicom import values
from edge_forwarder.dimse.messages import Suboperations
from edge_forwarder.dimse.negotiation import CLASSES_AT_ONCE
from edge_forwarder.dimse.pdu import ProposedContext, Role
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.statuses import Status
from edge_forwarder.errors import DeclinedError, NotOfferedError
from edge_forwarder.migrating.periods import Days, Minutes
from edge_forwarder.migrating.query_scu import (
    FIND,
    MOVE,
    SERVICES,
    QueryRequestor,
    Retrieved,
    Taker,
    get_contexts,
    query_contexts,
)
from edge_forwarder.migrating.state import Image
from edge_forwarder.query_retrieve.query import uids

#: Caps are round numbers: from so many matches on, multiples of this are looked at twice.
_ROUND: Final = 50
#: So many images of a series that are missing are asked for one by one; more are the series once more.
_SINGLY: Final = 20
#: A retrieve of a large study may be silent for long (seconds).
_RETRIEVE_TIMEOUT: Final = 900.0
#: What is proposed by C-GET when the source does not say what a study is made of: the commonest storage classes.
_COMMON: Final = tuple(
    f"1.2.840.10008.5.1.4.1.1.{end}"
    for end in (
        *("2", "2.1", "4", "4.1", "4.2", "1", "1.1", "1.1.1", "1.2", "1.2.1", "6.1", "3.1", "7", "7.1", "7.2", "7.3"),
        *("7.4", "12.1", "12.2", "20", "128", "130", "128.1", "13.1.3", "481.1", "481.2", "481.3", "481.5", "88.11"),
        *("88.22", "88.33", "88.59", "88.67", "104.1", "11.1", "66", "66.4", "77.1.1", "77.1.4", "9.1.1", "9.1.2"),
        *("77.1.1.1", "77.1.2.1", "77.1.4.1"),
    )
)


@dataclass(frozen=True, slots=True)
class Found:
    """Studies and the number of their images, if the source says; not ``complete``: it has more than it lists."""

    studies: dict[str, int | None]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Answer:
    """One query's: counts and dates by study, and how it ended."""

    studies: dict[str, int | None]
    dates: dict[str, str]
    status: int


class _EnoughError(Exception):
    """One match says it all."""


class SourcePacs:
    """Raises WireError from every call; DeclinedError, with the status, for what it will not answer."""

    def __init__(self, peer: Peer, own_title: str) -> None:
        self._peer, self._own_title = peer, own_title

    # What it has

    def has_studies(self, days: Days) -> bool:
        """False: certainly none. The query is broken off at its first match."""
        keys = _keys("STUDY", StudyInstanceUID="", StudyDate=days.range)

        def stop(_: Dataset) -> None:
            raise _EnoughError

        try:
            with self._associate(query_contexts(FIND), FIND) as association:
                return association.find(keys, stop) != Status.SUCCESS
        except _EnoughError:
            return True

    def studies(self, day: str) -> Found:
        """Of one day (YYYYMMDD); of all that have no date when it is empty."""
        with self._associate(query_contexts(FIND), FIND) as association:
            found = self._ask_day(association, day, None)
            if not day:
                dated = {uid for uid, date in found.dates.items() if date}
                return Found({u: n for u, n in found.studies.items() if u not in dated}, found.status == Status.SUCCESS)
            return self._whole(association, day, Minutes(), found)

    def _whole(self, association: QueryRequestor, day: str, minutes: Minutes, first: _Answer) -> Found:
        """The answer, or, when it may not be all, that and the answers to both halves of the time."""
        count = len(first.studies)
        failed = first.status != Status.SUCCESS
        if failed and not count:
            raise DeclinedError(f"the source does not answer a query for {day or 'everything'}", first.status)
        if not failed and (count < _ROUND or count % _ROUND):
            return Found(first.studies)
        halves = [(half, self._ask_day(association, day, half)) for half in minutes.halves()]
        studies = dict(first.studies)
        if not halves:
            return Found(studies, not failed)
        more = any(answer.studies.keys() - first.studies.keys() for _, answer in halves)
        if not failed and not more:
            return Found(studies)
        complete = True
        for half, answer in halves:
            if answer.status != Status.SUCCESS and not answer.studies:
                complete = False
                continue
            part = self._whole(association, day, half, answer)
            studies |= part.studies
            complete = complete and part.complete
        return Found(studies, complete)

    def _ask_day(self, association: QueryRequestor, day: str, minutes: Minutes | None) -> _Answer:
        keys = _keys("STUDY", StudyInstanceUID="", StudyDate=day, NumberOfStudyRelatedInstances="")
        keys.StudyTime = minutes.range if minutes else ""
        answer = _Answer({}, {}, 0)

        def take(match: Dataset) -> None:
            for uid in uids(match, "StudyInstanceUID"):
                count = values.text(match, "NumberOfStudyRelatedInstances")
                answer.studies[uid] = int(count) if count.isdigit() else None
                answer.dates[uid] = values.text(match, "StudyDate")

        return replace(answer, status=association.find(keys, take))

    def images(self, study: str) -> list[Image] | None:
        """All of a study; None when the source does not list single images."""
        with self._associate(query_contexts(FIND), FIND) as association:
            series: list[str] = []
            keys = _keys("SERIES", StudyInstanceUID=study, SeriesInstanceUID="")
            status = association.find(keys, lambda match: series.extend(uids(match, "SeriesInstanceUID")))
            if status != Status.SUCCESS or not series:
                return None
            found: list[Image] = []
            for one in dict.fromkeys(series):
                keys = _keys("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=one, SOPInstanceUID="", SOPClassUID="")

                def take(match: Dataset, series: str = one) -> None:
                    sop_class = values.text(match, "SOPClassUID")
                    found.extend(Image(uid, series, sop_class) for uid in uids(match, "SOPInstanceUID"))

                if association.find(keys, take) != Status.SUCCESS:
                    return None
            return list({image.sop: image for image in found}.values())

    # Having it sent

    def move(self, study: str, some: Sequence[Image] = ()) -> Retrieved:
        """To our own AE title: a study, or ``some`` of it."""
        with self._associate(query_contexts(MOVE), MOVE, _RETRIEVE_TIMEOUT) as association:
            return _together([association.move(keys, self._own_title) for keys in _wanted(study, some)])

    def get(self, study: str, classes: Iterable[str], taker: Taker, some: Sequence[Image] = ()) -> Retrieved:
        """On the association itself; ``classes``: the SOP classes to expect, if they are known. ``some`` images go over
        as many associations as it takes to propose each class in every syntax.
        """
        if not some:
            return self._get([_keys("STUDY", StudyInstanceUID=study)], classes, taker)
        return _together([self._get(_wanted(study, few), {i.sop_class for i in few}, taker) for few in _groups(some)])

    def _get(self, wanted: Sequence[Dataset], classes: Iterable[str], taker: Taker) -> Retrieved:
        contexts, roles = get_contexts(sorted(filter(None, classes)) or _COMMON)
        with self._associate(contexts, contexts[0].abstract_syntax, _RETRIEVE_TIMEOUT, roles) as association:
            return _together([association.get(keys, taker) for keys in wanted])

    def _associate(
        self, contexts: Sequence[ProposedContext], needed: str, timeout: float = 0.0, roles: Sequence[Role] = ()
    ) -> QueryRequestor:
        peer = replace(self._peer, timeout=max(timeout, self._peer.timeout))
        association = QueryRequestor.call(peer, contexts, roles)
        if association.service(needed) is None:
            with association:
                raise NotOfferedError(f"{self._peer.called} does not offer {SERVICES[needed]}")
        return association


def _keys(level: str, **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _wanted(study: str, some: Sequence[Image]) -> list[Dataset]:
    """Identifiers: the study; or of some images each, and the series of many. Lists of UIDs not every PACS takes."""
    if not some:
        return [_keys("STUDY", StudyInstanceUID=study)]
    by_series: dict[str, list[Image]] = {}
    for image in some:
        by_series.setdefault(image.series, []).append(image)
    wanted = []
    for series, images in by_series.items():
        one = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        if len(images) > _SINGLY:
            wanted.append(_keys("SERIES", **one))
        else:
            wanted += [_keys("IMAGE", **one, SOPInstanceUID=image.sop) for image in images]
    return wanted


def _groups(some: Sequence[Image]) -> Iterator[list[Image]]:
    """By their SOP classes, so many that an association can propose each in every syntax."""
    by_class: dict[str, list[Image]] = {}
    for image in some:
        by_class.setdefault(image.sop_class, []).append(image)
    # Of unknown classes each of the commonest is proposed: that is an association of its own.
    unknown = by_class.pop("", [])
    classes = sorted(by_class)
    for at in range(0, len(classes), CLASSES_AT_ONCE):
        yield [image for each in classes[at : at + CLASSES_AT_ONCE] for image in by_class[each]]
    if unknown:
        yield unknown


def _together(ended: Iterable[Retrieved]) -> Retrieved:
    """The first status that is no success stands for all."""
    whole = Retrieved(Status.SUCCESS, Suboperations())
    for one in ended:
        whole = Retrieved(
            whole.status or one.status,
            Suboperations(
                completed=whole.done.completed + one.done.completed,
                failed=whole.done.failed + one.done.failed,
                warnings=whole.done.warnings + one.done.warnings,
            ),
            whole.failed | one.failed,
        )
    return whole
