"""Data elements of little endian data sets, walked by their headers without a look at their values (PS3.5 7.1, 7.5)."""

from __future__ import annotations

import struct
from typing import Final

#: With a length of four bytes, after two that are reserved (PS3.5 7.1.2).
LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
UNDEFINED: Final = 0xFFFFFFFF
"""A length: as far as the delimiter."""
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD


def element_header(head: bytes, at: int, *, explicit: bool) -> tuple[int, bytes, int, int]:
    """Tag, VR, length, and where the value begins. Raises struct.error, ValueError."""
    group, element = struct.unpack_from("<HH", head, at)
    tag = group << 16 | element
    if group == 0xFFFE or not explicit:
        (length,) = struct.unpack_from("<I", head, at + 4)
        return tag, b"", length, at + 8
    vr = head[at + 4 : at + 6]
    if vr in LONG_VRS:
        (length,) = struct.unpack_from("<I", head, at + 8)
        return tag, vr, length, at + 12
    if not vr.isalpha() or not vr.isupper():
        raise ValueError("not explicit VR")
    (length,) = struct.unpack_from("<H", head, at + 6)
    return tag, vr, length, at + 8


def skip_sequence(head: bytes, at: int, *, explicit: bool) -> int:
    """The offset after a sequence of undefined length whose value starts at ``at``; nesting is counted, not
    recursed.
    """
    depth = 1
    while depth:
        tag, vr, length, at = element_header(head, at, explicit=explicit)
        if tag == ITEM:
            # The elements of an item are walked like any other: undefined lengths below end with their own delimiters.
            depth += length == UNDEFINED
            at += 0 if length == UNDEFINED else length
        elif tag in (ITEM_END, SEQUENCE_END):
            depth -= 1
        elif length == UNDEFINED:
            if explicit and vr == b"UN":
                raise ValueError("UN of undefined length inside a sequence: implicit VR within explicit")
            depth += 1
        else:
            at += length
    return at
