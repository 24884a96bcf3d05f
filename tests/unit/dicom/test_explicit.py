"""Rewriting to Explicit VR Little Endian: the same content, valid for pydicom, the same bytes each time."""

from __future__ import annotations

import io
import logging
import struct
import warnings
from base64 import b64decode
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.conftest import sample_files, sample_id
from tests.unit.dicom.build import IMPLICIT, element, implicit, instance, item, part10, sequence_end

from maypacs.dicom.explicit import to_explicit_little_endian
from maypacs.dicom.file_meta import part10_header
from maypacs.dicom.header import parse_header, walk
from maypacs.errors import DicomError, PixelError

EXPLICIT = "1.2.840.10008.1.2.1"
_VOID = {"7FE00001", "7FE00002", "7FE00003"}


def readable() -> list[Path]:
    found: dict[bytes, Path] = {}
    for path in sample_files():
        data = path.read_bytes()
        try:
            parse_header(data)
        except DicomError:
            continue
        found.setdefault(data, path)
    return list(found.values())


def without_pixels(dataset: dict[str, Any]) -> dict[str, Any]:
    return {tag: found for tag, found in dataset.items() if tag not in _VOID | {"7FE00010"}}


@pytest.mark.parametrize("path", readable(), ids=sample_id)
def test_every_sample_keeps_its_content(path: Path) -> None:
    """Attributes as before, bytes again the same when repeated, and pydicom reads the result as explicit VR."""
    data = path.read_bytes()
    header = parse_header(data, bulk_threshold=1 << 30)
    encapsulated = header.pixel_data is not None and header.pixel_data.encapsulated
    pixels = bytes(range(256)) if encapsulated else None
    out = to_explicit_little_endian(data, header, pixels)
    again = parse_header(out, bulk_threshold=1 << 30)
    assert again.transfer_syntax_uid == EXPLICIT
    assert without_pixels(again.dataset) == without_pixels(header.dataset)
    assert to_explicit_little_endian(out, again) == out
    if pixels is not None:
        assert again.pixel_data is not None
        assert not again.pixel_data.encapsulated
        assert out[again.pixel_data.offset :][: again.pixel_data.length] == pixels
        assert not _VOID & again.dataset.keys()
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = pydicom.dcmread(io.BytesIO(out))
    assert read.original_encoding == (False, True)
    assert read.file_meta.MediaStorageSOPInstanceUID == header.sop_instance_uid


def test_big_endian_pixels_are_those_of_the_little_endian_twin() -> None:
    """Samples that exist in both byte orders: 16-bit MR, 32-bit dose, 8-bit colour in OW of odd size."""
    names = {
        "MR_small_expb": "MR_small_implicit",
        "rtdose_expb": "rtdose",
        "SC_rgb_small_odd_big_endian": "SC_rgb_small_odd",
    }
    by_name = {p.name.rpartition("__")[2].removesuffix(".dcm"): p for p in sample_files()}
    for big, little in names.items():
        if big not in by_name or little not in by_name:
            continue  # the repository's own samples are fewer
        data, twin = by_name[big].read_bytes(), by_name[little].read_bytes()
        out = to_explicit_little_endian(data, parse_header(data))
        ours, theirs = parse_header(out).pixel_data, parse_header(twin).pixel_data
        assert ours is not None
        assert theirs is not None
        size = min(ours.length, theirs.length)
        assert out[ours.offset :][:size] == twin[theirs.offset :][:size]


def test_encapsulated_pixels_without_their_decoded_bytes_are_an_error() -> None:
    """Never an explicit little endian file with JPEG inside."""
    data = instance(late=element(0x7FE00010, "OB", item(b"") + item(b"ab") + sequence_end(), length=0xFFFFFFFF))
    with pytest.raises(PixelError):
        to_explicit_little_endian(data, parse_header(data))


