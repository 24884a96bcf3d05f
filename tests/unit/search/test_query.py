"""Parameters of a Search into a Query: what is taken, what is ignored with a word, what is refused."""

from __future__ import annotations

import pytest

from maypacs.errors import BadRequestError, PageError
from maypacs.index.matching import Match
from maypacs.query import Level, Query, parse_query
from maypacs.uids import Uid


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


def test_within_one_series_pages_go_as_far_as_its_instances() -> None:
    """Of a series of 20,000 the last ones are found by offset too; elsewhere the bound stays."""
    within = parse_query({"offset": ["19900"]}, "instance", study=Uid("1.2"), series=Uid("1.2.3"))
    assert within.offset == 19_900
    with pytest.raises(PageError):
        parse_query({"offset": ["19900"]}, "instance", study=Uid("1.2"))


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
    query = parse(orderby="PatientName", includefield="Nonsense")
    assert query.matches == ()
    assert len(query.warnings) == 2
    assert "PatientName" not in " ".join(query.warnings)


def test_two_quotation_marks_ask_for_no_value_when_that_is_switched_on() -> None:
    """PS3.4 C.2.2.2.7; without the switch they are text, and no date at all."""
    (key,) = parse(emptyvaluematching="true", StudyDate='""').matches
    assert (key.path, key.empty) == (("00080020",), True)
    assert parse(PatientID='""').matches[0].empty is False
    assert parse(emptyvaluematching="true", PatientID="P1").matches[0].empty is False
    with pytest.raises(BadRequestError):
        parse(emptyvaluematching="false", StudyDate='""')


def test_several_values_are_keys_of_their_own_when_that_is_switched_on() -> None:
    """PS3.4 C.2.2.2.8: each must be there; no wildcards in them; without the switch code strings are alternatives."""
    query = parse(multiplevaluematching="true", ModalitiesInStudy="CT\\PT")
    assert [key.texts for key in query.matches] == [["CT"], ["PT"]]
    assert parse(ModalitiesInStudy="CT\\PT").matches[0].texts == ["CT", "PT"]
    assert parse(ModalitiesInStudy="CT,PT").matches[0].texts == ["CT", "PT"]
    assert parse(StudyDescription="a,b").matches[0].texts == ["a,b"]
    with pytest.raises(BadRequestError, match="wildcards"):
        parse(multiplevaluematching="true", ModalitiesInStudy="CT\\P*")


@pytest.mark.parametrize(
    ("text", "minutes"), [("+0700", 420), (" 0700", 420), ("-0330", -210), ("+1400", 840), ("-1200", -720)]
)
def test_a_time_zone_belongs_to_the_dates_and_times_of_the_request(text: str, minutes: int) -> None:
    """By keyword or tag; a plus that was not percent-encoded is one. It is no key itself."""
    for name in ("TimezoneOffsetFromUTC", "00080201"):
        query = parse_query({name: [text], "StudyDate": ["20260101"], "PatientID": ["P1"]}, "study")
        assert [key.zone for key in query.matches] == [minutes, None]
        assert query.warnings == ()


@pytest.mark.parametrize("text", ["+1500", "-1230", "7", "+07", "UTC", "+0760"])
def test_what_is_no_time_zone_is_refused(text: str) -> None:
    """400."""
    with pytest.raises(BadRequestError):
        parse(TimezoneOffsetFromUTC=text)


def test_a_charset_that_json_has_not_is_refused() -> None:
    """PS3.18 8.3.3.2; a list needs one that fits."""
    for charset in ("utf-8", "UTF-8;q=0.5", '"ISO_IR 192"', "iso-8859-1, utf-8;q=0.1"):
        assert parse(charset=charset).warnings == ()
    with pytest.raises(BadRequestError, match="UTF-8"):
        parse(charset="iso-8859-1")


def test_a_private_creator_names_the_block_of_other_parameters_and_is_a_key_alone() -> None:
    """At every level, for keys and included attributes, also inside sequences."""
    (key,) = parse("instance", **{"00091002": "x", "00090010": "ACME 1.0 "}).matches
    assert (key.path, key.creators) == (("00091002",), ("ACME 1.0",))
    (key,) = parse("instance", **{"00400275.00191002": "x", "00400275.00190010": "ACME"}).matches
    assert key.creators == ("", "ACME")
    assert parse("study", **{"00090010": "ACME"}).matches[0].path == ("00090010",)
    query = parse("study", includefield="00091002", **{"00090010": "ACME"})
    assert (query.matches, query.include, query.creators) == ((), ("00091002",), (("00090010", "ACME"),))


def test_the_character_set_of_a_request_is_no_key() -> None:
    """PS3.4 C.2.2.2: it is never matched."""
    assert parse(SpecificCharacterSet="ISO_IR 192") == parse()


def test_too_many_keys_are_refused() -> None:
    """A request is not a program."""
    with pytest.raises(BadRequestError, match="too many"):
        parse_query({"PatientID": [str(i) for i in range(65)]}, "study")
