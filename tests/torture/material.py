"""What is sent: the samples that can travel by C-STORE, and as many synthetic images as are asked for."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.uid import CTImageStorage
from tests.conftest import sample_files
from tests.support.stub_edge import write_ct

#: Objects that are no composite instances: nobody can C-STORE them.
_NOT_STORED = {"1.2.840.10008.1.3.10"}
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


@dataclass(frozen=True, slots=True)
class Item:
    """One file to send. ``digest``: SHA-256 of its data set, as it travels."""

    path: Path
    sop_class: str
    sop: str
    """SOP Instance UID, both as the File Meta Information has them."""
    digest: str
    plain: bool
    """Whether dcmtk sends its data set as it is in the file: those that we wrote, in Explicit VR Little Endian."""


def data_set(part10: bytes) -> bytes:
    """What follows group 0002."""
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


def digest_of(part10: bytes) -> str:
    return hashlib.sha256(data_set(part10)).hexdigest()


def samples() -> Iterator[Item]:
    """The samples with File Meta Information as PS3.10 7.1 wants it, of a storage SOP class."""
    for path in sample_files():
        data = path.read_bytes()
        if data[128:136] != b"DICM\2\0\0\0" or data[136:138] != b"UL":
            continue
        try:
            meta = pydicom.filereader.read_file_meta_info(path)
            sop_class, syntax, sop = (
                str(meta.get(name, ""))
                for name in ("MediaStorageSOPClassUID", "TransferSyntaxUID", "MediaStorageSOPInstanceUID")
            )
        except Exception:  # a sample of what cannot be read
            continue
        uids = (sop_class, syntax, sop)
        if sop_class not in _NOT_STORED and all(_UID.fullmatch(uid) and len(uid) <= 64 for uid in uids):
            yield Item(path, sop_class, sop, digest_of(data), plain=False)


def synthetic(folder: Path, count: int, dice: random.Random) -> Iterator[Item]:
    """Series of 1 to 80 images of 2 KB to 600 KB, now and then one of 5 or 70 MB, now and then another image under a
    UID that there was before.
    """
    made = 0
    while made < count:
        study, series = f"2.25.{dice.getrandbits(60)}", f"2.25.{dice.getrandbits(60)}"
        length = min(count - made, dice.choice((1, 2, 5, 20, 40, 80)))
        size = dice.choice((2_000, 2_000, 20_000, 131_072, 524_288))
        for number in range(1, length + 1):
            sop = f"{series}.{number}"
            chance = dice.random()
            its = size if chance > 0.004 else 5 * 2**20 if chance > 0.001 else 68 * 2**20
            fill = dice.randrange(200)
            path = folder / f"{made:05}.dcm"
            write_ct(path, study=study, series=series, sop=sop, number=number, size=its, fill=fill)
            yield item_of(path, sop)
            made += 1
            if dice.random() < 0.02:
                other = folder / f"{made:05}-other.dcm"
                write_ct(other, study=study, series=series, sop=sop, number=number, size=its, fill=fill + 1)
                yield item_of(other, sop)


def folder_to_import(folder: Path, count: int, dice: random.Random) -> list[Item]:
    """A folder of a few series, for `maypacs-edge send`."""
    root, items = dice.getrandbits(60), []
    for number in range(count):
        series = f"2.25.{root}.{number // 20}"
        sop = f"{series}.{number}"
        path = folder / str(number // 20) / f"{number:04}.dcm"
        items.append(item_of(write_ct(path, study=f"{series}.1", series=series, sop=sop, number=number), sop))
    return items


def item_of(path: Path, sop: str) -> Item:
    """Of a file that we wrote."""
    return Item(path, str(CTImageStorage), sop, digest_of(path.read_bytes()), plain=True)


def all_of(folder: Path, count: int, dice: random.Random) -> list[Item]:
    """``count`` items, the samples among them as far as there is room for both, in an order that the dice give."""
    real = list(samples())
    dice.shuffle(real)
    real = real[: max(count // 2, 1)]
    items = [*real, *synthetic(folder, count - len(real), dice)]
    # Series stay together, as modalities send them; the samples come between.
    cuts = sorted(dice.randrange(len(items)) for _ in range(20))
    pieces = [items[a:b] for a, b in zip([0, *cuts], [*cuts, len(items)], strict=True)]
    dice.shuffle(pieces)
    return [item for piece in pieces for item in piece]
