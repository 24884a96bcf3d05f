"""Rendered instances and frames (PS3.18 10.4.3.3, 8.3.5, 8.7.4).

An image is a JPEG (the default), a PNG or a GIF: of several frames the first one, or as a GIF all of them as a cine. A
report is a text, a document and a video are what they are, a presentation state is the image that it is for.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from maypacs import passing, reports
from maypacs.cines import cine
from maypacs.dicomweb.request import Request
from maypacs.errors import (
    BadRequestError,
    FrameNotFoundError,
    NotAcceptableError,
    NotFoundError,
    NotSupportedError,
)
from maypacs.exports import exists, export_bytes, export_join, export_name
from maypacs.frame_bytes import attributes_of, stored_frames, whole_instance
from maypacs.frames import frame_list
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import part_choice, rendered_choice
from maypacs.index.contents import InstanceRef
from maypacs.pixels import image as images
from maypacs.pixels.picture import Rendering
from maypacs.pixels.presentation import APPLIED, Presentation, referenced
from maypacs.rendering_parameters import parse_rendering, unknown_annotations
from maypacs.resource_kinds import Kind, available_types, kind_of
from maypacs.selection import read_instance, select
from maypacs.steps import deadline
from maypacs.stored_parts import StoredPart, read_parts
from maypacs.uids import uid
from maypacs.workspace import Workspace

#: Changes when pictures of the same request do, so that what clients have kept is not confirmed.
RENDERER = "3"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a picture is made of: an image of the archive, and the presentation state that it is shown by."""

    ref: InstanceRef
    state: InstanceRef | None = None
    frame: int = 1


def retrieve_rendered(request: Request, *, clock: Callable[[], float] = time.monotonic) -> Answer:
    """GET …/instances/{i}/rendered and …/frames/{n}/rendered.

    Raises BadRequestError, NotAcceptableError, NotFoundError, PixelError.
    """
    numbers = frame_list(request.path["frames"]) if "frames" in request.has else None
    ref = select(request.workspace, request.study, request.series, request.instance, request.version).instances[0]
    kind = kind_of(ref)
    if numbers is not None:
        if kind not in {Kind.IMAGE, Kind.VIDEO}:
            raise NotFoundError("the instance has no frames")
        if ref.number_of_frames and max(numbers) > ref.number_of_frames:
            raise FrameNotFoundError(f"the instance has {ref.number_of_frames} frames")
        if kind is Kind.VIDEO:
            raise NotAcceptableError("no single frame of a video is given: ask for the rendered instance")
    media_type = _single_type(request, ref, numbers)
    if media_type is None:
        from maypacs.rendered_many import rendered_parts

        return rendered_parts(request, ref, numbers)
    if kind is Kind.VIDEO:
        return passing.video(request, ref, media_type)
    if kind in {Kind.PDF, Kind.XML}:
        return passing.document(request, ref, media_type)
    if kind is Kind.TEXT:
        return reports.answer(request, ref, media_type)
    shown = _shown(request, ref, numbers[0] if numbers else 1)
    is_cine = media_type == "image/gif" and numbers is None and ref.number_of_frames > 1 and shown.state is None
    return _picture(request, shown, media_type, deadline(clock) if is_cine else None)


def _single_type(request: Request, ref: InstanceRef, numbers: list[int] | None) -> str | None:
    """The media type of a single part; None for a multipart: of several frames, or because it is wanted first."""
    available = available_types(ref)
    if numbers is not None and len(numbers) > 1:
        return None
    for wanted in request.accept:
        if wanted.multipart and part_choice([wanted.part], available):
            return None
        if not wanted.multipart and part_choice([wanted.part], available):
            break
    return rendered_choice(request.accept, available)


def rendered_body(request: Request, ref: InstanceRef, media_type: str, frame: int = 1) -> tuple[bytes, str]:
    """The rendering of an instance, or of one of its frames, as one part of many: bytes and media type. No cines.

    Raises PixelError, NotFoundError, NotAcceptableError, TooLargeError.
    """
    kind = kind_of(ref)
    if kind is Kind.TEXT:
        return reports.write(attributes_of(request.workspace, ref), media_type).encode(), f"{media_type}; charset=utf-8"
    if kind in {Kind.PDF, Kind.XML}:
        return passing.read_document(request.workspace, ref), media_type
    if kind is Kind.VIDEO:
        return stored_frames(request.workspace, ref, [1])[0], media_type
    shown = _shown(request, ref, frame)
    rendering = parse_rendering(request, media_type)
    return render(request.workspace, shown.ref, shown.frame, rendering, shown.state), media_type


