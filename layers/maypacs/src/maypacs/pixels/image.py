"""What drawing needs to know of an image, read from its DICOM JSON attributes (PS3.3 C.7.6.3, C.11.1, C.11.2).

Multi-frame functional groups (PS3.3 C.7.6.16) are looked up for the frame asked for: shared first, then per frame.
No numpy here: a stored frame is answered without it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from maypacs.errors import PixelError

Attributes = Mapping[str, Any]
#: Bytes of a BulkDataURI, little endian.
Resolve = Callable[[str], bytes]
VoiFunction = Literal["linear", "linear-exact", "sigmoid"]

PIXEL_TAGS = ("7FE00010", "7FE00008", "7FE00009")


@dataclass(frozen=True, slots=True)
class Lut:
    """A look-up table: `descriptor` is (entries, first value mapped, bits), PS3.3 C.11.1.1."""

    entries: int
    first: int
    bits: int
    values: tuple[int, ...] | bytes  #: numbers, or 8- or 16-bit little endian words


@dataclass(frozen=True, slots=True)
class Palette:
    red: Lut
    green: Lut
    blue: Lut
    segmented: bool


@dataclass(frozen=True, slots=True)
class Window:
    centre: float
    width: float
    function: VoiFunction = "linear"


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """The Image Pixel module: how bytes become samples."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: bool  #: Planar Configuration 1: colour by plane
    photometric: str
    number_of_frames: int
    floats: bool = False  #: (7FE0,0008) or (7FE0,0009): IEEE floats

    @property
    def frame_bits(self) -> int:
        """Bits of one frame after decoding: all samples."""
        return self.rows * self.columns * self.samples * self.bits_allocated

    @property
    def decoded_size(self) -> int:
        """Bytes of one frame as Explicit VR Little Endian holds it after decoding: all samples, whole bytes."""
        return (self.frame_bits + 7) // 8

    @property
    def together(self) -> int:
        """Frames that fill whole bytes: 1, or 8 of single bits that do not (PS3.5 8.1.1: no padding in between)."""
        return 8 if self.frame_bits % 8 else 1

    def native_size(self, available: int) -> int:
        """Bytes of one native frame without padding. Raises PixelError when fewer are there.

        YBR_FULL_422 takes two thirds (PS3.3 C.7.6.3.1.2); some writers name it and store all samples.
        """
        size = self.decoded_size
        if self.photometric == "YBR_FULL_422" and self.samples == 3 and available < size:
            size = size // 3 * 2
        if available < size:
            raise PixelError(f"the frame has {available} bytes, {size} are needed")
        return size


def image_pixel(attributes: Attributes) -> ImagePixel:
    """Raises PixelError that says which attribute is missing."""

    def need(tag: str, name: str) -> int:
        value = number(attributes, tag)
        if value is None or value <= 0:
            raise PixelError(f"the image has no usable {name}")
        return int(value)

    floats = "7FE00008" in attributes or "7FE00009" in attributes
    allocated = need("00280100", "BitsAllocated")
    stored = int(number(attributes, "00280101") or allocated)
    if allocated not in {1, 8, 16, 32, 64} or stored > allocated:
        raise PixelError(f"BitsAllocated {allocated} with BitsStored {stored} is not an image we can read")
    return ImagePixel(
        rows=need("00280010", "Rows"),
        columns=need("00280011", "Columns"),
        samples=int(number(attributes, "00280002") or 1),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=int(number(attributes, "00280102") or stored - 1),
        signed=number(attributes, "00280103") == 1,
        planar=number(attributes, "00280006") == 1,
        photometric=text(attributes, "00280004") or "MONOCHROME2",
        number_of_frames=max(1, int(number(attributes, "00280008") or 1)),
        floats=floats,
    )


def has_pixels(attributes: Attributes) -> bool:
    return any(tag in attributes for tag in PIXEL_TAGS)


def groups(attributes: Attributes, frame: int) -> Iterator[Attributes]:
    """Where an attribute of this frame (1-based) may be: its own functional groups, shared ones, the data set."""
    per_frame = items(attributes, "52009230")
    if 0 < frame <= len(per_frame):
        yield from _flat(per_frame[frame - 1])
    for shared in items(attributes, "52009229")[:1]:
        yield from _flat(shared)
    yield attributes


def _flat(group: Attributes) -> Iterator[Attributes]:
    for element in group.values():
        if isinstance(element, Mapping) and element.get("vr") == "SQ":
            yield from (i for i in element.get("Value", [])[:1] if isinstance(i, Mapping))


def rescale(attributes: Attributes, frame: int) -> tuple[float, float] | None:
    """(slope, intercept) of the modality transformation, None when there is none (PS3.3 C.11.1.1.2)."""
    for group in groups(attributes, frame):
        slope, intercept = number(group, "00281053"), number(group, "00281052")
        if slope is not None or intercept is not None:
            return (slope if slope else 1.0), (intercept or 0.0)
    return None


