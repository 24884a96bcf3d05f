"""Retrieve of frames (PS3.18 10.4, Table 10.4.1-4; 8.7.3.3): by range where the frame table tells where they are.

The default is native little endian, exactly rows x columns x samples x bytes a frame; native frames, big endian ones
too, are never answered otherwise. The stored syntax, or `transfer-syntax=*`, gives compressed frames as they are
stored, with the media type they have (declared in docs/conformance.md: also when octets were asked for, as OHIF does).
Another syntax that is named is made when it can be exact. What is large and lies in the pack as it is answered, storage
copies itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from maypacs.archive.objects import CopyRange
from maypacs.conversion import possible
from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.frames import FrameRange, FrameTable
from maypacs.dicomweb.request import Request
from maypacs.errors import (
    BadRequestError,
    FrameNotFoundError,
    MayPACSError,
    NotAcceptableError,
    PixelError,
)
from maypacs.exports import exists, export_boundary, export_bytes, export_join, export_name
from maypacs.frame_bytes import EXPLICIT, FrameReader
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, Choice, frame_choices
from maypacs.http.multipart import OutPart, content_type, part_close, part_head
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.selection import pack_key, select
from maypacs.steps import GAIN, in_steps

MAX_FRAMES = 10_000
#: What is certainly below any limit.
_SMALL = 256 << 10


def retrieve_frames(request: Request, *, clock: Callable[[], float] = time.monotonic) -> Answer:
    """GET …/frames/{list}. Raises BadRequestError, FrameNotFoundError, NotAcceptableError, PixelError, BusyError."""
    numbers = frame_list(request.path["frames"])
    choices = frame_choices(request.accept, single_allowed=len(numbers) == 1)
    selection = select(request.workspace, request.study, request.series, request.instance)
    ref = selection.instances[0]
    if ref.number_of_frames and max(numbers) > ref.number_of_frames:
        raise FrameNotFoundError(f"the instance has {ref.number_of_frames} frames")
    options = _options(choices, ref)
    reasons: list[MayPACSError] = []
    for choice, target in options:
        try:
            return _answer(request, ref, numbers, choice, target, clock)
        except PixelError as error:
            reasons.append(error)
    raise reasons[0]


def _answer(
    request: Request,
    ref: InstanceRef,
    numbers: Sequence[int],
    choice: Choice,
    target: str | None,
    clock: Callable[[], float],
) -> Answer:
    """One of the options. Raises PixelError when the frames cannot be had so."""
    store = request.workspace.store
    kind = ("stored" if target is None else "native" if target == EXPLICIT else target, str(choice.multipart))
    facts = (ref.transfer_syntax_uid, ref.digest.hex(), ",".join(map(str, numbers)), *kind)
    name = export_name(store, "frames", *facts, study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    limit = request.settings.inline_limit
    stored_bytes = _stored_size(ref, numbers)
    large = stored_bytes > (limit // 4 if target else limit)
    if large and exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
    media_type, part_type = _media_types(ref, target)
    header = content_type(media_type, export_boundary(name)) if choice.multipart else part_type
    if large and (ranges := _plain_ranges(ref, numbers, target)):
        key = export_join(store, name, lambda: _copied(request, ref, numbers, ranges, name, choice, part_type), header)
        return redirect(request.sign(key), etag=etag)
    reader = FrameReader(request.workspace, ref, numbers)
    if not choice.multipart:
        frame, _ = reader.made(numbers[0], target)
        if len(frame) <= limit:
            return conditional(Answer(200, {"Content-Type": part_type}, frame), etag, None)
        return redirect(request.sign(export_bytes(store, name, frame, part_type)), etag=etag)

    def make(number: int, root: str) -> list[OutPart]:
        base = instance_url(root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)
        return [OutPart(part_type, reader.made(number, target)[0], f"{base}/frames/{number}")]

    # Frames as they are stored do not grow.
    compressed = stored_bytes if target else stored_bytes // GAIN
    return in_steps(request, numbers, make, name, etag, media_type, clock, stored_bytes=compressed, what="frames")


def _plain_ranges(ref: InstanceRef, numbers: Sequence[int], target: str | None) -> list[FrameRange]:
    """Where the frames lie, when their bytes in the pack are what is answered: storage can copy those itself.

    Empty: fragments to be joined, big endian words, bits, or a conversion.
    """
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    if ref.frame_table is None or (target is not None and stored.encapsulated) or target not in {None, EXPLICIT}:
        return []
    table = FrameTable.decode(ref.frame_table)
    ranges = [table.locate(number) for number in numbers]
    plain = all(not (r.fragmented or r.bits or r.bit_offset) and r.word <= 1 for r in ranges)
    return ranges if plain else []


def _copied(
    request: Request,
    ref: InstanceRef,
    numbers: Sequence[int],
    ranges: Sequence[FrameRange],
    name: str,
    choice: Choice,
    part_type: str,
) -> list[CopyRange | bytes]:
    """The answer as ranges of the pack: no byte of a picture goes through this process."""
    key = pack_key(request.workspace, ref)
    if not choice.multipart:
        return [CopyRange(key, ref.offset + ranges[0].offset, ranges[0].length)]
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    base = instance_url(root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)
    boundary = export_boundary(name)
    pieces: list[CopyRange | bytes] = []
    for number, found in zip(numbers, ranges, strict=True):
        head = part_head(boundary, part_type, found.length, f"{base}/frames/{number}")
        pieces += [head, CopyRange(key, ref.offset + found.offset, found.length), b"\r\n"]
    return [*pieces, part_close(boundary)]


def _stored_size(ref: InstanceRef, numbers: Sequence[int]) -> int:
    """Bytes of the frames as they are stored; of the whole instance when only reading it tells."""
    if ref.frame_table is None or ref.length < _SMALL:
        return ref.length
    table = FrameTable.decode(ref.frame_table)
    return sum(table.locate(number).length for number in numbers)


def frame_list(text: str) -> list[int]:
    """`1` or `1,2,3` (also percent-encoded), no frame twice. Raises BadRequestError."""
    numbers = []
    for part in text.replace("%2C", ",").replace("%2c", ",").split(","):
        if not part.isascii() or not part.isdigit() or not 0 < int(part[:10]) < 2**31:
            raise BadRequestError("frames are named by numbers from 1, separated by commas")
        numbers.append(int(part[:10]))
    if len(set(numbers)) < len(numbers):
        raise BadRequestError("no frame is asked for twice in one request")
    if len(numbers) > MAX_FRAMES:
        raise BadRequestError(f"more than {MAX_FRAMES} frames in one request")
    return numbers


def _options(choices: Sequence[Choice], ref: InstanceRef) -> list[tuple[Choice, str | None]]:
    """What may be answered, best first, each with the syntax of its frames: None is as stored.

    A media type without a syntax means its default (Table 8.7.3-5) when it is not the stored frames' own.
    """
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    as_it_is = None if stored.encapsulated else EXPLICIT
    options: list[tuple[Choice, str | None]] = []
    for choice in choices:
        syntax = choice.transfer_syntax
        octets = choice.media_type == OCTETS
        if octets and syntax in {"*", ref.transfer_syntax_uid}:
            options.append((choice, as_it_is))
        elif octets and syntax in {None, EXPLICIT}:
            options.append((choice, EXPLICIT))
        elif not octets and choice.media_type == stored.frame_media_type and syntax in {None, "*", stored.uid}:
            options.append((choice, None))
        else:
            target = syntax if syntax not in {None, "*"} else DEFAULT_SYNTAXES.get(choice.media_type)
            if (
                target
                and possible(target)
                and (octets or transfer_syntaxes.info(target).frame_media_type == choice.media_type)
            ):
                options.append((choice, target))
    if not options:
        also = f", {stored.frame_media_type} as stored" if stored.encapsulated else ""
        raise NotAcceptableError(
            f"acceptable here: {OCTETS}, native or with transfer-syntax=*{also}, image/jls, image/jp2, image/dicom-rle "
            "or image/jpeg without loss"
        )
    return sorted(options, key=lambda option: (-option[0].quality, option[1] not in {None, EXPLICIT}))


#: The syntax that a media type means when it says none (Table 8.7.3-5), of those that we can make.
DEFAULT_SYNTAXES = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": transfer_syntaxes.RLE_LOSSLESS,
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
}


def _media_types(ref: InstanceRef, target: str | None) -> tuple[str, str]:
    """Of the multipart, and of each part (with its transfer syntax)."""
    syntax = target or ref.transfer_syntax_uid
    media_type = transfer_syntaxes.info(syntax).frame_media_type
    return media_type, f"{media_type}; transfer-syntax={syntax}"
