"""A Part 10 file's header: file meta (PS3.10 clause 7), then the data set as DICOM JSON (PS3.18 annex F).

Read with our own walker in every transfer syntax, and proven equal to pydicom over the samples
(tests/unit/dicom/test_equal_to_pydicom.py names the few differences and why).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.elements import VRS, BulkValue, Dataset, PixelData, PrefixTooShortError
from maypacs.dicom.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from maypacs.dicom.values import swap_words
from maypacs.dicom.walker import Walker
from maypacs.errors import HeaderError, MissingUidError, NotDicomError, NotFoundError, UidError
from maypacs.uids import Uid, uid

__all__ = [
    "BulkValue",
    "Dataset",
    "Header",
    "PixelData",
    "PrefixTooShortError",
    "Walked",
    "inflate",
    "locate_bulk",
    "parse_header",
    "walk",
]

#: Values of OB, OW … above so many bytes are BulkDataURI.
BULK_THRESHOLD = 1024
#: What a deflated data set may become: a bomb of 1 MB makes a gigabyte.
MAX_INFLATED = 256 << 20
_PREAMBLE = 132
_SYNTAX = re.compile(r"[0-9.]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class FileMeta:
    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    dataset_offset: int


@dataclass(frozen=True, slots=True)
class Walked:
    """A data set that was walked, whatever UIDs it has or lacks."""

    meta: FileMeta
    dataset: Dataset
    pixel_data: PixelData | None
    bulk: Mapping[str, BulkValue]
    bulk_elements: list[tuple[Dataset, str]]
    warnings: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Header:
    transfer_syntax_uid: str
    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid
    sop_class_uid: Uid
    dataset_offset: int  #: first byte after group 0002; 0 when the file has neither preamble nor file meta
    dataset: Dataset
    pixel_data: PixelData | None  #: offsets in the file; in the *inflated* file when the syntax is deflated
    warnings: tuple[str, ...] = ()
    bulk: Mapping[str, BulkValue] = field(default_factory=dict)  #: path of each BulkDataURI -> where its bytes are
    complete: bool = True  #: False: a prefix was read, which ended in the pixel data; nothing after them was seen


def parse_header(
    data: bytes | memoryview, *, bulk_threshold: int = BULK_THRESHOLD, total_size: int | None = None
) -> Header:
    """The header of a Part 10 file, or of a bare data set.

    ``total_size``: ``data`` are the first bytes of a file of that size and reach at least the header of its pixel data;
    PrefixTooShortError (``needs_more``, ``needed``) when they do not.
    Raises NotDicomError, HeaderError, MissingUidError.
    """
    walked = walk(data, bulk_threshold=bulk_threshold, total_size=total_size)
    meta, dataset = walked.meta, walked.dataset
    if not _SYNTAX.match(meta.transfer_syntax_uid):
        raise HeaderError("the transfer syntax is not a UID")  # it would go into the headers of parts
    study = _uid(dataset, "0020000D", "Study Instance UID")
    series = _uid(dataset, "0020000E", "Series Instance UID")
    instance = _uid(dataset, "00080018", "SOP Instance UID")
    if not dataset.get("00080016", {}).get("Value") and meta.sop_class_uid:
        dataset["00080016"] = {"vr": "UI", "Value": [meta.sop_class_uid]}
        dataset = dict(sorted(dataset.items()))
    sop_class = _uid(dataset, "00080016", "SOP Class UID")
    base = f"/studies/{study}/series/{series}/instances/{instance}/bulkdata/"
    for element, path in walked.bulk_elements:
        element["BulkDataURI"] = base + path
    return Header(
        transfer_syntax_uid=meta.transfer_syntax_uid,
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=instance,
        sop_class_uid=sop_class,
        dataset_offset=meta.dataset_offset,
        dataset=dataset,
        pixel_data=walked.pixel_data,
        warnings=walked.warnings,
        bulk=walked.bulk,
        complete=walked.complete,
    )


def walk(data: bytes | memoryview, *, bulk_threshold: int = BULK_THRESHOLD, total_size: int | None = None) -> Walked:
    """As parse_header, for data sets that lack UIDs; elements of bulk data have no BulkDataURI yet."""
    data = data if isinstance(data, bytes) else bytes(data)
    total = len(data) if total_size is None else total_size
    if total < len(data):
        raise ValueError("total_size is less than the data given")
    meta, warnings = read_file_meta(data, total)
    syntax = transfer_syntaxes.info(meta.transfer_syntax_uid)
    if syntax.deflated:
        if len(data) < total:
            raise PrefixTooShortError(total)
        data = _inflated(data, meta.dataset_offset)
        total = len(data)
    walker = Walker(data, total=total, big_endian=syntax.big_endian, threshold=bulk_threshold)
    walker.warnings.update(dict.fromkeys(warnings))
    explicit = really_explicit(data, meta.dataset_offset, syntax.explicit, walker.warnings)
    try:
        dataset = walker.walk(meta.dataset_offset, explicit=explicit)
    except RecursionError:
        raise HeaderError("sequences are nested too deep") from None
    if not dataset:
        raise HeaderError("the data set is empty")
    dataset["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    if next(iter(dataset)) != "00080005":
        dataset = dict(sorted(dataset.items()))
    return Walked(
        meta=meta,
        dataset=dataset,
        pixel_data=walker.pixel_data,
        bulk=walker.bulk,
        bulk_elements=walker.bulk_elements,
        warnings=tuple(walker.warnings),
        complete=walker.complete,
    )


def _uid(dataset: Dataset, tag: str, name: str) -> Uid:
    values = dataset.get(tag, {}).get("Value") or [None]
    if not isinstance(values[0], str):
        raise MissingUidError(f"{name} is absent or empty")
    try:
        return uid(values[0])
    except UidError:
        raise MissingUidError(f"{name} is no UID") from None


# -- file meta -------------------------------------------------------------------------------------------------------


def read_file_meta(data: bytes, total: int) -> tuple[FileMeta, list[str]]:
    """Group 0002 (always explicit VR little endian) and where it ends; a guess for files that lack it."""
    warnings: list[str] = []
    if data[128:_PREAMBLE] == b"DICM":
        pos = _PREAMBLE
    elif _looks_like_dicom(data):
        pos = 0
        warnings.append("no Part 10 preamble")
    else:
        raise NotDicomError("not a DICOM file: no DICM after 128 bytes, and no data set at its start")
    values: dict[int, str] = {}
    if data[pos : pos + 2] == b"\x02\x00":
        pos = _walk_meta(data, pos, total, values)
    else:
        warnings.append("no file meta information")
    if pos >= total:
        raise HeaderError("no data set after the file meta information")
    if pos + 8 > len(data):
        if total > len(data):
            raise PrefixTooShortError(pos + 8)
        raise HeaderError("the data set ends inside its first element")
    syntax = values.get(0x0010, "")
    if not syntax:
        syntax = _guess_syntax(data[pos : pos + 8])
        warnings.append("no Transfer Syntax UID: guessed from the bytes")
    return FileMeta(syntax, values.get(0x0002, ""), values.get(0x0003, ""), pos), warnings


def _walk_meta(data: bytes, pos: int, total: int, values: dict[int, str]) -> int:
    end = len(data)
    while pos + 8 <= end and data[pos : pos + 2] == b"\x02\x00":
        element, vr, length = struct.unpack_from("<H2sH", data, pos + 2)
        value = pos + 8
        known = VRS.get(vr)
        if known is None:
            length = struct.unpack_from("<I", data, pos + 4)[0]
        elif known[1]:
            if value + 4 > end:
                break
            length = struct.unpack_from("<I", data, value)[0]
            value += 4
        pos = value + length
        if pos > total:
            raise HeaderError("the file meta information goes past the end of the file")
        if pos > end:
            raise PrefixTooShortError(pos)
        if element in (0x0002, 0x0003, 0x0010):
            values[element] = data[value:pos].decode("latin_1").strip(" \0")
    if pos + 8 > end and total > end:
        raise PrefixTooShortError(pos + 8)
    return pos


def _looks_like_dicom(data: bytes) -> bool:
    """A bare data set (or file meta without preamble): its first element is of group 0002 or 0008 and plausible."""
    if len(data) < 8:
        return False
    if data[:2] in (b"\x02\x00", b"\x08\x00"):
        return data[4:6] in VRS or struct.unpack_from("<I", data, 4)[0] <= len(data) - 8
    return data[:2] == b"\x00\x08" and data[4:6] in VRS


def _guess_syntax(first: bytes) -> str:
    if first[4:6] not in VRS:
        return IMPLICIT_VR_LITTLE_ENDIAN
    return EXPLICIT_VR_LITTLE_ENDIAN if int.from_bytes(first[:2], "little") < 0x0400 else EXPLICIT_VR_BIG_ENDIAN


def really_explicit(data: bytes, pos: int, declared: bool, warnings: dict[str, None]) -> bool:
    """Some writers say implicit and write explicit, or the reverse; the first element tells (so does pydicom)."""
    vr = data[pos + 4 : pos + 6]
    found = vr in VRS if not declared else vr in VRS or (vr.isalpha() and vr.isupper())
    if found != declared:
        warnings["the VR encoding is not what the transfer syntax says"] = None
    return found


# -- deflated --------------------------------------------------------------------------------------------------------


def _inflated(data: bytes, offset: int) -> bytes:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        dataset = engine.decompress(memoryview(data)[offset:], MAX_INFLATED)
    except zlib.error:
        raise HeaderError("the deflated data set cannot be inflated") from None
    if not engine.eof and (engine.unconsumed_tail or len(dataset) >= MAX_INFLATED):
        raise HeaderError(f"the deflated data set is larger than {MAX_INFLATED} bytes")
    return data[:offset] + dataset


def inflate(data: bytes | memoryview) -> bytes:
    """A deflated instance with its data set inflated: what the offsets of its Header point into. Others: unchanged."""
    data = data if isinstance(data, bytes) else bytes(data)
    meta, _ = read_file_meta(data, len(data))
    if not transfer_syntaxes.info(meta.transfer_syntax_uid).deflated:
        return data
    return _inflated(data, meta.dataset_offset)


# -- bulk data -------------------------------------------------------------------------------------------------------


def locate_bulk(data: bytes | memoryview, path: str) -> bytes:
    """The bytes of a bulk value, little endian, by the path of its BulkDataURI (``00282000``, ``52009230/0/7FE00010``).

    Encapsulated pixel data come with their item headers. Raises NotFoundError, and what parse_header raises.
    """
    path = path.strip("/").upper()
    # First as ingest did, whose BulkDataURI it is: what is inline below the threshold decides what is bulk after it.
    value = walk(data).bulk.get(path) or walk(data, bulk_threshold=0).bulk.get(path)
    if value is None:
        raise NotFoundError("no bulk data of that path")
    raw = inflate(data)[value.offset : value.offset + value.length]
    return swap_words(raw, value.word) if value.word > 1 else raw
