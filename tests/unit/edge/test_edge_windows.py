"""Bandwidth by the hour: windows as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge_forwarder.config import windows
from edge_forwarder.errors import ConfigError

MBIT = 1e6 / 8


def moment(day: int, clock: str) -> datetime:
    """Of a week that begins on a Monday, day 0."""
    hour, minute = clock.split(":")
    return datetime(2026, 11, 23 + day, int(hour), int(minute), tzinfo=UTC)


@pytest.mark.parametrize(
    ("texts", "day", "clock", "limit"),
    [
        (["07:00-18:00 2Mbit/s"], 0, "06:59", None),
        (["07:00-18:00 2Mbit/s"], 0, "07:00", 2 * MBIT),
        (["07:00-18:00 2Mbit/s"], 6, "17:59", 2 * MBIT),
        (["07:00-18:00 2Mbit/s"], 0, "18:00", None),
        (["22:00-06:00 512 kbit/s"], 0, "23:00", 64_000),
        (["22:00-06:00 512 kbit/s"], 0, "05:59", 64_000),
        (["22:00-06:00 512 kbit/s"], 0, "12:00", None),
        (["00:00-24:00 1.5Gbit/s"], 0, "23:59", 1.5e9 / 8),
        (["mon-fri 08:00-17:00 pause"], 4, "12:00", 0),
        (["mon-fri 08:00-17:00 pause"], 5, "12:00", None),
        (["sat-mon 08:00-17:00 pause"], 0, "12:00", 0),
        (["sat-mon 08:00-17:00 pause"], 1, "12:00", None),
        (["fri 22:00-06:00 pause"], 5, "05:00", 0),
        (["fri 22:00-06:00 pause"], 4, "05:00", None),
        (["12:00-13:00 unlimited", "07:00-18:00 2Mbit/s"], 0, "12:30", None),
        (["12:00-13:00 unlimited", "07:00-18:00 2Mbit/s"], 0, "13:00", 2 * MBIT),
    ],
)
def test_the_first_window_that_holds_decides(texts: list[str], day: int, clock: str, limit: float | None) -> None:
    """Its end excluded; past midnight too, by the day on which it began."""
    window = windows.at(windows.parse(texts), moment(day, clock))
    assert (window.limit if window else None) == limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "07:00-18:00",
        "07:00 2Mbit/s",
        "07:00-18:00 2",
        "07:00-18:00 2MB/s",
        "24:00-01:00 2Mbit/s",
        "25:00-26:00 2Mbit/s",
        "07:60-18:00 2Mbit/s",
        "07:00-07:00 2Mbit/s",
        "day 07:00-18:00 2Mbit/s",
        "mon-day 07:00-18:00 2Mbit/s",
        "07:00-18:00 0Mbit/s",
        "07:00-18:00 1kbit/s",
        "07:00-18:00 -2Mbit/s",
    ],
)
def test_a_window_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[upload\] windows"):
        windows.parse([text])
