"""The instances of a pack as one compact binary value of the index: about 45 to 65 bytes an instance.

Columns, not rows: UIDs as their difference from the row before, classes and syntaxes as numbers of a list, offsets and
lengths as varints of differences; then zlib. Digests (16 bytes) and the random part of UIDs do not compress.
A pack that was put together out of several (version 2) has one column more: when each of its instances arrived.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from maypacs.dicom.varints import VarintReader, append_all, append_varint, unzigzag, zigzag
from maypacs.errors import PackError
from maypacs.uids import Uid

_VERSION = 1
_WITH_ARRIVALS = 2
#: Inflated bytes of a table: 1,000 instances and the frame tables of a slide.
_MAX_INFLATED = 64 << 20
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class InstanceRow:
    sop_instance_uid: Uid
    sop_class_uid: Uid
    transfer_syntax_uid: str
    offset: int  #: of the Part 10 file in the pack
    length: int
    digest: bytes  #: first 16 bytes of the SHA-256 of the data set
    number_of_frames: int  #: 0: no pixel data
    instance_number: int | None
    frame_table: bytes | None  #: FrameTable.encode()
    arrival: str = ""  #: its own, where the pack was put together out of several; else that of the pack


def uid_hash(uid: str) -> bytes:
    """8 bytes of the SHA-256 of a UID: enough to see that two packs may share an instance."""
    return hashlib.sha256(uid.encode("ascii")).digest()[:8]


def encode(rows: Sequence[InstanceRow]) -> bytes:
    """Raises PackError when a digest has not 16 bytes or a UID is not ASCII."""
    with_arrivals = any(row.arrival for row in rows)
    out = bytearray([_WITH_ARRIVALS if with_arrivals else _VERSION])
    append_varint(out, len(rows))
    if any(len(row.digest) != DIGEST_BYTES for row in rows):
        raise PackError(f"a digest of an instance row has {DIGEST_BYTES} bytes")
    _append_texts(out, [row.sop_instance_uid for row in rows])
    _append_column(out, [row.sop_class_uid for row in rows])
    _append_column(out, [row.transfer_syntax_uid for row in rows])
    if with_arrivals:
        _append_column(out, [row.arrival for row in rows])
    end = length = frames = number = 0
    offsets, lengths, counts, numbers = [], [], [], []
    for row in rows:
        offsets.append(zigzag(row.offset - end))
        lengths.append(zigzag(row.length - length))
        counts.append(zigzag(row.number_of_frames - frames))
        numbers.append(0 if row.instance_number is None else zigzag(row.instance_number - number) + 1)
        end, length, frames = row.offset + row.length, row.length, row.number_of_frames
        number = number if row.instance_number is None else row.instance_number
    for integers in (offsets, lengths, counts, numbers):
        append_all(out, integers)
    append_all(out, (0 if row.frame_table is None else len(row.frame_table) + 1 for row in rows))
    tables = b"".join(row.frame_table or b"" for row in rows)
    return zlib.compress(bytes(out) + b"".join(row.digest for row in rows) + tables, 9)


def decode(data: bytes) -> tuple[InstanceRow, ...]:
    """The rows, in the order they were given. Raises PackError when the bytes are damaged."""
    try:
        return _decode(data)
    except (ValueError, IndexError, zlib.error):
        raise PackError("an instance table is damaged") from None


def _decode(data: bytes) -> tuple[InstanceRow, ...]:
    engine = zlib.decompressobj()
    reader = VarintReader(engine.decompress(data, _MAX_INFLATED))
    version = reader.take(1)[0]
    if not engine.eof or version not in (_VERSION, _WITH_ARRIVALS):
        raise ValueError
    count = reader.varint()
    uids = _read_texts(reader, count)
    classes, syntaxes = (_read_column(reader, count) for _ in range(2))
    arrivals = _read_column(reader, count) if version == _WITH_ARRIVALS else [""] * count
    offsets, lengths, counts = ([unzigzag(value) for value in reader.varints(count)] for _ in range(3))
    numbers = reader.varints(count)
    table_sizes = reader.varints(count)
    digests = [reader.take(DIGEST_BYTES) for _ in range(count)]
    rows: list[InstanceRow] = []
    end = length = frames = number = 0
    for i in range(count):
        offset, length, frames = end + offsets[i], length + lengths[i], frames + counts[i]
        end = offset + length
        if numbers[i]:
            number += unzigzag(numbers[i] - 1)
        rows.append(
            InstanceRow(
                sop_instance_uid=Uid(uids[i]),
                sop_class_uid=Uid(classes[i]),
                transfer_syntax_uid=syntaxes[i],
                offset=offset,
                length=length,
                digest=digests[i],
                number_of_frames=frames,
                instance_number=number if numbers[i] else None,
                frame_table=reader.take(table_sizes[i] - 1) if table_sizes[i] else None,
                arrival=arrivals[i],
            )
        )
    return tuple(rows)


def _append_texts(out: bytearray, texts: Sequence[str]) -> None:
    """Each text as (bytes shared with the one before, length of the rest, the rest)."""
    previous = b""
    for text in texts:
        raw = text.encode("ascii")
        shared = 0
        for a, b in zip(raw, previous, strict=False):
            if a != b:
                break
            shared += 1
        append_varint(out, shared)
        append_varint(out, len(raw) - shared)
        out += raw[shared:]
        previous = raw


def _read_texts(reader: VarintReader, count: int) -> list[str]:
    texts: list[str] = []
    previous = b""
    for _ in range(count):
        shared, rest = reader.varint(), reader.varint()
        if shared > len(previous):
            raise ValueError
        previous = previous[:shared] + reader.take(rest)
        texts.append(previous.decode("ascii"))
    return texts


def _append_column(out: bytearray, column: Sequence[str]) -> None:
    """Each text as a number of a list of the distinct ones."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(column))}
    append_varint(out, len(numbers))
    _append_texts(out, list(numbers))
    append_all(out, (numbers[text] for text in column))


def _read_column(reader: VarintReader, count: int) -> list[str]:
    distinct = _read_texts(reader, reader.varint())
    return [distinct[index] for index in reader.varints(count)]
