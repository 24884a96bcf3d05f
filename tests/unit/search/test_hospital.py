"""The archive that the benchmarks are made of is as it says, and is the same whichever way it is filled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.support import hospital
from tests.support.bulk import bulk_fill

from maypacs.index.sqlite_table import SqliteTable
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

HOSP = ArchiveId("hosp1")


def test_a_study_is_as_large_as_a_hospitals_on_average() -> None:
    """476 instances and 48 MB, of the mix; nothing is left to chance twice."""
    studies = [hospital.study(HOSP, number) for number in range(4_000)]
    assert sum(summary.number_of_instances for summary, _ in studies) / 4_000 == pytest.approx(476, rel=0.1)
    assert sum(summary.size for summary, _ in studies) / 4_000 / 1e6 == pytest.approx(48, rel=0.1)
    shares = Counter(series[0].modality for _, series in studies)
    for kind in hospital.MIX:
        assert shares[kind.modality] / 4_000 == pytest.approx(kind.share, abs=0.03)
    assert hospital.study(HOSP, 3_999) == studies[-1]


def test_names_are_as_common_as_they_are() -> None:
    """Two in five are Nguyễn; the count of names is that of the studies."""
    names = hospital.names(10_001)
    assert names.total() == 10_001
    families: Counter[str] = Counter()
    for name, studies in names.items():
        families[name.partition("^")[0]] += studies
    assert families["Nguyễn"] / 10_001 == pytest.approx(0.4, abs=0.04)
    seen = Counter(hospital.study(HOSP, number)[0].patient_names[0] for number in range(300))
    assert seen == hospital.names(300)


def test_a_table_filled_at_once_is_the_one_that_puts_make(tmp_path: Path) -> None:
    """Every row, and what a search finds; the file takes ordinary writes."""
    rows = {(row["pk"], row["sk"]): row for row in hospital.rows(HOSP, 60)}
    bulk_fill(tmp_path / "bulk.db", rows.values())
    table = SqliteTable(tmp_path / "bulk.db")
    try:
        assert all(table.get(*key) == row for key, row in rows.items())
        workspace = Workspace(HOSP, table, None)  # type: ignore[arg-type]
        found = search(workspace, parse_query({"PatientID": [hospital.patient_id(7)]}, "study"))
        assert {item["00080050"]["Value"][0] for item in found.items} == {
            hospital.accession(number) for number in range(60) if hospital.patient_of(number) == 7
        }
        (listed,) = search(workspace, parse_query({"limit": ["1"]}, "study")).items
        changed = {**rows[f"{HOSP}#S#{listed['0020000D']['Value'][0]}", "0"], "size": 1}
        table.put(changed)
        assert table.get(changed["pk"], changed["sk"]) == changed
    finally:
        table.close()
