"""Retrieve of bulk data by its URI (PS3.18 10.4, Table 10.4.1-5): the bytes that metadata put elsewhere.

Of a large instance its header is read, then the value or the range of it that is asked for; what is above the limit is
copied by storage.
"""

from __future__ import annotations

import re

from maypacs.archive.objects import CopyRange
from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.header import BulkValue, Header, PrefixTooShortError, locate_bulk, parse_header
from maypacs.dicom.values import swap_words
from maypacs.dicomweb.request import Request
from maypacs.errors import BadRequestError, NotFoundError, TooLargeError
from maypacs.exports import export_boundary, export_join, export_name
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, frame_choices
from maypacs.http.multipart import OutPart, content_type, part_close, part_head, write_multipart
from maypacs.http.ranges import asked, partial, span, unsatisfied
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.selection import WHOLE_LIMIT, pack_key, read_instance, read_range, select
from maypacs.workspace import Workspace

_PATH = re.compile(r"[0-9A-Fa-f]{8}(?:/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,64}\Z")
#: An instance up to this is read at once; of a larger one, so much of its header first.
_WHOLE, _PREFIX = 4 << 20, 1 << 20


def retrieve_bulkdata(request: Request) -> Answer:
    """GET …/instances/{i}/bulkdata/{path}: multipart by default, one part as application/octet-stream (with Range)."""
    path = request.path["path"]
    if not _PATH.match(path):
        raise BadRequestError("a bulk data path is a tag of 8 hex digits, below sequences tag/item/tag")
    choice = frame_choices(request.accept, single_allowed=True)[0]
    ref = select(request.workspace, request.study, request.series, request.instance).instances[0]
    store = request.workspace.store
    facts = (ref.digest.hex(), path.upper(), str(choice.multipart))
    name = export_name(store, "bulk", *facts, study=request.study)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    found = find_bulk(request.workspace, ref, path)
    value = read_bulk(request.workspace, ref, path) if found is None else b""
    length = len(value) if found is None else found.length
    base = instance_url(request.root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)
    location = f"{base}/bulkdata/{path}"
    limit = request.settings.inline_limit

    def content(start: int = 0, end: int = length) -> bytes:
        return (
            value[start:end] if found is None else read_range(request.workspace, ref, found.offset + start, end - start)
        )

    def pieces() -> CopyRange | bytes:
        return (
            value if found is None else CopyRange(pack_key(request.workspace, ref), ref.offset + found.offset, length)
        )

    if not choice.multipart:
        headers = {"Content-Type": OCTETS, "Content-Location": location, "Accept-Ranges": "bytes"}
        if wanted := asked(request.headers, etag):
            found_span = span(wanted, length, limit)
            if found_span is None:
                return unsatisfied(length)
            return partial(content(*found_span), found_span[0], length, headers, etag)
        if length > limit:
            return redirect(request.sign(export_join(store, name, lambda: [pieces()], OCTETS)), etag=etag)
        return conditional(Answer(200, headers, content()), etag, None)
    if length + 1024 <= limit:
        body, header = write_multipart([OutPart(OCTETS, content(), location)], OCTETS)
        return conditional(Answer(200, {"Content-Type": header}, body), etag, None)
    boundary = export_boundary(name)
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    head = part_head(boundary, OCTETS, length, location.replace(request.root, root, 1))
    whole = [head, pieces(), b"\r\n", part_close(boundary)]
    return redirect(request.sign(export_join(store, name, lambda: whole, content_type(OCTETS, boundary))), etag=etag)


def read_bulk(workspace: Workspace, ref: InstanceRef, path: str) -> bytes:
    """The value of a path, little endian; of a large instance only its header and the value are read.

    Raises NotFoundError, TooLargeError.
    """
    if _read_whole(ref):
        return locate_bulk(read_instance(workspace, ref), path)
    found = _find(workspace, ref, path)
    if found.length > WHOLE_LIMIT:
        raise TooLargeError("the value is too large to be read as a whole: ask for frames")
    value = read_range(workspace, ref, found.offset, found.length)
    return swap_words(value, found.word) if found.word > 1 else value


def find_bulk(workspace: Workspace, ref: InstanceRef, path: str) -> BulkValue | None:
    """Where a value of a large instance lies, when its bytes there are what is answered; None: `read_bulk` it.

    Raises NotFoundError, TooLargeError.
    """
    found = None if _read_whole(ref) else _find(workspace, ref, path)
    return found if found is not None and found.word <= 1 else None


def _read_whole(ref: InstanceRef) -> bool:
    return ref.length <= _WHOLE or transfer_syntaxes.info(ref.transfer_syntax_uid).deflated


def read_header(workspace: Workspace, ref: InstanceRef) -> tuple[bytes, Header]:
    """The first bytes of a large instance, at least to its pixel data, and the header that they are.

    Raises HeaderError, TooLargeError.
    """
    size = _PREFIX
    while True:
        prefix = read_range(workspace, ref, 0, min(size, ref.length))
        try:
            return prefix, parse_header(prefix, bulk_threshold=0, total_size=ref.length)
        except PrefixTooShortError as short:
            size = max(short.needed, size * 2)
            if len(prefix) >= ref.length or size > WHOLE_LIMIT:
                raise TooLargeError("the header of the instance is too large to be read") from None


def _find(workspace: Workspace, ref: InstanceRef, path: str) -> BulkValue:
    _, header = read_header(workspace, ref)
    found = header.bulk.get(path.upper())
    if found is None:
        raise NotFoundError("no bulk data of that path")
    return found
