"""A data set of the DICOM JSON model (PS3.18 annex F) as bytes, Explicit VR Little Endian.

The other direction of `header`. Text becomes UTF-8 and (0008,0005) says so. What cannot be written as what it claims to
be is left out and named: optional attributes of strangers must not cost them an image.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maypacs.dicom.dictionary import public_vr
from maypacs.dicom.elements import ITEM, LONG_VRS, MAX_DEPTH, PIXEL_DATA, UNDEFINED
from maypacs.errors import HeaderError

CHARACTER_SET = "00080005"
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_NUMBERS = {"FL": "f", "FD": "d", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_BYTES = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_ONE_TEXT = frozenset(("LT", "ST", "UR", "UT"))
_TEXTS = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UC", "UI")) | _ONE_TEXT
_VRS = frozenset(_NUMBERS) | _BYTES | _TEXTS | {"AT", "PN", "SQ"}

#: Gives the bytes of a BulkDataURI. Raises KeyError: there are none.
Bulk = Callable[[str], bytes]


@dataclass(slots=True)
class Notes:
    """What was not taken as it came: tags, as the model spells them."""

    coerced: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)


class _Unwritable(Exception):
    """The value is not of its VR."""


def write_dataset(model: Mapping[str, Any], bulk: Bulk, notes: Notes, pixels: bytes | None = None) -> bytes:
    """The data set without group 0002. ``pixels``: the whole element (7FE0,0010), when its frames are encapsulated.

    Raises HeaderError: nested too deep, or bulk data that were not sent.
    """
    told = model.get(CHARACTER_SET, {})
    if isinstance(told, Mapping) and told.get("Value") not in (None, [], ["ISO_IR 192"], ["ISO_IR 6"]):
        notes.coerced.append(CHARACTER_SET)
    model = {**model, CHARACTER_SET: {"vr": "CS", "Value": ["ISO_IR 192"]}}
    return _dataset(model, bulk, notes, 0, pixels)


def _dataset(model: Mapping[str, Any], bulk: Bulk, notes: Notes, depth: int, pixels: bytes | None = None) -> bytes:
    if depth > MAX_DEPTH:
        raise HeaderError(f"sequences are nested more than {MAX_DEPTH} deep")
    elements: dict[int, bytes] = {}
    for name, element in model.items():
        if not _TAG.match(name) or not isinstance(element, Mapping):
            notes.discarded.append(name[:8] if _TAG.match(name[:8]) else "00000000")
            continue
        tag = int(name, 16)
        if tag >> 16 <= 0x0007 or tag & 0xFFFF == 0 or (tag == PIXEL_DATA and pixels is not None and not depth):
            continue  # groups of messages and files, group lengths
        try:
            vr = _vr(tag, element, notes)
            elements[tag] = _element(tag, vr, _value(vr, element, bulk, notes, depth))
        except _Unwritable:
            notes.discarded.append(name.upper())
    if pixels is not None and not depth:
        elements[PIXEL_DATA] = pixels
    return b"".join(elements[tag] for tag in sorted(elements))


def _vr(tag: int, element: Mapping[str, Any], notes: Notes) -> str:
    vr = element.get("vr")
    if isinstance(vr, str) and vr in _VRS:
        return vr
    known = public_vr(tag)
    if known is None:
        raise _Unwritable
    notes.coerced.append(f"{tag:08X}")
    return "OW" if "OW" in known else known[:2]


def _element(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr == "UI" or vr in _BYTES else b" "
    if vr not in LONG_VRS and len(value) > 0xFFFF:
        vr = "UN"  # PS3.5 6.2.2
    if len(value) >= UNDEFINED:
        raise _Unwritable
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode("ascii"))
    return head + (struct.pack("<HI", 0, len(value)) if vr in LONG_VRS else struct.pack("<H", len(value))) + value


def _value(vr: str, element: Mapping[str, Any], bulk: Bulk, notes: Notes, depth: int) -> bytes:
    if "BulkDataURI" in element:
        if vr == "SQ" or not isinstance(element["BulkDataURI"], str):
            raise _Unwritable
        try:
            return bulk(element["BulkDataURI"])
        except KeyError:
            raise HeaderError("bulk data that the metadata name were not sent") from None
    if "InlineBinary" in element:
        try:
            if vr == "SQ":
                raise _Unwritable
            return base64.b64decode(element["InlineBinary"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise _Unwritable from None
    values = element.get("Value", [])
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise _Unwritable
    if vr == "SQ":
        return b"".join(_item(item, bulk, notes, depth) for item in values)
    if vr in _BYTES:
        if values:
            raise _Unwritable
        return b""
    if vr in _NUMBERS:
        return b"".join(_number(_NUMBERS[vr], value) for value in values)
    if vr == "AT":
        return b"".join(_tag(value) for value in values)
    texts = [_name(value) if vr == "PN" else _text(vr, value) for value in values]
    if vr in _ONE_TEXT and len(texts) > 1:
        raise _Unwritable
    try:
        return "\\".join(texts).encode("utf-8")
    except UnicodeEncodeError:
        raise _Unwritable from None


def _item(item: object, bulk: Bulk, notes: Notes, depth: int) -> bytes:
    if item is None:
        item = {}
    if not isinstance(item, Mapping):
        raise _Unwritable
    content = _dataset(item, bulk, notes, depth + 1)
    return struct.pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, len(content)) + content


def _number(code: str, value: object) -> bytes:
    if isinstance(value, str):  # numbers that JSON cannot say, and integers above 2^53
        try:
            value = float(value) if code in "fd" else int(value)
        except ValueError:
            raise _Unwritable from None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _Unwritable
    if code not in "fd":
        if not math.isfinite(value) or value != int(value):
            raise _Unwritable
        value = int(value)
    try:
        return struct.pack(f"<{code}", value)
    except (struct.error, OverflowError):
        raise _Unwritable from None


def _tag(value: object) -> bytes:
    if not isinstance(value, str) or not _TAG.match(value):
        raise _Unwritable
    return struct.pack("<HH", int(value[:4], 16), int(value[4:], 16))


def _name(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        raise _Unwritable
    groups = [value.get(group, "") or "" for group in ("Alphabetic", "Ideographic", "Phonetic")]
    if any(not isinstance(group, str) or "\\" in group or "=" in group for group in groups):
        raise _Unwritable
    return "=".join(groups).rstrip("=")


def _text(vr: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Unwritable
    if isinstance(value, str):
        if "\\" in value and vr not in _ONE_TEXT:
            raise _Unwritable
        return value
    if vr == "IS" and value == int(value):
        return str(int(value))
    if vr == "DS":
        return _decimal(value)
    raise _Unwritable


def _decimal(value: float) -> str:
    """At most 16 characters (PS3.5 6.2), as exact as they allow."""
    text = repr(value)
    digits = 16
    while len(text) > 16 and digits > 1:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text
