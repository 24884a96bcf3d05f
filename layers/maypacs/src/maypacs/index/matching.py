"""Attribute matching of DICOM JSON (PS3.4 C.2.2.2): single value, list of UIDs, wildcard, range, sequence. Pure.

Text is compared as it is, padding aside; names of persons by their folded form (`maypacs.index.terms.fold`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from maypacs.errors import BadRequestError
from maypacs.index.rows import Attributes, valid_date
from maypacs.index.terms import fold, name_groups, plain

#: Asterisks of one key.
MAX_STARS = 16

_DAY_START, _DAY_END = "000000.000000", "235959.999999"
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?\Z")


@dataclass(frozen=True, slots=True)
class Match:
    path: tuple[str, ...]  #: tags; more than one: attributes inside sequences
    value: str  #: never empty; UIDs joined by a backslash
    vr: str  #: of the last tag, "" when it is not a public one
    fuzzy: bool = False

    @property
    def kind(self) -> Literal["name", "uids", "dates", "times", "text"]:
        kinds: dict[str, Literal["name", "uids", "dates", "times"]]
        kinds = {"PN": "name", "UI": "uids", "DA": "dates", "TM": "times"}
        return kinds.get(self.vr, "text")

    @property
    def wild(self) -> bool:
        return "*" in self.value or "?" in self.value

    @property
    def uids(self) -> list[str]:
        return self.value.split("\\")


def date_range(value: str) -> tuple[str, str]:
    """First and last day (YYYYMMDD) that a DA key allows. Raises BadRequestError."""
    low, dash, high = value.strip().partition("-")
    first, last = valid_date(low), valid_date(high)
    if (low.strip() and not first) or (high.strip() and not last) or not (first or last):
        raise BadRequestError("a date key is YYYYMMDD, YYYYMMDD-, -YYYYMMDD or YYYYMMDD-YYYYMMDD")
    if not dash:
        return first, first
    return first or "00000101", last or "99991231"


def time_range(value: str) -> tuple[str, str]:
    """First and last time (HHMMSS.FFFFFF) that a TM key allows: a time of less precision is all of its span."""
    low, dash, high = value.strip().replace(":", "").partition("-")
    if (low and not _TIME.match(low)) or (high and not _TIME.match(high)) or not (low or high):
        raise BadRequestError("a time key is HH, HHMM, HHMMSS or HHMMSS.F, or a range of them with '-'")
    if not dash:
        high = low
    return low + _DAY_START[len(low) :], (high + _DAY_END[len(high) :]) if high else _DAY_END


def matches_all(attributes: Attributes, keys: Sequence[Match]) -> bool:
    """Whether every key matches. A date and a time range of one pair are one range of moments (PS3.4 C.2.2.2.5)."""
    rest = list(keys)
    for date_tag, time_tag in (("00080020", "00080030"), ("00400244", "00400245")):
        date = next((m for m in rest if m.path == (date_tag,) and "-" in m.value), None)
        time = next((m for m in rest if m.path == (time_tag,) and "-" in m.value), None)
        if date is not None and time is not None:
            rest = [m for m in rest if m is not date and m is not time]
            if not _moment_matches(attributes, date, time):
                return False
    return all(matches(attributes, key) for key in rest)


def matches(attributes: Attributes, key: Match) -> bool:
    """Whether one key matches; inside a sequence, whether it does so in any item (PS3.4 C.2.2.2.6)."""
    if len(key.path) > 1:
        items = attributes.get(key.path[0], {}).get("Value") or ()
        inner = Match(key.path[1:], key.value, key.vr, key.fuzzy)
        return any(matches(item, inner) for item in items if isinstance(item, dict))
    element = attributes.get(key.path[0])
    if element is None:
        return False
    values = element.get("Value") or ()
    match key.kind if key.vr else {"PN": "name", "UI": "uids"}.get(element.get("vr", ""), "text"):
        case "name":
            return any(name_matches(pn_text(value), key.value, fuzzy=key.fuzzy) for value in values)
        case "uids":
            wanted = key.uids
            return any(str(value).strip(" \0") in wanted for value in values)
        case "dates":
            first, last = date_range(key.value)
            return any(first <= (valid_date(str(value)) or "!") <= last for value in values)
        case "times":
            start, end = time_range(key.value)
            return any(start <= _full_time(str(value)) <= end for value in values)
    return any(text_matches(value, key.value) for value in values)


def text_matches(value: Any, wanted: str) -> bool:
    if value is None or isinstance(value, dict):
        return False
    wanted = plain(wanted)
    if isinstance(value, (int, float)):
        try:
            return float(wanted) == float(value)
        except ValueError:
            return False
    text = plain(str(value))
    if "*" in wanted or "?" in wanted:
        return _pattern(wanted).match(text) is not None
    return text == wanted


def name_matches(pn: str, wanted: str, *, fuzzy: bool) -> bool:
    return folded_name_matches(name_groups(pn), wanted, fuzzy=fuzzy)


def folded_name_matches(groups: Iterable[str], wanted: str, *, fuzzy: bool) -> bool:
    """Whether a name of these folded groups matches the key (`maypacs.query` tells the rules)."""
    if fuzzy:
        patterns = [_pattern(word + "*") for word in name_words(wanted)]
        words = [word for group in groups for word in group.split(" ")]
        return bool(patterns) and all(any(p.match(word) for word in words) for p in patterns)
    if "*" in wanted or "?" in wanted:
        pattern = _pattern(fold_pattern(wanted))
        return any(pattern.match(group) or pattern.match(group + " ") for group in groups)
    if is_words(wanted):
        asked = set(name_words(wanted))
        return asked <= {word for group in groups for word in group.split(" ")}
    asked_groups = name_groups(wanted)
    return bool(asked_groups) and set(asked_groups) <= set(groups)


def is_words(wanted: str) -> bool:
    """Several words as a person types them, not a name in DICOM's form."""
    return "^" not in wanted and "=" not in wanted and len(fold(wanted).split(" ")) > 1


