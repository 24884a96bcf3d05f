"""Streams of a few bytes that make a codec ask for gigabytes of memory, or work for hours."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

#: Rows and columns of the images that they claim to be.
SIDE = 512
_COD = b"\xff\x52\x00\x0c"


def picture() -> bytes:
    """A JPEG 2000 stream that is none of them: black."""
    out = io.BytesIO()
    black = Image.fromarray(np.zeros((SIDE, SIDE), np.uint8))
    black.save(out, "JPEG2000", no_jp2=True, irreversible=False)
    return out.getvalue()


def components(count: int = 5000) -> bytes:
    """Csiz: each component is the whole picture once more."""
    stream = picture()
    return (
        stream[:4]
        + struct.pack(">H", 38 + 3 * count)
        + stream[6:40]
        + struct.pack(">H", count)
        + stream[42:45] * count
        + stream[45:]
    )


def _jp2(stream: bytes, *boxes: bytes) -> bytes:
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    kind = b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
    return b"".join((signature, kind, *boxes, struct.pack(">I", 8 + len(stream)), b"jp2c", stream))


def components_in_jp2() -> bytes:
    return _jp2(components())


def palette_in_jp2() -> bytes:
    """One component of which the palette makes 255."""
    palette = b"\0\1\xff" + b"\7" * 255 + bytes(255)
    box = struct.pack(">I", 8 + len(palette)) + b"pclr" + palette
    return _jp2(picture(), struct.pack(">I", 8 + len(box)) + b"jp2h" + box)


def tiles() -> bytes:
    stream = picture()
    return stream[:24] + struct.pack(">II", 4, 4) + stream[32:]


def _style(precinct: int = 0x11, block: int = 4) -> bytes:
    """SPcod of five levels with precincts of two pixels."""
    return bytes((5, block, block, 0, 1, *[precinct] * 6))


def precincts() -> bytes:
    stream = picture()
    at = stream.index(_COD)
    return stream[:at] + b"\xff\x52\x00\x12\x01" + stream[at + 5 : at + 9] + _style() + stream[at + 14 :]


def precincts_of_a_tile() -> bytes:
    """In the header of the tile-part, which ends with SOD."""
    stream = picture()
    at = stream.index(_COD)
    style = b"\xff\x52\x00\x12\x01" + stream[at + 5 : at + 9] + _style()
    tile, data = stream.index(b"\xff\x90"), stream.index(b"\xff\x93")
    length = struct.pack(">I", int.from_bytes(stream[tile + 6 : tile + 10], "big") + len(style))
    return stream[: tile + 6] + length + stream[tile + 10 : data] + style + stream[data:]


def precincts_of_a_component() -> bytes:
    stream = picture()
    at = stream.index(_COD) + 14
    return stream[:at] + b"\xff\x53\x00\x0f\x00\x01" + _style() + stream[at:]


def precincts_behind_an_unknown_marker() -> bytes:
    """Whose length would lead past the rest of the header: codecs look for the next marker that they know."""
    stream = picture()
    at = stream.index(_COD)
    return stream[:at] + b"\xff\x4a\xff\xff" + precincts()[at:]


def layers() -> bytes:
    """65,535 of them, in precincts that are small and no more than that."""
    stream = bytearray(precincts())
    at = stream.index(b"\xff\x52\x00\x12")
    stream[at + 6 : at + 8] = b"\xff\xff"
    stream[at + 14 : at + 20] = b"\x66" * 6
    return bytes(stream)


def layers_of_tiles() -> bytes:
    """Some, in tiles that are some."""
    stream = bytearray(picture())
    at = stream.index(_COD)
    stream[at + 6 : at + 8] = b"\x03\xe8"
    stream[24:32] = struct.pack(">II", 16, 16)
    return bytes(stream)


def code_blocks() -> bytes:
    """A picture of 4096 x 4096 in blocks of four by four samples."""
    stream = bytearray(picture())
    at = stream.index(_COD)
    stream[at + 10 : at + 12] = b"\0\0"
    stream[8:16] = stream[24:32] = struct.pack(">II", 4096, 4096)
    return bytes(stream)


def bits() -> bytes:
    stream = bytearray(picture())
    stream[42] = 37
    return bytes(stream)


def turned() -> bytes:
    """As many pixels, in one row."""
    stream = bytearray(picture())
    stream[8:16] = struct.pack(">II", SIDE * SIDE, 1)
    return bytes(stream)


def _jpeg(side: int = SIDE, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("L", (side, side)).save(out, "JPEG", **options)
    return out.getvalue()


def jpeg_components() -> bytes:
    out = io.BytesIO()
    Image.new("CMYK", (SIDE, SIDE)).save(out, "JPEG")
    return out.getvalue()


def jpeg_of_two_frames() -> bytes:
    """The first is what it should be."""
    stream = _jpeg()
    at = stream.index(b"\xff\xc0")
    end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    frame = bytearray(stream[at:end])
    frame[5:9] = b"\xff\xdc\xff\xdc"
    return stream[:end] + bytes(frame) + stream[end:]


def jpeg_scans() -> bytes:
    """A progressive picture whose last scan comes a thousand times."""
    stream = _jpeg(progressive=True)
    last = stream.rindex(b"\xff\xda")
    return stream[:-2] + stream[last:-2] * 1000 + stream[-2:]


def jpeg_behind_junk() -> bytes:
    """Codecs look for the next marker."""
    stream = _jpeg(side=64)
    at = stream.index(b"\xff\xc0")
    return stream[:at] + b"\0\0\xff\0\0" + stream[at:]
