"""Instances converted for an answer: to Explicit VR Little Endian (PS3.18 8.7.3.5; protocols §7), or what was named.

What fits the gateway is answered at once. What does not is made once, as an export, in steps of at most
`CONVERSION_SECONDS`: a request that runs out of time leaves what it has done as a chunk, answers 503, and the next one
goes on from there. The last one joins the chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from maypacs.archive.objects import CopyRange
from maypacs.archive.store import ArchiveStore
from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.header import parse_header
from maypacs.dicomweb.request import Request
from maypacs.errors import BusyError, MayPACSError, NotAcceptableError
from maypacs.exports import exists, export_boundary, export_bytes, export_name, spool
from maypacs.http.answers import Answer, conditional, redirect
from maypacs.http.media_types import DICOM
from maypacs.http.multipart import OutPart, content_type, part_close, part_head, write_multipart
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.read_ahead import ReadAhead
from maypacs.selection import read_instance

EXPLICIT = transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN
#: How long a request may convert before it says "come back" (API Gateway gives up at 29 s).
CONVERSION_SECONDS = 20.0
#: More than the header of any part takes.
HEAD_BYTES = 400
#: What lossless compression gains at most, roughly: above this much stored, an export may exist.
_GAIN = 4
_CHUNK = re.compile(r"\.([0-9]{6})-([0-9]{6})\Z")


def converted(
    request: Request, instances: Sequence[InstanceRef], target: str, etag: str, clock: Callable[[], float]
) -> Answer:
    """A multipart of the instances in the target: "default" (lossy ones as stored) or a transfer syntax.

    Raises BusyError when more time is needed, NotAcceptableError when an instance cannot become what was named.
    """

    read = ReadAhead(request.workspace, instances)

    def make(ref: InstanceRef, root: str) -> list[OutPart]:
        data, syntax = convert(read(ref), ref, target)
        return [OutPart(part_type(syntax), data, location(root, ref))]

    name = export_name(request.workspace.store, "converted", etag, study=request.study)
    return in_steps(request, instances, make, name, etag, DICOM, clock)


def in_steps(
    request: Request,
    instances: Sequence[InstanceRef],
    make: Callable[[InstanceRef, str], Sequence[OutPart]],
    name: str,
    etag: str,
    media_type: str,
    clock: Callable[[], float],
) -> Answer:
    """A multipart of what `make` makes of each instance (given the root of its URLs): inline, or the export `name`.

    Raises BusyError when more time is needed.
    """
    store, limit = request.workspace.store, request.settings.inline_limit
    done: list[CopyRange] = []
    start = 0
    if sum(ref.length for ref in instances) * _GAIN > limit:
        if exists(store, name):
            return redirect(request.sign(store.export_key(name)), etag=etag)
        done, start = _chunks(store, name)
    deadline = clock() + CONVERSION_SECONDS
    small: list[Sequence[OutPart]] = []
    size = 0
    for number in range(start, len(instances)):
        if clock() > deadline:
            break
        parts = make(instances[number], request.root)
        small.append(parts)
        size += sum(len(part.content) + HEAD_BYTES for part in parts)
        if size > limit or done:
            break
    if not done and len(small) == len(instances) and size <= limit:
        body, header = write_multipart([part for parts in small for part in parts], media_type)
        return conditional(Answer(200, {"Content-Type": header}, body), etag, None)
    key = _export(request, instances, make, name, media_type, done, start, small, lambda: clock() > deadline)
    return redirect(request.sign(key), etag=etag)


def _export(
    request: Request,
    instances: Sequence[InstanceRef],
    make: Callable[[InstanceRef, str], Sequence[OutPart]],
    name: str,
    part_media_type: str,
    done: list[CopyRange],
    start: int,
    small: list[Sequence[OutPart]],
    late: Callable[[], bool],
) -> str:
    """The key of the finished export; BusyError (and one more chunk) when it is not finished in time."""
    store = request.workspace.store
    boundary = export_boundary(name)
    media_type = content_type(part_media_type, boundary)
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    with spool() as file:
        for parts in small:
            for part in parts:
                _write(file, boundary, part, part.location.replace(request.root, root, 1))
        end = start + len(small)
        small.clear()
        while end < len(instances) and not late():
            for part in make(instances[end], root):
                _write(file, boundary, part, part.location)
            end += 1
        finished = end == len(instances)
        if finished and not done:
            file.write(part_close(boundary))
        file.seek(0)
        key = store.export_key(name) if finished and not done else _chunk_key(store, name, start, end)
        if end > start:
            store.objects.put(key, file, content_type=media_type)  # type: ignore[arg-type]
            done = [*done, CopyRange(key)]
    if not finished:
        raise BusyError(f"being converted: {end} of {len(instances)} instances are done", retry_after=1)
    if len(done) > 1 or start > 0:
        pieces: list[CopyRange | bytes] = [*done, part_close(boundary)]
        store.objects.join(pieces, store.export_key(name), content_type=media_type, metadata={})
    return store.export_key(name)


def converted_one(request: Request, ref: InstanceRef, target: str, etag: str) -> Answer:
    """One instance as a single part. Raises NotAcceptableError when it cannot become what was named."""
    store, limit = request.workspace.store, request.settings.inline_limit
    name = export_name(store, "converted-one", etag, study=request.study)
    if ref.length * _GAIN > limit and exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
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
    lossy = transfer_syntaxes.info(stored).lossy
    if stored == target or (target == "default" and (lossy or stored == EXPLICIT)):
        return data, stored
    from maypacs.pixels.transcode import to_explicit_little_endian, to_transfer_syntax

    try:
        if target in {"default", EXPLICIT} or (transfer_syntaxes.info(target).encapsulated and not _has_pixels(data)):
            return to_explicit_little_endian(data), EXPLICIT
        return to_transfer_syntax(data, target), target
    except MayPACSError as error:
        if target == "default":
            return data, stored
        raise NotAcceptableError(
            f"an instance cannot be converted to {transfer_syntaxes.info(target).name}: {error}"
        ) from error


def _has_pixels(data: bytes) -> bool:
    header = parse_header(data)
    return header.pixel_data is not None or "7FE00010" in header.dataset


def _chunk_key(store: ArchiveStore, name: str, start: int, end: int) -> str:
    return f"{store.export_key(name)}.{start:06}-{end:06}"


def _chunks(store: ArchiveStore, name: str) -> tuple[list[CopyRange], int]:
    """What earlier requests have left, without gaps, and the number of the first instance that is still to do."""
    found: list[CopyRange] = []
    reached = 0
    for head in store.objects.list(f"{store.export_key(name)}."):
        span = _CHUNK.search(head.key)
        if span and int(span[1]) == reached:
            found.append(CopyRange(head.key))
            reached = int(span[2])
    return found, reached


def _write(file: IO[bytes], boundary: str, part: OutPart, where: str) -> None:
    file.write(part_head(boundary, part.content_type, len(part.content), where))
    file.write(part.content)
    file.write(b"\r\n")


def part_type(transfer_syntax_uid: str) -> str:
    return f"{DICOM}; transfer-syntax={transfer_syntax_uid}"


def location(root: str, ref: InstanceRef) -> str:
    return instance_url(root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)


def iter_parts(request: Request, read: Iterator[tuple[InstanceRef, bytes]]) -> Iterator[OutPart]:
    """Parts of instances as they are stored."""
    for ref, data in read:
        yield OutPart(part_type(ref.transfer_syntax_uid), data, location(request.root, ref))
