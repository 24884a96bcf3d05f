"""Annotations burned into a rendered picture because the request asked for them (PS3.18 8.3.5.1.1).

The patient's are at the top, the technique's at the bottom, light on a dark edge. The font at hand has the letters of
ASCII: others are drawn without their marks (Nguyễn as Nguyen), and what has no such letter as a question mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes

if TYPE_CHECKING:
    from PIL.Image import Image

#: Characters of one line, and the smallest font that can be read.
_LONGEST, _SMALLEST = 64, 8


def patient_lines(attributes: Attributes) -> list[str]:
    born, sex = images.text(attributes, "00100030"), images.text(attributes, "00100040")
    return _lines([_name(attributes), images.text(attributes, "00100020"), " ".join(filter(None, (born, sex)))])


def technique_lines(attributes: Attributes, frame: int) -> list[str]:
    """Modality, when, what, which image, tube voltage, window: those that there are."""
    texts = {tag: images.text(attributes, tag) for tag in ("00080060", "00080020", "00081030", "0008103E")}
    numbers = [images.text(attributes, tag) for tag in ("00200011", "00200013")]
    place = " ".join(f"{name} {value}" for name, value in zip(("Se", "Im"), numbers, strict=True) if value)
    if (images.number(attributes, "00280008") or 1) > 1:
        place += f" Fr {frame}"
    kilovolts, window = images.number(attributes, "00180060"), images.window(attributes, frame)
    settings = [f"{kilovolts:g} kV"] if kilovolts else []
    if window is not None:
        settings.append(f"C {window.centre:g} W {window.width:g}")
    first = " ".join(filter(None, (texts["00080060"], texts["00080020"])))
    return _lines([first, texts["00081030"], texts["0008103E"], place.strip(), " ".join(settings)])


def annotate(picture: Image, attributes: Attributes, frame: int, wanted: frozenset[str]) -> Image:
    """A copy of the picture with the lines that are wanted."""
    from PIL import ImageDraw, ImageFont

    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    top = patient_lines(attributes) if "patient" in wanted else []
    bottom = technique_lines(attributes, frame) if "technique" in wanted else []
    size = max(_SMALLEST, min(picture.width // 32, picture.height // (2 + 2 * max(len(top), len(bottom), 3))))
    font = ImageFont.load_default(size=size)
    step, margin = size + size // 4, max(2, size // 2)
    rows = [(margin + n * step, line) for n, line in enumerate(top)]
    rows += [(picture.height - margin - (len(bottom) - n) * step, line) for n, line in enumerate(bottom)]
    light, dark = ((255, 255, 255), (0, 0, 0)) if picture.mode == "RGB" else (255, 0)
    for y, line in rows:
        draw.text((margin, y), line, fill=light, font=font, stroke_width=max(1, size // 12), stroke_fill=dark)
    return picture


def _name(attributes: Attributes) -> str:
    element = attributes.get("00100010")
    values = element.get("Value", []) if isinstance(element, Mapping) else []
    name = values[0].get("Alphabetic", "") if values and isinstance(values[0], Mapping) else ""
    return " ".join(str(name).replace("^", " ").split())


def _lines(texts: list[str]) -> list[str]:
    return [plain(text)[:_LONGEST] for text in texts if text]


def plain(text: str) -> str:
    """What the font can draw."""
    import unicodedata

    decomposed = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    kept = (c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in kept)
