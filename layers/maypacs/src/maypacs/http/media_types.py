"""Media types: a tolerant reader of Accept and Content-Type, and the choice of what to answer.

Sources: PS3.18 8.7 (media types), Tables 8.7.3-x, 10.4.4-1; RFC 9110 12.5.1 (q values, *).
Tolerant means: `type` quoted or not, any case, spaces anywhere, lists over several headers, unknown types ignored as
long as one fits. No Accept at all is read as */* (8.7.5 asks for 406: a declared deviation, which MAYPACS_STRICT_ACCEPT
takes back).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maypacs.errors import BadRequestError, NotAcceptableError

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
JSON = "application/json"
OCTETS = "application/octet-stream"
DEFLATE = "application/x-deflate"
MULTIPART = "multipart/related"

_DICOM_TYPES = frozenset({DICOM, DICOM_JSON, DICOM_XML})
_RENDERED = frozenset(
    {
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/jp2",
        "image/jph",
        "text/html",
        "text/plain",
        "text/xml",
        "text/rtf",
        "application/pdf",
    }
)
#: An Accept of more ranges than this is an attack or a mistake; browsers send about ten.
MAX_RANGES = 64

#: Old and private spellings of the media types of compressed frames (PS3.18 Table 8.7.3-5 names the right ones).
_SPELLINGS = {
    "image/x-dicom-rle": "image/dicom-rle",
    "image/x-jls": "image/jls",
    "image/jll": "image/jpeg",
    "image/j2c": "image/jp2",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
}


@dataclass(frozen=True, slots=True)
class MediaType:
    """`kind/subtype` in lower case, and its parameters (names in lower case, values unquoted)."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def multipart(self) -> bool:
        return self.name.startswith("multipart/")

    @property
    def part(self) -> str:
        """The type of the parts of a multipart, or the type itself; "*/*" when a multipart does not say."""
        name = self.parameters.get("type", "*/*").lower() if self.multipart else self.name
        return _SPELLINGS.get(name, name)

    @property
    def transfer_syntax(self) -> str | None:
        return self.parameters.get("transfer-syntax") or None

    @property
    def quality(self) -> float:
        try:
            return min(1.0, max(0.0, float(self.parameters.get("q", "1"))))
        except ValueError:
            return 1.0


def parse_media_type(text: str) -> MediaType:
    """A Content-Type. Raises BadRequestError when there is none."""
    parsed = next(iter(_parse_list(text)), None)
    if parsed is None or "/" not in parsed.name:
        raise BadRequestError("a media type is missing or malformed")
    return parsed


def parse_accept(header: str | None, query: Iterable[str] = ()) -> tuple[MediaType, ...]:
    """What a client accepts, best first (q, then its own order). The `accept` query parameter (8.3.3.1) goes first.

    Raises BadRequestError when DICOM and rendered media types are mixed (8.7.5).
    """
    chosen = [value for value in query if value.strip()] or [header or ""]
    ranges = [r for text in chosen for r in _parse_list(text) if "/" in r.name or r.name == "*"]
    if not ranges:
        return (MediaType("*/*"),)
    parts = {r.part for r in ranges if r.multipart or r.name in _DICOM_TYPES}
    rendered = {r.name for r in ranges if not r.multipart and r.name in _RENDERED}
    if parts & _DICOM_TYPES and rendered:
        raise BadRequestError("Accept mixes DICOM and rendered media types")
    wanted = [MediaType("*/*", r.parameters) if r.name == "*" else r for r in ranges if r.quality > 0]
    return tuple(sorted(wanted, key=lambda r: -r.quality))


def _parse_list(text: str) -> Iterator[MediaType]:
    """Media ranges of a comma list; commas and semicolons inside quotes belong to the value."""
    position, count = 0, 0
    while position < len(text):
        end = _end(text, position, ",")
        fields = list(_split(text[position:end], ";"))
        position = end + 1
        name = fields[0].strip().lower() if fields else ""
        if not name:
            continue
        count += 1
        if count > MAX_RANGES:
            raise BadRequestError(f"more than {MAX_RANGES} media types in one header")
        parameters: dict[str, str] = {}
        for entry in fields[1:]:
            key, separator, value = entry.partition("=")
            if separator:
                parameters.setdefault(key.strip().lower(), _unquote(value))
        yield MediaType(name, parameters)


def _split(text: str, separator: str) -> Iterator[str]:
    position = 0
    while position <= len(text):
        end = _end(text, position, separator)
        yield text[position:end]
        position = end + 1


def _end(text: str, start: int, separator: str) -> int:
    """Where the next separator outside of quotes is, or the end of the text."""
    quoted = False
    position = start
    while position < len(text):
        character = text[position]
        if quoted and character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            return position
        position += 1
    return len(text)


