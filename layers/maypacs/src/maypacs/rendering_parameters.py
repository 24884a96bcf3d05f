"""Query parameters of rendered resources (PS3.18 8.3.5.1): window, viewport, quality, annotation, iccprofile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maypacs.dicomweb.request import Request
from maypacs.errors import BadRequestError
from maypacs.pixels.image import Window
from maypacs.pixels.picture import Rendering, Viewport

MAX_VIEWPORT = 10_000
#: The two keywords of the standard, and one of ours (8.3.5.1.1 allows more): the overlay planes of the image.
ANNOTATIONS = ("patient", "technique", "overlay")
PROFILES = ("no", "yes", "srgb", "adobergb", "rommrgb")
_FORMATS: Mapping[str, Any] = {"image/jpeg": "jpeg", "image/png": "png", "image/gif": "gif"}


def parse_rendering(request: Request, media_type: str) -> Rendering:
    """Raises BadRequestError; parameters that the standard does not know are ignored."""
    quality = request.parameter("quality")
    if quality is not None and not (quality.isascii() and quality.isdigit() and 1 <= int(quality[:4]) <= 100):
        raise BadRequestError("quality is a number from 1 to 100")
    profile = request.parameter("iccprofile") or "no"
    if profile not in PROFILES:
        raise BadRequestError(f"iccprofile is one of {', '.join(PROFILES)}")
    if profile != "no" and media_type == "image/gif":
        raise BadRequestError("a GIF carries no ICC profile: ask for image/jpeg or image/png")
    return Rendering(
        window=_window(request.parameter("window")),
        viewport=parse_viewport(request.parameter("viewport")),
        quality=int(quality) if quality else 90,
        format=_FORMATS[media_type],
        annotation=frozenset(_keywords(request)) & frozenset(ANNOTATIONS),
        profile=profile,
    )


def _keywords(request: Request) -> list[str]:
    return [word.strip().lower() for word in (request.parameter("annotation") or "").split(",") if word.strip()]


def unknown_annotations(request: Request) -> str | None:
    """What `Warning: 299` says of keywords that are not supported (8.3.5.1.1); the client's text is not echoed."""
    unknown = len(set(_keywords(request)) - set(ANNOTATIONS))
    return f"{unknown} annotation values are not supported" if unknown else None


def _window(text: str | None) -> Window | None:
    if text is None:
        return None
    fields = [field.strip() for field in text.split(",")]
    names: Mapping[str, Any] = {"linear": "linear", "linear-exact": "linear-exact", "sigmoid": "sigmoid"}
    function = fields[2].lower() if len(fields) == 3 else "linear"
    if len(fields) not in {2, 3} or function not in names:
        raise BadRequestError("window is centre,width,function; the function is linear, linear-exact or sigmoid")
    centre, width = _float(fields[0], "window"), _float(fields[1], "window")
    if width < (1 if function == "linear" else 1e-9):
        raise BadRequestError("the width of a linear window is at least 1, of another above 0")
    return Window(centre, width, names[function])


def parse_viewport(text: str | None) -> Viewport | None:
    if text is None:
        return None
    fields = [field.strip() for field in text.split(",")]
    if len(fields) not in {2, 6}:
        raise BadRequestError("viewport is vw,vh or vw,vh,sx,sy,sw,sh")
    sizes = [_float(field, "viewport") for field in fields[:2]]
    if not all(size == int(size) and 1 <= size <= MAX_VIEWPORT for size in sizes):
        raise BadRequestError(f"a viewport is 1 to {MAX_VIEWPORT} pixels wide and high")
    region = [None if not field else _float(field, "viewport") for field in fields[2:]] or [None] * 4
    if 0 in region[2:]:
        raise BadRequestError("the viewport's region is empty")
    return Viewport(int(sizes[0]), int(sizes[1]), region[0] or 0.0, region[1] or 0.0, region[2], region[3])


def _float(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadRequestError(f"{name} holds something that is no number") from None
    if value != value or abs(value) > 1e9:
        raise BadRequestError(f"{name} holds a number out of range")
    return value
