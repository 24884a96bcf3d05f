"""The image in a data set of Explicit VR Little Endian: where its pixels are, and of what shape (PS3.3 C.7.6.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge_forwarder.compression.reasons import LeftAloneError, Reason
from edge_forwarder.dicom.elements import UNDEFINED, element_header, skip_sequence

if TYPE_CHECKING:
    import numpy as np

    Frame = np.ndarray[Any, np.dtype[Any]]

PIXEL_DATA: Final = 0x7FE00010
SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
_ROWS, _COLUMNS, _ALLOCATED, _STORED, _HIGH_BIT, _SIGNED = (
    0x00280010,
    0x00280011,
    0x00280100,
    0x00280101,
    0x00280102,
    0x00280103,
)
_SHORTS: Final = frozenset({SAMPLES, PLANAR, _ROWS, _COLUMNS, _ALLOCATED, _STORED, _HIGH_BIT, _SIGNED})
_NEEDED: Final = _SHORTS - {PLANAR}
#: Group lengths (retired, PS3.5 7.2) of groups whose length changes.
_LENGTHS: Final = frozenset({0x00280000, 0x7FE00000})
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_COLOUR: Final = frozenset({"RGB", "YBR_FULL"})


@dataclass(frozen=True, slots=True)
class Element:
    """Offsets: of the element, of its value, and after it."""

    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Image:
    """``pixels``: the element of Pixel Data. ``photometric``: as in PS3.3 C.7.6.3.1.2. ``elements`` by tag: those that
    another encoding may have to change.
    """

    pixels: Element
    rows: int
    columns: int
    samples: int
    photometric: str
    planar: bool
    allocated: int
    stored: int
    signed: bool
    frames: int
    elements: dict[int, Element] = field(default_factory=dict)

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples * self.allocated // 8

    def frame(self, data: bytes, number: int) -> Frame:
        """(rows, columns) or (rows, columns, samples) of whole words, signed if they are; ``number`` from 0."""
        import numpy as np

        kind = np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")
        count = self.rows * self.columns * self.samples
        flat = np.frombuffer(data, kind, count, self.pixels.value + number * self.frame_bytes)
        if self.samples == 1:
            return flat.reshape(self.rows, self.columns)
        if self.planar:
            planes = flat.reshape(self.samples, self.rows, self.columns)
            return np.ascontiguousarray(planes.transpose(1, 2, 0))
        return flat.reshape(self.rows, self.columns, self.samples)

    def precision(self, data: bytes) -> int:
        """Bits Stored; all those allocated if any are in use beyond (an overlay, or padding of an older writer), or if
        a decoder would make bytes of the words.
        """
        import numpy as np

        if self.stored == self.allocated or self.stored <= 8 < self.allocated:
            return self.allocated
        kind = np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")
        words = np.frombuffer(data, kind, self.frames * self.frame_bytes // kind.itemsize, self.pixels.value)
        low, high = (
            (-(1 << self.stored - 1), (1 << self.stored - 1) - 1) if self.signed else (0, (1 << self.stored) - 1)
        )
        fits = low <= int(words.min()) and int(words.max()) <= high
        return self.stored if fits else self.allocated


def find(data: bytes, at: int) -> Image:
    """The image of the data set that starts there. Raises LeftAloneError."""
    try:
        return _find(data, at)
    except (struct.error, ValueError):
        raise LeftAloneError(Reason.DATA_SET) from None


def _find(data: bytes, at: int) -> Image:
    shorts: dict[int, int] = {}
    texts: dict[int, str] = {}
    elements: dict[int, Element] = {}
    before = -1
    while at < len(data):
        start = at
        tag, vr, length, at = element_header(data, at, explicit=True)
        if tag <= before:
            raise ValueError("elements out of order, or twice: nobody knows which one holds")
        before = tag
        if tag == PIXEL_DATA:
            if vr not in (b"OW", b"OB"):
                raise ValueError("pixels of no VR for pixels")
            if length == UNDEFINED:
                raise LeftAloneError(Reason.COMPRESSED)
            if at + length > len(data):
                raise LeftAloneError(Reason.GEOMETRY)
            return _checked(Element(start, at, at + length), shorts, texts, elements)
        if length == UNDEFINED:
            at = skip_sequence(data, at, explicit=vr != b"UN")
            continue
        if at + length > len(data):
            raise ValueError("a truncated value")
        if tag in _SHORTS:
            (shorts[tag],) = struct.unpack_from("<H", data, at)
        elif tag in (PHOTOMETRIC, FRAMES):
            texts[tag] = data[at : at + length].decode("ascii").strip(" \0")
        if tag in (PHOTOMETRIC, PLANAR) or tag in _LENGTHS:
            elements[tag] = Element(start, at, at + length)
        at += length
    raise LeftAloneError(Reason.NO_IMAGE)


def _checked(pixels: Element, shorts: dict[int, int], texts: dict[int, str], elements: dict[int, Element]) -> Image:
    if _NEEDED - shorts.keys() or PHOTOMETRIC not in texts:
        raise LeftAloneError(Reason.GEOMETRY)
    samples, photometric = shorts[SAMPLES], texts[PHOTOMETRIC]
    planar = shorts.get(PLANAR, 0)
    if photometric not in {1: _GREY, 3: _COLOUR}.get(samples, ()) or (samples == 3 and planar not in (0, 1)):
        raise LeftAloneError(Reason.COLOUR)
    allocated, stored = shorts[_ALLOCATED], shorts[_STORED]
    if allocated not in (8, 16) or not 1 <= stored <= allocated or shorts[_HIGH_BIT] != stored - 1:
        raise LeftAloneError(Reason.DEPTH)
    if shorts[_SIGNED] not in (0, 1):
        raise LeftAloneError(Reason.DEPTH)
    image = Image(
        pixels,
        shorts[_ROWS],
        shorts[_COLUMNS],
        samples,
        photometric,
        samples == 3 and planar == 1,
        allocated,
        stored,
        shorts[_SIGNED] == 1,
        int(texts.get(FRAMES) or "1"),
        elements,
    )
    # One byte makes an odd length even; anything more is nobody knows what.
    more = pixels.end - pixels.value - image.frame_bytes * image.frames
    if min(image.rows, image.columns, image.frames) < 1 or more not in (0, 1):
        raise LeftAloneError(Reason.GEOMETRY)
    return image
