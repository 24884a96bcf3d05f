"""Synthetic Part 10 files, a few hundred bytes each, made of their attributes: for suites that need many."""

from __future__ import annotations

import struct
from collections.abc import Mapping

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
_LONG = {"OB", "OW", "UN", "SQ", "UT", "UC", "UR"}
_TAGS = {
    "character_set": (0x00080005, "CS"),
    "sop_class": (0x00080016, "UI"),
    "instance": (0x00080018, "UI"),
    "study_date": (0x00080020, "DA"),
    "study_time": (0x00080030, "TM"),
    "accession": (0x00080050, "SH"),
    "modality": (0x00080060, "CS"),
    "study_description": (0x00081030, "LO"),
    "series_description": (0x0008103E, "LO"),
    "patient_name": (0x00100010, "PN"),
    "patient_id": (0x00100020, "LO"),
    "study": (0x0020000D, "UI"),
    "series": (0x0020000E, "UI"),
    "series_number": (0x00200011, "IS"),
    "instance_number": (0x00200013, "IS"),
    "samples": (0x00280002, "US"),
    "photometric": (0x00280004, "CS"),
    "number_of_frames": (0x00280008, "IS"),
    "rows": (0x00280010, "US"),
    "columns": (0x00280011, "US"),
    "bits_allocated": (0x00280100, "US"),
    "bits_stored": (0x00280101, "US"),
    "high_bit": (0x00280102, "US"),
    "pixel_representation": (0x00280103, "US"),
    "pixels": (0x7FE00010, "OW"),
}


def element(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in {"UI", "OB", "OW"} else b" "
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in _LONG:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def dataset(attributes: Mapping[str, str | int | bytes]) -> bytes:
    out = b""
    for name in sorted(attributes, key=lambda name: _TAGS[name][0]):
        tag, vr = _TAGS[name]
        value = attributes[name]
        if isinstance(value, int) and vr == "US":
            raw = struct.pack("<H", value)
        else:
            raw = value if isinstance(value, bytes) else str(value).encode()
        out += element(tag, vr, raw)
    return out


def part10(attributes: Mapping[str, str | int | bytes], transfer_syntax: str = EXPLICIT_LE) -> bytes:
    meta = element(0x00020001, "OB", b"\0\1")
    meta += element(0x00020002, "UI", str(attributes.get("sop_class", CT)).encode())
    meta += element(0x00020003, "UI", str(attributes.get("instance", "")).encode())
    meta += element(0x00020010, "UI", transfer_syntax.encode())
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + dataset(attributes)


def slice_of(
    study: str = "1.2.3", series: str = "1.2.3.1", number: int = 1, *, pixels: bytes = b"", **attributes: str | int
) -> bytes:
    """One CT slice of a synthetic patient."""
    values: dict[str, str | int | bytes] = {
        "character_set": "ISO_IR 192",
        "sop_class": CT,
        "instance": f"{series}.{number}",
        "study_date": "20260102",
        "study_time": "101500",
        "accession": "A1",
        "modality": "CT",
        "study_description": "Ngực",
        "patient_name": "Nguyễn^Văn Thử",
        "patient_id": "TEST-1",
        "study": study,
        "series": series,
        "series_number": 1,
        "instance_number": number,
        "rows": 4,
        "columns": 4,
        "bits_allocated": 16,
        "bits_stored": (0x00280101, "US"),
        "high_bit": (0x00280102, "US"),
        "pixel_representation": (0x00280103, "US"),
        "pixels": pixels or bytes([number % 256]) * 32,
    }
    values.update(attributes)
    return part10(values)
