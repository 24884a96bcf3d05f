"""A series of thousands of small slices, as an edge packs it: up to 1,000 instances a pack."""

from __future__ import annotations

import struct
from collections.abc import Iterator

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
