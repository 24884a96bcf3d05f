"""Renderings that are what was stored: video streams, encapsulated PDF and CDA documents (PS3.18 8.7.4).

Nothing is decoded. What is small is answered inline (with Range); what is large is made an object of its own once,
copied by storage itself, and storage answers ranges of it.
"""

from __future__ import annotations

import base64
import struct

from maypacs.archive.objects import CopyRange
from maypacs.bulkdata import read_bulk
from maypacs.dicom.frames import FrameTable, defragment
from maypacs.dicomweb.request import Request
from maypacs.errors import PixelError, TooLargeError
from maypacs.exports import exists, export_bytes, export_join, export_name
from maypacs.frame_bytes import attributes_of, stored_frames
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.ranges import asked, ranged
from maypacs.index.contents import InstanceRef
from maypacs.pixels import image as images
from maypacs.selection import WHOLE_LIMIT, pack_key, read_range
from maypacs.workspace import Workspace

_DOCUMENT = "00420011"
#: A video in more pieces than this is read as a whole instead of being joined by storage.
_MAX_FRAGMENTS = 500
#: Documents come from anywhere: what a browser shows of one must not act in our origin's name.
SANDBOX = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


def video(request: Request, ref: InstanceRef, media_type: str) -> Answer:
    """The stream of a video instance. Raises PixelError, TooLargeError."""
    store, limit = request.workspace.store, request.settings.inline_limit
    name = export_name(store, "video", ref.digest.hex(), study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    if ref.frame_table is None:
        raise PixelError("the video stream cannot be located")
    if FrameTable.decode(ref.frame_table).locate(1).length <= limit:
        return _inline(request, stored_frames(request.workspace, ref, [1])[0], media_type, etag, {})
    if not exists(store, name):
        export_join(store, name, lambda: stream_pieces(request.workspace, ref), media_type)
    return redirect(request.sign(store.export_key(name)), etag=etag)


def stream_pieces(workspace: Workspace, ref: InstanceRef) -> list[CopyRange | bytes]:
    """The fragments of the stream where they lie in the pack."""
    assert ref.frame_table is not None
    found = FrameTable.decode(ref.frame_table).locate(1)
    key = pack_key(workspace, ref)
    if not found.fragmented:
        return [CopyRange(key, ref.offset + found.offset, found.length)]
    pieces: list[CopyRange | bytes] = []
    position, end = found.offset, found.offset + found.length
    while position < end and len(pieces) < _MAX_FRAGMENTS:
        (length,) = struct.unpack("<4xI", read_range(workspace, ref, position, 8))
        pieces.append(CopyRange(key, ref.offset + position + 8, length))
        position += 8 + length
    if position >= end:
        return pieces
    if found.length > WHOLE_LIMIT:
        raise TooLargeError("the video is in too many pieces to be put together: ask for the instance")
    return [defragment(read_range(workspace, ref, found.offset, found.length), found)]


def document(request: Request, ref: InstanceRef, media_type: str) -> Answer:
    """An encapsulated PDF or CDA document (PS3.3 C.24). Raises PixelError when it is none."""
    store, limit = request.workspace.store, request.settings.inline_limit
    name = export_name(store, "document", ref.digest.hex(), study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    body = read_document(request.workspace, ref)
    if media_type == "application/pdf" and b"%PDF-" not in body[:1024]:
        raise PixelError("the encapsulated document is no PDF")
    if len(body) <= limit:
        headers = dict(SANDBOX) if media_type == "text/xml" else {"X-Content-Type-Options": "nosniff"}
        return _inline(request, body, media_type, etag, headers)
    if media_type != "application/pdf":
        raise TooLargeError("the document is too large to be shown: ask for the instance")
    return redirect(request.sign(export_bytes(store, name, body, media_type)), etag=etag)


def read_document(workspace: Workspace, ref: InstanceRef) -> bytes:
    """The document without the byte that makes its length even: (0042,0015) tells, or a zero at the end."""
    attributes = attributes_of(workspace, ref)
    element = attributes.get(_DOCUMENT, {})
    if "InlineBinary" in element:
        value = base64.b64decode(element["InlineBinary"])
    elif "BulkDataURI" in element:
        value = read_bulk(workspace, ref, _DOCUMENT)
    else:
        raise PixelError("the instance holds no document")
    length = images.number(attributes, "00420015")
    if length is not None and 0 < length <= len(value):
        return value[: int(length)]
    return value.removesuffix(b"\0")


def _inline(request: Request, body: bytes, media_type: str, etag: str, extra: dict[str, str]) -> Answer:
    headers = {"Content-Type": media_type, "Accept-Ranges": "bytes", **extra}
    if wanted := asked(request.headers, etag):
        return ranged(body, wanted, headers, request.settings.inline_limit, etag)
    return conditional(Answer(200, headers, body), etag, None)
