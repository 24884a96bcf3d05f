"""A series of thousands of small slices, as an edge packs it: up to 1,000 instances a pack."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests.support.instances import EXPLICIT_LE, slice_of

from maypacs.pack import grammar
from maypacs.uids import ArchiveId, Uid

MR = "1.2.840.10008.5.1.4.1.1.4"
STUDY = Uid("1.2.826.0.1.3680043.10.3.1")
SERIES = Uid(f"{STUDY}.1")


def instance_uid(number: int) -> Uid:
    return Uid(f"{SERIES}.{number}")


def packs(slices: int, *, archive_id: ArchiveId, secret: bytes, pixels: int = 32) -> Iterator[bytes]:
    """Bodies of uploads. A slice's pixels, ``pixels`` bytes of them, repeat its number."""
    for first in range(1, slices + 1, grammar.MAX_INSTANCES):
        numbers = range(first, min(first + grammar.MAX_INSTANCES, slices + 1))
        parts = [
            grammar.Instance(_slice(number, pixels), EXPLICIT_LE, STUDY, SERIES, instance_uid(number))
            for number in numbers
        ]
        yield grammar.write_pack(parts, archive_id=archive_id, secret=secret).data


def slice_number(pixels: bytes) -> int:
    """Of whose pixels these are (or begin with)."""
    (number,) = struct.unpack_from("<I", pixels)
    return int(number)


def _slice(number: int, pixels: int) -> bytes:
    side = round((pixels / 2) ** 0.5)
    shape = {"rows": struct.pack("<H", side), "columns": struct.pack("<H", side)}
    return slice_of(
        STUDY, SERIES, number, modality="MR", sop_class=MR, pixels=struct.pack("<I", number) * (pixels // 4), **shape
    )


def numbered_pictures(folder: Path, slices: int, *, side: int = 64) -> Path:
    """Files of MR slices that a person, or a test, can tell apart: four times four squares, black or white.

    From the upper left on they are the bits of the slice's number, the lowest first.
    """
    folder.mkdir(parents=True)
    for number in range(1, slices + 1):
        bits = np.array([number >> bit & 1 for bit in range(16)], "<u2").reshape(4, 4)
        pixels = np.kron(bits, np.full((side // 4, side // 4), 1000, "<u2")).tobytes()
        data = slice_of(STUDY, SERIES, number, modality="MR", sop_class=MR, pixels=pixels, **_picture(side))
        (folder / f"{number}.dcm").write_bytes(data)
    return folder


def _picture(side: int) -> dict[str, str | int]:
    bits = {"bits_allocated": 16, "bits_stored": 12, "high_bit": 11, "pixel_representation": 0}
    return {"rows": side, "columns": side, "samples": 1, "photometric": "MONOCHROME2", **bits}
