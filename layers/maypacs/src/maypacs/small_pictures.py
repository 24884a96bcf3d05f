"""Thumbnails of a study, a series, an instance or a frame (PS3.18 10.4.3.3.4): small, JPEG, never identifying."""

from __future__ import annotations

import contextlib

from maypacs.dicomweb.request import Request
from maypacs.errors import (
    BadRequestError,
    FrameNotFoundError,
    GoneError,
    NotFoundError,
    ObjectNotFoundError,
    PixelError,
)
from maypacs.exports import export_name
from maypacs.frame_bytes import attributes_of
from maypacs.frames import frame_list
from maypacs.http.answers import Answer, conditional, not_modified
from maypacs.http.media_types import rendered_choice
from maypacs.index.contents import InstanceRef, SeriesContents, series_contents
from maypacs.pixels import image as images
from maypacs.pixels.picture import Rendering, Viewport
from maypacs.pixels.thumbnail import RULE, may_have_burned_in_text, placeholder, thumbnail
from maypacs.rendered import RENDERER, render
from maypacs.rendering_parameters import parse_viewport
from maypacs.selection import first_of, select
from maypacs.workspace import Workspace

#: What has no picture, or none that shows the series: never chosen for a thumbnail while there is another.
_NOT_PICTURES = frozenset({"SR", "KO", "PR", "DOC", "SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "PLAN", "AU", "ECG"})
#: Pixels a side: by default, and at most when a viewport is asked for. A thumbnail is no way around a rendered image.
SIDE, LARGEST = 256, 512


def thumbnail_jpeg(data: bytes, frame: int | None = None, max_side: int = 256, *, may_identify: bool = False) -> bytes:
    """A JPEG of at most `max_side` pixels a side of one frame of a Part 10 file (the middle one by default).

    A thumbnail must not identify (PS3.18 10.4.3.3.4): what may have burned-in text, a face or a label in it
    (`pixels.thumbnail`) gives a neutral placeholder that names the modality, unless `may_identify`. So does what has
    no pixels, or pixels that no decoder reads: a thumbnail is never an error.
    """
    return thumbnail(data, frame, max_side, may_identify=may_identify)


def retrieve_thumbnail(request: Request) -> Answer:
    """GET …/thumbnail of a study, a series, an instance or a frame: always a JPEG (10.4.3.3.4)."""
    rendered_choice(request.accept, ("image/jpeg",))
    workspace, store = request.workspace, request.workspace.store
    selection = select(
        workspace,
        request.study,
        request.series if "series" in request.has else None,
        request.instance if "instance" in request.has else None,
    )
    number = _one_frame(request)
    viewport = _viewport(request)
    if selection.whole:
        series = representative(selection.series)
        ref = first_of(series.instances[len(series.instances) // 2 :])
        version = f"{series.summary.series_instance_uid}:{series.version}"
    else:
        ref, version = selection.instances[0], selection.version
    if number is not None and ref.number_of_frames and number > ref.number_of_frames:
        raise FrameNotFoundError(f"the instance has {ref.number_of_frames} frames")
    facts = (ref.digest.hex(), version, str(number), repr(viewport), RENDERER, RULE)
    etag = export_name(store, "thumb", *facts, study=ref.study_instance_uid).rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    key = None
    if selection.whole and viewport == _DEFAULT:
        key = store.thumbnail_key(ref.study_instance_uid, ref.series_instance_uid)
    body = b""
    if key:
        with contextlib.suppress(ObjectNotFoundError):
            body = store.objects.get(key)
    if not body:
        body = small_picture(workspace, ref, number, viewport)
        if key:
            keep_thumbnail(workspace, ref, body)
    return conditional(Answer(200, {"Content-Type": "image/jpeg"}, body), etag, None)


def keep_thumbnail(workspace: Workspace, ref: InstanceRef, picture: bytes) -> None:
    """Stores the thumbnail of a series, and takes it back when what it shows was removed meanwhile.

    A removal takes the thumbnail that is there; one that was being made at that time would outlive what it shows.
    """
    key = workspace.store.thumbnail_key(ref.study_instance_uid, ref.series_instance_uid)
    workspace.store.objects.put(key, picture, content_type="image/jpeg")
    with contextlib.suppress(NotFoundError, GoneError):
        current = series_contents(workspace, ref.study_instance_uid, ref.series_instance_uid)
        if current.instance(ref.sop_instance_uid).digest == ref.digest:
            return
    workspace.store.objects.delete(key)


_DEFAULT = Viewport(SIDE, SIDE)


def _viewport(request: Request) -> Viewport:
    """vw,vh alone (8.3.5.2): a region of a thumbnail would be another picture. Raises BadRequestError."""
    asked = parse_viewport(request.parameter("viewport"))
    if asked is None:
        return _DEFAULT
    viewport = Viewport(min(asked.width, LARGEST), min(asked.height, LARGEST))
    if asked != Viewport(asked.width, asked.height):
        raise BadRequestError("the viewport of a thumbnail is vw,vh")
    return viewport


def _one_frame(request: Request) -> int | None:
    if "frames" not in request.has:
        return None
    numbers = frame_list(request.path["frames"])
    if len(numbers) != 1:
        raise BadRequestError("a thumbnail is of one frame")
    return numbers[0]


def representative(series: tuple[SeriesContents, ...]) -> SeriesContents:
    """The series that stands for a study: one of pictures, the first by number."""
    if not series:
        raise NotFoundError("nothing of that is here")
    return next((each for each in series if each.summary.modality not in _NOT_PICTURES), series[0])


def small_picture(workspace: Workspace, ref: InstanceRef, number: int | None, viewport: Viewport = _DEFAULT) -> bytes:
    """What `thumbnail_jpeg` gives, of an instance in the archive and by range."""
    attributes = attributes_of(workspace, ref)
    side = min(viewport.width, viewport.height)
    modality = images.text(attributes, "00080060")
    if not images.has_pixels(attributes) or may_have_burned_in_text(attributes):
        return placeholder(modality, side)
    rendering = Rendering(viewport=viewport, quality=80)
    try:
        return render(workspace, ref, number or max(1, (ref.number_of_frames + 1) // 2), rendering)
    except PixelError:
        return placeholder(modality, side)
