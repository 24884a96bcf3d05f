"""A day of a hospital with 400 beds, as its modalities see it: 2 CT, 1 MR, 3 DR, 4 US.

How many exams there are, and when, are round numbers of such a hospital: some 230 exams, most of them between 7 and 17
o'clock, emergencies around the clock. How each device sends is what devices do: a CT and a MR one association a series,
when it is reconstructed; a DR one a study; an ultrasound each image by itself, as the examiner presses the button.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.instances import EXPLICIT_LE, dataset
from tests.support.raw_scu import Instance

HOUR = 3600.0
#: Of the day's exams, how many begin in each hour, from midnight.
_HOURS = (1, 1, 1, 1, 1, 1, 3, 8, 12, 12, 11, 8, 6, 9, 10, 8, 5, 3, 2, 2, 2, 1, 1, 1)
#: The day begins here, so that the morning's rush comes first and the night last.
FIRST_HOUR = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device. Seconds of the day, not of the simulation."""

    modality: str
    sop_class: str
    exams: int
    """Of one device, a day."""
    series: tuple[int, ...]
    """Images of each series of one exam."""
    columns: int
    rows: int
    between_series: float
    between_images: float = 0.0
    """0: a series goes in one association."""


KINDS = {
    "CT": Kind("CT", "1.2.840.10008.5.1.4.1.1.2", 35, (2, 220, 90), 256, 256, 120),
    "MR": Kind("MR", "1.2.840.10008.5.1.4.1.1.4", 24, (24, 24, 120, 36, 60, 36), 256, 256, 240),
    "DX": Kind("DX", "1.2.840.10008.5.1.4.1.1.1.1", 35, (2,), 1440, 1600, 60),
    "US": Kind("US", "1.2.840.10008.5.1.4.1.1.6.1", 14, (24,), 480, 512, 60, between_images=40),
}
FLEET = {"CT": 2, "MR": 1, "DX": 3, "US": 4}


@dataclass(frozen=True, slots=True)
class Association:
    """What a device sends in one go, ``due`` so many seconds after the day's beginning."""

    due: float
    study: str
    series: str
    first: int
    count: int
    size: int
    """Images of the whole series."""


@dataclass(frozen=True, slots=True)
class Device:
    title: str
    kind: Kind
    day: tuple[Association, ...]


def fleet(seed: int, share: float = 1.0) -> list[Device]:
    """All devices, each with its day; ``share`` of the exams."""
    dice = random.Random(seed)
    return [
        Device(f"{modality}{number}", KINDS[modality], tuple(_day(KINDS[modality], f"{modality}{number}", share, dice)))
        for modality, count in FLEET.items()
        for number in range(1, count + 1)
    ]


def _day(kind: Kind, title: str, share: float, dice: random.Random) -> Iterator[Association]:
    """One exam after the other: none begins before the one before has ended."""
    count = max(1, round(kind.exams * share))
    begins = sorted((dice.choices(range(24), _HOURS)[0] + dice.random()) * HOUR for _ in range(count))
    begins = sorted((begin - FIRST_HOUR * HOUR) % (24 * HOUR) for begin in begins)
    free = 0.0
    for begin in begins:
        at = max(begin, free)
        study = f"2.25.{dice.getrandbits(100)}"
        for length in kind.series:
            series = f"2.25.{dice.getrandbits(100)}"
            at += kind.between_series * dice.uniform(0.7, 1.3)
            if not kind.between_images:
                yield Association(at, study, series, 1, length, length)
                continue
            for number in range(1, length + 1):
                at += kind.between_images * dice.uniform(0.3, 1.7)
                yield Association(at, study, series, number, 1, length)
        free = at


def images(kind: Kind, sent: Association, noise: bytes) -> Iterator[Instance]:
    """The images of one association, each another; ``noise`` is where their pixels are cut from."""
    length = kind.columns * kind.rows * 2
    for number in range(sent.first, sent.first + sent.count):
        sop = f"{sent.series}.{number}"
        start = hash(sop) % (len(noise) - length) & ~1
        data_set = dataset(
            {
                "character_set": "ISO_IR 192",
                "sop_class": kind.sop_class,
                "instance": sop,
                "study_date": "20261124",
                "study_time": "080000",
                "accession": sent.study[-8:],
                "modality": kind.modality,
                "study_description": "Mô phỏng",
                "patient_name": "Nguyễn^Văn Mẫu",
                "patient_id": f"MAY-{sent.study[-6:]}",
                "study": sent.study,
                "series": sent.series,
                "series_number": 1,
                "instance_number": number,
                "samples": 1,
                "photometric": "MONOCHROME2",
                "rows": kind.rows,
                "columns": kind.columns,
                "bits_allocated": 16,
                "bits_stored": 12,
                "high_bit": 11,
                "pixel_representation": 0,
                "pixels": noise[start : start + length],
            }
        )
        yield Instance(kind.sop_class, EXPLICIT_LE, sop, data_set)
