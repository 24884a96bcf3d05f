"""Searches while the index lags, pages are read at different moments and studies change: candidates are verified."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.chaos_table import Chaos, ChaosTable
from tests.support.fill import rows_of, synthetic_study

from maypacs.errors import ThrottledError
from maypacs.index.rows import STUDY_SK, StudySummary, study_pk
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Table
from maypacs.index.terms import hint_rows
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

HOSP = ArchiveId("hosp1")
_FILES = itertools.count()
QUERIES = [
    {},
    {"PatientName": ["nguyen*"]},
    {"PatientName": ["nguyen"], "fuzzymatching": ["true"]},
    {"ModalitiesInStudy": ["CT"]},
    {"StudyDate": ["20240101-"]},
    {"PatientID": ["P1"]},
]


def make(number: int, dice: random.Random) -> StudySummary:
    study: StudySummary = synthetic_study(HOSP, number, seed=dice.randrange(1000))[0]
    study = replace(study, study_instance_uid=f"1.2.{number}")  # type: ignore[arg-type]
    return replace(
        study, patient_ids=(dice.choice(["P1", "P2"]),), attributes=study.attributes | {"0020000D": {"vr": "UI"}}
    )


def change(table: Table, dice: random.Random, studies: dict[int, StudySummary]) -> None:
    """A study comes, changes (name, date, patient: hints first, stale ones left for the sweeper) or goes."""
    number = dice.randrange(12)
    if number in studies and dice.random() < 0.3:
        table.delete(study_pk(HOSP, studies.pop(number).study_instance_uid), STUDY_SK)
        return
    studies[number] = make(number, dice)
    for row in hint_rows(studies[number]):
        table.put(row)
    table.put(studies[number].to_item())


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), query=st.sampled_from(QUERIES))
def test_what_is_found_is_true_and_what_stays_is_found(tmp_path: Path, seed: int, query: dict[str, list[str]]) -> None:
    """Under a lagging index each item is a row that was there during the search; calm again, all are found."""
    dice = random.Random(seed)
    sqlite = SqliteTable(tmp_path / f"{next(_FILES)}.db")
    chaos = ChaosTable(sqlite, seed, Chaos(throttled=0, lost_answer=0, resent=0))
    studies: dict[int, StudySummary] = {}
    for _ in range(15):
        change(chaos, dice, studies)
    seen_states: list[dict[int, StudySummary]] = [dict(studies)]

    def meanwhile() -> None:
        if dice.random() < 0.4:
            change(chaos, dice, studies)
            seen_states.append(dict(studies))

    chaos.between_calls = meanwhile
    found = search(Workspace(HOSP, chaos, None), parse_query(query, "study")).items  # type: ignore[arg-type]
    uids = [item["0020000D"]["Value"][0] for item in found]
    assert len(uids) == len(set(uids))
    for item in found:
        uid = item["0020000D"]["Value"][0]
        versions = [study for state in seen_states for study in state.values() if study.study_instance_uid == uid]
        assert any(version.attributes["00100010"] == item["00100010"] for version in versions)

    with chaos.calm():
        calm = search(Workspace(HOSP, chaos, None), parse_query(query, "study"))  # type: ignore[arg-type]
    expected = {s.study_instance_uid for s in studies.values() if fits(s, query)}
    assert {item["0020000D"]["Value"][0] for item in calm.items} == expected
    sqlite.close()


def fits(study: StudySummary, query: dict[str, list[str]]) -> bool:
    name = study.patient_names[0].lower()
    return (
        ("PatientName" not in query or name.startswith("nguyễn"))
        and ("ModalitiesInStudy" not in query or "CT" in study.modalities)
        and ("StudyDate" not in query or study.study_date >= "20240101")
        and ("PatientID" not in query or "P1" in study.patient_ids)
    )


def test_while_others_store_a_walk_of_pages_repeats_but_loses_nothing(tmp_path: Path) -> None:
    """Newer studies come between the pages: those there from the start are all seen."""
    table = SqliteTable(tmp_path / "index.db")
    first = [synthetic_study(HOSP, number)[0] for number in range(60)]
    for study in first:
        for row in rows_of(study):
            table.put(row)
    workspace = Workspace(HOSP, table, None)  # type: ignore[arg-type]
    seen: list[str] = []
    for offset in range(0, 90, 10):
        page = search(workspace, parse_query({"limit": ["10"], "offset": [str(offset)]}, "study"))
        seen += [item["0020000D"]["Value"][0] for item in page.items]
        new = synthetic_study(HOSP, 1_000 + offset)[0]
        newest = {"00080020": {"vr": "DA", "Value": ["20270101"]}}
        for row in rows_of(replace(new, attributes=new.attributes | newest)):
            table.put(row)
    assert {study.study_instance_uid for study in first} <= set(seen)
    table.close()


def test_a_throttled_table_is_said_to_be_one(tmp_path: Path) -> None:
    """Not an empty answer."""
    table = ChaosTable(SqliteTable(tmp_path / "index.db"), chaos=Chaos(throttled=1))
    with pytest.raises(ThrottledError):
        search(Workspace(HOSP, table, None), parse_query({}, "study"))  # type: ignore[arg-type]
    table.close()
