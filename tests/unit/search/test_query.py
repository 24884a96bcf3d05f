"""Parameters of a Search into a Query: what is taken, what is ignored with a word, what is refused."""

from __future__ import annotations

import pytest

from maypacs.errors import BadRequestError, PageError
from maypacs.index.matching import Match
from maypacs.query import Level, Query, parse_query


def parse(level: Level = "study", **params: str) -> Query:
    return parse_query({name: [value] for name, value in params.items()}, level)


def test_nothing_asked_is_the_newest_hundred() -> None:
    """The defaults of the statement."""
    assert parse() == Query("study", limit=100, offset=0)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"limit": "-1"}, "negative"),
        ({"limit": "0"}, "nothing to give"),
        ({"limit": "1001"}, "above the bound"),
        ({"limit": "ten"}, "not a number"),
        ({"limit": "1.5"}, "not whole"),
        ({"limit": "٣"}, "digits of another script"),
        ({"limit": ""}, "empty"),
        ({"offset": "-1"}, "negative"),
        ({"offset": "10001"}, "above the bound"),
        ({"offset": "99999999999999999999"}, "far above"),
    ],
)
def test_a_page_out_of_bounds_is_a_bad_request(params: dict[str, str], why: str) -> None:
    """400, naming the bounds."""
    with pytest.raises(PageError, match="whole number from"):
        parse(**params)


def test_limit_twice_is_refused() -> None:
    """Which of them was meant?"""
    with pytest.raises(PageError):
        parse_query({"limit": ["1", "2"]}, "study")


@pytest.mark.parametrize(
    "includefield",
    [["StudyDescription,00080090"], ["StudyDescription", "00080090"], ["00081030", "ReferringPhysicianName,"]],
)
def test_includefield_is_keywords_tags_lists_and_repetitions(includefield: list[str]) -> None:
    """All spellings mean the same tags."""
    assert parse_query({"includefield": includefield}, "study").include == ("00081030", "00080090")


def test_includefield_all_and_rare_keywords_and_private_tags() -> None:
    """`all` is no attribute; a keyword that few use is looked up; hex digits of any case."""
    query = parse(includefield="all,TemporalPositionIdentifier,0009100e")
    assert query.include_all
    assert query.include == ("00200100", "0009100E")


def test_what_ohif_asks_is_understood() -> None:
    """Its study list, letter by letter (percent-decoded)."""
    query = parse(
        limit="101",
        offset="0",
        fuzzymatching="false",
        includefield="00081030,00080060,00080090,00100030",
        StudyInstanceUID="1.2.3",
    )
    assert (query.limit, query.offset, query.warnings) == (101, 0, ())
    assert query.matches == (Match(("0020000D",), "1.2.3", "UI"),)


def test_keys_are_keywords_or_tags_also_inside_sequences() -> None:
    """RequestAttributesSequence.ScheduledProcedureStepID in three spellings."""
    expected = (Match(("00400275", "00400009"), "SPS1", "SH"),)
    for name in (
        "RequestAttributesSequence.ScheduledProcedureStepID",
        "00400275.00400009",
        "00400275.ScheduledProcedureStepID",
    ):
        assert parse("series", **{name: "SPS1"}).matches == expected


@pytest.mark.parametrize("value", ["", " ", "*", "**", "\0"])
def test_an_empty_value_restricts_nothing(value: str) -> None:
    """Universal matching (PS3.4 C.2.2.2.3)."""
    assert parse(PatientName=value, PatientID=value, StudyInstanceUID="").matches == ()


def test_uids_come_as_lists_of_either_separator() -> None:
    """Commas (PS3.18) and backslashes (PS3.4), trimmed."""
    for value in ("1.2,1.3", "1.2\\1.3", " 1.2 , 1.3\0"):
        assert parse(StudyInstanceUID=value).matches[0].uids == ["1.2", "1.3"]


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"StudyInstanceUID": "1.2.x"}, "no UID"),
        ({"StudyInstanceUID": "1.2*"}, "wildcards are not for UIDs"),
        ({"StudyDate": "2026"}, "half a date"),
        ({"StudyDate": "20261332"}, "no such day"),
        ({"StudyDate": "-"}, "a range without ends"),
        ({"StudyDate": "20260101-20260102-20260103"}, "two dashes"),
        ({"StudyTime": "25h"}, "no time"),
        ({"fuzzymatching": "maybe"}, "neither true nor false"),
        ({"Rows": "512"}, "an attribute of instances"),
        ({"SeriesDescription": "x"}, "an attribute of series"),
        ({"SOPInstanceUID": "1.2"}, "an attribute of instances"),
        ({"PatientID": "*a" * 20}, "too many asterisks"),
        ({"PatientID": "a" * 2000}, "too long"),
    ],
)
def test_a_key_that_cannot_be_matched_is_a_bad_request(params: dict[str, str], why: str) -> None:
    """And its text never repeats the value, which may be a patient's."""
    with pytest.raises(BadRequestError) as caught:
        parse(**params)
    value = next(iter(params.values()))
    assert value == "-" or value not in str(caught.value)


def test_keys_of_higher_levels_may_be_given_at_lower_ones() -> None:
    """Relational queries."""
    assert len(parse("instance", Rows="128", Modality="CT", PatientID="P1").matches) == 3
    assert len(parse("series", Modality="CT", PatientID="P1").matches) == 2


def test_modality_of_a_study_is_one_of_its_modalities() -> None:
    """Clients ask for it so."""
    assert parse(Modality="CT").matches == (Match(("00080061",), "CT", "CS"),)


def test_what_is_not_supported_is_ignored_with_a_warning() -> None:
    """Neither an error nor silence; no value is repeated."""
    query = parse(
        emptyvaluematching="true", orderby="PatientName", TimezoneOffsetFromUTC="+0700", includefield="Nonsense"
    )
    assert query.matches == ()
    assert len(query.warnings) == 4
    assert "+0700" not in " ".join(query.warnings)


def test_too_many_keys_are_refused() -> None:
    """A request is not a program."""
    with pytest.raises(BadRequestError, match="too many"):
        parse_query({"PatientID": [str(i) for i in range(65)]}, "study")
