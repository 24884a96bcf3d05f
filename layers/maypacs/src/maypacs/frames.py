"""Retrieve of frames (PS3.18 10.4, Table 10.4.1-4; 8.7.3.3): by range where the frame table tells where they are.

The default is native little endian, exactly rows x columns x samples x bytes a frame; native frames, big endian ones
too, are never answered otherwise. The stored syntax, or `transfer-syntax=*`, gives compressed frames as they are
stored, with the media type they have (declared in docs/conformance.md: also when octets were asked for, as OHIF does).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.frames import FrameTable, defragment
from maypacs.dicomweb.request import Request
from maypacs.errors import BadRequestError, FrameNotFoundError, NotAcceptableError, NotFoundError
from maypacs.exports import exists, export_boundary, export_bytes, export_name, export_stream
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, Choice, frame_choices
from maypacs.http.multipart import OutPart, content_type, write_multipart, write_parts
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.metadata import sidecar_lines
from maypacs.selection import WHOLE_LIMIT, read_instance, read_range, select
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
    choice, native = _decide(choices, ref)
    store = request.workspace.store
    kind = ("native" if native else "stored", str(choice.multipart))
    facts = (ref.transfer_syntax_uid, ref.digest.hex(), ",".join(map(str, numbers)), *kind)
    name = export_name(store, "frames", *facts)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    limit = request.settings.inline_limit
    large = _stored_size(ref, numbers) > (limit // 4 if native else limit)
    if large and exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
    frames = (native_frames if native else stored_frames)(request.workspace, ref, numbers)
    media_type, part_type = _media_types(ref, native=native)
    if not choice.multipart:
        if len(frames[0]) <= limit:
            return conditional(Answer(200, {"Content-Type": part_type}, frames[0]), etag, None)
        return redirect(request.sign(export_bytes(store, name, frames[0], part_type)), etag=etag)
    if sum(len(frame) + _HEAD_BYTES for frame in frames) <= limit:
        body, header = write_multipart(_parts(request.root, ref, numbers, frames, part_type), media_type)
        return conditional(Answer(200, {"Content-Type": header}, body), etag, None)
    boundary = export_boundary(name)
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    parts = _parts(root, ref, numbers, frames, part_type)
    key = export_stream(store, name, lambda: write_parts(parts, boundary), content_type(media_type, boundary))
    return redirect(request.sign(key), etag=etag)


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


def _decide(choices: Sequence[Choice], ref: InstanceRef) -> tuple[Choice, bool]:
    """The choice that is answered, and whether its frames are native (True) or as stored."""
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    for choice in choices:
        syntax = choice.transfer_syntax
        if choice.media_type == OCTETS:
            if syntax in {"*", ref.transfer_syntax_uid}:
                return choice, not stored.encapsulated
            if syntax in {None, EXPLICIT}:
                return choice, True
        elif choice.media_type == stored.frame_media_type and syntax in {None, "*", ref.transfer_syntax_uid}:
            return choice, False
    also = f", or {stored.frame_media_type} as stored" if stored.encapsulated else ""
    raise NotAcceptableError(f"acceptable here: {OCTETS}, native or with transfer-syntax=*{also}")


def _media_types(ref: InstanceRef, *, native: bool) -> tuple[str, str]:
    """Of the multipart, and of each part (with its transfer syntax)."""
    if native:
        return OCTETS, f"{OCTETS}; transfer-syntax={EXPLICIT}"
    media_type = transfer_syntaxes.info(ref.transfer_syntax_uid).frame_media_type
    return media_type, f"{media_type}; transfer-syntax={ref.transfer_syntax_uid}"


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
