"""Thumbnails: one frame small, or a neutral placeholder where a picture could identify (PS3.18 10.4.3.3.4)."""

from __future__ import annotations

import re

from maypacs.errors import MayPACSError
from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes
from maypacs.pixels.picture import Rendering, Viewport, encode

#: Of the rule below: part of what a thumbnail's ETag is made of.
RULE = "2"
#: Modalities whose pictures carry text by habit, are photographs of people, or are scans of paper and film.
_MODALITIES = (
    {"US", "IVUS", "BDUS", "DD", "CD", "EC"}  # ultrasound
    | {"ES", "CS", "CP", "LP", "XC", "GM", "DM", "DMS", "TG"}  # cameras
    | {"OP", "OPV", "AR", "KER", "LEN", "VA", "IOL", "SRF"}  # eyes, and pages of their measurements
    | {"OSS", "LS"}  # surfaces of bodies
    | {"OT", "SC", "DOC", "HC", "RG", "FID", "BMD"}  # whatever it is, paper, film, pages of reports
    | {"ECG", "EPS", "HD", "EEG", "EMG", "EOG", "RESP"}  # curves on a page
)
#: The same by SOP class, whatever the modality says: secondary captures, ultrasound, endoscopy, photographs. A class
#: and those below it.
_SOP_CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{each}"
    for each in ("7", "3", "3.1", "6", "6.1", "6.2", "77.1.1", "77.1.2", "77.1.4", "77.1.5.1", "77.1.5.2", "77.1.7")
)
#: Values of Image Type that name a label (PS3.3 C.8.12.4.1.1), or a screen or a report that was made a picture: what
#: devices write there. An OVERVIEW shows the label of the slide, a LOCALIZER of an old slide may.
_IMAGE_TYPES = frozenset({"LABEL", "OVERVIEW", "FILMED", "PASTED", "POSDISP"})
_WORDS = re.compile(r"SCREEN|CAPTURE|REPORT|DOSE INFO|CSA RESULT|\bPROT\b")


def may_have_burned_in_text(attributes: Attributes) -> bool:
    """Whether a picture of this instance could say who the patient is (PS3.18 10.4.3.3.4): by text, label or face.

    It says so itself (0028,0301), (0028,0302), (0048,0010); or its modality, class, Image Type (0008,0008) or
    Conversion Type (0008,0064) are of what does by habit. An instance that says NO is believed in none of these.
    """
    if any(_is_yes(attributes, tag) for tag in ("00280301", "00280302", "00480010")):
        return True
    sop_class = images.text(attributes, "00080016")
    if any(sop_class == each or sop_class.startswith(f"{each}.") for each in _SOP_CLASSES):
        return True
    if images.text(attributes, "00080064"):  # Conversion Type: of secondary captures alone (PS3.3 C.8.6.1)
        return True
    modality = images.text(attributes, "00080060").upper()
    image_type = {value.upper().replace("_", " ").strip() for value in images.texts(attributes, "00080008")}
    if image_type & _IMAGE_TYPES or any(_WORDS.search(value) for value in image_type):
        return True
    return modality in _MODALITIES or (modality == "SM" and "LOCALIZER" in image_type)


def _is_yes(attributes: Attributes, tag: str) -> bool:
    return images.text(attributes, tag).upper() in {"YES", "Y", "TRUE", "1"}


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
