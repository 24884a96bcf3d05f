"""A synthetic CT of a chest, drawn from ellipses with a seed: the study that the demo sends and the benchmarks use.

No patient stands behind it. `write_ct(folder, slices=120)` writes Part 10 files, Explicit VR Little Endian, 512 x 512
of 16 bit (about 530 KB each), in Hounsfield units with a rescale intercept of -1024.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SIZE = 512
PIXEL_MM = 0.75
SLICE_MM = 2.5
GRID = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
AIR, LUNG, FAT, MUSCLE, BLOOD, BONE, TABLE = -1000, -820, -90, 45, 60, 700, -300


def stable_uid(*parts: object) -> str:
    """A UID of the 2.25 root that depends on nothing but its parts."""
    digest = hashlib.sha256("/".join(["maypacs-phantom", *map(str, parts)]).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') | 1 << 127}"


def draw_slice(position: float, noise: np.random.Generator) -> np.ndarray:
    """One slice in Hounsfield units; ``position`` runs from 0 (neck end) to 1 (diaphragm)."""
    y, x = GRID

    def ellipse(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0) -> np.ndarray:
        cos, sin = np.cos(turn), np.sin(turn)
        u, v = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
        return (u / rx) ** 2 + (v / ry) ** 2

    swell = np.sin(np.pi * min(max(position, 0.02), 0.98)) ** 0.35
    width, depth = 0.62 + 0.2 * swell, 0.42 + 0.13 * swell
    image = np.full((SIZE, SIZE), AIR, np.float32)
    image[(ellipse(0, 0.66, 0.85, 0.05) < 1) & (y > 0.66)] = TABLE
    image[ellipse(0, 0, width, depth) < 1] = FAT
    image[ellipse(0, 0, width - 0.05, depth - 0.05) < 1] = MUSCLE
    wall = ellipse(0, 0, width - 0.13, depth - 0.1)
    lung_size = np.sin(np.pi * (0.1 + 0.8 * position)) ** 0.6
    for side in (-1, 1):
        lung = ellipse(side * 0.34, -0.01, 0.27 * lung_size, 0.36 * lung_size, side * 0.12) < 1
        image[lung] = LUNG
        for _ in range(26):  # vessels, in cross section; drawn in a window of their own, or they cost most of the time
            angle, radius = noise.uniform(0, 2 * np.pi), noise.uniform(0.1, 0.9)
            cx = side * 0.34 + 0.25 * lung_size * radius * np.cos(angle)
            cy = 0.33 * lung_size * radius * np.sin(angle)
            r = 0.004 + 0.012 * (1 - radius)
            row, column, reach = int((cy + 1) * SIZE / 2), int((cx + 1) * SIZE / 2), int(r * SIZE) + 2
            window = np.s_[row - reach : row + reach, column - reach : column + reach]
            vessel = ((x[window] - cx) / r) ** 2 + ((y[window] - cy) / (r * noise.uniform(0.7, 1.8))) ** 2 < 1
            image[window][vessel & lung[window]] = BLOOD
    heart = np.sin(np.pi * min(max((position - 0.3) / 0.65, 0), 1))
    if heart > 0.05:
        image[ellipse(-0.09, -0.1, 0.26 * heart, 0.21 * heart, 0.5) < 1] = MUSCLE
        image[ellipse(-0.13, -0.08, 0.13 * heart, 0.1 * heart, 0.5) < 1] = BLOOD + 90
    image[ellipse(0.03, -0.02, 0.08, 0.09) < 1] = MUSCLE
    image[ellipse(0.09, 0.16, 0.055, 0.055) < 1] = BLOOD + 100  # aorta
    image[ellipse(0, 0.02, 0.035, 0.03) < 1] = AIR if position < 0.45 else MUSCLE  # trachea
    ribs = (wall > 0.93) & (wall < 1.0) & (np.sin(np.arctan2(y, x) * 11 + position * 40) > 0.35) & (np.abs(x) > 0.12)
    image[ribs] = BONE
    body = ellipse(0, 0.31, 0.11, 0.095)
    image[body < 1] = BONE
    image[body < 0.72] = 260
    image[ellipse(0, 0.425, 0.05, 0.035) < 1] = 20  # spinal canal
    image[(ellipse(0, 0.47, 0.022, 0.06) < 1) | (np.abs(ellipse(0, 0.425, 0.065, 0.05) - 1) < 0.25)] = BONE
    image[ellipse(0, -(depth - 0.11), 0.1, 0.022) < 1] = BONE - 200  # sternum
    if 0.42 < position < 0.5:
        image[ellipse(-0.42, 0.08, 0.028, 0.026) < 1] = 35  # a nodule, to have something to find
    blur = (image + np.roll(image, 1, 0) + np.roll(image, -1, 0) + np.roll(image, 1, 1) + np.roll(image, -1, 1)) / 5
    grain: np.ndarray = noise.normal(0, 14, image.shape).astype(np.float32)
    return np.clip(blur + grain, -1024, 3071)


def write_ct(
    folder: Path,
    *,
    slices: int = 120,
    seed: int = 1,
    patient_name: str = "Nguyễn^Văn Mẫu",
    patient_id: str = "MAY-0001",
    study_date: str = "20261115",
    accession_number: str = "MAY26-0001",
) -> list[Path]:
    """Writes ``slices`` files to ``folder``; the same arguments give the same bytes. Returns their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    key = (seed, slices, patient_id, study_date)
    study, series, frame_of_reference = (stable_uid(part, *key) for part in ("study", "series", "frame"))
    paths = []
    for number in range(1, slices + 1):
        noise = np.random.default_rng([seed, number])
        hounsfield = draw_slice((number - 0.5) / slices, noise)
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SOPClassUID = CTImageStorage
        ds.SOPInstanceUID = stable_uid("instance", number, *key)
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = study_date
        ds.StudyTime, ds.SeriesTime = "081500", "081630"
        ds.ContentTime = f"0817{number % 60:02d}"
        ds.AccessionNumber = accession_number
        ds.Modality = "CT"
        ds.Manufacturer = "MayPACS phantom"
        ds.InstitutionName = "Bệnh viện Mẫu"
        ds.StudyDescription = "CT lồng ngực (mô phỏng)"
        ds.SeriesDescription = "Ngực 2.5 mm"
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = patient_name, patient_id, "19700101", "O"
        ds.SliceThickness, ds.KVP = SLICE_MM, 120
        ds.PatientPosition = "HFS"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", 2, number
        half = SIZE * PIXEL_MM / 2
        ds.ImagePositionPatient = [-half, -half, round(SLICE_MM * (slices - number), 3)]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.FrameOfReferenceUID = frame_of_reference
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows = ds.Columns = SIZE
        ds.PixelSpacing = [PIXEL_MM, PIXEL_MM]
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.WindowCenter, ds.WindowWidth = [40, -600], [400, 1500]
        ds.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        ds.PixelData = (hounsfield + 1024).round().astype("<u2").tobytes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{number:04d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slices", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write_ct(arguments.folder, slices=arguments.slices, seed=arguments.seed)
