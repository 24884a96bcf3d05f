"""Samples to a picture: modality, VOI and presentation transformations (PS3.3 C.11), viewport, JPEG and PNG.

The pipeline of PS3.4 N.2 for one frame: stored values → modality LUT or rescale → VOI window or LUT → 8 bits.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from maypacs.errors import BadRequestError, PixelError
from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes, ImagePixel, Lut, Resolve, Window

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Viewport:
    """PS3.18 8.3.5.1.3: the largest size, and the region of the source it shows. Negative width or height flips."""

    width: int
    height: int
    x: float = 0.0
    y: float = 0.0
    source_width: float | None = None
    source_height: float | None = None


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a client may ask of a picture."""

    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 90
    format: Literal["jpeg", "png"] = "jpeg"


def render_frame(
    array: Array,
    photometric: str,
    pixel: ImagePixel,
    attributes: Attributes,
    *,
    frame: int,
    rendering: Rendering,
    resolve: Resolve,
) -> bytes:
    """One decoded frame (1-based number, for its functional groups) as JPEG or PNG. Raises PixelError."""
    from PIL import Image as PilImage

    eight = to_eight_bits(array, photometric, pixel, attributes, frame=frame, window=rendering.window, resolve=resolve)
    picture = PilImage.fromarray(eight)
    if rendering.viewport is not None:
        picture = fit(picture, rendering.viewport)
    return encode(picture, rendering)


def encode(picture: Image, rendering: Rendering) -> bytes:
    out = io.BytesIO()
    if rendering.format == "png":
        picture.save(out, "PNG", compress_level=3)
    else:
        picture.save(out, "JPEG", quality=rendering.quality, subsampling=0 if rendering.quality >= 90 else 2)
    return out.getvalue()


def to_eight_bits(
    array: Array,
    photometric: str,
    pixel: ImagePixel,
    attributes: Attributes,
    *,
    frame: int,
    window: Window | None,
    resolve: Resolve,
) -> Array:
    """(rows, columns) grey or (rows, columns, 3) colour, uint8."""
    import numpy as np

    if photometric == "PALETTE COLOR":
        return _palette_colour(array, images.palette(attributes, resolve))
    if array.ndim == 3:
        if array.shape[2] < 3:
            raise PixelError(f"{array.shape[2]} samples per pixel are not a picture we can draw")
        shift = pixel.bits_stored - 8
        colour = array[..., :3]
        if array.dtype.itemsize > 1 and shift > 0:
            colour = colour >> shift
        if photometric in {"CMYK", "ARGB", "HSV"}:
            raise PixelError(f"the retired photometric interpretation {photometric} is not drawn")
        return np.ascontiguousarray(np.clip(colour, 0, 255).astype(np.uint8))
    if array.ndim != 2:
        raise PixelError("the decoded frame is not a picture")
    grey = _grey(array, pixel, attributes, frame=frame, window=window, resolve=resolve)
    inverse = (photometric == "MONOCHROME1") != (images.text(attributes, "20500020").upper() == "INVERSE")
    return 255 - grey if inverse else grey


def _grey(
    array: Array, pixel: ImagePixel, attributes: Attributes, *, frame: int, window: Window | None, resolve: Resolve
) -> Array:
    """Stored values to 0..255 before the presentation state of MONOCHROME1."""
    import numpy as np

    transformation = _modality(attributes, pixel, frame, resolve)
    voi_lut: Lut | None = None
    if window is None:
        window = images.window(attributes, frame)
        if window is None:
            voi_lut = images.lut_of(attributes, "00283010", frame, resolve)
    if pixel.floats or array.dtype.itemsize > 2:
        values = transformation(array.astype(np.float64))
        if voi_lut is None:
            return apply_window(values, window or _full_range(values))
        return _scaled_lut(np.rint(values).astype(np.int64), voi_lut)
    # 8 and 16 bit: transform every possible value once, then look up. A frame has more pixels than there are values.
    low = int(array.min()) if array.size else 0
    high = int(array.max()) if array.size else 0
    values = transformation(np.arange(low, high + 1, dtype=np.float64))
    if voi_lut is not None:
        table = _scaled_lut(np.rint(values).astype(np.int64), voi_lut)
    else:
        if window is None:
            padding = images.number(attributes, "00280120")
            window = _full_range(transformation(_without(array, padding)))
        table = apply_window(values, window)
    indices = array if low == 0 else array.astype(np.int32) - low
    return np.take(table, indices)


