"""The query of a Search transaction (QIDO-RS): parameters in, a frozen `Query` out (PS3.18 8.3.4 and 10.6.1).

Decided where the standard leaves room, or is bent (docs/conformance.md declares the same):

* A parameter that names no DICOM attribute is ignored, and the answer's Warning says so; a value that cannot be read
  (limit, offset, a UID, a date, a time) is a BadRequestError, and so is a key of a lower level than the search's.
* ``emptyvaluematching``, ``multiplevaluematching`` and TimezoneOffsetFromUTC are ignored with a Warning.
* PatientName without wildcards is the whole name, letter case, accents and the kind of separators aside; several words
  without ``^`` are parts of the name, all of which must be there. With ``fuzzymatching=true`` every word is the
  beginning of a part of the name, in any order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from maypacs.dicom import keywords
from maypacs.errors import BadRequestError, PageError
from maypacs.index.matching import MAX_STARS, Match, date_range, time_range
from maypacs.index.summaries import SERIES_TAGS, STUDY_TAGS
from maypacs.index.terms import fold
from maypacs.uids import Uid, uid

Level: TypeAlias = Literal["study", "series", "instance"]

MAX_LIMIT = 1_000
DEFAULT_LIMIT = 100
MAX_OFFSET = 10_000
MAX_KEYS = 64
MAX_UIDS = 1_000
MAX_VALUE = 1_024

_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_IGNORED = frozenset({"accept", "charset", "_"})
_NOT_SUPPORTED = frozenset({"emptyvaluematching", "multiplevaluematching", "TimezoneOffsetFromUTC", "00080201"})
#: What a search may match at each level: what the study and series rows keep (an instance's data set is kept whole).
STUDY_KEYS = STUDY_TAGS | {"00080061", "00080062", "00201206", "00201208"}
SERIES_KEYS = SERIES_TAGS | {"00201209"}
MODALITY, MODALITIES_IN_STUDY = "00080060", "00080061"


@dataclass(frozen=True, slots=True)
class Query:
    level: Level
    study: Uid | None = None  #: of the target resource: /studies/{study}/…
    series: Uid | None = None
    matches: tuple[Match, ...] = ()
    include: tuple[str, ...] = ()  #: tags, 8 hex digits
    include_all: bool = False
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: str | None = None  #: a `SearchResult.cursor`: continue below it (then the offset counts from there)
    warnings: tuple[str, ...] = ()


def parse_query(
    params: Mapping[str, Sequence[str]],
    level: Level,
    *,
    study: Uid | None = None,
    series: Uid | None = None,
    after: str | None = None,
) -> Query:
    """``params`` are percent-decoded, several values a name. BadRequestError, PageError: no value in their text."""
    matches: list[Match] = []
    include: list[str] = []
    ignored: list[str] = []
    include_all = False
    fuzzy = _flag(params, "fuzzymatching")
    for name, values in params.items():
        if name in {"limit", "offset", "fuzzymatching"} or name in _IGNORED:
            continue
        if name in _NOT_SUPPORTED:
            ignored.append(name)
        elif name == "includefield":
            for field in (f.strip() for value in values for f in value.split(",")):
                if field == "all":
                    include_all = True
                elif field:
                    path = _path(field)
                    ignored.extend(["an includefield"] if path is None else [])
                    include.extend([] if path is None else [path[0]])
        else:
            path = _path(name)
            if path is None:
                ignored.append("a parameter that names no DICOM attribute")
            else:
                matches.extend(_matches(path, values, level, fuzzy=fuzzy))
    if len(matches) > MAX_KEYS or len(include) > 1_000:
        raise BadRequestError(f"too many keys: up to {MAX_KEYS} matching keys and 1000 included attributes are taken")
    return Query(
        level=level,
        study=study,
        series=series,
        matches=tuple(matches),
        include=tuple(dict.fromkeys(include)),
        include_all=include_all,
        limit=_number(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
        offset=_number(params, "offset", 0, 0, MAX_OFFSET),
        after=after,
        warnings=tuple(f"not supported and ignored: {what}" for what in dict.fromkeys(ignored)),
    )


def _path(name: str) -> tuple[str, ...] | None:
    """``PatientName``, ``00100010``, ``RequestAttributesSequence.00400009`` as tags; None: no attribute's name."""
    tags = []
    for part in name.split("."):
        tag = part.upper() if _TAG.match(part) else keywords.tag(part)
        if tag is None:
            return None
        tags.append(tag)
    return tuple(tags)


def _matches(path: tuple[str, ...], values: Sequence[str], level: Level, *, fuzzy: bool) -> list[Match]:
    if level == "study" and path == (MODALITY,):
        path = (MODALITIES_IN_STUDY,)
    if path[0] not in STUDY_KEYS and (level == "study" or (level == "series" and path[0] not in SERIES_KEYS)):
        below = "series" if path[0] in SERIES_KEYS else "instances"
        raise BadRequestError(f"the key {path[0]} is not one of a {level}: search /{below} for it")
    vr = keywords.vr(path[-1])
    if vr == "UI":
        listed = [v for value in values for v in re.split(r"[,\\]", value) if v.strip(" \0")]
        if any("*" in v or "?" in v for v in listed):
            raise BadRequestError(f"the key {path[-1]} holds UIDs: wildcards are not for them")
        if len(listed) > MAX_UIDS:
            raise BadRequestError(f"a list of UIDs holds up to {MAX_UIDS}")
        return [Match(path, "\\".join(uid(v) for v in listed), vr)] if listed else []
    made = []
    for value in values:
        if not value.strip(" \0") or not value.strip("*"):
            continue  # universal matching (PS3.4 C.2.2.2.3 and C.2.2.2.4)
        if vr == "PN" and not fold(value):
            continue  # delimiters only: no component is asked for
        if value.count("*") > MAX_STARS or len(value) > MAX_VALUE:
            raise BadRequestError(f"the key {path[-1]} is too long, or has more than {MAX_STARS} asterisks")
        if vr == "DA":
            date_range(value)
        elif vr == "TM":
            time_range(value)
        made.append(Match(path, value, vr, fuzzy and vr == "PN"))
    return made


def _flag(params: Mapping[str, Sequence[str]], name: str) -> bool:
    value = (params.get(name) or ["false"])[-1].strip().lower()
    if value not in {"true", "false", ""}:
        raise BadRequestError(f"{name} is true or false")
    return value == "true"


def _number(params: Mapping[str, Sequence[str]], name: str, default: int, low: int, high: int) -> int:
    values = params.get(name)
    if not values:
        return default
    text = values[-1].strip()
    if len(values) > 1 or not text.isascii() or not text.isdigit() or not low <= int(text[:9]) <= high:
        raise PageError(f"{name} is a whole number from {low} to {high}")
    return int(text)
