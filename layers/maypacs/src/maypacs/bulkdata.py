"""Retrieve of bulk data by its URI (PS3.18 10.4, Table 10.4.1-5): the bytes that metadata put elsewhere."""

from __future__ import annotations

import re

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.header import PrefixTooShortError, locate_bulk, parse_header
from maypacs.dicom.values import swap_words
from maypacs.dicomweb.request import Request
from maypacs.errors import BadRequestError, NotFoundError, TooLargeError
from maypacs.exports import export_boundary, export_bytes, export_name, export_stream
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import OCTETS, frame_choices
from maypacs.http.multipart import OutPart, content_type, write_multipart, write_parts
from maypacs.http.ranges import ranged
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.selection import WHOLE_LIMIT, read_instance, read_range, select
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
    name = export_name(store, "bulk", ref.digest.hex(), path.upper(), str(choice.multipart))
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    value = read_bulk(request.workspace, ref, path)
    base = instance_url(request.root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)
    location = f"{base}/bulkdata/{path}"
    limit = request.settings.inline_limit
    if not choice.multipart:
        headers = {"Content-Type": OCTETS, "Content-Location": location, "Accept-Ranges": "bytes"}
        if request.headers.get("range"):
            return ranged(value, request.headers["range"], headers, limit)
        if len(value) > limit:
            return redirect(request.sign(export_bytes(store, name, value, OCTETS)), etag=etag)
        return conditional(Answer(200, headers, value), etag, None)
    if len(value) + 1024 <= limit:
        body, header = write_multipart([OutPart(OCTETS, value, location)], OCTETS)
        return conditional(Answer(200, {"Content-Type": header}, body), etag, None)
    boundary = export_boundary(name)
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    part = OutPart(OCTETS, value, location.replace(request.root, root, 1))
    key = export_stream(store, name, lambda: write_parts([part], boundary), content_type(OCTETS, boundary))
    return redirect(request.sign(key), etag=etag)


def read_bulk(workspace: Workspace, ref: InstanceRef, path: str) -> bytes:
    """The value of a path, little endian; of a large instance only its header and the value are read.

    Raises NotFoundError, TooLargeError.
    """
    if ref.length <= _WHOLE or transfer_syntaxes.info(ref.transfer_syntax_uid).deflated:
        return locate_bulk(read_instance(workspace, ref), path)
    size = _PREFIX
    while True:
        prefix = read_range(workspace, ref, 0, min(size, ref.length))
        try:
            header = parse_header(prefix, bulk_threshold=0, total_size=ref.length)
            break
        except PrefixTooShortError as short:
            size = max(short.needed, size * 2)
            if len(prefix) >= ref.length or size > WHOLE_LIMIT:
                raise TooLargeError("the header of the instance is too large to be read") from None
    found = header.bulk.get(path.upper())
    if found is None:
        raise NotFoundError("no bulk data of that path")
    if found.length > WHOLE_LIMIT:
        raise TooLargeError("the value is too large to be read as a whole: ask for frames")
    value = read_range(workspace, ref, found.offset, found.length)
    return swap_words(value, found.word) if found.word > 1 else value
