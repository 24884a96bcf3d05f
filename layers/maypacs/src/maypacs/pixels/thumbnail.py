"""Thumbnails: one frame small, or a neutral placeholder where a picture could identify (PS3.18 10.4.3.3.4)."""

from __future__ import annotations

from maypacs.errors import MayPACSError
from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes
from maypacs.pixels.picture import Rendering, Viewport, encode

#: Modalities whose pictures carry text by habit; secondary captures are known by their SOP class.
_BURNED_IN_MODALITIES = frozenset({"US", "IVUS", "BDUS", "ES", "XC", "GM", "OT", "SC", "DOC", "ECG"})
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def may_have_burned_in_text(attributes: Attributes) -> bool:
    """US and others that write into their pictures by habit, secondary captures, and what says so (0028,0301)."""
    if images.text(attributes, "00280301").upper() == "YES":
        return True
    sop_class = images.text(attributes, "00080016")
    if sop_class == _SECONDARY_CAPTURE or sop_class.startswith(_SECONDARY_CAPTURE + "."):
        return True
    return images.text(attributes, "00080060").upper() in _BURNED_IN_MODALITIES


def placeholder(modality: str, max_side: int = 256) -> bytes:
    """A neutral grey tile that names the modality and nothing else."""
    from PIL import Image, ImageDraw, ImageFont

    side = max(16, max_side)
    label = "".join(c for c in modality.upper() if c.isascii() and c.isalnum())[:6] or "–"
    picture = Image.new("L", (side, side), 38)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(8, side // (3 if len(label) <= 3 else 5)))
    draw.text((side / 2, side / 2), label, fill=150, font=font, anchor="mm")
    return encode(picture, Rendering(quality=85))


def thumbnail(data: bytes, frame: int | None, max_side: int, *, may_identify: bool) -> bytes:
    """See `maypacs.small_pictures.thumbnail_jpeg`."""
    from maypacs.dicom.header import parse_header

    try:
        header = parse_header(data)
        attributes = header.dataset
    except MayPACSError:
        return placeholder("", max_side)
    modality = images.text(attributes, "00080060")
    if not images.has_pixels(attributes) or (may_have_burned_in_text(attributes) and not may_identify):
        return placeholder(modality, max_side)
    try:
        from maypacs.pixels.whole import WholeInstance

        instance = WholeInstance(data, header)
        middle = (instance.pixel.number_of_frames + 1) // 2
        picture = instance.render(frame or middle, Rendering(viewport=Viewport(max_side, max_side), quality=80))
    except MayPACSError:
        return placeholder(modality, max_side)
    return picture
