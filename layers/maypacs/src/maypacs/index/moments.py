"""Dates, times and moments as they are matched (PS3.4 C.2.2.2.1 and C.2.2.2.5), in one time zone. Pure.

A search may say in which zone its dates and times are (Timezone Offset From UTC). A data set that says its own is then
moved into that zone before it is compared; one that does not is taken to be in it already.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from maypacs.errors import BadRequestError
from maypacs.index.rows import Attributes, first_value, valid_date

TIMEZONE = "00080201"
#: A date and a time that are one moment: of study, series, acquisition, content, performed procedure start and end.
PAIRS = (
    ("00080020", "00080030"),
    ("00080021", "00080031"),
    ("00080022", "00080032"),
    ("00080023", "00080033"),
    ("00400244", "00400245"),
    ("00400250", "00400251"),
)
#: Two zones are never further apart: from UTC-12 to UTC+14, so that a date may be two days off.
ZONES_APART = 2

_DAY_START, _DAY_END = "000000.000000", "235959.999999"
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?\Z")
_OFFSET = re.compile(r"([+-])(0\d|1[0-4])([0-5]\d)\Z")
_MOMENT = re.compile(r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?)?)?)?")


def offset_minutes(text: str) -> int | None:
    """``+0700`` as minutes east of UTC; None when it is no such offset (PS3.3 C.12.1.1.8)."""
    found = _OFFSET.match(text.strip(" \0"))
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    minutes = -minutes if found[1] == "-" else minutes
    return minutes if -720 <= minutes <= 840 else None


def date_range(value: str) -> tuple[str, str]:
    """First and last day (YYYYMMDD) that a DA key allows. Raises BadRequestError."""
    low, dash, high = value.strip().partition("-")
    first, last = valid_date(low), valid_date(high)
    if (low.strip() and not first) or (high.strip() and not last) or not (first or last):
        raise BadRequestError("a date key is YYYYMMDD, YYYYMMDD-, -YYYYMMDD or YYYYMMDD-YYYYMMDD")
    if not dash:
        return first, first
    return first or "00000101", last or "99991231"


def widened(first: str, last: str) -> tuple[str, str]:
    """A range of days that holds the same moments in any other zone."""
    return _days_later(first, -ZONES_APART), _days_later(last, ZONES_APART)


def _days_later(day: str, days: int) -> str:
    year, month, number = int(day[:4]), int(day[4:6]), int(day[6:])
    try:  # a day that its month lacks is counted on from the 28th
        moved = date(year, month, min(number, 28)) + timedelta(days + max(0, number - 28))
    except (ValueError, OverflowError):  # an open end
        return day
    return f"{moved:%Y%m%d}" if moved.year >= 1000 else day


def time_range(value: str) -> tuple[str, str]:
    """First and last time (HHMMSS.FFFFFF) that a TM key allows: a time of less precision is all of its span."""
    low, dash, high = (part.strip() for part in value.replace(":", "").partition("-"))
    if (low and not _TIME.match(low)) or (high and not _TIME.match(high)) or not (low or high):
        raise BadRequestError("a time key is HH, HHMM, HHMMSS or HHMMSS.F, or a range of them with '-'")
    if not dash:
        high = low
    return low + _DAY_START[len(low) :], (high + _DAY_END[len(high) :]) if high else _DAY_END


def full_time(value: str) -> str:
    """HHMMSS.FFFFFF of a TM value, "!" (below all times) when it cannot be read."""
    digits = value.replace(":", "").strip(" \0")
    return digits + _DAY_START[len(digits) :] if _TIME.match(digits) else "!"


def moment_matches(attributes: Attributes, pair: tuple[str, str], date_key: str, time_key: str) -> bool:
    """Whether date and time, as one moment, lie between the beginnings and the ends of two ranges."""
    (first, last), (start, end) = date_range(date_key), time_range(time_key)
    moment = valid_date(first_value(attributes, pair[0])), full_time(first_value(attributes, pair[1]))
    return bool(moment[0]) and moment[1] != "!" and (first, start) <= moment <= (last, end)


def in_zone(attributes: Attributes, zone: int) -> Attributes:
    """The attributes with their dates and times in another zone, when they say which one theirs is."""
    own = offset_minutes(first_value(attributes, TIMEZONE))
    if own is None or own == zone:
        return attributes
    moved = dict(attributes)
    for date_tag, time_tag in PAIRS:
        day, time = valid_date(first_value(attributes, date_tag)), full_time(first_value(attributes, time_tag))
        if time == "!":
            continue  # a date alone is a day of whoever wrote it
        try:
            when = datetime.strptime((day or "20000101") + time, "%Y%m%d%H%M%S.%f") + timedelta(minutes=zone - own)  # noqa: DTZ007
        except ValueError:
            continue
        if day:
            moved[date_tag] = {"vr": "DA", "Value": [f"{when:%Y%m%d}"]}
        moved[time_tag] = {"vr": "TM", "Value": [f"{when:%H%M%S.%f}"]}
    return moved


def check_moments(value: str) -> None:
    """Raises BadRequestError when a DT key cannot be read."""
    _moments(value)


def moments_match(value: str, key: str, *, zone: int | None, own: int | None) -> bool:
    """Whether a DT value lies in what a DT key allows. ``zone`` and ``own`` are those of request and data set."""
    low, high = _moments(key)
    found = _parts(value.strip(" \0"))
    if found is None:
        return False
    asked = next((part[1] for part in (low, high) if part is not None and part[1] is not None), zone)
    there = found[1] if found[1] is not None else own if own is not None else asked
    asked = asked if asked is not None else there
    moment = _utc(found[0][0], there)
    return (low is None or _utc(low[0][0], low[1] if low[1] is not None else asked) <= moment) and (
        high is None or moment <= _utc(high[0][1], high[1] if high[1] is not None else asked)
    )


_Parts = tuple[tuple[datetime, datetime], int | None]


def _moments(key: str) -> tuple[_Parts | None, _Parts | None]:
    """The two ends of a DT key. A hyphen before four digits that may be an offset is one (PS3.4 C.2.2.2.5.3)."""
    key = key.strip()
    single = _parts(key)
    if single is not None:
        return single, single
    for at in (found.start() for found in re.finditer("-", key)):
        low, high = key[:at].strip(), key[at + 1 :].strip()
        ends = _parts(low), _parts(high)
        if (low or high) and all(end is not None or not text for end, text in zip(ends, (low, high), strict=True)):
            return ends
    raise BadRequestError("a date and time key is YYYYMMDDHHMMSS.F with or without +HHMM, or a range of two with '-'")


def _parts(text: str) -> _Parts | None:
    """First and last moment of a DT value of any precision, and its offset."""
    found = _MOMENT.match(text)
    rest = text[found.end() :] if found else ""
    if found is None or (rest and offset_minutes(rest) is None):
        return None
    year, *others = found.groups()
    numbers = [int(each) for each in others if each is not None][:5]
    try:
        first = datetime(int(year), *[*numbers, 1, 1][: max(2, len(numbers))])  # type: ignore[arg-type] # noqa: DTZ001
        if found[7]:
            first = first.replace(microsecond=int(f"{found[7]:0<6}"))
            return (first, first + timedelta(microseconds=10 ** (6 - len(found[7])) - 1)), offset_minutes(rest)
        return (first, _end(first, len(numbers))), offset_minutes(rest)
    except (ValueError, OverflowError):
        return None


def _end(first: datetime, precision: int) -> datetime:
    """The last moment of the year, month, day, hour, minute or second that begins here."""
    if precision == 0:
        return first.replace(month=12, day=31, hour=23, minute=59, second=59, microsecond=999_999)
    if precision == 1:
        following = first.replace(day=28) + timedelta(4)
        return following.replace(day=1) - timedelta(microseconds=1)
    span = {2: timedelta(1), 3: timedelta(hours=1), 4: timedelta(minutes=1)}.get(precision, timedelta(seconds=1))
    return first + span - timedelta(microseconds=1)


def _utc(moment: datetime, offset: int | None) -> datetime:
    try:
        return moment - timedelta(minutes=offset or 0)
    except OverflowError:
        return moment