def _unquote(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1]).strip()
    return value.strip('"')


# -- what to answer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that the client would take: part media type, whether in a multipart, and the transfer syntax asked for
    (None: the default of the resource; "*": whatever is stored)."""

    media_type: str
    multipart: bool
    transfer_syntax: str | None = None
    quality: float = field(default=1.0, compare=False)


def _wild(part: str, candidate: str) -> bool:
    return part in {"*/*", candidate} or part == candidate.split("/")[0] + "/*"


def dicom_choices(accept: tuple[MediaType, ...], *, single_allowed: bool) -> list[Choice]:
    """For study, series and instance resources (Table 10.4.4-1), best first. Raises NotAcceptableError."""
    choices = []
    for wanted in accept:
        if wanted.multipart or wanted.name == "*/*":
            if _wild(wanted.part, DICOM):
                choices.append(Choice(DICOM, True, wanted.transfer_syntax, wanted.quality))
            elif wanted.part in {OCTETS, DICOM_XML}:
                choices.append(Choice(wanted.part, True, wanted.transfer_syntax, wanted.quality))
        elif _wild(wanted.name, DICOM) and single_allowed:
            choices.append(Choice(DICOM, False, wanted.transfer_syntax, wanted.quality))
    if not choices:
        raise NotAcceptableError(
            'acceptable here: multipart/related; type="application/dicom"'
            + (", or application/dicom for one instance" if single_allowed else "")
        )
    return choices


def metadata_choice(accept: tuple[MediaType, ...]) -> str:
    """application/dicom+json, application/json or application/dicom+xml. Raises NotAcceptableError."""
    for wanted in accept:
        if wanted.multipart:
            if wanted.part == DICOM_XML:
                return DICOM_XML
            continue
        if wanted.name in {DICOM_JSON, JSON, DICOM_XML}:
            return wanted.name
        if _wild(wanted.name, DICOM_JSON):
            return DICOM_JSON
    raise NotAcceptableError("acceptable here: application/dicom+json")


def frame_choices(accept: tuple[MediaType, ...], *, single_allowed: bool) -> list[Choice]:
    """For frames and bulk data, best first: multipart of octets or of a compressed frame's type, or one such part."""
    choices = []
    for wanted in accept:
        if wanted.multipart or wanted.name == "*/*":
            if _wild(wanted.part, OCTETS):
                choices.append(Choice(OCTETS, True, wanted.transfer_syntax, wanted.quality))
            elif _is_of_frames(wanted.part):
                choices.append(Choice(wanted.part, True, wanted.transfer_syntax, wanted.quality))
        elif single_allowed and _wild(wanted.name, OCTETS):
            choices.append(Choice(OCTETS, False, wanted.transfer_syntax, wanted.quality))
        elif single_allowed and _is_of_frames(wanted.name):
            choices.append(Choice(wanted.part, False, wanted.transfer_syntax, wanted.quality))
    if not choices:
        raise NotAcceptableError(
            'acceptable here: multipart/related; type="application/octet-stream" or the media type of the stored frames'
            + (", or application/octet-stream for one frame" if single_allowed else "")
        )
    return choices


def _is_of_frames(name: str) -> bool:
    """A type of compressed frames (Table 8.7.3-5)."""
    return name.startswith(("image/", "video/")) or name == DEFLATE


def rendered_choice(accept: tuple[MediaType, ...], available: Sequence[str] = ("image/jpeg", "image/png")) -> str:
    """One of the media types that there are, the first of them by default. Raises NotAcceptableError."""
    for wanted in accept:
        if wanted.multipart:
            continue
        name = _SPELLINGS.get(wanted.name, wanted.name)
        found = next((each for each in available if _wild(name, each)), None)
        if found:
            return found
    raise NotAcceptableError(f"acceptable here: {', '.join(available)}")


def rendered_part_types(accept: tuple[MediaType, ...]) -> tuple[str, ...]:
    """What the parts of a rendered study or series may be, best first; wildcards as they are (Table 10.4.4-1).

    A single part does not hold a study. Raises NotAcceptableError.
    """
    wanted = tuple(dict.fromkeys(each.part for each in accept if each.multipart or each.name == "*/*"))
    if not any(
        name.partition("/")[0] in {"*", "image", "text", "video"} or name == "application/pdf" for name in wanted
    ):
        raise NotAcceptableError('acceptable here: multipart/related; type="image/jpeg" and other rendered types')
    return wanted


def part_choice(wanted: Sequence[str], available: Sequence[str]) -> str | None:
    """The media type of one part, None when none of those that there are is wanted."""
    return next((each for name in wanted for each in available if _wild(name, each)), None)
