"""A very small CT instance with what a test wants to find in it."""

from __future__ import annotations

import io

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


def small_ct(
    study: str,
    *,
    name: str = "Nguyễn^Văn Thử",
    patient_id: str = "P1",
    date: str = "20260101",
    accession: str = "",
    series: str = "1",
    pixels: bytes = b"",
    instance: int = 1,
) -> bytes:
    """Explicit VR Little Endian; UIDs are made of the study's. ``pixels``: 16 x 16 of 16 bit, 512 bytes, or none."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.{series}.{instance}"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{study}.{series}.{instance}"
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = f"{study}.{series}"
    dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = name, patient_id, accession
    dataset.StudyDate, dataset.StudyTime, dataset.Modality, dataset.StudyID = date, "080000", "CT", "1"
    dataset.StudyDescription, dataset.SeriesDescription = "CT lồng ngực", "Ngực 2.5 mm"
    dataset.SeriesNumber, dataset.InstanceNumber = series, str(instance)
    if pixels:
        dataset.Rows = dataset.Columns = 16
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        dataset.PixelData = pixels
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
