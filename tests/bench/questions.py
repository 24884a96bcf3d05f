"""What people ask of an archive, in archives of different sizes.

Most questions have answers of one size wherever they are asked: then their cost may not grow. Where an archive of 1,000
studies cannot hold such an answer, or as many more that are counted beyond the page, the question says so: a larger one
finds more, and that costs more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TypeAlias

from tests.support import hospital

from maypacs.index.terms import fold

Params: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class Archive:
    """What is known of an archive: it holds the first ``size`` studies of `tests.support.hospital`."""

    size: int

    @cached_property
    def names(self) -> Counter[str]:
        return hospital.names(self.size)

    @cached_property
    def words(self) -> Counter[tuple[str, str]]:
        """How many studies have two words in a name."""
        found: Counter[tuple[str, str]] = Counter()
        for name, studies in self.names.items():
            for two in combinations(sorted(set(fold(name).split(" "))), 2):
                found[two] += studies
        return found

    def names_of(self, studies: Sequence[int]) -> list[str]:
        return self._by_studies(tuple(studies))

    @cached_property
    def _names_by_studies(self) -> dict[int, list[str]]:
        return _by_count(self.names)

    @cached_property
    def words_of_ten(self) -> list[str]:
        found = _by_count(self.words)
        return [" ".join(two) for studies in range(8, 13) for two in found.get(studies, ())]

    @cached_property
    def common_words(self) -> list[str]:
        return [" ".join(two) for two, _ in self.words.most_common(10)]

    @cached_property
    def common_names(self) -> list[str]:
        return [name for name, _ in self.names.most_common(10)]

    def _by_studies(self, studies: tuple[int, ...]) -> list[str]:
        return [name for count in studies for name in self._names_by_studies.get(count, ())]


def _by_count(counted: Counter[str] | Counter[tuple[str, str]]) -> dict[int, list]:  # type: ignore[type-arg]
    found = defaultdict(list)
    for each, count in counted.items():
        found[count].append(each)
    return found


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    ask: Callable[[Archive, int], Params]  #: its n-th asking, n below 1,000
    grows: bool = False  #: a larger archive's answer holds more, or counts more beyond its page


def _of(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def _day(number: int) -> str:
    return f"{2022 + number % 5}{number % 12 + 1:02}{number % 28 + 1:02}"


def _page(**params: str) -> Params:
    return {"limit": "25", **params}


QUESTIONS = (
    Question("PatientID", lambda _, n: {"PatientID": hospital.patient_id(hospital.patient_of(n))}),
    Question(
        "PatientID, all but its last digit and `*`",
        lambda _, n: {"PatientID": hospital.patient_id(hospital.patient_of(n % 950))[:-1] + "*"},
    ),
    Question("AccessionNumber", lambda _, n: {"AccessionNumber": hospital.accession(n)}),
    Question("StudyInstanceUID", lambda _, n: {"StudyInstanceUID": hospital.study_uid(n)}),
    Question("PatientName, whole, of 2 or 3 studies", lambda a, n: {"PatientName": _of(a.names_of((2, 3)), n)}),
    Question("PatientName, whole, of 5 studies", lambda a, n: _page(PatientName=_of(a.names_of((5,)), n))),
    Question("PatientName, two words, of 8 to 12 studies", lambda a, n: _page(PatientName=_of(a.words_of_ten, n))),
    Question("PatientName=`nguyen*`", lambda _, n: _page(PatientName="nguyen*", offset=str(n % 50))),
    Question("a part of the name, fuzzy: `nguy`", lambda _, n: _page(PatientName="nguy", fuzzymatching="true")),
    Question("StudyDate, from a day on", lambda _, n: _page(StudyDate=f"{_day(n)}-")),
    Question("ModalitiesInStudy=CT", lambda _, n: _page(ModalitiesInStudy="CT", offset=str(n % 50))),
    Question("default list (100)", lambda _, n: {}),
    Question("the dashboard's list (25)", lambda _, n: _page()),
    Question("PatientName, the ten commonest", lambda a, n: _page(PatientName=_of(a.common_names, n)), grows=True),
    Question(
        "PatientName, the ten commonest pairs of words",
        lambda a, n: _page(PatientName=_of(a.common_words, n)),
        grows=True,
    ),
    Question(
        "two words by their beginnings, fuzzy",
        lambda a, n: _page(
            PatientName=" ".join(w[:3] for w in _of(a.common_words, n).split(" ")), fuzzymatching="true"
        ),
        grows=True,
    ),
    Question(
        "ModalitiesInStudy=US and a name, `nguyen*`",
        lambda _, n: _page(ModalitiesInStudy="US", PatientName="nguyen*"),
        grows=True,
    ),
    Question("StudyDate, one day", lambda _, n: _page(StudyDate=_day(n)), grows=True),
    Question("ModalitiesInStudy=MG (one in fifty)", lambda _, n: _page(ModalitiesInStudy="MG"), grows=True),
    Question(
        "StudyDescription (no row tells it), one month",
        lambda _, n: _page(StudyDescription="Thai", StudyDate=f"{_day(n)[:6]}01-{_day(n)[:6]}28"),
        grows=True,
    ),
)
