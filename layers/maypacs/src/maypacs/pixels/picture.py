"""Pictures of 8 bits a sample: the region of a viewport, and their encodings (PS3.18 8.3.5.1.3, 8.7.4)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maypacs.errors import BadRequestError
from maypacs.pixels.gif import paletted
from maypacs.pixels.image import Window

if TYPE_CHECKING:
    from PIL.Image import Image


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
    format: Literal["jpeg", "png", "gif"] = "jpeg"
    annotation: frozenset[str] = frozenset()  #: of patient, technique, overlay
    profile: str = "no"  #: iccprofile: no, yes, srgb, adobergb, rommrgb


def encode(picture: Image, rendering: Rendering, *, icc_profile: bytes | None = None) -> bytes:
    out = io.BytesIO()
    if rendering.format == "png":
        picture.save(out, "PNG", compress_level=3, icc_profile=icc_profile)
    elif rendering.format == "gif":
        paletted(picture).save(out, "GIF")
    else:
        subsampling = 0 if rendering.quality >= 90 else 2
        picture.save(out, "JPEG", quality=rendering.quality, subsampling=subsampling, icc_profile=icc_profile)
    return out.getvalue()


def fit(picture: Image, viewport: Viewport) -> Image:
    """The region of the source, scaled to fit the viewport with its proportions kept; never made larger than asked."""
    from PIL import Image as PilImage

    full_width, full_height = picture.size
    width = viewport.source_width if viewport.source_width is not None else full_width - viewport.x
    height = viewport.source_height if viewport.source_height is not None else full_height - viewport.y
    left, top = viewport.x, viewport.y
    right, bottom = min(left + abs(width), full_width + _SLACK), min(top + abs(height), full_height + _SLACK)
    if abs(width) > full_width - left + _SLACK or abs(height) > full_height - top + _SLACK:
        raise BadRequestError("the viewport's region lies outside of the image")
    right, bottom = min(right, full_width), min(bottom, full_height)
    if not (0 <= left < right and 0 <= top < bottom):
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


#: Regions computed from fractions end a rounding error beyond the image.
_SLACK = 1e-3
