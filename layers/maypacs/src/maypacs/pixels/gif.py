"""An animated GIF of pictures that are drawn one by one, maybe by several requests: nobody holds all of them.

A block of each picture, with a palette of its own; what comes before and after the blocks. Source: GIF89a, 17 to 27.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: The trailer.
TAIL = b";"
#: Colour pictures of more pixels get their palette by the faster way: of 4 million the better one takes four seconds.
_MANY_PIXELS = 4_000_000


def paletted(picture: Image) -> Image:
    """At most 256 colours, or grey as it is."""
    from PIL.Image import Quantize

    if picture.mode != "RGB" or picture.width * picture.height <= _MANY_PIXELS:
        return picture
    return picture.quantize(256, Quantize.FASTOCTREE)


def block(picture: Image, milliseconds: float) -> bytes:
    """One picture of the animation, and how long it is shown.

    GIF counts time in hundredths of a second, and browsers slow down what is below two.
    """
    out = io.BytesIO()
    paletted(picture).save(out, "GIF")
    single = out.getvalue()
    flags = single[10]
    size = 3 << (flags & 7) + 1 if flags & 0x80 else 0
    table, position = single[13 : 13 + size], 13 + size
    while single[position] == 0x21:  # an extension: label, then sub-blocks up to an empty one
        position += 2
        while single[position]:
            position += 1 + single[position]
        position += 1
    left, top, width, height, image_flags = struct.unpack_from("<4HB", single, position + 1)
    if image_flags & 0x80:  # it has a palette of its own already
        table, flags = b"", image_flags
    shown = struct.pack("<4BH2B", 0x21, 0xF9, 4, 1 << 2, max(2, round(milliseconds / 10)), 0, 0)
    descriptor = struct.pack("<B4HB", 0x2C, left, top, width, height, 0x80 | image_flags & 0x40 | flags & 7)
    return shown + descriptor + table + single[position + 10 : -1]


def head(first: bytes) -> bytes:
    """Of an animation that repeats for ever and begins with this block."""
    width, height = struct.unpack_from("<2H", first, 13)
    repeat = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    return b"GIF89a" + struct.pack("<2H3B", width, height, 0x70, 0, 0) + repeat


#: Of a block, what `head` looks at.
HEAD_BYTES = 17
