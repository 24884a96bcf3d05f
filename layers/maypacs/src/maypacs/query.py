"""The query of a Search transaction (QIDO-RS): parameters in, a frozen `Query` out (PS3.18 8.3.4 and 10.6.1).

Decided where the standard leaves room, or is bent (docs/conformance.md declares the same):

* A parameter that names no DICOM attribute is ignored, and the answer's Warning says so; a value that cannot be read
  (limit, offset, a UID, a date, a time) is a BadRequestError, and so is a key of a lower level than the search's.
* With ``emptyvaluematching=true`` the value ``""`` asks for what has no value or is not there (PS3.4 C.2.2.2.7); with
  ``multiplevaluematching=true`` values parted by a backslash must be there all (C.2.2.2.8). Without it several code
  strings, parted by a backslash or a comma, are alternatives. An attribute given twice must match twice.
* TimezoneOffsetFromUTC is the zone of the request's dates and times. Studies that say theirs are compared in it; the
  others are taken to be in it. It is no key.
* A private creator (``00090010=CREATOR``) beside keys or includefields of its block names whose block that is, whatever
  its number in a data set; alone it is a key. Private attributes have no level: a study or a series matches when one of
  its instances does.
* PatientName without wildcards is the whole name, letter case, accents and the kind of separators aside; several words
  without ``^`` are parts of the name, all of which must be there. With ``fuzzymatching=true`` every word is the
  beginning of a part of the name, in any order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from maypacs.dicom import keywords
from maypacs.errors import BadRequestError, PageError
from maypacs.index.matching import MAX_STARS, Match, is_private
from maypacs.index.moments import TIMEZONE, check_moments, date_range, offset_minutes, time_range
from maypacs.index.summaries import SERIES_TAGS, STUDY_TAGS
from maypacs.index.terms import fold, plain
from maypacs.uids import Uid, uid

Level: TypeAlias = Literal["study", "series", "instance"]

MAX_LIMIT = 1_000
DEFAULT_LIMIT = 100
MAX_OFFSET = 10_000
#: Within one series, whose instances are known by one look at the index: those of fMRI have 20,000 and more.
MAX_OFFSET_IN_SERIES = 1_000_000
MAX_KEYS = 64
MAX_UIDS = 1_000
MAX_VALUE = 1_024

#: A charset parameter, with weights aside; ISO_IR 192 is DICOM's word for UTF-8 (PS3.18 8.8).
_UTF8 = frozenset({"utf-8", "utf8", "iso_ir 192"})
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_IGNORED = frozenset({"accept", "_", "SpecificCharacterSet", "00080005"})
_READ = frozenset(
    {"limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching", "includefield", "charset"}
)
_ZONE = frozenset({"TimezoneOffsetFromUTC", TIMEZONE})
#: VRs of which several values in one key are to be there all (PS3.4 C.2.2.2.8).
_SEVERAL = frozenset({"AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"})
_EMPTY = '""'
#: What a search may match at each level: what the study and series rows keep (an instance's data set is kept whole).
STUDY_KEYS = STUDY_TAGS | {"00080056", "00080061", "00080062", "00201206", "00201208"}
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
    creators: tuple[tuple[str, str], ...] = ()  #: of private blocks as the request numbers them: (gggg00bb, creator)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What of a request changes how its other parameters are read."""

    level: Level
    fuzzy: bool
    empty: bool
    several: bool
    zone: int | None
    creators: Mapping[tuple[str, ...], str]


def parse_query(
    params: Mapping[str, Sequence[str]],
    level: Level,
    *,
    study: Uid | None = None,
    series: Uid | None = None,
    after: str | None = None,
) -> Query:
    """``params`` are percent-decoded, several values a name. BadRequestError, PageError: no value in their text."""
    paths: dict[str, tuple[str, ...] | None]
    paths = {name: _path(name) for name in params if name not in _READ | _IGNORED | _ZONE}
    rules = _Rules(
        level,
        fuzzy=_flag(params, "fuzzymatching"),
        empty=_flag(params, "emptyvaluematching"),
        several=_flag(params, "multiplevaluematching"),
        zone=_zone([value for name in _ZONE for value in params.get(name, ())]),
        creators=_creators(params, paths),
    )
    _check_charset(params.get("charset", ()))
    matches: list[Match] = []
    ignored: list[str] = []
    for name, path in paths.items():
        if path is None:
            ignored.append("a parameter that names no DICOM attribute")
        elif path not in rules.creators:
            matches.extend(_matches(path, params[name], rules))
    include: list[str] = []
    include_all = False
    for each in (f.strip() for value in params.get("includefield", ()) for f in value.split(",")):
        path = _path(each) if each and each != "all" else None
        include_all = include_all or each == "all"
        include.extend(path[:1] if path else ())
        ignored.extend(["an includefield"] if path is None and each not in ("", "all") else ())
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
        offset=_number(params, "offset", 0, 0, MAX_OFFSET if series is None else MAX_OFFSET_IN_SERIES),
        after=after,
        warnings=tuple(f"not supported and ignored: {what}" for what in dict.fromkeys(ignored)),
        creators=tuple((block[0], creator) for block, creator in rules.creators.items() if len(block) == 1),
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