def test_overrides_replace_add_and_remove_attributes_in_their_order() -> None:
    """What a decoder changes: photometric interpretation, planar configuration; and removals."""
    attributes = element(0x00280004, "CS", b"YBR_FULL_422") + element(0x00282110, "CS", b"01")
    late = attributes + element(0x7FE00010, "OB", item(b"") + item(b"ab") + sequence_end(), length=0xFFFFFFFF)
    data = instance(late=late)
    changes = {"00280004": "RGB", "00280006": 0, "00282110": None}
    out = to_explicit_little_endian(data, parse_header(data), b"xyz", changes)
    found = parse_header(out).dataset
    assert found["00280004"]["Value"] == ["RGB"]
    assert found["00280006"] == {"vr": "US", "Value": [0]}
    assert "00282110" not in found
    assert out.endswith(b"xyz\0"), "odd pixel data are padded"
    assert not walk(out).warnings


def test_an_encapsulated_icon_goes_and_a_native_one_stays() -> None:
    """An icon has no offset table of its own to decode by, and no place in a native syntax."""
    pixels = element(0x7FE00010, "OB", item(b"") + item(b"ab") + sequence_end(), length=0xFFFFFFFF)
    icon = element(0x00280010, "US", b"\1\0") + pixels
    data = instance(late=element(0x00880200, "SQ", item(icon)) + element(0x00880904, "LO", b"after"))
    found = parse_header(to_explicit_little_endian(data, parse_header(data))).dataset
    assert "00880200" not in found
    assert found["00880904"]["Value"] == ["after"]
    native = element(0x00280010, "US", b"\1\0") + element(0x7FE00010, "OB", b"ab")
    data = instance(late=element(0x00880200, "SQ", item(native)))
    out = to_explicit_little_endian(data, parse_header(data))
    assert parse_header(out, bulk_threshold=99).bulk["00880200/0/7FE00010"].length == 2


def test_a_text_too_long_for_its_vr_becomes_un() -> None:
    """70,000 bytes of DS from implicit VR: PS3.5 6.2.2; reading it back gives DS again, since the tag tells."""
    text = b"\\".join([b"1.5"] * 17_500)
    dataset = implicit(0x00080016, b"1.2.3\0") + implicit(0x00080018, b"1.2.4\0")
    dataset += implicit(0x0020000D, b"1.2.5\0") + implicit(0x0020000E, b"1.2.6\0") + implicit(0x30060050, text + b" ")
    data = part10(dataset, IMPLICIT)
    out = to_explicit_little_endian(data, parse_header(data))
    assert struct.pack("<HH2sHI", 0x3006, 0x0050, b"UN", 0, 70_000) in out
    assert parse_header(out).dataset["30060050"]["Value"] == [1.5] * 17_500


def test_text_keeps_its_bytes_and_its_character_set() -> None:
    """Nothing is decoded and encoded again."""
    raw = "Люк".encode("iso8859_5")
    data = instance(early=element(0x00080005, "CS", b"ISO_IR 144"), middle=element(0x00100010, "PN", raw))
    out = to_explicit_little_endian(data, parse_header(data))
    assert raw in out
    assert b"ISO_IR 144" in out
    assert parse_header(out).dataset["00100010"]["Value"] == [{"Alphabetic": "Люк"}]


def test_words_of_big_endian_private_data_are_swapped() -> None:
    """OW inside an item."""
    found = next((p for p in sample_files() if p.name.endswith("MR_small_bigendian.dcm")), None)
    assert found is not None
    data = found.read_bytes()
    before, after = parse_header(data), parse_header(to_explicit_little_endian(data, parse_header(data)))
    for tag, value in before.dataset.items():
        if "InlineBinary" in value:
            assert b64decode(value["InlineBinary"]) == b64decode(after.dataset[tag]["InlineBinary"])


def test_the_file_meta_is_the_same_for_the_same_data_set() -> None:
    """A Part 10 header that pydicom reads, with a right group length, and no time or name in it."""
    meta = part10_header("1.2.840.10008.5.1.4.1.1.2", "1.2.3", EXPLICIT)
    assert meta == part10_header("1.2.840.10008.5.1.4.1.1.2", "1.2.3", EXPLICIT)
    read = pydicom.dcmread(io.BytesIO(meta + element(0x00100020, "LO", b"x")))
    assert read.file_meta.FileMetaInformationGroupLength == len(meta) - 144
    assert {e.keyword for e in read.file_meta} == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }
