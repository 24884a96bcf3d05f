"""Instances larger than a pack's limit: one pack of their own, put together by storage (multipart copy).

The header is read by range; the rest streams by once, to be digested, searched for the boundary and, when its frames
are encapsulated, for their borders. Nothing of gigabytes is in memory.
"""

from __future__ import annotations

import hashlib
import mmap
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from maypacs import incoming, receipts
from maypacs.archive.objects import CopyRange, ObjectHead, Objects
from maypacs.archive.store import PackLocation
from maypacs.dicom.header import Header, PrefixTooShortError, parse_header
from maypacs.errors import DicomError, ObjectNotFoundError, StorageError
from maypacs.incoming import Incoming
from maypacs.index.removals import read_removals
from maypacs.index.rows import study_pk
from maypacs.pack import grammar
from maypacs.pack_writer import WrittenPack, index_pack, metadata_of, resume
from maypacs.packing import sort
from maypacs.receipts import Outcome
from maypacs.workspace import Workspace

_FIRST = 1024 * 1024
#: A header (what comes before the pixel data) larger than this is not a header.
MAX_HEADER = 64 * 1024 * 1024
_FIRST_PART = re.compile(
    rb"--([A-Za-z0-9-]{1,60})\r\nContent-Type: application/dicom; transfer-syntax=[0-9.]{1,64}\r\n"
    rb"Content-Length: ([0-9]{1,16})\r\nContent-Location: [!-~]{1,400}\r\n\r\n"
)
_ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, slots=True)
class LargeSource:
    """A Part 10 file: bytes [offset, offset + length) of an object that does not change while it has this ETag."""

    objects: Objects
    key: str
    etag: str
    offset: int
    length: int


def store_large(workspace: Workspace, arrival: str, source: LargeSource, part: str = "") -> Outcome:
    """Packs and rows of one large instance. The cascade is the caller's."""
    try:
        header = _header(source)
    except DicomError as error:
        return receipts.failure(incoming.reason_of(error), part)
    study = header.study_instance_uid
    removals = read_removals(workspace.table, study_pk(workspace.archive_id, study))
    boundary = workspace.store.boundary(study)
    scan = _scan(source, header, boundary)
    each = incoming.of_header(header, scan.digest, scan.frames, b"", part, length=source.length)
    if removals.hit(arrival, each.series, [each.instance]):
        if not removals.erases(each.series, each.instance):
            _write_to_trash(workspace, arrival, source, each, boundary, joinable=not scan.holds_boundary)
        refused = removals.refuses(each.series, each.instance)
        return each.outcome("ignored", receipts.REFUSED if refused else receipts.DELETED)
    work = sort(workspace, arrival, [each])
    if work.new or work.conflicting:
        _write(workspace, arrival, source, each, boundary, joinable=not scan.holds_boundary)
    return work.outcomes[0]


def index_large(workspace: Workspace, location: PackLocation, head: ObjectHead) -> bool:
    """Sidecar and rows of a pack of one large instance that has lost them. False: it is no such pack."""
    objects = workspace.store.objects
    part = first_part(objects.get(head.key, length=1024), head.size)
    if part is None:
        return False
    source = LargeSource(objects, head.key, head.etag, *part)
    try:
        header = _header(source)
    except DicomError:
        return False
    boundary = head.metadata["boundary"]
    scan = _scan(source, header, boundary)
    each = incoming.of_header(header, scan.digest, scan.frames, b"", length=source.length)
    joinable = head.metadata.get("joinable") == "1"
    written = WrittenPack(location.pack_id, head.size, boundary, joinable, (source.offset,))
    index_pack(workspace, head.metadata["arrival"], location.study, location.series, [each], written)
    return True


def first_part(head: bytes, size: int) -> tuple[int, int] | None:
    """(offset, length) of the Part 10 file in a pack of one part, of the pack's first bytes and its size."""
    match = _FIRST_PART.match(head)
    if match is None:
        return None
    length, closing = int(match[2]), len(b"\r\n" + grammar.closing(match[1].decode()))
    return (match.end(), length) if match.end() + length + closing == size else None


def _header(source: LargeSource) -> Header:
    """Raises DicomError; asks for more until the header is whole."""
    wanted = min(_FIRST, source.length)
    while True:
        prefix = source.objects.get(source.key, offset=source.offset, length=wanted, if_match=source.etag)
        try:
            return parse_header(prefix, total_size=source.length)
        except PrefixTooShortError as error:
            if wanted >= min(MAX_HEADER, source.length) or error.needed > MAX_HEADER:
                raise
            wanted = min(max(error.needed, wanted * 2), source.length, MAX_HEADER)


@dataclass(frozen=True, slots=True)
class _Scan:
    digest: bytes
    holds_boundary: bool
    frames: bytes | None


