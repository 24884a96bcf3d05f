"""Look-up tables: modality and VOI LUTs, palettes, segmented palettes (PS3.3 C.11.1, C.11.2, C.7.9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maypacs.errors import PixelError
from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes, ImagePixel, Lut, Resolve

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def modality(attributes: Attributes, pixel: ImagePixel, frame: int, resolve: Resolve) -> Callable[[Array], Array]:
    import numpy as np

    lut = images.lut_of(attributes, "00283000", frame, resolve)
    if lut is not None:
        table = lut_values(lut)
        first = _signed_first(lut, signed=pixel.signed)
        return lambda values: table[np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)].astype(
            np.float64
        )
    linear = images.rescale(attributes, frame)
    if linear is None:
        return lambda values: values
    slope, intercept = linear
    return lambda values: values * slope + intercept


def _signed_first(lut: Lut, *, signed: bool) -> int:
    return lut.first - 0x10000 if signed and lut.first >= 0x8000 else lut.first


def scaled_lut(values: Array, lut: Lut, *, signed: bool = False) -> Array:
    """VOI LUT: output bits to 8 (PS3.3 C.11.2.1.1). `signed`: what it maps may be negative, so its first value may."""
    import numpy as np

    table = lut_values(lut).astype(np.float64)
    top = float((1 << lut.bits) - 1) if 0 < lut.bits <= 16 else float(table.max())
    eight = np.rint(np.clip(table / (top or 1.0), 0, 1) * 255).astype(np.uint8)
    scaled: Array = np.take(eight, np.clip(values - _signed_first(lut, signed=signed), 0, len(eight) - 1))
    return scaled


def lut_values(lut: Lut) -> Array:
    """The entries of a table, at least one. Raises PixelError."""
    import numpy as np

    if isinstance(lut.values, tuple):
        table = np.asarray(lut.values, dtype=np.int64)[: lut.entries]
    # 8-bit entries may be packed two a word, or one a word: the number of bytes tells.
    elif len(lut.values) >= lut.entries * 2:
        table = np.frombuffer(lut.values, "<u2", lut.entries).astype(np.int64)
    elif len(lut.values) >= lut.entries:
        table = np.frombuffer(lut.values, "u1", lut.entries).astype(np.int64)
    elif lut.bits <= 8:
        table = np.frombuffer(lut.values, "u1").astype(np.int64)
    else:
        table = np.frombuffer(lut.values, "<u2", len(lut.values) // 2).astype(np.int64)
    if not len(table):
        raise PixelError("a look-up table without data")
    return table


def palette_colour(array: Array, palette: images.Palette) -> Array:
    import numpy as np

    channels = []
    for lut in (palette.red, palette.green, palette.blue):
        table = expand_segments(lut) if palette.segmented else lut_values(lut)
        if lut.bits > 8 and (palette.segmented or int(table.max(initial=0)) > 255):
            table = table >> 8
        index = np.clip(array.astype(np.int64) - lut.first, 0, len(table) - 1)
        channels.append(np.clip(table, 0, 255).astype(np.uint8)[index])
    return np.ascontiguousarray(np.stack(channels, axis=-1))


def expand_segments(lut: Lut) -> Array:
    """A segmented palette (PS3.3 C.7.9.2): discrete, linear and indirect segments. Raises PixelError."""
    import numpy as np

    if isinstance(lut.values, tuple):
        words = list(lut.values)
    else:
        width = "u1" if lut.bits <= 8 else "<u2"
        usable = len(lut.values) // np.dtype(width).itemsize * np.dtype(width).itemsize
        words = [int(v) for v in np.frombuffer(lut.values[:usable], width)]
    out: list[int] = []

    def run(position: int, count: int | None, depth: int) -> None:
        done = 0
        while position + 1 < len(words) and (count is None or done < count) and len(out) < lut.entries:
            opcode, length = words[position], words[position + 1]
            if opcode == 0:
                out.extend(words[position + 2 : position + 2 + length])
                position += 2 + length
            elif opcode == 1 and out and position + 2 < len(words):
                start, end = out[-1], words[position + 2]
                out.extend(round(start + (end - start) * step / length) for step in range(1, length + 1))
                position += 3
            elif opcode == 2 and depth == 0 and position + 3 < len(words):
                run(words[position + 2] + (words[position + 3] << 16), length, depth + 1)
                position += 4
            else:
                raise PixelError("a segmented palette that cannot be read")
            done += 1

    run(0, None, 0)
    if not out:
        raise PixelError("a segmented palette without data")
    return np.asarray(out[: lut.entries], dtype=np.int64)
