"""What a search reads depends on its answer, not on the size of the archive: 1,000 and 20,000 studies, 40 % Nguyễn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.fill import add_named, fill, unique_name

from maypacs.errors import TooLargeError
from maypacs.index.reading import MAX_EXAMINED
from maypacs.index.sqlite_table import SqliteTable
from maypacs.query import Level, parse_query
from maypacs.search import AHEAD_EXAMINED, LOOK_AHEAD, SearchResult, search
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

SMALL, LARGE = ArchiveId("small"), ArchiveId("large")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteTable]:
    table = SqliteTable(tmp_path_factory.mktemp("costs") / "index.db")
    for archive_id, size in ((SMALL, 1_000), (LARGE, 20_000)):
        fill(table, archive_id, size)
        add_named(table, archive_id)
    yield table
    table.close()


def ask(table: SqliteTable, archive_id: ArchiveId, level: Level = "study", **params: str) -> SearchResult:
    workspace = Workspace(archive_id, table, None)  # type: ignore[arg-type]
    return search(workspace, parse_query({name: [value] for name, value in params.items()}, level))


PAGE_OF_HINTS = 2 * 100 + LOOK_AHEAD + 20
FLAT = [
    # (query, items examined at most, why so many)
    ({"AccessionNumber": "A00000123"}, 3, "its term row and the study"),
    ({"PatientID": "P4890843"}, 3, "the same"),
    ({"StudyInstanceUID": "1.2.826.0.1.3680043.10.1.0.17"}, 1, "the study"),
    ({}, 2 * 100 + LOOK_AHEAD + 60, "a page of index rows, the page verified, the look ahead, rows of months"),
    ({"limit": "1"}, 2 + LOOK_AHEAD + 60, "one, and the look ahead"),
    ({"StudyDate": "20240301-"}, 2 * 100 + LOOK_AHEAD + 60, "as the list"),
    ({"PatientName": "nguyen*"}, PAGE_OF_HINTS, "a page of hints of the word, verified, and the look ahead"),
    ({"PatientName": "nguyen", "fuzzymatching": "true"}, PAGE_OF_HINTS, "the same"),
    ({"ModalitiesInStudy": "CT", "limit": "25"}, 2 * 25 + LOOK_AHEAD + 10, "the same, of the modality"),
    ({"ModalitiesInStudy": "CT\\MR", "limit": "25"}, 3 * 25 + LOOK_AHEAD + 40, "the same, of both"),
    (
        {"ModalitiesInStudy": "CT", "StudyDate": "20230101-20261231", "limit": "1"},
        2 + LOOK_AHEAD + 10,
        "within the days asked for",
    ),
    ({"PatientName": f"thu {unique_name(7)[-8:]}", "fuzzymatching": "true"}, 10, "what both words have, not one"),
    ({"PatientName": "van thi", "fuzzymatching": "true"}, 10, "two common words that nobody has together"),
    ({"PatientName": "van thi nguyen"}, 2 * 40, "every two of three words are looked at"),
    ({"PatientName": unique_name(7)}, 3, "its name row and the study"),
    ({"PatientID": "P489084*"}, 4, "the rows of ids that begin so"),
    ({"AccessionNumber": "A0000012*"}, 2 * 10, "ten accession numbers"),
]


@pytest.mark.parametrize(
    ("params", "most", "why"), FLAT, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_what_is_examined_stays_flat(table: SqliteTable, params: dict[str, str], most: int, why: str) -> None:
    """The same bound for both archives; items and read units of the larger at most 1.5 times the smaller's."""
    small, large = (ask(table, archive_id, **params) for archive_id in (SMALL, LARGE))
    assert small.consumed.examined <= most, why
    assert large.consumed.examined <= most, why
    assert large.consumed.examined <= 1.5 * small.consumed.examined
    assert large.consumed.read_units <= 1.5 * small.consumed.read_units
    assert large.consumed.requests <= 1.5 * small.consumed.requests


def test_a_patient_is_found_in_the_larger_archive_at_the_same_price(table: SqliteTable) -> None:
    """The newest study's patient, by both its ids."""
    newest = ask(table, LARGE, limit="1").items[0]
    for tag in ("00100020", "00080050"):
        found = ask(table, LARGE, **{tag: newest[tag]["Value"][0]})
        assert newest["0020000D"] in [item["0020000D"] for item in found.items]
        assert found.consumed.examined <= 4
        assert found.consumed.read_units <= 4


def test_a_whole_name_costs_what_its_answer_holds(table: SqliteTable) -> None:
    """Of dozens of patients of one name the newest are read, not all; and rows of names that only end so are not."""
    page = ask(table, LARGE, PatientName="nguyễn^văn an", limit="1")
    assert page.consumed.examined <= 1 + 1 + LOOK_AHEAD
    assert page.additional > 30
    assert ask(table, LARGE, PatientName="an").consumed.examined == 0


