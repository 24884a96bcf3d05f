"""JPEG-LS lossless in place of native pixels (PS3.5 8.2.3, A.4): bytes in, bytes out, or not at all.

Every byte of the data set but the value of Pixel Data stays as it is, the SOP Instance UID too, for the image is the
same. Each frame is decoded again and compared, bit for bit, before anybody gets the result. What this does not fit
(other syntaxes than Explicit VR Little Endian, colour, bits beyond Bits Stored) stays as it came.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from edge_forwarder import part10
from edge_forwarder.peek import element_header, skip_sequence

JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
_PIXEL_DATA: Final = 0x7FE00010
_UNDEFINED: Final = 0xFFFFFFFF
_SHORTS: Final = {
    0x00280002: "samples",
    0x00280010: "rows",
    0x00280011: "columns",
    0x00280100: "allocated",
    0x00280101: "stored",
    0x00280102: "high_bit",
}
_FRAMES: Final = 0x00280008
#: Offsets of the Basic Offset Table have 32 bits.
_LONGEST: Final = 2**32 - 1


def is_available() -> bool:
    """Whether the codec is installed: ``maypacs-edge[compress]``."""
    return find_spec("jpeg_ls") is not None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where Pixel Data begins, its value, and what follows; one frame's geometry."""

    element: int
    value: int
    end: int
    rows: int
    columns: int
    stored: int
    frames: int
    frame_bytes: int


def compress(data: bytes) -> bytes | None:
    """A Part 10 file as the edge keeps it, with its pixels in JPEG-LS; None: it stays as it is."""
    if part10.meta_value(data, 0x0010) != EXPLICIT_LITTLE_ENDIAN:
        return None
    start = part10.dataset_offset(data)
    try:
        layout = _layout(data, start)
    except (struct.error, ValueError):
        return None
    if layout is None:
        return None
    frames = [*_encoded(data, layout)]
    if len(frames) != layout.frames:
        return None
    meta = part10.file_meta(part10.meta_value(data, 0x0002), part10.meta_value(data, 0x0003), JPEG_LS_LOSSLESS)
    pixels = _encapsulated(frames)
    size = len(meta) + layout.element - start + len(pixels) + len(data) - layout.end
    if size >= len(data):
        return None
    return b"".join((meta, data[start : layout.element], pixels, data[layout.end :]))


def _layout(data: bytes, at: int) -> _Layout | None:
    """None: not pixels that are encoded here. Raises struct.error, ValueError off the rails."""
    found: dict[str, int] = {"frames": 1}
    while at + 8 <= len(data):
        element = at
        tag, vr, length, at = element_header(data, at, explicit=True)
        if tag == _PIXEL_DATA:
            return _checked(found, element, at, length, len(data)) if vr in (b"OW", b"OB") else None
        if length == _UNDEFINED:
            at = skip_sequence(data, at, explicit=vr != b"UN")
            continue
        if name := _SHORTS.get(tag):
            (found[name],) = struct.unpack_from("<H", data, at)
        elif tag == _FRAMES:
            found["frames"] = int(data[at : at + length].strip(b" \0") or b"1")
        at += length
    return None


def _checked(found: dict[str, int], element: int, value: int, length: int, size: int) -> _Layout | None:
    if any(name not in found for name in _SHORTS.values()) or length == _UNDEFINED:
        return None
    if found["samples"] != 1 or found["allocated"] not in (8, 16) or found["high_bit"] != found["stored"] - 1:
        return None
    if not 2 <= found["stored"] <= found["allocated"] or min(found["rows"], found["columns"], found["frames"]) < 1:
        return None
    frame = found["rows"] * found["columns"] * found["allocated"] // 8
    # One byte makes an odd length even; anything more is nobody knows what.
    if value + length > size or length - frame * found["frames"] not in (0, 1):
        return None
    return _Layout(
        element, value, value + length, found["rows"], found["columns"], found["stored"], found["frames"], frame
    )


def _encoded(data: bytes, layout: _Layout) -> Iterator[bytes]:
    """Fewer frames than there are when one cannot be had back bit for bit."""
    import jpeg_ls

    for number in range(layout.frames):
        at = layout.value + number * layout.frame_bytes
        raw = data[at : at + layout.frame_bytes]
        try:
            encoded = bytes(
                jpeg_ls.encode_pixel_data(
                    raw,
                    rows=layout.rows,
                    columns=layout.columns,
                    samples_per_pixel=1,
                    bits_stored=layout.stored,
                )
            )
            again, _ = jpeg_ls.decode_pixel_data(encoded)
        except (RuntimeError, ValueError):
            return
        if bytes(again) != raw:
            return
        yield encoded + b"\0" * (len(encoded) % 2)


def _encapsulated(frames: list[bytes]) -> bytes:
    """Pixel Data of one fragment a frame, with its Basic Offset Table (an empty one when offsets would be too long)."""
    offsets, at = [], 0
    for frame in frames:
        offsets.append(at)
        at += 8 + len(frame)
    table = b"" if at > _LONGEST else struct.pack(f"<{len(offsets)}I", *offsets)
    pieces = [struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _UNDEFINED), _item(table)]
    pieces += [_item(frame) for frame in frames]
    return b"".join((*pieces, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)))


def _item(value: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
