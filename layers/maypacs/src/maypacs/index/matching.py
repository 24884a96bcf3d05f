"""Attribute matching of DICOM JSON (PS3.4 C.2.2.2): single value, lists, wildcard, range, sequence, empty value. Pure.

Text is compared as it is, padding aside; names of persons by their folded form (`maypacs.index.terms.fold`). A private
element is found by its creator, in whatever block of the group a data set gave to that creator (PS3.5 7.8.1).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from maypacs.index.moments import (
    PAIRS,
    TIMEZONE,
    date_range,
    full_time,
    in_zone,
    moment_matches,
    moments_match,
    offset_minutes,
    time_range,
)
from maypacs.index.rows import Attributes, first_value, valid_date
from maypacs.index.summaries import has_value
from maypacs.index.terms import fold, name_groups, plain

#: Asterisks of one key.
MAX_STARS = 16

Kind = Literal["name", "uids", "dates", "times", "moments", "text"]
_KINDS: dict[str, Kind] = {"PN": "name", "UI": "uids", "DA": "dates", "TM": "times", "DT": "moments"}


@dataclass(frozen=True, slots=True)
class Match:
    path: tuple[str, ...]  #: tags; more than one: attributes inside sequences
    value: str  #: never empty (but for ``empty``); UIDs joined by a backslash
    vr: str  #: of the last tag, "" when it is not a public one
    fuzzy: bool = False
    empty: bool = False  #: the attribute has no value, or is not there (PS3.4 C.2.2.2.7)
    zone: int | None = None  #: of dates and times: minutes east of UTC, None when the request says nothing
    creators: tuple[str, ...] = ()  #: of each tag of the path, "" of a public one; () when none is private

    @property
    def kind(self) -> Kind:
        return _KINDS.get(self.vr, "text")

    @property
    def wild(self) -> bool:
        return "*" in self.value or "?" in self.value

    @property
    def uids(self) -> list[str]:
        return self.value.split("\\")

    @property
    def texts(self) -> list[str]:
        """The values any of which is asked for: several of a code string, which holds no separators itself."""
        if self.vr != "CS" or ("," not in self.value and "\\" not in self.value):
            return [self.value]
        return [text for text in re.split(r"[,\\]", self.value) if text.strip()]

    @property
    def plainly(self) -> bool:
        """Whether rows that repeat an attribute's values as they are can tell this key."""
        return not self.empty and self.zone is None


def matches_all(attributes: Attributes, keys: Sequence[Match]) -> bool:
    """Whether every key matches. A date and a time range of one pair are one range of moments (PS3.4 C.2.2.2.5.4);
    all keys of one sequence are to match in the same item (C.2.2.2.6)."""
    zone = next((key.zone for key in keys if key.zone is not None), None)
    if zone is not None:
        attributes = in_zone(attributes, zone)
    rest = [key for key in keys if len(key.path) == 1]
    if len(rest) > 1:
        for date_tag, time_tag in PAIRS:
            date = next((m for m in rest if m.path == (date_tag,) and "-" in m.value), None)
            time = next((m for m in rest if m.path == (time_tag,) and "-" in m.value), None)
            if date is not None and time is not None:
                rest = [m for m in rest if m is not date and m is not time]
                if not moment_matches(attributes, (date_tag, time_tag), date.value, time.value):
                    return False
    if not all(matches(attributes, key) for key in rest):
        return False
    if len(rest) == len(keys):
        return True
    sequences = dict.fromkeys((key.path[0], *key.creators[:1]) for key in keys if len(key.path) > 1)
    return all(
        _item_matches(attributes, [key for key in keys if len(key.path) > 1 and (key.path[0], *key.creators[:1]) == s])
        for s in sequences
    )


def _item_matches(attributes: Attributes, keys: Sequence[Match]) -> bool:
    """Whether any item of a sequence matches all keys; none at all is an item in which everything is empty."""
    inner = [replace(key, path=key.path[1:], creators=key.creators[1:], zone=None) for key in keys]
    found = [item for tag in private_tags(attributes, keys[0]) for item in attributes.get(tag, {}).get("Value") or ()]
    return any(matches_all(item, inner) for item in found if isinstance(item, dict)) or (
        not found and all(key.empty for key in inner)
    )


def private_tags(attributes: Mapping[str, Any], key: Match) -> list[str]:
    """The first tag of a key as this data set has it: by the creator's own block, else as it was written."""
    return tags_of(attributes, key.path[0], key.creators[0] if key.creators else "")


def tags_of(attributes: Mapping[str, Any], tag: str, creator: str) -> list[str]:
    if not creator:
        return [tag]
    found = [each for each in attributes if each[:6] == f"{tag[:4]}00" and is_creator(each)]
    held = [each[6:] for each in found if plain(str((attributes[each].get("Value") or [""])[0])) == creator]
    return [f"{tag[:4]}{block}{tag[6:]}" for block in held]


def is_private(tag: str) -> bool:
    return int(tag[3], 16) % 2 == 1


def is_creator(tag: str) -> bool:
    """(gggg,0010-00FF) of an odd group: who reserved a block (PS3.5 7.8.1)."""
    return is_private(tag) and tag[4:6] == "00" and tag[6:] >= "10"


def matches(attributes: Attributes, key: Match) -> bool:
    """Whether one key matches; inside a sequence, whether it does so in any item (PS3.4 C.2.2.2.6)."""
    if len(key.path) > 1:
        return _item_matches(attributes, [key])
    tags = private_tags(attributes, key)
    if is_creator(key.path[0]):  # whichever block it reserved
        tags = [tag for tag in attributes if tag[:6] == key.path[0][:6] and is_creator(tag)]
    elements = [attributes[tag] for tag in tags if tag in attributes]
    if key.empty:
        return not any(_holds(element) for element in elements)
    own = attributes if key.vr == "DT" else {}
    return any(_element_matches(element, key, own) for element in elements)


def _holds(element: Mapping[str, Any]) -> bool:
    if element.get("vr") == "PN":
        return any(name_groups(pn_text(value)) for value in element.get("Value") or ())
    if "Value" in element and element.get("vr") not in ("SQ", None):
        return any(value is not None and plain(str(value)) for value in element["Value"])
    return has_value(element) or "BulkDataURI" in element or bool(element.get("InlineBinary"))


def _element_matches(element: Mapping[str, Any], key: Match, own: Attributes) -> bool:
    values = element.get("Value") or ()
    match key.kind if key.vr else _KINDS.get(element.get("vr", ""), "text"):
        case "name":
            return any(name_matches(pn_text(value), key.value, fuzzy=key.fuzzy) for value in values)
        case "uids":
            wanted = key.uids if key.vr else re.split(r"[,\\]", key.value)
            return any(str(value).strip(" \0") in wanted for value in values)
        case "dates" if key.vr:
            first, last = date_range(key.value)
            return any(first <= (valid_date(str(value)) or "!") <= last for value in values)
        case "times" if key.vr:
            start, end = time_range(key.value)
            return any(start <= full_time(str(value)) <= end for value in values)
        case "moments" if key.vr:
            zone = offset_minutes(first_value(own, TIMEZONE))
            return any(moments_match(str(value), key.value, zone=key.zone, own=zone) for value in values)
    if "InlineBinary" in element:
        return text_matches(_unknown_text(element["InlineBinary"]), key.value)
    return any(text_matches(value, text) for value in values for text in key.texts)


def _unknown_text(encoded: str) -> str | None:
    """A private value whose VR the file does not tell (UN), as text."""
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


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
