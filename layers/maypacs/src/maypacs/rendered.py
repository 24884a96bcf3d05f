"""Rendered instances and frames, and thumbnails (PS3.18 10.4.3.3, 8.3.5)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from maypacs.dicomweb.request import Request
from maypacs.errors import (
    BadRequestError,
    FrameNotFoundError,
    NotFoundError,
    NotSupportedError,
    ObjectNotFoundError,
    PixelError,
)
from maypacs.exports import export_bytes, export_name
from maypacs.frames import attributes_of, frame_list, stored_frames, whole_instance
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import rendered_choice
from maypacs.index.contents import InstanceRef, SeriesContents
from maypacs.pixels import image as images
from maypacs.pixels.image import Window
from maypacs.pixels.render import Rendering, Viewport
from maypacs.selection import first_of, read_instance, select
from maypacs.workspace import Workspace

MAX_VIEWPORT = 10_000
#: What has no picture, or none that shows the series: never chosen for a thumbnail while there is another.
_NOT_PICTURES = frozenset({"SR", "KO", "PR", "DOC", "SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "PLAN", "AU", "ECG"})


def retrieve_rendered(request: Request) -> Answer:
    """GET …/instances/{i}/rendered and …/frames/{n}/rendered as JPEG or PNG.

    An instance of several frames gives its first. Raises BadRequestError, NotAcceptableError, NotFoundError,
    PixelError.
    """
    media_type = rendered_choice(request.accept)
    rendering = parse_rendering(request, media_type)
    numbers = frame_list(request.path["frames"]) if "frames" in request.has else [1]
    if len(numbers) != 1:
        raise BadRequestError("several frames do not fit one picture: ask for them one by one")
    selection = select(request.workspace, request.study, request.series, request.instance)
    ref = selection.instances[0]
    if ref.number_of_frames and numbers[0] > ref.number_of_frames:
        raise FrameNotFoundError(f"the instance has {ref.number_of_frames} frames")
    facts = (ref.transfer_syntax_uid, ref.digest.hex(), str(numbers[0]), repr(rendering))
    name = export_name(request.workspace.store, "rendered", *facts)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    body = render(request.workspace, ref, numbers[0], rendering)
    if len(body) > request.settings.inline_limit:
        return redirect(request.sign(export_bytes(request.workspace.store, name, body, media_type)), etag=etag)
    return conditional(Answer(200, {"Content-Type": media_type}, body), etag, None)


def render(workspace: Workspace, ref: InstanceRef, number: int, rendering: Rendering) -> bytes:
    """One frame of an instance as a picture. Raises NotFoundError (no pixels), PixelError."""
    attributes = attributes_of(workspace, ref)
    if not images.has_pixels(attributes):
        raise NotFoundError("the instance has no picture")
    if ref.frame_table is None:
        return whole_instance(workspace, ref).render(number, rendering)
    from maypacs.pixels.decode import decode_frame
    from maypacs.pixels.render import render_frame

    pixel = images.image_pixel(attributes)
    frame = stored_frames(workspace, ref, [number])[0]
    array, photometric = decode_frame(frame, pixel, ref.transfer_syntax_uid)

    def resolve(uri: str) -> bytes:
        from maypacs.pixels.whole import resolve_bulk

        return resolve_bulk(read_instance(workspace, ref), uri)

    return render_frame(array, photometric, pixel, attributes, frame=number, rendering=rendering, resolve=resolve)


def parse_rendering(request: Request, media_type: str) -> Rendering:
    """window, viewport, quality (PS3.18 8.3.5.1). Raises BadRequestError, and NotSupportedError for what the picture
    would lack; parameters that the standard does not know are ignored."""
    for name in ("annotation", "iccprofile", "presentationSeriesUID", "presentationUID"):
        if (request.parameter(name) or "no") != "no":
            raise NotSupportedError(f"the parameter {name} is not built yet")
    quality = request.parameter("quality")
    if quality is not None and not (quality.isascii() and quality.isdigit() and 1 <= int(quality[:4]) <= 100):
        raise BadRequestError("quality is a number from 1 to 100")
    return Rendering(
        window=_window(request.parameter("window")),
        viewport=_viewport(request.parameter("viewport")),
        quality=int(quality) if quality else 90,
        format="png" if media_type == "image/png" else "jpeg",
    )


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


def _viewport(text: str | None) -> Viewport | None:
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


# -- thumbnails ------------------------------------------------------------------------------------------


def thumbnail_jpeg(data: bytes, frame: int | None = None, max_side: int = 256, *, may_identify: bool = False) -> bytes:
    """A JPEG of at most `max_side` pixels a side of one frame of a Part 10 file (the middle one by default).

    A thumbnail must not identify (PS3.18 10.4.3.3.4): what may have burned-in text (US, SC, BurnedInAnnotation YES)
    gives a neutral placeholder that names the modality, unless `may_identify`. So does what has no pixels, or pixels
    that no decoder reads: a thumbnail is never an error.
    """
    from maypacs.pixels.thumbnail import thumbnail

    return thumbnail(data, frame, max_side, may_identify=may_identify)


def retrieve_thumbnail(request: Request) -> Answer:
    """GET …/thumbnail of a study, a series, an instance or a frame: always a JPEG (10.4.3.3.4)."""
    rendered_choice(request.accept)
    workspace, store = request.workspace, request.workspace.store
    selection = select(
        workspace,
        request.study,
        request.series if "series" in request.has else None,
        request.instance if "instance" in request.has else None,
    )
    number = frame_list(request.path["frames"])[0] if "frames" in request.has else None
    if selection.whole:
        series = representative(selection.series)
        ref = first_of(series.instances[len(series.instances) // 2 :])
        version = f"{series.summary.series_instance_uid}:{series.version}"
    else:
        ref, version = selection.instances[0], selection.version
    if number is not None and ref.number_of_frames and number > ref.number_of_frames:
        raise FrameNotFoundError(f"the instance has {ref.number_of_frames} frames")
    etag = export_name(store, "thumb", ref.digest.hex(), version, str(number)).rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    key = store.thumbnail_key(ref.study_instance_uid, ref.series_instance_uid) if selection.whole else None
    body = b""
    if key:
        with contextlib.suppress(ObjectNotFoundError):
            body = store.objects.get(key)
    if not body:
        body = small_picture(workspace, ref, number)
        if key:
            store.objects.put(key, body, content_type="image/jpeg")
    return conditional(Answer(200, {"Content-Type": "image/jpeg"}, body), etag, None)


def representative(series: tuple[SeriesContents, ...]) -> SeriesContents:
    """The series that stands for a study: one of pictures, the first by number."""
    if not series:
        raise NotFoundError("nothing of that is here")
    return next((each for each in series if each.summary.modality not in _NOT_PICTURES), series[0])


def small_picture(workspace: Workspace, ref: InstanceRef, number: int | None, max_side: int = 256) -> bytes:
    """What `thumbnail_jpeg` gives, of an instance in the archive and by range."""
    from maypacs.pixels.thumbnail import may_have_burned_in_text, placeholder

    attributes = attributes_of(workspace, ref)
    modality = images.text(attributes, "00080060")
    if not images.has_pixels(attributes) or may_have_burned_in_text(attributes):
        return placeholder(modality, max_side)
    rendering = Rendering(viewport=Viewport(max_side, max_side), quality=80)
    try:
        return render(workspace, ref, number or max(1, (ref.number_of_frames + 1) // 2), rendering)
    except PixelError:
        return placeholder(modality, max_side)
