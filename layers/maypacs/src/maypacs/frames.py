"""Retrieve of frames (PS3.18 10.4, Table 10.4.1-4; 8.7.3.3): by range where the frame table tells where they are.

The default is native little endian, exactly rows x columns x samples x bytes a frame; native frames, big endian ones
too, are never answered otherwise. The stored syntax, or `transfer-syntax=*`, gives compressed frames as they are
stored, with the media type they have (declared in docs/conformance.md: also when octets were asked for, as OHIF does).
Another syntax that is named is made when it can be exact. What is large and lies in the pack as it is answered, storage
copies itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from maypacs.archive.objects import CopyRange
from maypacs.conversion import possible
from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.frames import FrameRange, FrameTable, defragment
from maypacs.dicomweb.request import Request
from maypacs.errors import (
    BadRequestError,
    FrameNotFoundError,
    MayPACSError,
    NotAcceptableError,
    NotFoundError,
    PixelError,
)
from maypacs.exports import exists, export_boundary, export_bytes, export_join, export_name, export_stream
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, Choice, frame_choices
from maypacs.http.multipart import OutPart, content_type, part_close, part_head, write_multipart, write_parts
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.metadata import sidecar_lines
from maypacs.selection import WHOLE_LIMIT, pack_key, read_instance, read_range, select
from maypacs.workspace import Workspace

if TYPE_CHECKING:
    from maypacs.pixels.whole import WholeInstance

EXPLICIT = transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN
MAX_FRAMES = 10_000
#: More than the header of any part takes; and what is certainly below any limit.
_HEAD_BYTES, _SMALL = 512, 256 << 10


def retrieve_frames(request: Request) -> Answer:
    """GET …/frames/{list}. Raises BadRequestError, FrameNotFoundError, NotAcceptableError, PixelError."""
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
            return _answer(request, ref, numbers, choice, target)
        except PixelError as error:
            reasons.append(error)
    raise reasons[0]


def _answer(request: Request, ref: InstanceRef, numbers: Sequence[int], choice: Choice, target: str | None) -> Answer:
    """One of the options. Raises PixelError when the frames cannot be had so."""
    store = request.workspace.store
    kind = ("stored" if target is None else "native" if target == EXPLICIT else target, str(choice.multipart))
    facts = (ref.transfer_syntax_uid, ref.digest.hex(), ",".join(map(str, numbers)), *kind)
    name = export_name(store, "frames", *facts, study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    limit = request.settings.inline_limit
    large = _stored_size(ref, numbers) > (limit // 4 if target else limit)
    if large and exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
    media_type, part_type = _media_types(ref, target)
    header = content_type(media_type, export_boundary(name)) if choice.multipart else part_type
    if large and (ranges := _plain_ranges(ref, numbers, target)):
        key = export_join(store, name, lambda: _copied(request, ref, numbers, ranges, name, choice, part_type), header)
        return redirect(request.sign(key), etag=etag)
    frames = _frames(request.workspace, ref, numbers, target)
    if not choice.multipart:
        if len(frames[0]) <= limit:
            return conditional(Answer(200, {"Content-Type": part_type}, frames[0]), etag, None)
        return redirect(request.sign(export_bytes(store, name, frames[0], part_type)), etag=etag)
    if sum(len(frame) + _HEAD_BYTES for frame in frames) <= limit:
        body, inline_header = write_multipart(_parts(request.root, ref, numbers, frames, part_type), media_type)
        return conditional(Answer(200, {"Content-Type": inline_header}, body), etag, None)
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    parts = _parts(root, ref, numbers, frames, part_type)
    key = export_stream(store, name, lambda: write_parts(parts, export_boundary(name)), header)
    return redirect(request.sign(key), etag=etag)


def _frames(workspace: Workspace, ref: InstanceRef, numbers: Sequence[int], target: str | None) -> list[bytes]:
    if target is None:
        return stored_frames(workspace, ref, numbers)
    if target == EXPLICIT:
        return native_frames(workspace, ref, numbers)
    return compressed_frames(workspace, ref, numbers, target)


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


def _parts(
    root: str, ref: InstanceRef, numbers: Sequence[int], frames: Sequence[bytes], part_type: str
) -> Iterator[OutPart]:
    base = instance_url(root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)
    for number, frame in zip(numbers, frames, strict=True):
        yield OutPart(part_type, frame, f"{base}/frames/{number}")


def _stored_size(ref: InstanceRef, numbers: Sequence[int]) -> int:
    """Bytes of the frames as they are stored; of the whole instance when only reading it tells."""
    if ref.frame_table is None or ref.length < _SMALL:
        return ref.length
    table = FrameTable.decode(ref.frame_table)
    return sum(table.locate(number).length for number in numbers)


def frame_list(text: str) -> list[int]:
    """`1` or `1,2,3` (also percent-encoded). Raises BadRequestError."""
    numbers = []
    for part in text.replace("%2C", ",").replace("%2c", ",").split(","):
        if not part.isascii() or not part.isdigit() or not 0 < int(part[:10]) < 2**31:
            raise BadRequestError("frames are named by numbers from 1, separated by commas")
        numbers.append(int(part[:10]))
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


# -- bytes -----------------------------------------------------------------------------------------------


def stored_frames(workspace: Workspace, ref: InstanceRef, numbers: Sequence[int]) -> list[bytes]:
    """Frames (1-based): native little endian samples, or fragments joined. Raises FrameNotFoundError, PixelError."""
    if ref.frame_table is None:
        whole = whole_instance(workspace, ref)
        return [whole.stored_frame(number) for number in numbers]
    table = FrameTable.decode(ref.frame_table)
    found = [table.locate(number) for number in numbers]
    low, high = min(f.offset for f in found), max(f.offset + f.length for f in found)
    if high - low <= min(WHOLE_LIMIT, 2 * sum(f.length for f in found) + (1 << 20)):
        span = read_range(workspace, ref, low, high - low)
        return [defragment(span[f.offset - low : f.offset - low + f.length], f) for f in found]
    return [defragment(read_range(workspace, ref, f.offset, f.length), f) for f in found]


def whole_instance(workspace: Workspace, ref: InstanceRef) -> WholeInstance:
    """For instances without a frame table: deflated ones, and those whose frames ingest could not tell apart."""
    from maypacs.pixels.image import has_pixels
    from maypacs.pixels.whole import WholeInstance

    if not has_pixels(attributes_of(workspace, ref)):
        raise NotFoundError("the instance has no frames")
    return WholeInstance(read_instance(workspace, ref))


def native_frames(workspace: Workspace, ref: InstanceRef, numbers: Sequence[int]) -> list[bytes]:
    """Frames as Explicit VR Little Endian holds them, without padding."""
    if ref.frame_table is None:
        whole = whole_instance(workspace, ref)
        return [whole.native_frame(number)[0] for number in numbers]
    frames = stored_frames(workspace, ref, numbers)
    if not transfer_syntaxes.info(ref.transfer_syntax_uid).encapsulated:
        return frames
    from maypacs.pixels.image import image_pixel
    from maypacs.pixels.whole import native_frame_bytes

    pixel = image_pixel(attributes_of(workspace, ref))
    return [native_frame_bytes(frame, pixel, ref.transfer_syntax_uid)[0] for frame in frames]


def compressed_frames(workspace: Workspace, ref: InstanceRef, numbers: Sequence[int], target: str) -> list[bytes]:
    """Frames in a transfer syntax of compressed pixels. Raises PixelError when that cannot be exact."""
    from maypacs.pixels.image import image_pixel
    from maypacs.pixels.whole import compressed_frame_bytes

    if ref.frame_table is None:
        whole = whole_instance(workspace, ref)
        return [whole.compressed_frame(number, target)[0] for number in numbers]
    frames = stored_frames(workspace, ref, numbers)
    pixel = image_pixel(attributes_of(workspace, ref))
    return [compressed_frame_bytes(frame, pixel, ref.transfer_syntax_uid, target)[0] for frame in frames]


def attributes_of(workspace: Workspace, ref: InstanceRef) -> dict[str, Any]:
    """The DICOM JSON of one instance, from its pack's sidecar; the last sidecars are kept (packs never change)."""
    import orjson

    key = (workspace.archive_id, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
    lines = _sidecars.get(key)
    if lines is None:
        sidecar = workspace.store.get_sidecar(ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
        lines = sidecar_lines(sidecar)
        while len(_sidecars) >= _KEPT:
            _sidecars.pop(next(iter(_sidecars)), None)
        _sidecars[key] = lines
    attributes: dict[str, Any] = orjson.loads(lines[ref.position])
    return attributes


#: A sidecar of a thousand instances takes some megabytes.
_KEPT = 6
_sidecars: dict[tuple[str, str, str, str], list[bytes]] = {}
