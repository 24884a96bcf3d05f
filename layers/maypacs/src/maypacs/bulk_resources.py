"""All bulk data, or the pixel data alone, of a study, a series or an instance (PS3.18 10.4, Tables 10.4.1-5, -6).

A part is one value, octets under the URI that metadata give it. Pixel data come uncompressed, all frames in one part
(8.7.3.3.1); as stored, or in the syntax of the media type asked for, they come a part a frame under the frame's URL
(8.7.3.3.2). What no decoder reads stays as stored under the default.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from maypacs import passing
from maypacs.bulkdata import read_bulk, retrieve_bulkdata
from maypacs.conversion import in_steps, location, possible
from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.frames import FrameTable
from maypacs.dicomweb.request import Request
from maypacs.errors import MayPACSError, NotAcceptableError, NotFoundError, PixelError
from maypacs.exports import export_bytes, export_name
from maypacs.frames import (
    DEFAULT_SYNTAXES,
    EXPLICIT,
    attributes_of,
    compressed_frames,
    native_frames,
    stored_frames,
    whole_instance,
)
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, Choice, frame_choices
from maypacs.http.multipart import OutPart
from maypacs.http.ranges import ranged
from maypacs.index.contents import InstanceRef
from maypacs.selection import Selection, first_of, select
from maypacs.workspace import Workspace

Kind = Literal["bulkdata", "pixeldata"]
_PIXELS = ("7FE00010", "7FE00008", "7FE00009")


def retrieve_all(kind: Kind, *, clock: Callable[[], float] = time.monotonic) -> Callable[[Request], Answer]:
    """GET …/bulkdata and …/pixeldata. The answer raises NotFoundError, GoneError, NotAcceptableError, BusyError."""

    def answer(request: Request) -> Answer:
        choices = frame_choices(request.accept, single_allowed=False)
        selection = select(
            request.workspace,
            request.study,
            request.series if "series" in request.has else None,
            request.instance if "instance" in request.has else None,
        )
        first_of(selection.instances)
        reasons: list[MayPACSError] = []
        for choice in choices:
            try:
                return bulk_of(request, selection, choice, kind, clock)
            except NotAcceptableError as error:
                reasons.append(error)
        raise reasons[0]

    return answer


def retrieve_value(request: Request) -> Answer:
    """GET …/instances/{i}/bulkdata/{path}. Raises NotFoundError, NotAcceptableError, PixelError.

    Encapsulated pixel data are no value of plain octets: they come as frames do, a video as its stream.
    """
    path = request.path["path"]
    if path not in _PIXELS:
        return retrieve_bulkdata(request)
    selection = select(request.workspace, request.study, request.series, request.instance)
    ref = selection.instances[0]
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    if not stored.encapsulated or path not in attributes_of(request.workspace, ref):
        return retrieve_bulkdata(request)
    choices = frame_choices(request.accept, single_allowed=True)
    reasons: list[MayPACSError] = []
    for choice in choices:
        try:
            if choice.multipart:
                return bulk_of(request, selection, choice, "pixeldata", time.monotonic)
            return _single(request, ref, choice)
        except NotAcceptableError as error:
            reasons.append(error)
    raise reasons[0]


def _single(request: Request, ref: InstanceRef, choice: Choice) -> Answer:
    """Encapsulated pixel data as one part: a video's stream, or all frames uncompressed. Raises NotAcceptableError."""
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    if stored.video and choice.media_type in {OCTETS, stored.frame_media_type}:
        return passing.video(request, ref, stored.frame_media_type)
    if stored.video or _target(choice) != EXPLICIT:
        raise NotAcceptableError("compressed frames are parts of a multipart, or asked for one by one")
    name = export_name(request.workspace.store, "bulk-native", ref.digest.hex(), study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    numbers = range(1, _count(request.workspace, ref) + 1)
    octets = b"".join(native_frames(request.workspace, ref, numbers))
    where = f"{location(request.root, ref)}/bulkdata/{request.path['path']}"
    headers = {"Content-Type": OCTETS, "Content-Location": where, "Accept-Ranges": "bytes"}
    limit = request.settings.inline_limit
    if request.headers.get("range"):
        return ranged(octets, request.headers["range"], headers, limit)
    if len(octets) > limit:
        return redirect(request.sign(export_bytes(request.workspace.store, name, octets, OCTETS)), etag=etag)
    return conditional(Answer(200, headers, octets), etag, None)


def bulk_of(request: Request, selection: Selection, choice: Choice, kind: Kind, clock: Callable[[], float]) -> Answer:
    """The bulk data of what is selected, as one choice has them. Raises NotFoundError, NotAcceptableError, BusyError"""
    target = _target(choice)
    facts = (selection.version, kind, choice.media_type, target or "stored")
    name = export_name(request.workspace.store, "bulk-all", *facts, study=request.study)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    plan = {}
    for ref in selection.instances:
        paths = list(_paths(attributes_of(request.workspace, ref), kind))
        if paths:
            plan[ref] = paths
    if not plan:
        raise NotFoundError("nothing of that has bulk data")

    def make(ref: InstanceRef, root: str) -> list[OutPart]:
        parts: list[OutPart] = []
        for path in plan[ref]:
            if path in _PIXELS:
                parts += _pixel_parts(request.workspace, ref, path, root, choice, target)
            else:
                where = f"{location(root, ref)}/bulkdata/{path}"
                parts.append(OutPart(OCTETS, read_bulk(request.workspace, ref, path), where))
        return parts

    return in_steps(request, list(plan), make, name, etag, choice.media_type, clock)


def _target(choice: Choice) -> str | None:
    """The syntax of pixel data: None as stored. Raises NotAcceptableError."""
    syntax = choice.transfer_syntax
    if syntax == "*" or choice.media_type.startswith("video/"):
        return None
    if choice.media_type == OCTETS and syntax in {None, EXPLICIT}:
        return EXPLICIT
    target = syntax or DEFAULT_SYNTAXES.get(choice.media_type)
    if target is None or not possible(target):
        raise NotAcceptableError("no pixel data can be had in that media type and transfer syntax")
    return target


def _paths(attributes: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    """Of the values that metadata name by URI; and of the pixel data, wherever they are small."""
    if kind == "bulkdata":
        for element in attributes.values():
            yield from _uris(element)
    else:
        yield from (tag for tag in _PIXELS if tag in attributes)


def _uris(element: Mapping[str, Any]) -> Iterator[str]:
    if uri := element.get("BulkDataURI"):
        yield uri.partition("/bulkdata/")[2]
    for item in element.get("Value", ()):
        if element.get("vr") == "SQ" and item:
            for inner in item.values():
                yield from _uris(inner)


def _pixel_parts(
    workspace: Workspace, ref: InstanceRef, path: str, root: str, choice: Choice, target: str | None
) -> list[OutPart]:
    """Raises NotAcceptableError when they cannot become what was named."""
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    same_type = choice.media_type == stored.frame_media_type and choice.transfer_syntax in {None, stored.uid}
    if target is None and choice.media_type not in {OCTETS, stored.frame_media_type}:
        raise NotAcceptableError(f"stored as {stored.frame_media_type}")
    if (not stored.encapsulated and target in {None, EXPLICIT}) or (stored.video and target in {None, EXPLICIT}):
        media_type = stored.frame_media_type if stored.video else f"{OCTETS}; transfer-syntax={EXPLICIT}"
        value = stored_frames(workspace, ref, [1])[0] if stored.video else read_bulk(workspace, ref, path)
        return [OutPart(media_type, value, f"{location(root, ref)}/bulkdata/{path}")]
    numbers = range(1, _count(workspace, ref) + 1)
    try:
        if target == EXPLICIT:
            octets = b"".join(native_frames(workspace, ref, numbers))
            where = f"{location(root, ref)}/bulkdata/{path}"
            return [OutPart(f"{OCTETS}; transfer-syntax={EXPLICIT}", octets, where)]
        if target is not None and not same_type and target != stored.uid:
            return _framed(root, ref, compressed_frames(workspace, ref, numbers, target), target)
    except PixelError as error:
        if choice.transfer_syntax or choice.media_type != OCTETS:
            raise NotAcceptableError(f"pixel data cannot be had so: {error}") from error
    return _framed(root, ref, stored_frames(workspace, ref, numbers), stored.uid)


def _framed(root: str, ref: InstanceRef, frames: Sequence[bytes], syntax: str) -> list[OutPart]:
    kind = f"{transfer_syntaxes.info(syntax).frame_media_type}; transfer-syntax={syntax}"
    base = f"{location(root, ref)}/frames"
    return [OutPart(kind, frame, f"{base}/{number}") for number, frame in enumerate(frames, start=1)]


def _count(workspace: Workspace, ref: InstanceRef) -> int:
    if ref.frame_table is not None:
        return FrameTable.decode(ref.frame_table).number_of_frames
    return whole_instance(workspace, ref).frame_table.number_of_frames
