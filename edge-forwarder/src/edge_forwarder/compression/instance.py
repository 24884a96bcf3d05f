"""A Part 10 file of the spool with its pixels compressed without loss: bytes in, bytes out, or not at all.

The image is the same, so its SOP Instance UID is. Of an Explicit VR data set every byte stays but the value of Pixel
Data and what a compressed image must say otherwise: Planar Configuration, which is 0 (PS3.5 8.2.3, 8.2.4), and, where
the codec transforms colours, Photometric Interpretation. A file in Implicit VR is rewritten first. `proof` must agree.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from edge_forwarder.compression import explicit, proof
from edge_forwarder.compression.codecs import Codec
from edge_forwarder.compression.image import PHOTOMETRIC, PLANAR, Element, Image, find
from edge_forwarder.compression.reasons import LeftAloneError, Reason
from edge_forwarder.dicom import part10
from edge_forwarder.dicom.elements import UNDEFINED
from edge_forwarder.dicom.syntaxes import DEFLATED_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN, NATIVE

#: Bytes. What is larger is sent as it is: it would have to be held in memory three times.
LARGEST: Final = 256 * 1024 * 1024
#: Offsets of the Basic Offset Table have 32 bits.
_LONGEST: Final = 2**32 - 1


def compress(data: bytes, codec: Codec) -> bytes:
    """The same instance in the codec's transfer syntax, and smaller. Raises LeftAloneError."""
    syntax = part10.meta_value(data, 0x0010)
    if syntax not in NATIVE:
        raise LeftAloneError(Reason.BIG_ENDIAN if syntax == EXPLICIT_BIG_ENDIAN else Reason.COMPRESSED)
    start = part10.dataset_offset(data)
    data_set = (
        data[start:]
        if syntax not in (IMPLICIT_LITTLE_ENDIAN, DEFLATED_LITTLE_ENDIAN)
        else _explicit(data, start, syntax)
    )
    image = find(data_set, 0)
    frames = [*_encoded(data_set, image, codec)]
    pieces = [*_around(data_set, image, codec.photometric(image.photometric), _encapsulated(frames))]
    meta = part10.file_meta(part10.meta_value(data, 0x0002), part10.meta_value(data, 0x0003), codec.syntax)
    compressed = b"".join((meta, *pieces))
    if len(compressed) >= len(data):
        raise LeftAloneError(Reason.NO_SMALLER)
    proof.pixels(compressed, data_set, image, codec)
    if syntax == IMPLICIT_LITTLE_ENDIAN:
        proof.attributes(compressed, data, data_set[image.pixels.value : image.pixels.end])
    return compressed


def _explicit(data: bytes, start: int, syntax: str) -> bytes:
    try:
        if syntax == IMPLICIT_LITTLE_ENDIAN:
            return explicit.explicit(data, start)
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        inflated = engine.decompress(memoryview(data)[start:], LARGEST)
    except (struct.error, ValueError, zlib.error):
        raise LeftAloneError(Reason.DATA_SET) from None
    if not engine.eof:
        raise LeftAloneError(Reason.TOO_LARGE if engine.unconsumed_tail else Reason.DATA_SET)
    return inflated


def _encoded(data_set: bytes, image: Image, codec: Codec) -> Iterator[bytes]:
    precision = image.precision(data_set)
    for number in range(image.frames):
        try:
            stream = codec.encode(image.frame(data_set, number), precision)
        except Exception:  # a codec's own error, of whatever class; its words may hold values
            raise LeftAloneError(Reason.NOT_EXACT) from None
        yield stream + b"\0" * (len(stream) % 2)


def _around(data_set: bytes, image: Image, photometric: str, pixels: bytes) -> Iterator[bytes]:
    """The data set in pieces, with what is other now."""
    changes: list[tuple[Element, bytes]] = [(image.pixels, pixels)]
    for tag, element in image.elements.items():
        if tag & 0xFFFF == 0:  # a group's length: it holds no more
            changes.append((element, b""))
        elif tag == PLANAR:
            changes.append((element, data_set[element.start : element.value] + b"\0\0"))
        elif tag == PHOTOMETRIC and photometric != image.photometric:
            value = photometric.encode() + b" " * (len(photometric) % 2)
            changes.append(
                (element, data_set[element.start : element.value - 2] + struct.pack("<H", len(value)) + value)
            )
    at = 0
    for element, value in sorted(changes, key=lambda change: change[0].start):
        yield data_set[at : element.start]
        yield value
        at = element.end
    yield data_set[at:]


def _encapsulated(frames: list[bytes]) -> bytes:
    """Pixel Data of one fragment a frame, with its Basic Offset Table (an empty one when offsets would be too long)."""
    offsets, at = [], 0
    for frame in frames:
        offsets.append(at)
        at += 8 + len(frame)
    table = b"" if at > _LONGEST else struct.pack(f"<{len(offsets)}I", *offsets)
    pieces = [struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, UNDEFINED), _item(table)]
    pieces += [_item(frame) for frame in frames]
    return b"".join((*pieces, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)))


def _item(value: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