def name_words(wanted: str) -> list[str]:
    return [word for word in fold_pattern(wanted).split(" ") if word.strip("*")]


@lru_cache(maxsize=512)
def fold_pattern(wanted: str) -> str:
    """A name with wildcards, folded between them; a separator beside a wildcard stays."""
    pieces = re.split(r"([*?])", wanted)
    folded = []
    for piece in pieces:
        body = fold(piece)
        if body and piece[0] in " ^=,.-":
            body = " " + body
        if piece and piece[-1] in " ^=,.-":
            body += " "
        folded.append(body if piece not in ("*", "?") else piece)
    return "".join(folded).lstrip(" ")


def pn_text(value: Any) -> str:
    """A PN value of DICOM JSON as one text: its groups joined by "="."""
    if isinstance(value, dict):
        return "=".join(str(value.get(group) or "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
    return "" if value is None else str(value)


@lru_cache(maxsize=512)
def _pattern(wildcards: str) -> re.Pattern[str]:
    """``*`` and ``?`` of PS3.4 C.2.2.2.4. What lies between two ``*`` is matched at its first place and never tried
    again (atomic groups): the time stays a product of lengths, not a power."""
    first, *rest = ["".join("." if c == "?" else re.escape(c) for c in piece) for piece in re.split(r"\*+", wildcards)]
    if not rest:
        return re.compile(first + r"\Z", re.DOTALL)
    between = "".join(f"(?>.*?{piece})" for piece in rest[:-1] if piece)
    return re.compile(f"{first}{between}.*{rest[-1]}\\Z", re.DOTALL)


def _full_time(value: str) -> str:
    digits = value.replace(":", "").strip()
    return digits + _DAY_START[len(digits) :] if _TIME.match(digits) else "!"


def _moment_matches(attributes: Attributes, date: Match, time: Match) -> bool:
    (first, last), (start, end) = date_range(date.value), time_range(time.value)
    dates = attributes.get(date.path[0], {}).get("Value") or ()
    times = attributes.get(time.path[0], {}).get("Value") or ()
    if not dates or not times:
        return False
    moment = (valid_date(str(dates[0])), _full_time(str(times[0])))
    return bool(moment[0]) and moment[1] != "!" and (first, start) <= moment <= (last, end)
