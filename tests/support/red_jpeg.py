"""A picture that browsers get wrong: a baseline JPEG that holds RGB and has no marker that says so."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage

RED = (200, 30, 30)
STUDY = "1.2.826.0.1.3680043.8.498.77"


def unmarked_rgb_jpeg(side: int = 64) -> bytes:
    """One colour all over, components as they are, numbered 1, 2, 3 as those of YCbCr would be."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), RED).save(file, "JPEG", quality=95, keep_rgb=True, subsampling=0)
    data = bytearray(file.getvalue())
    at = 2
    while data[at + 1] != 0xDA:  # up to the start of scan
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] in (0xE0, 0xEE):
            del data[at : at + 2 + length]
            continue
        if data[at + 1] == 0xC0:
            for component in range(3):
                data[at + 10 + 3 * component] = component + 1
        at += 2 + length
    for component in range(3):
        data[at + 5 + 2 * component] = component + 1
    return bytes(data)


def write_red_jpeg(path: Path) -> Path:
    """A secondary capture of "Lê^Thị Mẫu" from 2020."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.1.1"
    dataset.PatientName, dataset.PatientID, dataset.StudyDate, dataset.StudyTime = (
        "Lê^Thị Mẫu",
        "MAY-77",
        "20200102",
        "08",
    )
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "OT", "1", "1"
    dataset.Rows = dataset.Columns = 64
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.LossyImageCompression = "01"
    dataset.PixelData = encapsulate([unmarked_rgb_jpeg()])
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path