def _shown(request: Request, ref: InstanceRef, frame: int) -> Shown:
    """The image itself; of a presentation state, the first image that it is for and that is here."""
    if kind_of(ref) is Kind.PRESENTATION:
        _check_state(ref)
        for series, instance, first in referenced(attributes_of(request.workspace, ref)):
            with contextlib.suppress(NotFoundError, BadRequestError):
                found = select(request.workspace, request.study, uid(series), uid(instance)).instances[0]
                return Shown(found, ref, first)
        raise NotFoundError("the images of this presentation state are not in the study")
    names = [request.parameter(name) for name in ("presentationSeriesUID", "presentationUID")]
    if not names[0] or not names[1]:
        return Shown(ref, None, frame)
    state = select(request.workspace, request.study, uid(names[0]), uid(names[1])).instances[0]
    if kind_of(state) is not Kind.PRESENTATION:
        raise BadRequestError("presentationUID names no presentation state")
    _check_state(state)
    if not any(found[1] == ref.sop_instance_uid for found in referenced(attributes_of(request.workspace, state))):
        raise BadRequestError("the presentation state is for other images")
    return Shown(ref, state, frame)


def _check_state(state: InstanceRef) -> None:
    if state.sop_class_uid not in APPLIED:
        raise NotSupportedError("of presentation states the grayscale and colour softcopy ones are shown")


def _picture(request: Request, shown: Shown, media_type: str, late: Callable[[], bool] | None) -> Answer:
    """`late`: of a cine."""
    rendering = parse_rendering(request, media_type)
    store, limit = request.workspace.store, request.settings.inline_limit
    ref = shown.ref
    state = shown.state.digest.hex() if shown.state else ""
    place = "all" if late else str(shown.frame)
    facts = (RENDERER, ref.transfer_syntax_uid, ref.digest.hex(), state, place, _facts(rendering))
    name = export_name(store, "rendered", *facts, study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    if (late or ref.length > limit) and exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
    if late:
        resolve = partial(_resolve, request.workspace, ref, None)
        part = StoredPart(media_type, cine(request.workspace, ref, rendering, resolve, name, late), "")
        if part.length > limit:
            return redirect(request.sign(export_join(store, name, lambda: part.pieces, media_type)), etag=etag)
        body = bytes(read_parts(request.workspace, [part])[0].content)
    else:
        body = render(request.workspace, ref, shown.frame, rendering, shown.state)
    if len(body) > limit:
        return redirect(request.sign(export_bytes(store, name, body, media_type)), etag=etag)
    headers = {"Content-Type": media_type}
    if unknown_annotations(request):
        headers["Warning"] = f"299 MayPACS: {unknown_annotations(request)}"
    return conditional(Answer(200, headers, body), etag, None)


def _facts(rendering: Rendering) -> str:
    """The same text for the same wishes: a set has no order of its own."""
    shown = (rendering.window, rendering.viewport, rendering.quality, rendering.format, rendering.profile)
    return repr((*shown, sorted(rendering.annotation)))


def render(
    workspace: Workspace, ref: InstanceRef, number: int, rendering: Rendering, state: InstanceRef | None = None
) -> bytes:
    """One frame of an instance as a picture. Raises NotFoundError (no pixels), PixelError."""
    from maypacs.pixels.render import render_frame

    attributes = attributes_of(workspace, ref)
    if not images.has_pixels(attributes):
        raise NotFoundError("the instance has no picture")
    presentation = Presentation(attributes_of(workspace, state), ref.sop_instance_uid, number) if state else None
    if ref.frame_table is None:
        whole = whole_instance(workspace, ref)
        array, photometric = whole.decode(number)
        pixel = whole.pixel
    else:
        from maypacs.pixels.decode import decode_frame

        pixel = images.image_pixel(attributes)
        array, photometric = decode_frame(stored_frames(workspace, ref, [number])[0], pixel, ref.transfer_syntax_uid)
    return render_frame(
        array,
        photometric,
        pixel,
        attributes,
        frame=number,
        rendering=rendering,
        resolve=partial(_resolve, workspace, ref, state),
        presentation=presentation,
    )


def _resolve(workspace: Workspace, ref: InstanceRef, state: InstanceRef | None, uri: str) -> bytes:
    """Bulk data of the image, or of the presentation state: the URI says whose."""
    from maypacs.pixels.whole import resolve_bulk

    mine = state if state is not None and f"/{state.sop_instance_uid}/" in uri else ref
    return resolve_bulk(read_instance(workspace, mine), uri)
