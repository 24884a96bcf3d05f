"""Folding of names, and the hint rows of a study."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fill import synthetic_study

from maypacs.index.rows import StudySummary
from maypacs.index.terms import fold, hint_rows, name_groups, name_tokens, names_pk, order_of, study_order
from maypacs.uids import ArchiveId, Uid


@pytest.mark.parametrize(
    ("name", "folded", "why"),
    [
        ("Nguyễn^Văn Thử", "nguyen van thu", "accents and delimiters"),
        ("ĐẶNG^THỊ", "dang thi", "đ is d, though no accent of d"),
        ("Trần^Thị   Mẫu^^^", "tran thi mau", "padding and empty components"),
        ("O'Thử", "othu", "an apostrophe is not a separator"),
        ("Mẫu-Thử, A.", "mau thu a", "a hyphen, a comma, a full stop are"),
        ("МАЙОРОВ^Ёж", "маиоров еж", "Cyrillic too"),
        ("Straße^Ørn", "strasse orn", "letters that are two, or other"),
        ("ＴＨＵ", "thu", "full width"),
        ("がき", "がき", "voicing of kana is not an accent"),
        ("김^희중", "김 희중", "Hangul stays in syllables"),
        ("ทดสอบ^ที่", "ทดสอบ ที่", "vowel signs stay"),
        ("", "", "nothing"),
        ("^^^", "", "delimiters only"),
        ("thu\0", "thu", "padding of the encoding"),
    ],
)
def test_a_name_is_folded(name: str, folded: str, why: str) -> None:
    """And its NFC and NFD spellings alike."""
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, name)) == folded, why  # type: ignore[arg-type]


@given(st.text(max_size=20))
def test_folding_twice_is_folding_once(text: str) -> None:
    """Keys made from folded text fold to themselves."""
    once = fold(text)
    assert fold(once) == once


@given(st.text(st.characters(min_codepoint=0x41, max_codepoint=0x1EF9), max_size=20))
def test_case_makes_no_difference(text: str) -> None:
    """Upper, lower, NFC, NFD."""
    assert fold(text.upper().lower()) == fold(unicodedata.normalize("NFD", text.upper().lower()))


def test_groups_and_tokens_of_a_name() -> None:
    """Alphabetic, ideographic, phonetic; empty groups are none."""
    assert name_groups("Nguyen^An=阮^安=") == ("nguyen an", "阮 安")
    assert name_tokens("Nguyen^An=阮^安") == {"nguyen", "an", "阮", "安"}


def study(**changes: object) -> StudySummary:
    made: StudySummary = synthetic_study(ArchiveId("hosp1"), 1)[0]
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_study_has_hints_for_all_that_people_search_by() -> None:
    """Every distinct PatientID, accession number, name, modality; one row for each part a name may be entered at, one
    for every two words of it."""
    rows = hint_rows(
        study(
            patient_ids=("P1", "P2 "),
            accession_numbers=("A1", ""),
            patient_names=("Nguyễn^Văn An", "NGUYEN^VAN AN", "Lê"),
            modalities=("CT", "SR"),
        )
    )
    keys = {(row["pk"].removeprefix("hosp1#"), row["sk"]) for row in rows}
    order = order_of(study())
    assert keys == {
        ("T#pid#P1", f"P1#{order}"),
        ("T#pid#P2", f"P2#{order}"),
        ("T#acc#A1", f"A1#{order}"),
        *((f"T#pn#{token}", order) for token in ("nguyen", "van", "an", "le")),
        *((f"T#pn#{two}", order) for two in ("nguyen van", "an nguyen", "an van")),
        ("T#mod#CT", order),
        ("T#mod#SR", order),
        ("N#ng", f"nguyen van an#{order}"),
        ("N#va", f"van an#~{order}"),
        ("N#an", f"an#~{order}"),
        ("N#le", f"le#{order}"),
        ("M", order[:6]),
    }
    assert len(keys) == len(rows)


def test_hints_are_small_and_tell_what_filters_need() -> None:
    """About 200 bytes: names, modalities, the order (and so the date)."""
    from maypacs.index.costs import item_size

    for row in hint_rows(study()):
        assert item_size(row) < 400
        if not row["pk"].endswith("#M"):
            assert {"names", "modalities", "order", "study"} <= row.keys()


def test_absurd_values_make_keys_that_every_engine_takes() -> None:
    """A PatientID of a kilobyte, a name of a hundred parts."""
    from maypacs.index.costs import check_item

    rows = hint_rows(study(patient_ids=("x" * 5000,), patient_names=("ă " * 500, "đ" * 5000, "=".join("a" * 90))))
    assert len(rows) < 60
    for row in rows:
        assert check_item(row) < 4096


def test_words_of_every_group_are_found_together() -> None:
    """A letter and a sign of one person; never words of two names that one study has."""
    rows = hint_rows(study(patient_names=("Nguyen^An=阮^安", "Lê^Mai")))
    twos = {row["pk"].removeprefix("hosp1#T#pn#") for row in rows if "#T#pn#" in row["pk"] and " " in row["pk"]}
    assert {"an nguyen", "an 阮", "nguyen 安", "le mai"} <= twos
    assert not {"le nguyen", "an mai"} & twos


def test_a_name_of_too_many_words_does_not_make_rows_without_end() -> None:
    """A name of a hundred groups: every two of the first words, not of all."""
    name = "=".join(chr(0x4E00 + i) for i in range(100))
    assert len(hint_rows(study(patient_names=(name,)))) < 24 * 23 // 2 + 100 + 100 + 10


def test_orders_sort_by_date_time_and_uid_and_studies_without_a_date_come_last() -> None:
    """Read in reverse."""
    uid = Uid("1.2")
    orders = [
        study_order("", "", "01J1", uid),
        study_order("", "120000", "01J2", uid),
        study_order("19000101", "", "01J9", uid),
        study_order("20260101", "0830", "01J0", uid),
        study_order("20260101", "083001", "01J0", uid),
        study_order("20260101", "083001", "01J0", Uid("1.3")),
    ]
    assert orders == sorted(orders)


@pytest.mark.parametrize("start", ["a", "a b", "a#1.2"])
def test_short_first_words_have_a_partition_of_their_own(start: str) -> None:
    """However the name goes on."""
    assert names_pk(ArchiveId("hosp1"), start) == "hosp1#N#a"
