"""File meta information, the same for the same data set (PS3.10 clause 7): no time, no AE title."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from maypacs.dicom.header import Header

#: Ours (PS3.7 D.3.3.2); 2.25 and a UUID made once for this project.
IMPLEMENTATION_CLASS_UID = "2.25.62473957372474616900561355088449654165"
IMPLEMENTATION_VERSION_NAME = "MAYPACS"


def part10_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and group 0002: put it before a data set in that transfer syntax to have a Part 10 file."""
    group = b"".join(
        (
            _element(0x0001, b"OB", b"\0\1"),
            _element(0x0002, b"UI", sop_class_uid.encode("ascii")),
            _element(0x0003, b"UI", sop_instance_uid.encode("ascii")),
            _element(0x0010, b"UI", transfer_syntax_uid.encode("ascii")),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    return bytes(128) + b"DICM" + _element(0x0000, b"UL", struct.pack("<I", len(group))) + group


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b" " if vr == b"SH" else b"\0"
    if vr == b"OB":
        return struct.pack("<HH2sHI", 0x0002, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def to_explicit_little_endian(
    data: bytes | memoryview,
    header: Header,
    pixels: bytes | memoryview | None = None,
    overrides: Mapping[str, str | int | None] | None = None,
) -> bytes:
    """See `maypacs.dicom.explicit`, which is imported when it is needed."""
    from maypacs.dicom import explicit

    return explicit.to_explicit_little_endian(data, header, pixels, overrides)