def _scan(source: LargeSource, header: Header, boundary: str) -> _Scan:
    digest = hashlib.sha256()
    needle = f"--{boundary}".encode()
    tail = b""
    found = False
    pixels = header.pixel_data
    with tempfile.TemporaryFile() as sparse:
        trace = _Trace(sparse, pixels.offset) if pixels and pixels.encapsulated else None
        at = 0
        for chunk in source.objects.stream(source.key, offset=source.offset, length=source.length):
            if at + len(chunk) > header.dataset_offset:
                digest.update(memoryview(chunk)[max(0, header.dataset_offset - at) :])
            found = found or needle in tail + chunk
            tail = chunk[-len(needle) :]
            if trace:
                trace.feed(chunk, at)
            at += len(chunk)
        if at != source.length:
            raise StorageError("an object in the inbox ended early")
        if trace is None:
            frames = incoming.frames_of(b"", header)
        else:
            sparse.truncate(source.length)
            with (
                mmap.mmap(sparse.fileno(), source.length, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as view,
            ):
                frames = incoming.frames_of(view, header)
    return _Scan(digest.digest(), found, frames)


class _Trace:
    """Copies what tells frames apart into a sparse file: the header, the offset table (the first item), and of each
    fragment its item header and the few bytes at both ends.

    So that the finder of frames works on gigabytes as it does on bytes, and they take no room.
    """

    _BEGIN, _END = 20, 10

    def __init__(self, sparse: IO[bytes], first: int) -> None:
        self._file = sparse
        self._first = first
        self._item: int | None = first

    def feed(self, chunk: bytes, at: int) -> None:
        end = at + len(chunk)
        if at < self._first:
            self._keep(chunk, at, at, self._first)
        while self._item is not None and self._item < end:
            self._keep(chunk, at, self._item, self._item + self._BEGIN)
            if self._item + 8 > end:
                return
            self._file.seek(self._item)
            head = self._file.read(8)
            if head[:4] != _ITEM:
                self._item = None
                return
            after = self._item + 8 + int.from_bytes(head[4:], "little")
            whole = self._item == self._first
            self._keep(chunk, at, self._item + 8 if whole else max(after - self._END, self._item + 8), after)
            if after > end:
                return
            self._item = after

    def _keep(self, chunk: bytes, at: int, start: int, stop: int) -> None:
        piece = chunk[max(0, start - at) : max(0, stop - at)]
        if piece:
            self._file.seek(max(start, at))
            self._file.write(piece)


def _write(
    workspace: Workspace, arrival: str, source: LargeSource, each: Incoming, boundary: str, *, joinable: bool
) -> None:
    written, parts = _planned(workspace, source, each, boundary, joinable=joinable)
    key = workspace.store.pack_key(each.study, each.series, written.pack_id)

    def put(_: bool) -> None:
        _join(workspace, arrival, written, parts, key)

    held = resume(workspace, arrival, each.study, each.series, [each.instance], key, put)
    index_pack(workspace, held, each.study, each.series, [each], written)


def _write_to_trash(
    workspace: Workspace, arrival: str, source: LargeSource, each: Incoming, boundary: str, *, joinable: bool
) -> None:
    """As `pack_writer.write_to_trash` does."""
    written, parts = _planned(workspace, source, each, boundary, joinable=joinable)
    store = workspace.store
    key = store.trash_key(store.pack_key(each.study, each.series, written.pack_id))
    try:
        store.objects.head(key)
    except ObjectNotFoundError:
        _join(workspace, arrival, written, parts, key)


def _planned(
    workspace: Workspace, source: LargeSource, each: Incoming, boundary: str, *, joinable: bool
) -> tuple[WrittenPack, list[CopyRange | bytes]]:
    if not joinable:
        boundary = hashlib.sha256(boundary.encode() + each.digest).hexdigest()[:40]
    location = grammar.content_location(workspace.archive_id, each.study, each.series, each.instance)
    head = grammar.part_head(boundary, each.transfer_syntax, source.length, location)
    closing = b"\r\n" + grammar.closing(boundary)
    name = hashlib.sha256(head)
    for chunk in _bytes(source):
        name.update(chunk)
    name.update(closing)
    pack_id = name.hexdigest()[:32]
    written = WrittenPack(pack_id, len(head) + source.length + len(closing), boundary, joinable, (len(head),))
    return written, [head, CopyRange(source.key, source.offset, source.length, source.objects.bucket), closing]


def _join(workspace: Workspace, arrival: str, written: WrittenPack, parts: list[CopyRange | bytes], key: str) -> None:
    content_type = grammar.CONTENT_TYPE.format(written.boundary)
    workspace.store.objects.join(parts, key, content_type=content_type, metadata=metadata_of(arrival, written))


def _bytes(source: LargeSource) -> Iterator[bytes]:
    return source.objects.stream(source.key, offset=source.offset, length=source.length)
