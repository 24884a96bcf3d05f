"""Dates, times and moments in one time zone: pure functions, at their edges."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.index.moments import in_zone, moments_match, offset_minutes, widened
from maypacs.index.rows import Attributes


def attributes(date: str, time: str, zone: str) -> Attributes:
    return {
        "00080020": {"vr": "DA", "Value": [date]} if date else {"vr": "DA"},
        "00080030": {"vr": "TM", "Value": [time]} if time else {"vr": "TM"},
        "00080201": {"vr": "SH", "Value": [zone]},
    }


@pytest.mark.parametrize(
    ("date", "time", "zone", "to", "expected"),
    [
        ("20260115", "233000", "+0700", 0, ("20260115", "163000.000000")),
        ("20260101", "013000", "+0700", 0, ("20251231", "183000.000000")),
        ("20260228", "20", "-0500", 420, ("20260301", "080000.000000")),
        ("", "233000", "+0700", 0, (None, "163000.000000")),  # a time without its day
        ("20260115", "", "+0700", 0, ("20260115", None)),  # a day without its time stays
        ("20260231", "120000", "+0700", 0, ("20260231", "120000")),  # a day that is none stays
        ("20260115", "253000", "+0700", 0, ("20260115", "253000")),
        ("20260115", "120000", "nonsense", 0, ("20260115", "120000")),
        ("20260115", "120000", "+0700", 420, ("20260115", "120000")),
    ],
)
def test_dates_and_times_move_together(
    date: str, time: str, zone: str, to: int, expected: tuple[str | None, str | None]
) -> None:
    """Only where the data set says its zone and both can be read."""
    moved = in_zone(attributes(date, time, zone), to)
    found = tuple((moved[tag].get("Value") or [None])[0] for tag in ("00080020", "00080030"))
    assert found == expected


@given(
    moment=st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),  # noqa: DTZ001
    own=st.integers(-720, 840),
    asked=st.integers(-720, 840),
)
def test_a_widened_range_holds_every_day_that_a_zone_makes_of_it(moment: dt.datetime, own: int, asked: int) -> None:
    """What the index looks through before the moments are compared."""
    there = moment + dt.timedelta(minutes=asked - own)
    low, high = widened(f"{there:%Y%m%d}", f"{there:%Y%m%d}")
    assert low <= f"{moment:%Y%m%d}" <= high


def test_open_ends_and_odd_days_are_widened_without_failing() -> None:
    """00000101 and 99991231 stay; the 31st of a short month counts from its end."""
    assert widened("00000101", "99991231") == ("00000101", "99991231")
    assert widened("20260231", "20260231") == ("20260301", "20260305")


@given(text=st.text(max_size=6))
def test_an_offset_is_minutes_or_nothing(text: str) -> None:
    """Never an error, never beyond the zones there are."""
    found = offset_minutes(text)
    assert found is None or -720 <= found <= 840


@given(
    moment=st.datetimes(dt.datetime(1900, 1, 2), dt.datetime(2100, 1, 1)),  # noqa: DTZ001
    precision=st.sampled_from([4, 6, 8, 10, 12, 14]),
    offset=st.integers(-12, 14),
)
def test_a_moment_lies_in_every_key_that_is_a_beginning_of_it(moment: dt.datetime, precision: int, offset: int) -> None:
    """Year, month, day, hour, minute, second; with the same offset, or with none on either side."""
    zone = f"{'-' if offset < 0 else '+'}{abs(offset):02}00"
    text = f"{moment:%Y%m%d%H%M%S}"
    for suffix in ("", zone):
        assert moments_match(text + suffix, text[:precision] + suffix, zone=None, own=None)
    assert moments_match(text, text[:precision] + zone, zone=None, own=offset * 60)
    assert not moments_match(text, f"{moment.year + 1}", zone=None, own=None)
