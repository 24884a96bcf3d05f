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
from maypacs.bulkdata import retrieve_bulkdata
from maypacs.conversion import location, possible
from maypacs.dicom import transfer_syntaxes
from maypacs.dicomweb.request import Request
from maypacs.errors import MayPACSError, NotAcceptableError, NotFoundError, PixelError
from maypacs.exports import exists, export_bytes, export_join, export_name
from maypacs.frame_bytes import EXPLICIT, FrameReader, attributes_of
from maypacs.frame_parts import is_long, native_runs
from maypacs.frames import DEFAULT_SYNTAXES
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, Choice, frame_choices
from maypacs.http.ranges import ByteRange, asked, partial, span, unsatisfied
from maypacs.index.contents import InstanceRef
from maypacs.pixel_parts import Item, PixelParts, value_part
from maypacs.selection import Selection, first_of, select
from maypacs.steps import deadline, in_steps
from maypacs.stored_parts import AnyPart
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
    from maypacs.pixels.whole import joined

    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    if stored.video and choice.media_type in {OCTETS, stored.frame_media_type}:
        return passing.video(request, ref, stored.frame_media_type)
    if stored.video or _target(choice) != EXPLICIT:
        raise NotAcceptableError("compressed frames are parts of a multipart, or asked for one by one")
    name = export_name(request.workspace.store, "bulk-native", ref.digest.hex(), study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    where = f"{location(request.root, ref)}/bulkdata/{request.path['path']}"
    headers = {"Content-Type": OCTETS, "Content-Location": where, "Accept-Ranges": "bytes"}
    store, limit = request.workspace.store, request.settings.inline_limit
    if wanted := asked(request.headers, etag):
        return _range(request.workspace, ref, wanted, headers, limit, etag)
    if exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
    if is_long(request.workspace, ref, EXPLICIT):
        runs = native_runs(request.workspace, ref, deadline(clock))
        return redirect(request.sign(export_join(store, name, lambda: runs.pieces, OCTETS)), etag=etag)
    reader = FrameReader(request.workspace, ref, range(1, ref.number_of_frames + 1))
    octets = joined([reader.made(number, EXPLICIT)[0] for number in range(1, reader.count + 1)], reader.pixel)
    if len(octets) > limit:
        return redirect(request.sign(export_bytes(store, name, octets, OCTETS)), etag=etag)
    return conditional(Answer(200, headers, octets), etag, None)


def _range(
    workspace: Workspace, ref: InstanceRef, asked_for: ByteRange, headers: Mapping[str, str], limit: int, etag: str
) -> Answer:
    """Bytes of uncompressed pixel data: only the frames that they are of are decoded. Raises PixelError."""
    from maypacs.pixels.whole import joined

    reader = FrameReader(workspace, ref)
    pixel, together = reader.pixel, reader.pixel.together
    size = pixel.frame_bits * together // 8
    total = (pixel.frame_bits * reader.count + 7) // 8
    wanted = span(asked_for, total, limit)
    if wanted is None:
        return unsatisfied(total)
    first, after = wanted[0] // size, (wanted[1] - 1) // size + 1
    numbers = range(first * together + 1, min(after * together, reader.count) + 1)
    reader.numbers = numbers
    frames = [reader.made(number, EXPLICIT)[0] for number in numbers]
    if any(len(frame) != pixel.decoded_size for frame in frames):
        raise PixelError("the frames are not of the size that the image has")
    start = wanted[0] - first * size
    return partial(joined(frames, pixel)[start : start + wanted[1] - wanted[0]], wanted[0], total, headers, etag)


def bulk_of(request: Request, selection: Selection, choice: Choice, kind: Kind, clock: Callable[[], float]) -> Answer:
    """The bulk data of what is selected, as one choice has them. Raises NotFoundError, NotAcceptableError, BusyError"""
    target = _target(choice)
    # Named or not: what cannot be decoded is given as it is stored by default, and not when a syntax is named.
    facts = (selection.version, kind, choice.media_type, choice.transfer_syntax or "default")
    name = export_name(request.workspace.store, "bulk-all", *facts, study=request.study)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    pixels = PixelParts(request.workspace, choice, target, deadline(clock))
    plan: list[Item] = []
    for ref in selection.instances:
        for path in _paths(attributes_of(request.workspace, ref), kind):
            plan += pixels.items(ref, path) if path in _PIXELS else [(ref, path, None)]
    if not plan:
        raise NotFoundError("nothing of that has bulk data")

    def make(item: Item, root: str) -> Sequence[AnyPart]:
        ref, path, _ = item
        if path in _PIXELS:
            return pixels.make(item, root)
        return [value_part(request.workspace, ref, path, OCTETS, f"{location(root, ref)}/bulkdata/{path}")]

    size = sum(ref.length for ref in selection.instances)
    return in_steps(request, plan, make, name, etag, choice.media_type, clock, stored_bytes=size, what="parts")


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
