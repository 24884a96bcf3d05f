"""How fast images may go up at which time of the day: ``07:00-18:00 2Mbit/s``, ``mon-fri 08:00-17:00 pause``. Pure.

By the clock of this machine, in its time zone. The first window that holds decides; outside of all there is no limit.
A window may go past midnight; its days are those on which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edge_forwarder.errors import ConfigError

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES: Final = 24 * 60
_UNITS: Final = {"bit/s": 1, "kbit/s": 10**3, "mbit/s": 10**6, "gbit/s": 10**9}
_WINDOW: Final = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? +)?"
    r"(?P<from>\d{1,2}:\d{2})-(?P<to>\d{1,2}:\d{2}) +"
    r"(?:(?P<word>pause|unlimited)|(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[kmg]?bit/s))",
    re.IGNORECASE,
)
#: Slower than this (bit/s) nothing ever arrives.
_SLOWEST: Final = 8_000


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the day, [begin, end) or past midnight; ``limit`` in bytes a second, 0: pause, None: none."""

    text: str
    days: frozenset[int]
    """0 Monday."""
    begin: int
    end: int
    limit: float | None

    def holds(self, now: datetime) -> bool:
        minute, day = now.hour * 60 + now.minute, now.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


def parse(texts: Iterable[str]) -> tuple[Window, ...]:
    """Raises ConfigError, which names the window that is wrong."""
    return tuple(_window(text) for text in texts)


def at(windows: Sequence[Window], now: datetime) -> Window | None:
    """The window that holds; None: no limit."""
    return next((window for window in windows if window.holds(now)), None)


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f'[upload] windows: "{text}" is none, such as "mon-fri 07:00-18:00 2Mbit/s"')
    begin, end = _times(match["from"], match["to"], text)
    return Window(text.strip(), _days(match["first"], match["last"], text), begin, end, _limit(match))


def _days(first: str | None, last: str | None, text: str) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    try:
        begin = _DAYS.index(first.lower())
        end = _DAYS.index((last or first).lower())
    except ValueError:
        raise ConfigError(f'[upload] windows: "{text}": the days are {", ".join(_DAYS)}') from None
    return frozenset((begin + n) % 7 for n in range((end - begin) % 7 + 1))


def _times(begin: str, end: str, text: str) -> tuple[int, int]:
    first, last = _minute(begin), _minute(end)
    if first >= _MINUTES or last > _MINUTES or first == last:
        raise ConfigError(f'[upload] windows: "{text}": two different times from 00:00 to 24:00 are needed')
    return first, last


def _minute(clock: str) -> int:
    hours, minutes = (int(part) for part in clock.split(":"))
    return hours * 60 + minutes if minutes < 60 else 2 * _MINUTES


def _limit(match: re.Match[str]) -> float | None:
    if word := match["word"]:
        return 0.0 if word.lower() == "pause" else None
    bits = float(match["number"]) * _UNITS[match["unit"].lower()]
    if bits < _SLOWEST:
        raise ConfigError(f'[upload] windows: "{match.string.strip()}": at least 8 kbit/s, or "pause"')
    return bits / 8
