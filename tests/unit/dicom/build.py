"""Small data sets by hand, for tests: explicit and implicit VR, either byte order."""

from __future__ import annotations

import struct

from maypacs.dicom.file_meta import part10_header

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
UNDEFINED = 0xFFFFFFFF


def element(tag: int, vr: str, value: bytes, *, order: str = "<", length: int | None = None, pad: bool = True) -> bytes:
    """An explicit VR element. ``length`` overrides what the header says."""
    if pad and len(value) % 2:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    stated = len(value) if length is None else length
    if vr in LONG:
        return struct.pack(order + "HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, stated) + value
    return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), stated) + value


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    """An implicit VR element."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(value: bytes, *, length: int | None = None, order: str = "<") -> bytes:
    """An item; of undefined length with its delimiter when ``length`` is 0xFFFFFFFF."""
    head = struct.pack(order + "HHI", 0xFFFE, 0xE000, len(value) if length is None else length)
    end = struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0) if length == UNDEFINED else b""
    return head + value + end


def sequence_end(order: str = "<") -> bytes:
    return struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0)


def uids(order: str = "<") -> bytes:
    """The four UIDs a header needs, in their order."""
    return element(0x00080016, "UI", b"1.2.3", order=order) + element(0x00080018, "UI", b"1.2.3.4", order=order)


def study_uids(order: str = "<") -> bytes:
    return element(0x0020000D, "UI", b"1.2.5", order=order) + element(0x0020000E, "UI", b"1.2.6", order=order)


def part10(dataset: bytes, syntax: str = EXPLICIT) -> bytes:
    return part10_header("1.2.3", "1.2.3.4", syntax) + dataset


def instance(*, early: bytes = b"", middle: bytes = b"", late: bytes = b"") -> bytes:
    """An explicit VR little endian instance with elements before (0008,0016), between, and after the UIDs."""
    return part10(early + uids() + middle + study_uids() + late)
