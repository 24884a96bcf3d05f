"""Compressed frames as encapsulated pixel data (PS3.5 A.4): a fragment a frame, with offsets where 32 bits reach."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from maypacs.dicom.elements import ITEM, PIXEL_DATA, SEQUENCE_DELIMITER, UNDEFINED

#: The sequence delimiter that ends pixel data of undefined length.
ENCAPSULATED_TAIL = struct.pack("<HHI", SEQUENCE_DELIMITER >> 16, SEQUENCE_DELIMITER & 0xFFFF, 0)


def encapsulated(frames: Sequence[bytes | memoryview]) -> list[bytes]:
    """Pixel Data of undefined length: a Basic Offset Table (empty when 32 bits do not reach), a fragment a frame."""
    items = [fragment(frame) for frame in frames]
    return [encapsulated_head([len(item) for item in items]), *items, ENCAPSULATED_TAIL]


def fragment(frame: bytes | memoryview) -> bytes:
    """A frame as the only fragment that it has (PS3.5 A.4), of even length."""
    padding = bytes(len(frame) % 2)
    return b"".join((struct.pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, len(frame) + len(padding)), frame, padding))


def encapsulated_head(lengths: Sequence[int]) -> bytes:
    """What comes before fragments of these lengths, their items' headers included."""
    offsets, at = [], 0
    for length in lengths:
        offsets.append(at)
        at += length
    table = struct.pack(f"<{len(offsets)}I", *offsets) if at < UNDEFINED else b""
    head = struct.pack("<HH2sHI", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF, b"OB", 0, UNDEFINED)
    return head + struct.pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, len(table)) + table
