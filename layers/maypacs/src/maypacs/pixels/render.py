"""Samples to a picture: modality, VOI and presentation transformations (PS3.3 C.11), overlays, region, annotations.

The pipeline of PS3.4 N.2 for one frame: stored values → modality LUT or rescale → VOI window or LUT → presentation LUT
→ 8 bits → overlays and the geometry of a presentation state → the region and size of the viewport → annotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maypacs.errors import PixelError
from maypacs.pixels import image as images
from maypacs.pixels import luts
from maypacs.pixels.image import Attributes, ImagePixel, Lut, Resolve, Window
from maypacs.pixels.picture import Rendering, encode, fit
from maypacs.pixels.presentation import Presentation

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, np.dtype[Any]]


def render_frame(
    array: Array,
    photometric: str,
    pixel: ImagePixel,
    attributes: Attributes,
    *,
    frame: int,
    rendering: Rendering,
    resolve: Resolve,
    presentation: Presentation | None = None,
) -> bytes:
    """One decoded frame (1-based number, for its functional groups) as JPEG, PNG or GIF. Raises PixelError."""
    picture = draw_frame(
        array,
        photometric,
        pixel,
        attributes,
        frame=frame,
        rendering=rendering,
        resolve=resolve,
        presentation=presentation,
    )
    profile = None
    if rendering.profile != "no":
        from maypacs.pixels.colour import with_profile

        picture, profile = with_profile(picture, rendering.profile, attributes, resolve)
    return encode(picture, rendering, icc_profile=profile)


def draw_frame(
    array: Array,
    photometric: str,
    pixel: ImagePixel,
    attributes: Attributes,
    *,
    frame: int,
    rendering: Rendering,
    resolve: Resolve,
    presentation: Presentation | None = None,
) -> Image:
    """The picture before it is encoded. Raises PixelError, BadRequestError (a region outside of the image)."""
    from PIL import Image as PilImage

    shown = attributes
    window = rendering.window
    if presentation is not None:
        shown = presentation.over(attributes)
        photometric = "MONOCHROME2" if photometric == "MONOCHROME1" else photometric  # its LUT shape says it all
    eight = to_eight_bits(array, photometric, pixel, shown, frame=frame, window=window, resolve=resolve)
    if "overlay" in rendering.annotation or presentation is not None:
        from maypacs.pixels import overlays

        eight = overlays.draw(eight, attributes, shown, frame, resolve, presentation)
    picture = PilImage.fromarray(eight)
    if presentation is not None:
        from maypacs.pixels import graphics

        picture = presentation.geometry(graphics.draw(picture, presentation))
    if rendering.viewport is not None:
        picture = fit(picture, rendering.viewport)
    if rendering.annotation & {"patient", "technique"}:
        from maypacs.pixels.annotate import annotate

        picture = annotate(picture, attributes, frame, rendering.annotation)
    return picture


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
        return luts.palette_colour(array, images.palette(attributes, resolve))
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
    table = images.lut_of(attributes, "20500010", frame, resolve)
    if table is not None:  # a presentation LUT maps what the VOI LUT gives, whatever its shape would be (C.11.6)
        scale = np.arange(256) * ((table.entries - 1) / 255.0)
        return luts.scaled_lut(np.rint(scale).astype(np.int64) + table.first, table)[grey]
    # MONOCHROME1 and the shape INVERSE say the same thing: digital X-ray has both of one image (C.8.11.3.1.2).
    inverse = photometric == "MONOCHROME1" or images.text(attributes, "20500020").upper() == "INVERSE"
    return 255 - grey if inverse else grey


def _grey(
    array: Array, pixel: ImagePixel, attributes: Attributes, *, frame: int, window: Window | None, resolve: Resolve
) -> Array:
    """Stored values to 0..255 before the presentation state of MONOCHROME1."""
    import numpy as np

    transformation = luts.modality(attributes, pixel, frame, resolve)
    voi_lut: Lut | None = None
    if window is None:
        window = images.window(attributes, frame)
        if window is None:
            voi_lut = images.lut_of(attributes, "00283010", frame, resolve)
        if window is None and voi_lut is None:
            window = images.segment_range(attributes)
    if pixel.floats or array.dtype.itemsize > 2:
        values = transformation(array.astype(np.float64))
        if voi_lut is None:
            padding = images.padding(attributes, floats=pixel.floats)
            return apply_window(values, window or _full_range(transformation(_without(array, padding))))
        return luts.scaled_lut(np.rint(values).astype(np.int64), voi_lut)
    # 8 and 16 bit: transform every possible value once, then look up. A frame has more pixels than there are values.
    low = int(array.min()) if array.size else 0
    high = int(array.max()) if array.size else 0
    values = transformation(np.arange(low, high + 1, dtype=np.float64))
    if voi_lut is not None:
        signed = float(values.min(initial=0.0)) < 0
        table = luts.scaled_lut(np.rint(values).astype(np.int64), voi_lut, signed=signed)
    else:
        if window is None:
            window = _full_range(transformation(_without(array, images.padding(attributes, floats=False))))
        table = apply_window(values, window)
    indices = array if low == 0 else array.astype(np.int32) - low
    return np.take(table, indices)


def _without(array: Array, padding: tuple[float, float] | None) -> Array:
    """Distinct values as floats, without the padding values (PS3.3 C.7.5.1.1.2) unless there is nothing else."""
    import numpy as np

    distinct = np.unique(array)
    if padding is None:
        return distinct.astype(np.float64)
    kept = distinct[(distinct < padding[0]) | (distinct > padding[1])]
    return (kept if kept.size else distinct).astype(np.float64)


def _full_range(values: Array) -> Window:
    import numpy as np

    finite = values[np.isfinite(values)]
    if not finite.size:
        return Window(0.5, 1.0, "linear-exact")
    low, high = float(finite.min()), float(finite.max())
    if low == high:  # one grey everywhere: nothing is black, something is not
        return Window(low - 0.5 if low > 0 else low + 0.5, 1.0, "linear-exact")
    return Window((low + high) / 2, high - low, "linear-exact")


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
