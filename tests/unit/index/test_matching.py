"""Attribute matching of DICOM JSON, kind by kind (PS3.4 C.2.2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from maypacs.index.matching import Match, date_range, folded_name_matches, matches, matches_all, time_range
from maypacs.index.terms import name_groups

DATASET: dict[str, Any] = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
    "00080020": {"vr": "DA", "Value": ["20260115"]},
    "00080030": {"vr": "TM", "Value": ["083015.5"]},
    "00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY", "AXIAL"]},
    "0008103E": {"vr": "LO", "Value": ["Ngực (2.5mm) [x]"]},
    "00081030": {"vr": "LO"},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Nguyễn^Văn Thử", "Ideographic": "阮^文"}]},
    "00200013": {"vr": "IS", "Value": [7]},
    "00180050": {"vr": "DS", "Value": [2.5]},
    "00280010": {"vr": "US", "Value": [512]},
    "00400275": {
        "vr": "SQ",
        "Value": [
            {"00400009": {"vr": "SH", "Value": ["SPS1"]}, "00401001": {"vr": "SH", "Value": ["RP1"]}},
            {"00400009": {"vr": "SH", "Value": ["SPS2"]}},
        ],
    },
    "00091001": {"vr": "LO", "Value": ["private"]},
    "00321060": {"vr": "LO", "Value": [None]},
}

CASES = [
    # (key, VR, value, matches, reason)
    ("00080016", "UI", "1.2.840.10008.5.1.4.1.1.2", True, "single UID"),
    ("00080016", "UI", "1.2\\1.2.840.10008.5.1.4.1.1.2", True, "one of a list"),
    ("00080016", "UI", "1.2.840.10008.5.1.4.1.1", False, "a UID is not a prefix"),
    ("00080020", "DA", "20260115", True, "the day"),
    ("00080020", "DA", "20260101-20260131", True, "in the range"),
    ("00080020", "DA", "20260115-20260115", True, "both ends included"),
    ("00080020", "DA", "20260116-", False, "after"),
    ("00080020", "DA", "-20260114", False, "before"),
    ("00080030", "TM", "083015.5", True, "exactly"),
    ("00080030", "TM", "08", True, "its hour"),
    ("00080030", "TM", "0830", True, "its minute"),
    ("00080030", "TM", "0831", False, "another minute"),
    ("00080030", "TM", "08:00-08:30", True, "until the end of that minute"),
    ("00080030", "TM", "-0829", False, "before"),
    ("00080008", "CS", "AXIAL", True, "any of several values"),
    ("00080008", "CS", "axial", False, "case tells in text"),
    ("00080008", "CS", "AX*", True, "wildcard"),
    ("0008103E", "LO", "Ngực (2.5mm) [x]", True, "no character is special but * and ?"),
    ("0008103E", "LO", "Ngực (2?5mm) [?]", True, "? is one character"),
    ("0008103E", "LO", "Ngực (2.5mm) [?", False, "the end counts"),
    ("0008103E", "LO", "*mm*x*", True, "several asterisks"),
    ("0008103E", "LO", "*x*mm*", False, "in their order"),
    ("0008103E", "LO", " Ngực (2.5mm) [x] ", True, "padding"),
    ("00081030", "LO", "x", False, "empty here"),
    ("00321060", "LO", "x", False, "null here"),
    ("00200010", "SH", "x", False, "absent here"),
    ("00200013", "IS", "7", True, "a number as text"),
    ("00200013", "IS", "07", True, "is a number"),
    ("00200013", "IS", "70", False, "another number"),
    ("00200013", "IS", "seven", False, "no number"),
    ("00180050", "DS", "2.50", True, "decimal"),
    ("00280010", "US", "512", True, "binary number"),
    ("00091001", "", "priv*", True, "private: by what it is"),
    ("00100010", "PN", "nguyen^van thu", True, "a name"),
    ("00100010", "PN", "阮*", True, "another group of it"),
]


@pytest.mark.parametrize(("tag", "vr", "value", "expected", "reason"), CASES)
def test_a_key_matches_or_not(tag: str, vr: str, value: str, expected: bool, reason: str) -> None:
    """One row a kind of matching and a trap."""
    assert matches(DATASET, Match((tag,), value, vr)) is expected, reason


def test_keys_inside_sequences_match_in_any_item() -> None:
    """Each on its own."""
    assert matches(DATASET, Match(("00400275", "00400009"), "SPS2", "SH"))
    assert not matches(DATASET, Match(("00400275", "00400009"), "SPS3", "SH"))
    assert not matches(DATASET, Match(("00081030", "00400009"), "SPS2", "SH"))


@pytest.mark.parametrize(
    ("date", "time_of_day", "expected", "why"),
    [
        ("20260114-20260116", "0900-1000", True, "the 15th is wholly inside, its time does not matter"),
        ("20260115-20260116", "0831-0100", False, "too early on the first day"),
        ("20260114-20260115", "0100-0830", True, "early enough on the last"),
        ("20260114-20260115", "0100-0829", False, "too late on the last"),
        ("20260115-", "0830-", True, "from a moment on"),
        ("-20260115", "-0829", False, "until a moment"),
    ],
)
def test_a_date_and_a_time_range_are_one_range_of_moments(
    date: str, time_of_day: str, expected: bool, why: str
) -> None:
    """Combined date-time matching."""
    keys = [Match(("00080020",), date, "DA"), Match(("00080030",), time_of_day, "TM")]
    assert matches_all(DATASET, keys) is expected, why


NAMES = [
    # (key, fuzzy, matches "Nguyễn^Văn Thử=阮^文", reason)
    ("Nguyễn^Văn Thử", False, True, "as it is"),
    ("NGUYEN^VAN THU", False, True, "case and accents aside"),
    ("nguyen van thu", False, True, "words"),
    ("thu nguyen", False, True, "words in any order"),
    ("thu nguyen an", False, False, "one is missing"),
    ("nguyen^thu", False, False, "a name in DICOM's form is the whole name"),
    ("nguyen", False, False, "one word is the whole name too"),
    ("nguyen*", False, True, "a beginning"),
    ("nguyen^*", False, True, "a family name"),
    ("nguye^*", False, False, "not this one"),
    ("*thu", False, True, "an end"),
    ("n?uy?n*", False, True, "single characters"),
    ("Nguyễn^Văn Thử=阮^文", False, True, "groups"),
    ("Nguyễn^Văn Thử=李", False, False, "another ideographic group"),
    ("ng", True, True, "the beginning of a part"),
    ("th ng", True, True, "of several, in any order"),
    ("th x", True, False, "one fits nothing"),
    ("hu", True, False, "not a beginning"),
    ("文", True, True, "of any group"),
    ("v?n", True, True, "with wildcards"),
    ("nguyen^van^thu", True, True, "separators do not matter"),
]


@pytest.mark.parametrize(("key", "fuzzy", "expected", "reason"), NAMES)
def test_a_name_matches_or_not(key: str, fuzzy: bool, expected: bool, reason: str) -> None:
    """The rules of the conformance statement."""
    groups = name_groups("Nguyễn^Văn Thử=阮^文")
    assert folded_name_matches(groups, key, fuzzy=fuzzy) is expected, reason


def test_a_malicious_pattern_takes_no_time() -> None:
    """Sixteen asterisks against a long value: were every asterisk tried everywhere, this would never end."""
    value = {"00081030": {"vr": "LO", "Value": ["a" * 5_000]}}
    assert not matches(value, Match(("00081030",), "*a" * 15 + "*b", "LO"))


def test_ranges_are_read() -> None:
    """Open ends become the ends of the calendar and of the day."""
    assert date_range("20260101-") == ("20260101", "99991231")
    assert date_range("-20260101") == ("00000101", "20260101")
    assert date_range("2026.01.15") == ("20260115", "20260115")
    assert time_range("10-") == ("100000.000000", "235959.999999")
    assert time_range("-10") == ("000000.000000", "105959.999999")