def _without(array: Array, padding: float | None) -> Array:
    """Distinct values as floats, without the padding value (PS3.3 C.7.5.1.1.2) unless there is nothing else."""
    import numpy as np

    distinct = np.unique(array)
    kept = distinct[distinct != padding] if padding is not None else distinct
    return (kept if kept.size else distinct).astype(np.float64)


def _full_range(values: Array) -> Window:
    import numpy as np

    finite = values[np.isfinite(values)]
    if not finite.size:
        return Window(0.5, 1.0, "linear-exact")
    low, high = float(finite.min()), float(finite.max())
    return Window((low + high) / 2, (high - low) or 1.0, "linear-exact")


def apply_window(values: Array, window: Window) -> Array:
    """PS3.3 C.11.2.1.2.1 (linear), C.11.2.1.3.1 (sigmoid), C.11.2.1.3.2 (linear exact) onto 0..255."""
    import numpy as np

    centre, width = window.centre, window.width
    if window.function == "sigmoid":
        with np.errstate(over="ignore"):
            scaled = 1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width))
    elif window.function == "linear-exact":
        scaled = (values - centre) / width + 0.5
    elif width > 1:
        scaled = (values - (centre - 0.5)) / (width - 1) + 0.5
    else:  # width 1: a threshold
        scaled = (values > centre - 0.5).astype(np.float64)
    return np.rint(np.clip(np.nan_to_num(scaled), 0.0, 1.0) * 255.0).astype(np.uint8)


def _modality(attributes: Attributes, pixel: ImagePixel, frame: int, resolve: Resolve) -> Callable[[Array], Array]:
    import numpy as np

    lut = images.lut_of(attributes, "00283000", frame, resolve)
    if lut is not None:
        table = _lut_values(lut)
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


def _scaled_lut(values: Array, lut: Lut) -> Array:
    """VOI LUT: output bits to 8 (PS3.3 C.11.2.1.1)."""
    import numpy as np

    table = _lut_values(lut).astype(np.float64)
    top = float((1 << lut.bits) - 1) if 0 < lut.bits <= 16 else float(table.max())
    eight = np.rint(np.clip(table / (top or 1.0), 0, 1) * 255).astype(np.uint8)
    scaled: Array = np.take(eight, np.clip(values - lut.first, 0, len(eight) - 1))
    return scaled


def _lut_values(lut: Lut) -> Array:
    import numpy as np

    if isinstance(lut.values, tuple):
        return np.asarray(lut.values, dtype=np.int64)[: lut.entries]
    # 8-bit entries may be packed two a word, or one a word: the number of bytes tells.
    if len(lut.values) >= lut.entries * 2:
        return np.frombuffer(lut.values, "<u2", lut.entries).astype(np.int64)
    if len(lut.values) >= lut.entries:
        return np.frombuffer(lut.values, "u1", lut.entries).astype(np.int64)
    if not lut.values:
        raise PixelError("a look-up table without data")
    return np.frombuffer(
        lut.values, "u1" if lut.bits <= 8 else "<u2", -1 if lut.bits <= 8 else len(lut.values) // 2
    ).astype(np.int64)


def _palette_colour(array: Array, palette: images.Palette) -> Array:
    import numpy as np

    channels = []
    for lut in (palette.red, palette.green, palette.blue):
        table = expand_segments(lut) if palette.segmented else _lut_values(lut)
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


def fit(picture: Image, viewport: Viewport) -> Image:
    """The region of the source, scaled to fit the viewport with its proportions kept; never made larger than asked."""
    from PIL import Image as PilImage

    full_width, full_height = picture.size
    width = viewport.source_width if viewport.source_width is not None else full_width - viewport.x
    height = viewport.source_height if viewport.source_height is not None else full_height - viewport.y
    left, top = viewport.x, viewport.y
    right, bottom = left + abs(width), top + abs(height)
    if not (0 <= left < right <= full_width and 0 <= top < bottom <= full_height):
        raise BadRequestError("the viewport's region lies outside of the image")
    scale = min(viewport.width / (right - left), viewport.height / (bottom - top))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    resample = PilImage.Resampling.LANCZOS if scale < 1 else PilImage.Resampling.BICUBIC
    out = picture.resize(size, resample, box=(left, top, right, bottom))
    if width < 0:
        out = out.transpose(PilImage.Transpose.FLIP_LEFT_RIGHT)
    if height < 0:
        out = out.transpose(PilImage.Transpose.FLIP_TOP_BOTTOM)
    return out