def _creators(
    params: Mapping[str, Sequence[str]], paths: Mapping[str, tuple[str, ...] | None]
) -> dict[tuple[str, ...], str]:
    """Creators of the private blocks that other parameters use: these name a block, they are no keys themselves."""
    fields = [_path(field.strip()) for value in params.get("includefield", ()) for field in value.split(",")]
    used = {
        (*path[:at], f"{tag[:4]}00{tag[4:6]}")
        for path in filter(None, (*paths.values(), *fields))
        for at, tag in enumerate(path)
        if is_private(tag) and tag[4:6] != "00"
    }
    named = {path: plain([*params[name], ""][0]) for name, path in paths.items() if path is not None and path in used}
    return {path: creator for path, creator in named.items() if creator.strip("*")}


def _matches(path: tuple[str, ...], values: Sequence[str], rules: _Rules) -> list[Match]:
    level = rules.level
    if level == "study" and path == (MODALITY,):
        path = (MODALITIES_IN_STUDY,)
    known = STUDY_KEYS if level == "study" else STUDY_KEYS | SERIES_KEYS
    if level != "instance" and path[0] not in known and not is_private(path[0]):
        below = "series" if path[0] in SERIES_KEYS else "instances"
        raise BadRequestError(f"the key {path[0]} is not one of a {level}: search /{below} for it")
    vr = keywords.vr(path[-1])
    blocks = [(*path[:at], f"{tag[:4]}00{tag[4:6]}") for at, tag in enumerate(path)]
    creators = tuple(rules.creators.get(block, "") if is_private(block[-1]) else "" for block in blocks)
    key = Match(path, "", vr, creators=creators if any(creators) else ())
    if rules.empty and _EMPTY in (value.strip() for value in values):
        return [replace(key, empty=True)]
    if vr == "UI":
        return _uid_matches(key, values)
    made = []
    for value in values:
        if not value.strip(" \0") or not value.strip("*"):
            continue  # universal matching (PS3.4 C.2.2.2.3 and C.2.2.2.4)
        if vr == "PN" and not fold(value):
            continue  # delimiters only: no component is asked for
        if value.count("*") > MAX_STARS or len(value) > MAX_VALUE:
            raise BadRequestError(f"the key {path[-1]} is too long, or has more than {MAX_STARS} asterisks")
        if vr in _DATED:
            _DATED[vr](value)
            made.append(replace(key, value=value, zone=rules.zone))
        elif rules.several and vr in _SEVERAL and "\\" in value:
            if "*" in value or "?" in value:
                raise BadRequestError(f"the key {path[-1]} has several values: no wildcards in them (PS3.4 C.2.2.2.8)")
            listed = [each for each in value.split("\\") if each.strip(" \0")]
            made += [replace(key, value=each, fuzzy=rules.fuzzy and vr == "PN") for each in listed]
        else:
            made.append(replace(key, value=value, fuzzy=rules.fuzzy and vr == "PN"))
    return made


_DATED: Mapping[str, Callable[[str], object]] = {"DA": date_range, "TM": time_range, "DT": check_moments}


def _uid_matches(key: Match, values: Sequence[str]) -> list[Match]:
    listed = [v for value in values for v in re.split(r"[,\\]", value) if v.strip(" \0")]
    if any("*" in v or "?" in v for v in listed):
        raise BadRequestError(f"the key {key.path[-1]} holds UIDs: wildcards are not for them")
    if len(listed) > MAX_UIDS:
        raise BadRequestError(f"a list of UIDs holds up to {MAX_UIDS}")
    return [replace(key, value="\\".join(uid(v) for v in listed))] if listed else []


def _zone(values: Sequence[str]) -> int | None:
    given = [value for value in values if value.strip()]
    if not given:
        return None
    # A plus that was not percent-encoded arrives as a space.
    offset = offset_minutes(re.sub(r"\A ?(?=\d)", "+", given[-1]))
    if offset is None:
        raise BadRequestError("TimezoneOffsetFromUTC is +HHMM or -HHMM, from -1200 to +1400")
    return offset


def _check_charset(values: Sequence[str]) -> None:
    """JSON is UTF-8 alone. A charset parameter without any that is supported is 400 (PS3.18 8.3.3.2)."""
    listed = [each.partition(";")[0].strip(' "').lower() for value in values for each in value.split(",")]
    if any(listed) and not _UTF8 & set(listed):
        raise BadRequestError("the charset of every answer is UTF-8")


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