def test_counting_ahead_is_bounded_too(table: SqliteTable) -> None:
    """One study in fourteen thousand is found, a second is looked for and no third."""
    found = ask(table, LARGE, PatientBirthDate="19500101", limit="1")
    assert len(found.items) == 1
    assert found.warning is not None
    assert found.warning.startswith("There are at least ")
    assert found.consumed.examined <= AHEAD_EXAMINED + 1_500


def test_a_list_that_is_cut_says_how_many_more_there_are_or_at_least(table: SqliteTable) -> None:
    """Exact within the look ahead, "at least" beyond; in the words of PS3.18 8.3.4.4."""
    assert ask(table, LARGE).warning == f"There are at least {LOOK_AHEAD} additional results that can be requested"
    near_the_end = ask(table, SMALL, offset="1050", limit="20")
    assert near_the_end.warning == "There are 30 additional results that can be requested"
    assert ask(table, SMALL, offset="1050", limit="50").warning is None


def test_common_words_are_found_two_by_two(table: SqliteTable) -> None:
    """Every word is common, all of them together are not: every one of them is found, well within the bound."""
    found = ask(table, LARGE, PatientName="nguyen van an", fuzzymatching="true", limit="1000")
    assert found.warning is None
    assert found.consumed.examined <= 1_500
    names = [item["00100010"]["Value"][0]["Alphabetic"] for item in found.items]
    assert len(names) > 50
    assert all(name in {"Nguyễn^Văn An", "Nguyễn^Văn Ánh"} for name in names)
    dates = [(item["00080020"]["Value"][0], item["00080030"]["Value"][0]) for item in found.items]
    assert dates == sorted(dates, reverse=True)


def test_a_search_too_broad_to_answer_says_what_to_add(table: SqliteTable) -> None:
    """Nothing found within the bound is not an empty answer."""
    with pytest.raises(TooLargeError, match="PatientID"):
        ask(table, LARGE, StudyDescription="no such description")
    with pytest.raises(TooLargeError, match="StudyDate"):
        ask(table, LARGE, level="series", SeriesInstanceUID="1.2.3.4")


def test_a_search_cut_at_the_bound_gives_what_it_found_with_a_warning(table: SqliteTable) -> None:
    """One studied in fourteen thousand rows; the newest are there."""
    found = ask(table, LARGE, PatientBirthDate="19500101", limit="1000")
    assert 0 < len(found.items) < 200
    assert found.warning is not None
    assert str(MAX_EXAMINED) in found.warning
    assert not found.additional_is_exact


def test_deep_pages_are_walked_by_cursor_without_end(table: SqliteTable) -> None:
    """An offset is bounded, a cursor is not: every study once, at the same price each page."""
    workspace = Workspace(LARGE, table, None)  # type: ignore[arg-type]
    seen: set[str] = set()
    cursor: str | None = None
    pages = 0
    while True:
        page = search(workspace, parse_query({"limit": ["1000"]}, "study", after=cursor))
        seen |= {item["0020000D"]["Value"][0] for item in page.items}
        pages += 1
        assert page.consumed.examined < 2_500
        assert page.consumed.read_units < 1_300, "a thousand studies, wherever they are"
        cursor = page.cursor
        if cursor is None:
            break
    assert (len(seen), pages) == (20_100, 21)


def test_a_rare_name_of_common_words_is_found_among_the_newest_and_the_oldest(table: SqliteTable) -> None:
    """Neither word ends its probe, no recent study matches: the rarer word is read on before the bound is spent."""
    found = ask(table, LARGE, PatientName="pham yen", fuzzymatching="true")
    names = {item["00100010"]["Value"][0]["Alphabetic"] for item in found.items}
    assert names
    assert all(name.startswith("Phạm^") and name.endswith("Yến") for name in names)
    assert found.additional_is_exact
    assert found.consumed.examined < 3_000
    nobody = ask(table, LARGE, PatientName="pham dang", fuzzymatching="true")
    assert (nobody.items, nobody.warning) == ((), None)


def test_the_last_offset_that_is_taken_is_answered(table: SqliteTable) -> None:
    """Pages by offset reach as far as the offset may; they cost the rows before them, and no more."""
    for offset in (1_000, 10_000):
        found = ask(table, LARGE, offset=str(offset), limit="5")
        assert len(found.items) == 5
        assert offset < found.consumed.examined <= offset + 2 * 5 + LOOK_AHEAD + 120
        assert found.consumed.read_units <= 50 + offset / 8