def window(attributes: Attributes, frame: int) -> Window | None:
    """The first window of the frame (PS3.3 C.11.2.1.2), None when none is usable."""
    for group in groups(attributes, frame):
        centre, width = number(group, "00281050"), number(group, "00281051")
        if centre is None or width is None:
            continue
        name = text(group, "00281056").upper()
        function: VoiFunction = {"SIGMOID": "sigmoid", "LINEAR_EXACT": "linear-exact"}.get(name, "linear")  # type: ignore[assignment]
        if width >= 1 or (width > 0 and function != "linear"):
            return Window(centre, width, function)
    return None


def segment_range(attributes: Attributes) -> Window | None:
    """Of a segmentation: absent is black and present is white, in every frame alike (PS3.3 C.8.20.2.3)."""
    kind = text(attributes, "00620001").upper()
    top = {"BINARY": 1.0, "FRACTIONAL": number(attributes, "0062000E") or 255.0}.get(kind)
    return Window(top / 2, top, "linear-exact") if top else None


def padding(attributes: Attributes, *, floats: bool) -> tuple[float, float] | None:
    """The range of stored values that are no picture (PS3.3 C.7.5.1.1.2), None when there is none."""
    pairs = (("00280122", "00280124"), ("00280123", "00280125")) if floats else (("00280120", "00280121"),)
    for value_tag, limit_tag in pairs:
        value, limit = number(attributes, value_tag), number(attributes, limit_tag)
        if value is not None:
            other = value if limit is None else limit
            return min(value, other), max(value, other)
    return None


def frame_milliseconds(attributes: Attributes) -> float:
    """How long a frame of a cine is shown (PS3.3 C.7.6.5): what it recommends, else as it was taken; 10 a second."""
    for tag in ("00082144", "00180040"):  # Recommended Display Frame Rate, Cine Rate
        rate = number(attributes, tag)
        if rate and rate > 0:
            return 1000.0 / rate
    duration = number(attributes, "00181063")
    if duration is None:
        vector = [value for value in numbers(attributes, "00181065") if value > 0]
        duration = sum(vector) / len(vector) if vector else None
    return duration if duration and duration > 0 else 100.0


def lut_of(attributes: Attributes, sequence: str, frame: int, resolve: Resolve) -> Lut | None:
    """The first LUT of a Modality (0028,3000) or VOI LUT Sequence (0028,3010)."""
    for group in groups(attributes, frame):
        for item in items(group, sequence)[:1]:
            lut = _lut(item, "00283002", "00283006", resolve)
            if lut is not None:
                return lut
    return None


def palette(attributes: Attributes, resolve: Resolve) -> Palette:
    """Raises PixelError when a table is missing."""
    for data, segmented in (
        (("00281201", "00281202", "00281203"), False),
        (("00281221", "00281222", "00281223"), True),
    ):
        luts = [_lut(attributes, f"0028110{n}", tag, resolve) for n, tag in enumerate(data, start=1)]
        if all(luts):
            red, green, blue = (lut for lut in luts if lut is not None)
            return Palette(red, green, blue, segmented)
    raise PixelError("a palette colour image without its palette")


def _lut(attributes: Attributes, descriptor_tag: str, data_tag: str, resolve: Resolve) -> Lut | None:
    descriptor = numbers(attributes, descriptor_tag)
    if len(descriptor) != 3 or data_tag not in attributes:
        return None
    entries, first, bits = (int(v) for v in descriptor)
    entries &= 0xFFFF  # negative in a descriptor of VR SS
    element = attributes[data_tag]
    values: tuple[int, ...] | bytes
    if "BulkDataURI" in element:
        values = resolve(element["BulkDataURI"])
    elif "InlineBinary" in element:
        values = base64.b64decode(element["InlineBinary"])
    else:
        values = tuple(int(v) & 0xFFFF for v in numbers(attributes, data_tag))
    return Lut(entries or 0x10000, first, bits, values) if values else None


# -- DICOM JSON, read tolerantly ------------------------------------------------------------------------------------


def items(attributes: Attributes, tag: str) -> list[Attributes]:
    element = attributes.get(tag)
    values = element.get("Value", []) if isinstance(element, Mapping) else []
    return [v for v in values if isinstance(v, Mapping)]


def numbers(attributes: Attributes, tag: str) -> list[float]:
    """All values that are numbers; an IS or DS that is not one travels as a string and is left out."""
    element = attributes.get(tag)
    values = element.get("Value", []) if isinstance(element, Mapping) else []
    found = []
    for value in values:
        try:
            found.append(float(value))
        except (TypeError, ValueError):
            continue
    return [v for v in found if v == v and abs(v) != float("inf")]


def number(attributes: Attributes, tag: str) -> float | None:
    values = numbers(attributes, tag)
    return values[0] if values else None


def text(attributes: Attributes, tag: str) -> str:
    element = attributes.get(tag)
    values = element.get("Value", []) if isinstance(element, Mapping) else []
    return str(values[0]).strip() if values and values[0] is not None else ""


def texts(attributes: Attributes, tag: str) -> list[str]:
    """All values of an attribute as text."""
    element = attributes.get(tag)
    values = element.get("Value", []) if isinstance(element, Mapping) else []
    return [str(value).strip() for value in values if value is not None]
