"""Our walker against pydicom, attribute by attribute, over every sample that pydicom can read.

The normalisation is in normalisation.py; what still differs is listed here, each with its reason.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.conftest import sample_files, sample_id
from tests.unit.dicom.normalisation import Json, binary, normalised, pydicom_json

from maypacs.dicom.header import Walked, inflate, walk
from maypacs.dicom.values import swap_words
from maypacs.errors import DicomError

#: Files that pydicom reads (at least in part) and we refuse, or that we read and pydicom does not.
REFUSED = {
    "not_dicom.dcm": "text; pydicom's force=True makes an element of its first letters",
    "no_meta.dcm": "a stray byte before the data set: pydicom makes one element of nonsense",
    "preamble_only.dcm": "no data set",
    "zero_bytes.dcm": "no bytes",
    "truncated_meta.dcm": "cut inside the file meta information; pydicom gives no element",
    "truncated_header.dcm": "cut inside the data set: half a header is no header to index",
    "rtplan_truncated.dcm": "cut inside a sequence: half a header is no header to index",
    "element_length_past_end.dcm": "a length that swallows what follows; pydicom goes on inside the pixels",
    "DICOMDIR-nooffset": "an item that is longer than its sequence",
}
PYDICOM_CANNOT = {
    "emri_small_jpeg_2k_lossless_too_short.dcm": "no end of pixel data: pydicom gives nothing, we keep the header",
}
#: Elements in which we differ on purpose: file -> {tag: reason}.
_UTF8 = "UTF-8 that is not declared as such: ours decodes it, pydicom gives mojibake"
_VIETNAMESE = dict.fromkeys(("00080080", "00081030", "00100010", "00101040"), _UTF8)
DIFFERENT: dict[str, dict[str, str]] = {
    "vn_utf8_undeclared.dcm": _VIETNAMESE,
    "vn_utf8_declared_latin1.dcm": _VIETNAMESE,
    "every_vr.dcm": {
        **dict.fromkeys(("00720064", "00720072"), "an empty value among numbers: pydicom raises, we give null"),
        **dict.fromkeys(("00720082", "00720083"), "SV and UV beyond 2^53: pydicom gives numbers that browsers round"),
    },
    "CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm": {
        "private": "UN in big endian: its value is little endian (PS3.5 6.2.2), which pydicom reads as big endian"
    },
    "badVR.dcm": {"00280008": "an IS of '1A': pydicom raises, we give the text"},
}


def name(path: Path) -> str:
    return path.name.rpartition("__")[2]


def by_content() -> list[Path]:
    seen: dict[bytes, Path] = {}
    for path in sample_files():
        seen.setdefault(path.read_bytes(), path)
    return list(seen.values())


def read_with_pydicom(path: Path) -> pydicom.FileDataset:
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


@pytest.mark.parametrize("path", by_content(), ids=sample_id)
def test_the_walker_gives_what_pydicom_gives(path: Path) -> None:
    """Same attributes, same VRs, same values, and bulk data of the same bytes."""
    data = path.read_bytes()
    if name(path) in REFUSED:
        with pytest.raises(DicomError):
            walk(data)
        return
    ours = walk(data)
    assert list(ours.dataset) == sorted(ours.dataset)
    assert ours.dataset["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    if name(path) in PYDICOM_CANNOT:
        assert len(ours.dataset) > 50
        return
    file = read_with_pydicom(path)
    big_endian = not file.original_encoding[1]
    inflated = inflate(data)
    theirs = normalised(pydicom_json(file))
    differences = compare(normalised(ours.dataset), theirs, "", Bulk(ours, inflated, big_endian))
    expected = DIFFERENT.get(name(path), {})
    found = {"private" if "private" in expected and int(path[3], 16) % 2 else path for path in differences}
    assert found == set(expected), differences


class Bulk:
    """The bytes behind our values, to compare with pydicom's, which are inline and in the file's byte order."""

    def __init__(self, walked: Walked, data: bytes, big_endian: bool) -> None:
        self.walked, self.data, self.big_endian = walked, data, big_endian

    def same(self, path: str, ours: Json, theirs: Json) -> bool:
        # Encapsulated pixel data are OB (PS3.5 A.4) whatever the file says; pydicom repeats what it says.
        if ours["vr"] != theirs["vr"] and path.rpartition("/")[2] != "7FE00010":
            return False
        word = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}.get(ours["vr"], 1) if self.big_endian else 1
        if path in self.walked.bulk:
            value = self.walked.bulk[path]
            assert value.word == word or path == "7FE00010"  # there words follow Bits Allocated
            return self.data[value.offset : value.offset + value.length] == binary(theirs)
        return binary(ours) == swap_words(binary(theirs), word)


def compare(ours: Json, theirs: Json, path: str, bulk: Bulk) -> dict[str, str]:
    out: dict[str, str] = {}
    for tag in sorted({*ours, *theirs}):
        a, b = ours.get(tag), theirs.get(tag)
        if a == b and path + tag not in bulk.walked.bulk:
            continue
        if a is None or b is None:
            out[path + tag] = "only one has it"
        elif a["vr"] == "SQ" == b["vr"] and len(a["Value"]) == len(b["Value"]):
            for index, (mine, other) in enumerate(zip(a["Value"], b["Value"], strict=True)):
                out |= compare(mine, other, f"{path}{tag}/{index}/", bulk)
        elif "Value" in a or not bulk.same(path + tag, a, b):
            out[path + tag] = f"{a['vr']} and {b['vr']} differ"
    return out


def test_a_difference_would_be_seen() -> None:
    """The comparison itself can fail: another value, another VR, an attribute more, another pixel."""
    path = next(p for p in sample_files() if p.name.endswith("CT_small.dcm"))
    data = path.read_bytes()
    ours = walk(data)
    bulk = Bulk(ours, data, False)
    theirs: dict[str, Any] = normalised(pydicom_json(read_with_pydicom(path)))
    assert compare(normalised(ours.dataset), theirs, "", bulk) == {}
    theirs["00100020"] = {"vr": "LO", "Value": ["another"]}
    theirs["00080060"] = {"vr": "SH", "Value": ["CT"]}
    theirs["00990099"] = {"vr": "LO", "Value": ["one more"]}
    theirs["7FE00010"] = {"vr": "OW", "InlineBinary": "AAAA"}
    assert set(compare(normalised(ours.dataset), theirs, "", bulk)) == {"00100020", "00080060", "00990099", "7FE00010"}
