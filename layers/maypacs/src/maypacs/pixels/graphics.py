"""Shutters and graphic annotations of a presentation state (PS3.3 C.7.6.11, C.7.6.15, C.10.5), in image pixels.

The shutter comes first, then the graphics over it. Positions count from 1 at the centre of the first pixel; those in
units of the display (DISPLAY) have no meaning for a picture of another size and are not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from maypacs.pixels import image as images
from maypacs.pixels.annotate import plain
from maypacs.pixels.image import Attributes

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from maypacs.pixels.presentation import Presentation

Point = tuple[float, float]
#: Graphic objects of one state, and points of one of them: a state of more is not made by hand.
_MOST_OBJECTS, _MOST_POINTS = 2_000, 20_000


def draw(picture: Image, presentation: Presentation) -> Image:
    """The picture with the state's shutters and graphics; the same object when it has none."""
    picture = _shutters(picture, presentation.state)
    layers = list(presentation.items_for("00700001"))
    if not layers:
        return picture
    from PIL import ImageDraw

    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    light, dark = (255, 0) if picture.mode == "L" else ((255, 255, 255), (0, 0, 0))
    count = 0
    for layer in layers:
        for item in images.items(layer, "00700009"):
            count += 1
            if count <= _MOST_OBJECTS and images.text(item, "00700005") == "PIXEL":
                _graphic(pen, item, light)
        for item in images.items(layer, "00700008"):
            count += 1
            if count <= _MOST_OBJECTS:
                _text(pen, item, light, dark)
    return picture


def _graphic(pen: ImageDraw, item: Attributes, colour: int | tuple[int, int, int]) -> None:
    points = _points(images.numbers(item, "00700022"))
    kind, filled = images.text(item, "00700023"), images.text(item, "00700024") == "Y"
    if not points:
        return
    if kind == "POINT":
        for x, y in points:
            pen.line((x - 2, y, x + 2, y), fill=colour)
            pen.line((x, y - 2, x, y + 2), fill=colour)
    elif kind in {"POLYLINE", "INTERPOLATED"} and len(points) > 1:
        if filled and points[0] == points[-1] and len(points) > 2:
            pen.polygon(points, fill=colour)
        pen.line(points, fill=colour)
    elif kind == "CIRCLE" and len(points) == 2:
        (x, y), (u, v) = points
        radius = ((u - x) ** 2 + (v - y) ** 2) ** 0.5
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, fill=colour if filled else None)
    elif kind == "ELLIPSE" and len(points) == 4:
        pen.line(list(_ellipse(points)), fill=colour)


def _ellipse(points: list[Point]) -> Iterator[Point]:
    """By the ends of its major and of its minor axis, at any angle."""
    import math

    (a, b), (c, d), (e, f), (g, h) = points
    x, y = (a + c) / 2, (b + d) / 2
    major, minor = (a - x, b - y), ((e - g) / 2, (f - h) / 2)
    for step in range(65):
        cosine, sine = math.cos(step * math.pi / 32), math.sin(step * math.pi / 32)
        yield x + major[0] * cosine + minor[0] * sine, y + major[1] * cosine + minor[1] * sine


def _text(
    pen: ImageDraw, item: Attributes, light: int | tuple[int, int, int], dark: int | tuple[int, int, int]
) -> None:
    from PIL import ImageFont

    where: Point | None = None
    if images.text(item, "00700003") == "PIXEL":
        where = next(iter(_points(images.numbers(item, "00700010"))), None)
    anchor = next(iter(_points(images.numbers(item, "00700014"))), None)
    if images.text(item, "00700004") != "PIXEL":
        anchor = None
    where = where or anchor
    if where is None:
        return
    if anchor is not None and images.text(item, "00700015") == "Y" and anchor != where:
        pen.line([anchor, where], fill=light)
    lines = images.text(item, "00700006").replace("\r", "\n").split("\n")[:20]
    text = "\n".join(plain(line)[:100] for line in lines if line)
    pen.text(where, text, fill=light, font=ImageFont.load_default(size=12), stroke_width=1, stroke_fill=dark)


def _points(values: list[float]) -> list[Point]:
    limited = [_near(value - 1) for value in values[: 2 * _MOST_POINTS]]
    return list(zip(limited[::2], limited[1::2], strict=False))


def _near(value: float) -> float:
    """Within what a drawing can be: the pen walks along every line, however far it leads."""
    return min(max(value, -_FAR), _FAR)


_FAR = 30_000.0


# -- shutters ---------------------------------------------------------------------------------------------------------


def _shutters(picture: Image, state: Attributes) -> Image:
    """What lies outside of every shutter's opening is the shutter's grey (black by default)."""
    element = state.get("00181600")
    shapes = {str(shape) for shape in (element or {}).get("Value", [])}
    if not shapes & {"RECTANGULAR", "CIRCULAR", "POLYGONAL"}:
        return picture
    from PIL import Image as PilImage
    from PIL import ImageChops, ImageDraw

    opening = PilImage.new("L", picture.size, 255)

    def cut(shape: str, corners: list[float] | list[Point]) -> None:
        nonlocal opening
        mask = PilImage.new("L", picture.size, 0)
        getattr(ImageDraw.Draw(mask), shape)(corners, fill=255)
        opening = ImageChops.multiply(opening, mask)

    edges = [images.number(state, tag) for tag in ("00181602", "00181606", "00181604", "00181608")]
    if "RECTANGULAR" in shapes and all(edge is not None for edge in edges):
        left, top, right, bottom = (_near(edge or 0) for edge in edges)
        if left < right and top < bottom:  # what lies on the edges is seen
            cut("rectangle", [left - 1, top - 1, right - 1, bottom - 1])
    centre, radius = images.numbers(state, "00181610"), images.number(state, "00181612")
    if "CIRCULAR" in shapes and len(centre) == 2 and radius and radius > 0:
        y, x = (_near(value - 1) for value in centre)
        radius = _near(radius)
        cut("ellipse", [x - radius, y - radius, x + radius, y + radius])
    vertices = images.numbers(state, "00181620")[: 2 * _MOST_POINTS]
    corners = [(_near(column - 1), _near(row - 1)) for row, column in zip(vertices[::2], vertices[1::2], strict=False)]
    if "POLYGONAL" in shapes and len(corners) > 2 and len(set(pairwise(corners))) > 1:
        cut("polygon", corners)
    value = int(images.number(state, "00181622") or 0) >> 8 & 0xFF
    closed = PilImage.new(picture.mode, picture.size, value if picture.mode == "L" else (value, value, value))
    return PilImage.composite(picture, closed, opening)
