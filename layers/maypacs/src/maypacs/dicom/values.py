"""One value field to the ``Value`` of the DICOM JSON model (PS3.18 F.2.2 to F.2.5), by VR.

Padding (trailing spaces and NULs) of each value goes; an empty value among others is null; IS and DS are numbers when
they parse as finite ones, else the text. Floats that JSON cannot carry are the texts "NaN", "inf" and "-inf".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from maypacs.dicom.charsets import CharacterSet

#: A list of values, empty when the field holds padding only.
Values = list[Any]

BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
#: Bytes of one word, for the VRs whose byte order is that of the data set.
WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_PADDING = " \0"
_PN_DELIMITERS = b"\r\n\t\f\\^="
#: Readers of JSON hold integers in a double: beyond it IS, SV and UV are text (PS3.18 Table F.2.3-1 allows both).
_INTEGER_BOUND = 2**53
_NUMBER_CHARACTERS = frozenset("0123456789+-.eE")


def _code(raw: bytes, charset: CharacterSet) -> Values:
    """AE, AS, CS, DA, DT, TM, UI: the default repertoire, whatever the Specific Character Set says."""
    text = raw.decode("latin_1").strip(_PADDING)
    if not text:
        return []
    if "\\" not in text:
        return [text]
    return [part.strip(_PADDING) or None for part in text.split("\\")]


def _text(raw: bytes, charset: CharacterSet) -> Values:
    """LO, SH, UC: many values in the data set's character set."""
    text = charset.decode(raw).rstrip(_PADDING)
    if not text:
        return []
    if "\\" not in text:
        return [text]
    return [part.rstrip(_PADDING) or None for part in text.split("\\")]


def _long_text(raw: bytes, charset: CharacterSet) -> Values:
    """LT, ST, UT: one value, backslashes and line ends included."""
    text = charset.decode(raw, delimiters=b"\r\n\t\f").rstrip(_PADDING)
    return [text] if text else []


def _uri(raw: bytes, charset: CharacterSet) -> Values:
    text = raw.decode("latin_1").rstrip(_PADDING)
    return [text] if text else []


def _person_name(raw: bytes, charset: CharacterSet) -> Values:
    """PN: objects of up to three groups; groups that are empty are left out (PS3.18 F.2.2)."""
    text = charset.decode(raw, delimiters=_PN_DELIMITERS).rstrip(_PADDING)
    if not text:
        return []
    return [_name_groups(part) for part in text.split("\\")]


def _name_groups(text: str) -> dict[str, str] | None:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {key: stripped for key, group in groups if (stripped := group.rstrip(_PADDING))} or None


def _number(text: str, parse: Callable[[str], float]) -> float | str | None:
    text = text.strip(_PADDING)
    if not text:
        return None
    if not _NUMBER_CHARACTERS.issuperset(text):  # Python reads "1_000", "infinity" and Arabic digits too
        return text
    try:
        return parse(text)
    except (ValueError, OverflowError):
        return text


def _integer(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        as_float = float(text)
        number = int(as_float)
        if number != as_float:
            raise ValueError from None
    if not -_INTEGER_BOUND <= number <= _INTEGER_BOUND:
        raise OverflowError
    return number


def _decimal(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise OverflowError
    return number


def _integers(raw: bytes, charset: CharacterSet) -> Values:
    return _numbers(raw, _integer)


def _decimals(raw: bytes, charset: CharacterSet) -> Values:
    return _numbers(raw, _decimal)


def _numbers(raw: bytes, parse: Callable[[str], float]) -> Values:
    text = raw.decode("latin_1").strip(_PADDING)
    if not text:
        return []
    if "\\" not in text:
        return [_number(text, parse)]
    return [_number(part, parse) for part in text.split("\\")]


TEXT_CONVERTERS: dict[str, Callable[[bytes, CharacterSet], Values]] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI"), _code),
    **dict.fromkeys(("LO", "SH", "UC"), _text),
    **dict.fromkeys(("LT", "ST", "UT"), _long_text),
    "UR": _uri,
    "PN": _person_name,
    "IS": _integers,
    "DS": _decimals,
}

#: VR -> (bytes of one value, struct code)
NUMBER_FORMATS = {
    "US": (2, "H"),
    "SS": (2, "h"),
    "UL": (4, "I"),
    "SL": (4, "i"),
    "UV": (8, "Q"),
    "SV": (8, "q"),
    "FL": (4, "f"),
    "FD": (8, "d"),
    "AT": (4, "HH"),
}


_SMALL_INTEGER_VRS = frozenset(("US", "SS", "UL", "SL"))
#: (VR, byte order) -> struct of one value: most values are one
_ONE = {(vr, order): struct.Struct(order + code) for vr, (_, code) in NUMBER_FORMATS.items() for order in "<>"}


def unpack_numbers(vr: str, raw: bytes, order: str) -> Values | None:
    """Values of a binary number VR; None when the length is no multiple of one value's. ``order`` is ``<`` or ``>``."""
    size, code = NUMBER_FORMATS[vr]
    if len(raw) == size and vr in _SMALL_INTEGER_VRS:
        return [_ONE[vr, order].unpack(raw)[0]]
    count, rest = divmod(len(raw), size)
    if rest:
        return None
    if vr == "AT":
        words = struct.unpack(f"{order}{2 * count}H", raw)
        return [f"{group:04X}{element:04X}" for group, element in zip(words[::2], words[1::2], strict=True)]
    numbers = struct.unpack(f"{order}{count}{code}", raw)
    if vr in _SMALL_INTEGER_VRS:
        return list(numbers)
    if vr in ("SV", "UV"):
        return [number if -_INTEGER_BOUND <= number <= _INTEGER_BOUND else str(number) for number in numbers]
    return [number if math.isfinite(number) else _not_finite(number) for number in numbers]


def _not_finite(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "inf" if number > 0 else "-inf"


def swap_words(raw: bytes, word: int) -> bytes:
    """Each ``word`` bytes reversed; a rest that fills no word stays as it is."""
    whole = len(raw) - len(raw) % word
    swapped = bytearray(raw)
    for i in range(word):
        swapped[i:whole:word] = raw[word - 1 - i : whole : word]
    return bytes(swapped)
