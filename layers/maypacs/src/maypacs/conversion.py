"""Instances converted for an answer: to Explicit VR Little Endian (PS3.18 8.7.3.5; protocols §7), or what was named.

A large series is converted in steps (`maypacs.steps`); what needs no conversion, storage copies (`stored_parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.header import parse_header
from maypacs.dicomweb.request import Request
from maypacs.errors import BusyError, MayPACSError, NotAcceptableError, StorageError, TableError
from maypacs.exports import exists, export_bytes, export_join, export_name
from maypacs.frame_parts import instance_pieces, is_long
from maypacs.http.answers import Answer, conditional, redirect
from maypacs.http.media_types import DICOM
from maypacs.http.multipart import OutPart
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.read_ahead import ReadAhead
from maypacs.selection import WHOLE_LIMIT, read_instance
from maypacs.steps import GAIN, deadline, in_steps
from maypacs.stored_parts import (
    AnyPart,
    Pieces,
    StoredPart,
    as_stored,
    in_explicit,
    is_large,
)
from maypacs.workspace import Workspace

EXPLICIT = transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN
#: Says nothing of the image: no reason to give it as it is stored, and to keep that answer.
_NOT_OF_THE_IMAGE = (BusyError, StorageError, TableError)


def converted(
    request: Request, instances: Sequence[InstanceRef], target: str, etag: str, clock: Callable[[], float]
) -> Answer:
    """A multipart of the instances in the target: "default" (lossy ones as stored) or a transfer syntax.

    Raises BusyError when more time is needed, NotAcceptableError when an instance cannot become what was named.
    """

    read, late = ReadAhead(request.workspace, instances), deadline(clock)

    def make(ref: InstanceRef, root: str) -> list[AnyPart]:
        if found := _frame_by_frame(request.workspace, ref, target, late) or _without_reading(
            request.workspace, ref, target
        ):
            pieces, syntax = found
            return [StoredPart(part_type(syntax), pieces, location(root, ref))]
        data, syntax = convert(read(ref), ref, target)
        return [OutPart(part_type(syntax), data, location(root, ref))]

    name = export_name(request.workspace.store, "converted", etag, study=request.study)
    size = sum(ref.length for ref in instances)
    return in_steps(request, instances, make, name, etag, DICOM, clock, stored_bytes=size)


def converted_one(request: Request, ref: InstanceRef, target: str, etag: str, clock: Callable[[], float]) -> Answer:
    """One instance as a single part. Raises as `converted`."""
    store, limit = request.workspace.store, request.settings.inline_limit
    name = export_name(store, "converted-one", etag, study=request.study)
    if ref.length * GAIN > limit and exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
    if found := _frame_by_frame(request.workspace, ref, target, deadline(clock)):
        pieces, syntax = found
        return redirect(request.sign(export_join(store, name, lambda: list(pieces), part_type(syntax))), etag=etag)
    if (found := _without_reading(request.workspace, ref, target)) and ref.length > limit:
        pieces, syntax = found
        key = export_join(store, name, lambda: list(pieces), part_type(syntax))
        return redirect(request.sign(key), etag=etag)
    data, syntax = convert(read_instance(request.workspace, ref), ref, target)
    if target not in {"default", syntax}:
        raise NotAcceptableError("an instance without pixels is not compressed")
    media_type = part_type(syntax)
    if len(data) <= limit:
        return conditional(Answer(200, {"Content-Type": media_type}, data), etag, None)
    return redirect(request.sign(export_bytes(store, name, data, media_type)), etag=etag)


def possible(target: str) -> bool:
    """Whether pixels can be converted to this transfer syntax at all."""
    from maypacs.pixels.encode import TARGETS

    return target in TARGETS or target in {EXPLICIT, transfer_syntaxes.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN}


def convert(data: bytes, ref: InstanceRef, target: str) -> tuple[bytes, str]:
    """The Part 10 file converted, and its syntax. Under "default" lossy and undecodable ones stay as stored (8.7.8).

    To a syntax of compressed pixels, what has none becomes Explicit VR Little Endian. Raises NotAcceptableError.
    """
    stored = ref.transfer_syntax_uid
    if _stays(ref, target):
        return data, stored
    from maypacs.pixels.transcode import to_explicit_little_endian, to_transfer_syntax

    try:
        if target in {"default", EXPLICIT} or (transfer_syntaxes.info(target).encapsulated and not _has_pixels(data)):
            return to_explicit_little_endian(data), EXPLICIT
        return to_transfer_syntax(data, target), target
    except MayPACSError as error:
        if target == "default":
            return data, stored
        raise _impossible(target, error) from error


def _stays(ref: InstanceRef, target: str) -> bool:
    """What needs no conversion."""
    stored = ref.transfer_syntax_uid
    return stored == target or (target == "default" and (stored == EXPLICIT or transfer_syntaxes.info(stored).lossy))


def _frame_by_frame(
    workspace: Workspace, ref: InstanceRef, target: str, late: Callable[[], bool]
) -> tuple[Pieces, str] | None:
    """An instance whose many frames go through a codec, and its syntax; None for others, and for those that stay.

    Raises BusyError when more time is needed, NotAcceptableError.
    """
    syntax = EXPLICIT if target == "default" else target
    if _stays(ref, target) or not is_long(workspace, ref, syntax):
        return None
    try:
        return instance_pieces(workspace, ref, syntax, late), syntax
    except _NOT_OF_THE_IMAGE:
        raise
    except MayPACSError as error:
        if target == "default":
            return as_stored(workspace, ref), ref.transfer_syntax_uid
        raise _impossible(target, error) from error


def _impossible(target: str, error: MayPACSError) -> NotAcceptableError:
    name = transfer_syntaxes.info(target).name
    return NotAcceptableError(f"an instance cannot be converted to {name}: {error}")


def _without_reading(workspace: Workspace, ref: InstanceRef, target: str) -> tuple[Pieces, str] | None:
    """A large instance as storage can put it together, and its syntax; None when it has to be read and converted.

    Under "default" one that is too large for that is as it is stored, like those that no decoder reads.
    """
    if not is_large(ref):
        return None
    if _stays(ref, target):
        return as_stored(workspace, ref), ref.transfer_syntax_uid
    if target in {"default", EXPLICIT}:
        try:
            if pieces := in_explicit(workspace, ref):
                return pieces, EXPLICIT
        except _NOT_OF_THE_IMAGE:
            raise
        except MayPACSError:
            if target == "default":
                return as_stored(workspace, ref), ref.transfer_syntax_uid
            raise
    if target == "default" and ref.length > WHOLE_LIMIT:
        return as_stored(workspace, ref), ref.transfer_syntax_uid
    return None


def _has_pixels(data: bytes) -> bool:
    header = parse_header(data)
    return header.pixel_data is not None or "7FE00010" in header.dataset


def part_type(transfer_syntax_uid: str) -> str:
    return f"{DICOM}; transfer-syntax={transfer_syntax_uid}"


def location(root: str, ref: InstanceRef) -> str:
    return instance_url(root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)


def iter_parts(request: Request, read: Iterator[tuple[InstanceRef, bytes]]) -> Iterator[OutPart]:
    """Parts of instances as they are stored."""
    for ref, data in read:
        yield OutPart(part_type(ref.transfer_syntax_uid), data, location(request.root, ref))
