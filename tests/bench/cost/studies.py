"""The studies of the counting run: one of each kind, as large as they are sent; noise for pictures."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from samples.phantom import stable_uid


@dataclass(frozen=True)
class Kind:
    """`seconds_apart`: between two images, when each comes by an association of its own; 0: all by one."""

    modality: str
    sop_class: str
    series: int
    instances: int  #: of each series
    rows: int
    columns: int
    samples: int = 1
    bits: int = 16
    seconds_apart: float = 0

    @property
    def images(self) -> int:
        return self.series * self.instances


_CLASS = "1.2.840.10008.5.1.4.1.1."
#: The shapes of the hospital mix, sizes as their average says (90 KB a CT slice: compressed); and the CT of 500
#: uncompressed slices that other figures speak of.
KINDS = {
    "CR": Kind("CR", _CLASS + "1", 1, 2, 1414, 1414),
    "US": Kind("US", _CLASS + "6.1", 1, 25, 400, 400, samples=3, bits=8, seconds_apart=50),
    "CT": Kind("CT", _CLASS + "2", 5, 320, 212, 212),
    "MR": Kind("MR", _CLASS + "4", 8, 172, 200, 200),
    "MG": Kind("MG", _CLASS + "1.2", 4, 1, 2739, 2739),
    "CT500": Kind("CT", _CLASS + "2", 1, 500, 512, 512),
}


@dataclass(frozen=True)
class Image:
    study: str
    series: str
    instance: str
    number: int
    data: bytes


def images(kind: Kind, number: int) -> Iterator[Image]:
    """The images of the kind's study of that number, as Part 10 files, in the order of their sending."""
    study = stable_uid("cost", kind.modality, number)
    for series_number in range(1, kind.series + 1):
        series = stable_uid("cost", kind.modality, number, series_number)
        for instance_number in range(1, kind.instances + 1):
            instance = stable_uid("cost", kind.modality, number, series_number, instance_number)
            ds = _attributes(kind, number, series_number, instance_number)
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, series, instance
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = kind.sop_class, instance
            file = io.BytesIO()
            ds.save_as(file, enforce_file_format=True)
            yield Image(study, series, instance, instance_number, file.getvalue())


def _attributes(kind: Kind, number: int, series_number: int, instance_number: int) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = kind.sop_class
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = f"202611{number % 28 + 1:02}"
    ds.StudyTime, ds.SeriesTime = "081500", "081630"
    ds.ContentTime = f"08{17 + instance_number // 60:02}{instance_number % 60:02}"
    ds.AccessionNumber = f"{kind.modality}26-{number:06}"
    ds.Modality, ds.Manufacturer, ds.InstitutionName = kind.modality, "MayPACS phantom", "Bệnh viện Mẫu"
    ds.ReferringPhysicianName = "Bác sĩ^Thử"
    ds.StudyDescription, ds.SeriesDescription = "Khảo sát mẫu (mô phỏng)", f"Chuỗi {series_number}"
    ds.PatientName = "Nguyễn^Văn Mẫu"  # three words, as three names in four (tests.support.hospital)
    ds.PatientID, ds.PatientBirthDate, ds.PatientSex = f"MAY-{number:07}", "19700101", "O"
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", series_number, instance_number
    if kind.modality in {"CT", "MR"}:
        ds.SliceThickness, ds.PatientPosition = 2.5, "HFS"
        ds.ImagePositionPatient = [-192, -192, 2.5 * instance_number]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.FrameOfReferenceUID = stable_uid("frame", kind.modality, number)
        ds.PixelSpacing = [0.75, 0.75]
    if kind.modality == "CT":
        ds.RescaleIntercept, ds.RescaleSlope, ds.KVP = -1024, 1, 120
    ds.SamplesPerPixel, ds.Rows, ds.Columns = kind.samples, kind.rows, kind.columns
    ds.PhotometricInterpretation = "RGB" if kind.samples == 3 else "MONOCHROME2"
    if kind.samples == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored = kind.bits, min(kind.bits, 12)
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.PixelData = os.urandom(kind.rows * kind.columns * kind.samples * kind.bits // 8)
    return ds
