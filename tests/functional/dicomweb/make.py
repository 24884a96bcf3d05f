"""Small synthetic instances with names of nobody."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


def sop(number: int, series: str = SERIES) -> str:
    return f"{series}.{number}"


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
