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
from maypacs.conversion import location, possible
from maypacs.dicom import transfer_syntaxes
from maypacs.dicomweb.request import Request
from maypacs.errors import MayPACSError, NotAcceptableError, NotFoundError, PixelError
from maypacs.exports import export_bytes, export_name
from maypacs.frame_bytes import EXPLICIT, FrameReader, attributes_of, stored_frames
from maypacs.frames import DEFAULT_SYNTAXES
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, Choice, frame_choices
from maypacs.http.multipart import OutPart
from maypacs.http.ranges import partial, span, unsatisfied
from maypacs.index.contents import InstanceRef
from maypacs.selection import Selection, first_of, select
from maypacs.steps import in_steps
from maypacs.stored_parts import AnyPart, StoredPart, bulk_part, is_large
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


def retrieve_value(request: Request, *, clock: Callable[[], float] = time.monotonic) -> Answer:
    """GET …/instances/{i}/bulkdata/{path}. Raises NotFoundError, NotAcceptableError, PixelError, BusyError.

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
                return bulk_of(request, selection, choice, "pixeldata", clock)
            return _single(request, ref, choice, clock)
        except NotAcceptableError as error:
            reasons.append(error)
    raise reasons[0]


def _single(request: Request, ref: InstanceRef, choice: Choice, clock: Callable[[], float]) -> Answer:
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
    reader = FrameReader(request.workspace, ref)
    numbers = range(1, reader.count + 1)
    where = f"{location(request.root, ref)}/bulkdata/{request.path['path']}"
    headers = {"Content-Type": OCTETS, "Content-Location": where, "Accept-Ranges": "bytes"}
    limit = request.settings.inline_limit
    if request.headers.get("range"):
        return _range(reader, request.headers["range"], headers, limit)
    if is_long(request.workspace, ref, EXPLICIT):
        runs = native_runs(request.workspace, ref, deadline(clock))
        return redirect(request.sign(export_join(request.workspace.store, name, lambda: runs.pieces, OCTETS)), etag=etag)
    octets = b"".join(reader.made(number, EXPLICIT)[0] for number in numbers)
    if len(octets) > limit:
        return redirect(request.sign(export_bytes(request.workspace.store, name, octets, OCTETS)), etag=etag)
    return conditional(Answer(200, headers, octets), etag, None)


def _range(reader: FrameReader, text: str, headers: Mapping[str, str], limit: int) -> Answer:
    """Bytes of uncompressed pixel data: only the frames that they are of are decoded. Raises PixelError."""
    frame_size = reader.pixel.decoded_size
    total = frame_size * reader.count
    wanted = span(text, total, limit)
    if wanted is None:
        return unsatisfied(total)
    first, last = wanted[0] // frame_size, (wanted[1] - 1) // frame_size
    frames = [reader.made(number, EXPLICIT)[0] for number in range(first + 1, last + 2)]
    if any(len(frame) != frame_size for frame in frames):
        raise PixelError("the frames are not of the size that the image has")
    start = wanted[0] - first * frame_size
    return partial(b"".join(frames)[start : start + wanted[1] - wanted[0]], wanted[0], total, headers)


def bulk_of(request: Request, selection: Selection, choice: Choice, kind: Kind, clock: Callable[[], float]) -> Answer:
    """The bulk data of what is selected, as one choice has them. Raises NotFoundError, NotAcceptableError, BusyError"""
    target = _target(choice)
    facts = (selection.version, kind, choice.media_type, target or "stored")
    name = export_name(request.workspace.store, "bulk-all", *facts, study=request.study)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    plan: list[_Item] = []
    late = deadline(clock)
    for ref in selection.instances:
        for path in _paths(attributes_of(request.workspace, ref), kind):
            plan += _items(request.workspace, ref, path, choice, target)
    if not plan:
        raise NotFoundError("nothing of that has bulk data")
    reader = FrameReader(request.workspace, plan[0][0])

    def make(item: _Item, root: str) -> Sequence[AnyPart]:
        nonlocal reader
        ref, path, number = item
        if path not in _PIXELS:
            where = f"{location(root, ref)}/bulkdata/{path}"
            return [_value(request.workspace, ref, path, OCTETS, where)]
        if number is None:
            return _pixel_parts(request.workspace, ref, path, root, choice, target, late)
        if reader.ref is not ref:
            reader = FrameReader(request.workspace, ref, range(number, ref.number_of_frames + 1))
        try:
            return [_framed(root, ref, number, reader.made(number, target)[0], target or ref.transfer_syntax_uid)]
        except PixelError as error:
            raise NotAcceptableError(f"pixel data cannot be had so: {error}") from error

    size = sum(ref.length for ref in selection.instances)
    return in_steps(request, plan, make, name, etag, choice.media_type, clock, stored_bytes=size, what="parts")


def _items(
    workspace: Workspace, ref: InstanceRef, path: str, choice: Choice, target: str | None
) -> Iterator[_Item]:
    """A value as it comes in one piece of work: with the number of the frame, where each is a part of its own."""
    frames = path in _PIXELS and ref.number_of_frames > 1 and ref.frame_table is not None
    if frames and _is_framed(ref, choice, target):
        yield from ((ref, path, number) for number in range(1, FrameReader(workspace, ref).count + 1))
    else:
        yield ref, path, None


def _is_framed(ref: InstanceRef, choice: Choice, target: str | None) -> bool:
    """Whether pixel data become a part a frame (8.7.3.3.2)."""
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    if stored.video or target == EXPLICIT:
        return False
    if target is None:
        return stored.encapsulated and choice.media_type in {OCTETS, stored.frame_media_type}
    return True


def _value(workspace: Workspace, ref: InstanceRef, path: str, content_type: str, where: str) -> AnyPart:
    part = bulk_part(workspace, ref, path, content_type, where)
    return part or OutPart(content_type, read_bulk(workspace, ref, path), where)


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
) -> Sequence[AnyPart]:
    """Raises NotAcceptableError when they cannot become what was named."""
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    same_type = choice.media_type == stored.frame_media_type and choice.transfer_syntax in {None, stored.uid}
    if target is None and choice.media_type not in {OCTETS, stored.frame_media_type}:
        raise NotAcceptableError(f"stored as {stored.frame_media_type}")
    if (not stored.encapsulated and target in {None, EXPLICIT}) or (stored.video and target in {None, EXPLICIT}):
        where = f"{location(root, ref)}/bulkdata/{path}"
        if not stored.video:
            return [_value(workspace, ref, path, f"{OCTETS}; transfer-syntax={EXPLICIT}", where)]
        if is_large(ref) and ref.frame_table is not None:
            return [StoredPart(stored.frame_media_type, tuple(passing.stream_pieces(workspace, ref)), where)]
        return [OutPart(stored.frame_media_type, stored_frames(workspace, ref, [1])[0], where)]
    reader = FrameReader(workspace, ref)
    numbers = range(1, reader.count + 1)
    try:
        if target == EXPLICIT:
            octets = b"".join(reader.made(number, EXPLICIT)[0] for number in numbers)
            where = f"{location(root, ref)}/bulkdata/{path}"
            return [OutPart(f"{OCTETS}; transfer-syntax={EXPLICIT}", octets, where)]
        if target is not None and not same_type and target != stored.uid:
            return _framed(root, ref, [reader.made(number, target)[0] for number in numbers], target)
    except PixelError as error:
        if choice.transfer_syntax or choice.media_type != OCTETS:
            raise NotAcceptableError(f"pixel data cannot be had so: {error}") from error
    return _framed(root, ref, stored_frames(workspace, ref, numbers), stored.uid)


def _framed(root: str, ref: InstanceRef, frames: Sequence[bytes], syntax: str) -> list[OutPart]:
    kind = f"{transfer_syntaxes.info(syntax).frame_media_type}; transfer-syntax={syntax}"
    base = f"{location(root, ref)}/frames"
    return [OutPart(kind, frame, f"{base}/{number}") for number, frame in enumerate(frames, start=1)]
