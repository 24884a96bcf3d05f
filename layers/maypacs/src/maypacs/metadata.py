"""Metadata of a study, a series or an instance (PS3.18 10.4, Table 10.4.1-2), from the packs' sidecars.

A sidecar is DICOM JSON with one instance a line: lines are chosen and joined as bytes, nothing is parsed. BulkDataURIs
are stored relative to the archive and become absolute here. What was composed is kept (a few series are read often),
keyed by what it says, so that nothing stale is ever answered.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections import OrderedDict

import orjson

from maypacs.dicomweb.request import Request
from maypacs.dicomweb.xml_answers import in_parts, xml_body
from maypacs.errors import StorageError
from maypacs.exports import export_bytes, export_name
from maypacs.http.answers import (
    Answer,
    accepts_gzip,
    conditional,
    gzip_member,
    not_modified,
    redirect,
)
from maypacs.http.media_types import DICOM_XML, metadata_choice
from maypacs.http.urls import instance_url
from maypacs.selection import Selection, select
from maypacs.workspace import Workspace

#: Bytes of composed (compressed) metadata that a process keeps.
CACHE_BYTES = 48 << 20
_RELATIVE = b'"BulkDataURI":"/'


def retrieve_metadata(request: Request) -> Answer:
    """GET …/metadata as application/dicom+json or +xml. Raises NotFoundError, GoneError, NotAcceptableError."""
    media_type = metadata_choice(request.accept)
    selection = select(
        request.workspace,
        request.study,
        request.series if "series" in request.has else None,
        request.instance if "instance" in request.has else None,
        request.version,
    )
    xml = media_type == DICOM_XML
    form = f"{DICOM_XML} {in_parts(request.accept)}" if xml else ""
    etag = hashlib.sha256(f"{selection.content}\n{request.root}{form}".encode()).hexdigest()[:32]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    if xml:
        packed, media_type = _as_xml(request, selection, etag)
    else:
        packed = composed(request.workspace, selection, request.root, etag)
    headers = {"Content-Type": media_type}
    if accepts_gzip(request.headers.get("accept-encoding")):
        body, coding = packed, "gzip"
        headers["Content-Encoding"] = coding
    else:
        body, coding = gzip.decompress(packed), ""
    if len(body) > request.settings.inline_limit:
        store = request.workspace.store
        name = export_name(store, "metadata", etag, media_type, coding, study=request.study)
        key = export_bytes(store, name, body, media_type, content_encoding=coding or None)
        return redirect(request.sign(key), etag=etag)
    return conditional(Answer(200, headers, body), etag, None)


def _as_xml(request: Request, selection: Selection, etag: str) -> tuple[bytes, str]:
    """One gzip member of the XML, and its media type: the Native DICOM Model, a part an instance (Table 10.4.4-2)."""
    datasets = orjson.loads(compose(request.workspace, selection, request.root))
    locations = [
        instance_url(request.root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid) + "/metadata"
        for ref in selection.instances
    ]
    body, media_type = xml_body(datasets, request.accept, boundary=etag, locations=locations)
    return gzip_member(body), media_type


def composed(workspace: Workspace, selection: Selection, root: str, etag: str) -> bytes:
    """One gzip member of the JSON array; the same object for the same ETag."""
    held = _cache.get((workspace.archive_id, etag))
    if held is None:
        held = gzip_member(compose(workspace, selection, root))
        _cache.put((workspace.archive_id, etag), held)
    return held


def compose(workspace: Workspace, selection: Selection, root: str) -> bytes:
    """The JSON array of the selected instances, in their order, BulkDataURIs below `root`."""
    lines: dict[tuple[str, str], list[bytes]] = {}
    for ref in selection.instances:
        pack = (ref.series_instance_uid, ref.pack_id)
        if pack not in lines:
            sidecar = workspace.store.get_sidecar(ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
            lines[pack] = sidecar_lines(sidecar)
    try:
        chosen = [lines[ref.series_instance_uid, ref.pack_id][ref.position] for ref in selection.instances]
    except IndexError:
        raise StorageError("a sidecar has fewer instances than its pack") from None
    body = b"[" + b",\n".join(chosen) + b"]"
    return body.replace(_RELATIVE, b'"BulkDataURI":"' + root.encode("ascii") + b"/")


def sidecar_lines(sidecar: bytes) -> list[bytes]:
    """The data sets of a sidecar as they are written: orjson never writes a line end inside of one."""
    return [line.removesuffix(b",") for line in gzip.decompress(sidecar).split(b"\n")[1:-2]]


class _Cache:
    """Least recently used goes first; bounded by bytes; one a process."""

    def __init__(self, room: int) -> None:
        self._room, self._held = room, 0
        self._entries: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> bytes | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: tuple[str, str], value: bytes) -> None:
        with self._lock:
            self._held += len(value) - len(self._entries.pop(key, b""))
            self._entries[key] = value
            while self._held > self._room and self._entries:
                self._held -= len(self._entries.popitem(last=False)[1])


_cache = _Cache(CACHE_BYTES)
