"""Days, hours and rates as people write them on a command line. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from edge_forwarder.errors import ConfigError

#: Nothing digital is older.
OLDEST: Final = date(1980, 1, 1)
_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Days:
    first: date
    last: date

    @classmethod
    def parse(cls, text: str | None, today: date) -> Days:
        """``20200101-20241231``, ``20200101-`` (until today) or one day; None: everything. Raises ConfigError."""
        if text is None:
            return cls(OLDEST, today)
        first, dash, last = text.partition("-")
        try:
            start = _day(first)
            end = _day(last) if last else today if dash else start
        except ValueError:
            raise ConfigError(f"{text} is not YYYYMMDD-YYYYMMDD") from None
        if start > end:
            raise ConfigError(f"{text} ends before it begins")
        return cls(start, end)

    @property
    def count(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def range(self) -> str:
        """As a range of dates (PS3.4 C.2.2.2.5)."""
        return f"{self.first:%Y%m%d}-{self.last:%Y%m%d}"

    def halves(self) -> tuple[Days, Days]:
        """The newer one first; of two days or more."""
        middle = self.first + (self.last - self.first) / 2
        return Days(middle + timedelta(1), self.last), Days(self.first, middle)

    def newest_first(self) -> Iterator[date]:
        for back in range(self.count):
            yield self.last - timedelta(back)


def _day(text: str) -> date:
    if not re.fullmatch("[0-9]{8}", text):
        raise ValueError(text)
    return date.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Minutes:
    """Minutes of a day, both ends included."""

    first: int = 0
    last: int = _MINUTES - 1

    @property
    def range(self) -> str:
        """As a range of times (PS3.4 C.2.2.2.5)."""
        return f"{self.first // 60:02}{self.first % 60:02}00-{self.last // 60:02}{self.last % 60:02}59.999999"

    def halves(self) -> tuple[Minutes, ...]:
        """Empty for one minute, which cannot be told apart further."""
        if self.first == self.last:
            return ()
        middle = (self.first + self.last) // 2
        return Minutes(self.first, middle), Minutes(middle + 1, self.last)


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of each day, by the local clock: from ``first`` to before ``last``, over midnight when it is earlier."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """``19:00-06:00``. Raises ConfigError."""
        found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)", text)
        if found is None:
            raise ConfigError(f"{text} is not HH:MM-HH:MM")
        a, b, c, d = map(int, found.groups())
        return cls(a * 60 + b, c * 60 + d)

    def seconds_until(self, now: datetime) -> float:
        """0 within it."""
        at = now.hour * 60 + now.minute
        if self.first == self.last or (at - self.first) % _MINUTES < (self.last - self.first) % _MINUTES:
            return 0.0
        return float((self.first - at) % _MINUTES * 60 - now.second)


def per_hour(text: str) -> float:
    """``500/h``. Raises ConfigError."""
    found = re.fullmatch(r"([0-9]+)(/h)?", text)
    if found is None or int(found[1]) == 0:
        raise ConfigError(f"{text} is not a rate such as 500/h")
    return float(found[1])
