"""STOW of metadata and bulk data (PS3.18 10.5.1): instances put together from the DICOM JSON (or XML) model and
its bulk parts.

A bulk part is found by its Content-Location, which is what the metadata's BulkDataURI says; several parts of one
location are the frames of compressed pixel data, in order. Nothing is ever fetched from a URI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.encapsulation import encapsulated
from maypacs.dicom.file_meta import part10_header
from maypacs.dicom.model_writer import Notes, write_dataset
from maypacs.dicom.native_model import from_xml
from maypacs.errors import BadRequestError, HeaderError
from maypacs.http.media_types import DICOM_JSON, DICOM_XML, JSON, MediaType, parse_media_type
from maypacs.http.multipart import BodyPart

#: Instances of one request.
MAX_INSTANCES = 10_000
_PIXELS = "7FE00010"
#: Of compressed frames whose part does not name the transfer syntax (PS3.18 Table 8.7.3-2); JPEG's is in its stream.
_BY_TYPE = {
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
}
_JPEG_PROCESS = {0xC0: "1.2.840.10008.1.2.4.50", 0xC1: "1.2.840.10008.1.2.4.51", 0xC3: "1.2.840.10008.1.2.4.70"}


@dataclass(frozen=True, slots=True)
class Built:
    """One instance: a Part 10 file, b"" when it could not be made; and what was changed on the way."""

    data: bytes
    sop_class_uid: str
    sop_instance_uid: str
    notes: Notes = field(default_factory=Notes)
    mismatch: bool = False  #: its pixel data are not as long as its attributes say


@dataclass(frozen=True, slots=True)
class _BulkPart:
    media: MediaType
    content: memoryview


class BulkParts:
    """By location. Each is used once: a small request that names one part a million times must not fill the memory."""

    def __init__(self) -> None:
        self._parts: dict[str, list[_BulkPart]] = {}
        self._taken: set[str] = set()

    def add(self, location: str, part: _BulkPart) -> None:
        self._parts.setdefault(location, []).append(part)

    def look(self, location: object) -> Sequence[_BulkPart]:
        return self._parts.get(location, ()) if isinstance(location, str) else ()

    def take(self, location: str) -> Sequence[_BulkPart]:
        """Raises KeyError: not sent, or used already."""
        if location in self._taken:
            raise KeyError
        self._taken.add(location)
        return self._parts[location]


def build_instances(parts: Sequence[BodyPart], root_type: str = DICOM_JSON) -> list[Built]:
    """Of the parts of a request: metadata (JSON: an array of data sets; XML: one a part) and bulk data.

    Raises BadRequestError.
    """
    models: list[Mapping[str, Any]] = []
    bulk = BulkParts()
    for number, part in enumerate(parts):
        media = parse_media_type(part.headers.get("content-type") or (root_type if number == 0 else "*/*"))
        if media.name in {DICOM_JSON, JSON}:
            models += _models(part.content)
        elif media.name == DICOM_XML:
            models.append(from_xml(bytes(part.content)))
        elif location := part.headers.get("content-location"):
            bulk.add(location, _BulkPart(media, part.content))
        else:
            raise BadRequestError("a part of bulk data has no Content-Location")
    if not models:
        raise BadRequestError("the request has no metadata")
    if len(models) > MAX_INSTANCES:
        raise BadRequestError(f"more than {MAX_INSTANCES} instances")
    return [build(model, bulk) for model in models]


def _models(content: memoryview) -> list[Mapping[str, Any]]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise BadRequestError("the metadata are not JSON") from None
    found = found if isinstance(found, list) else [found]
    if not all(isinstance(model, dict) for model in found):
        raise BadRequestError("the metadata are not an array of data sets")
    return found


def build(model: Mapping[str, Any], bulk: BulkParts) -> Built:
    """One instance of the DICOM JSON model."""
    sop_class, sop_instance = _uid(model, "00080016"), _uid(model, "00080018")
    notes = Notes()
    try:
        syntax, pixels = _pixels(model, bulk)
        dataset = write_dataset(model, lambda uri: bytes(bulk.take(uri)[0].content), notes, pixels)
    except HeaderError:
        return Built(b"", sop_class, sop_instance, notes)
    mismatch = pixels is None and not _pixels_fit(model, bulk)
    data = part10_header(sop_class, sop_instance, syntax) + dataset
    return Built(data, sop_class, sop_instance, notes, mismatch)


def _uid(model: Mapping[str, Any], tag: str) -> str:
    """ "" when it is not one: what reads the instance afterwards refuses it, and says why."""
    value = _first(model, tag)
    return value if isinstance(value, str) and len(value) <= 64 and value.isascii() else ""


def _first(model: Mapping[str, Any], tag: str) -> object:
    element = model.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values[0] if isinstance(values, list) and values else None


def _number(model: Mapping[str, Any], tag: str, default: int = 0) -> int:
    value = _first(model, tag)
    try:
        return int(value) if isinstance(value, (int, str, float)) else default
    except (ValueError, OverflowError):
        return default


def _pixels(model: Mapping[str, Any], bulk: BulkParts) -> tuple[str, bytes | None]:
    """The transfer syntax, and the encapsulated element (None: native, written like any other)."""
    element = model.get(_PIXELS)
    uri = element.get("BulkDataURI") if isinstance(element, Mapping) else None
    frames = bulk.look(uri)
    syntax = _syntax(frames[0]) if frames else transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN
    known = transfer_syntaxes.info(syntax)
    if not known.encapsulated:
        if syntax != transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN or len(frames) > 1:
            raise HeaderError("native pixel data are one part, little endian")
        return syntax, None
    if not known.video and len(frames) != _number(model, "00280008", 1):
        raise HeaderError("compressed pixel data are one part a frame")
    try:
        return syntax, b"".join(encapsulated([frame.content for frame in bulk.take(str(uri))]))
    except KeyError:
        raise HeaderError("bulk data are the pixels of two instances") from None


def _syntax(part: _BulkPart) -> str:
    """Raises HeaderError: unknown."""
    named = part.media.transfer_syntax
    if named:
        if not transfer_syntaxes.info(named).known:
            raise HeaderError("a transfer syntax that is not known here")
        return named
    if part.media.name == "image/jpeg":
        return _jpeg_syntax(bytes(part.content[:65536]))
    return _BY_TYPE.get(part.media.name, transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN)


def _jpeg_syntax(stream: bytes) -> str:
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        if stream[at + 1] in _JPEG_PROCESS:
            return _JPEG_PROCESS[stream[at + 1]]
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    raise HeaderError("a JPEG stream of a process that is not known here")


def _pixels_fit(model: Mapping[str, Any], bulk: BulkParts) -> bool:
    """Are native pixel data as long as rows, columns, samples and frames say? Yes, where nothing can be said."""
    element = model.get(_PIXELS)
    uri = element.get("BulkDataURI") if isinstance(element, Mapping) else None
    sent = bulk.look(uri)
    if not sent:
        return True
    bits = _number(model, "00280100")
    for tag in ("00280010", "00280011"):
        bits *= _number(model, tag)
    bits *= _number(model, "00280002", 1) * _number(model, "00280008", 1)
    wanted = -(-bits // 8)
    return len(sent[0].content) in (wanted, wanted + wanted % 2)
