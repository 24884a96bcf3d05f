"""Small synthetic instances with names of nobody."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

CT = "1.2.840.10008.5.1.4.1.1.2"
H264, MPEG2 = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.100"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


def sop(number: int, series: str = SERIES) -> str:
    return f"{series}.{number}"


_ULID = "01J00000000000000000000000"
#: Something for every name in a path template: what these instances have, else what nobody has.
IN_PATHS = {
    "study": STUDY,
    "series": SERIES,
    "instance": sop(1),
    "frames": "1",
    "path": "7FE00010",
    "path+": "7FE00010",
    "version": "0" * 32,
    "erasure": _ULID,
    "item": _ULID,
}


def dataset(number: int = 1, *, study: str = STUDY, series: str = SERIES, size: int = 16, **changes: Any) -> Dataset:
    """A CT slice: a ramp of stored values 0 … size*size, in Hounsfield units from -1000."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = CT, sop(number, series)
    ds.StudyDate, ds.StudyTime = "20260102", "101112"
    ds.AccessionNumber, ds.Modality = "A-1", "CT"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Nguyễn^Văn Thử", "P-1", "19800101", "M"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", 1, number
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = size
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleSlope, ds.RescaleIntercept = "1", "-1000"
    ds.WindowCenter, ds.WindowWidth = "-872", "256"
    ds.PixelData = (np.arange(size * size, dtype="<u2") + number - 1).tobytes()
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def part10(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    if syntax == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return out.getvalue()


def instance(number: int = 1, *, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> bytes:
    return part10(dataset(number, **changes), syntax)


def url(number: int | None = None, *, study: str = STUDY, series: str = SERIES) -> str:
    """Path of the series, or of one instance, below the archive's root."""
    path = f"/studies/{study}/series/{series}"
    return path if number is None else f"{path}/instances/{sop(number, series)}"


# -- what has no picture, or a moving one ---


def without_pixels(sop_class: str, **attributes: Any) -> Dataset:
    ds = dataset(**attributes)
    ds.SOPClassUID = sop_class
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, keyword)
    return ds


def pdf(content: bytes = PDF, **attributes: Any) -> bytes:
    padded = content + b"\0" * (len(content) % 2)
    ds = without_pixels("1.2.840.10008.5.1.4.1.1.104.1", Modality="DOC", **attributes)
    ds.MIMETypeOfEncapsulatedDocument, ds.EncapsulatedDocument = "application/pdf", padded
    ds.EncapsulatedDocumentLength = len(content)
    return part10(ds)


def code(meaning: str) -> Sequence:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99TEST", meaning
    return Sequence([code])


def content_item(kind: str, concept: str, **attributes: Any) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", kind, code(concept)
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def report(*content: Dataset, **attributes: Any) -> bytes:
    ds = without_pixels("1.2.840.10008.5.1.4.1.1.88.11", Modality="SR", **attributes)
    ds.ValueType, ds.ConceptNameCodeSequence = "CONTAINER", code("Radiology report")
    ds.CompletionFlag, ds.VerificationFlag, ds.ContentSequence = "COMPLETE", "VERIFIED", Sequence(content)
    return part10(ds)


def video(stream: bytes, fragments: int = 1, syntax: str = H264, **attributes: Any) -> bytes:
    ds = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.1.1", NumberOfFrames=3, Modality="ES", **attributes)
    step = -(-len(stream) // fragments)
    pieces = b"".join(
        b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part
        for part in (stream[at : at + step] for at in range(0, len(stream), step))
    )
    ds.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" + pieces + b"\xfe\xff\xdd\xe0\0\0\0\0"
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return part10(ds, syntax)
