"""The instance table: small, whole, and refused when damaged."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.dicom.frames import FrameTable
from maypacs.errors import PackError
from maypacs.pack.instance_table import InstanceRow, decode, encode, uid_hash
from maypacs.uids import Uid

UIDS = st.text("0123456789.", min_size=1, max_size=64).map(Uid)
ROWS = st.builds(
    InstanceRow,
    sop_instance_uid=UIDS,
    sop_class_uid=UIDS,
    transfer_syntax_uid=UIDS,
    offset=st.integers(0, 2**45),
    length=st.integers(0, 2**45),
    digest=st.binary(min_size=16, max_size=16),
    number_of_frames=st.integers(0, 10**6),
    instance_number=st.none() | st.integers(-(2**31), 2**31),
    frame_table=st.none() | st.binary(max_size=40),
)


def slices(count: int) -> list[InstanceRow]:
    """A CT series as a modality numbers it."""
    rows = []
    for n in range(count):
        offset = 300 + n * 530_700
        rows.append(
            InstanceRow(
                Uid(f"1.3.12.2.1107.5.1.4.66001.30000024010107{hash_digits(n)}"),
                Uid("1.2.840.10008.5.1.4.1.1.2"),
                "1.2.840.10008.1.2.1",
                offset,
                530_000 + n % 3 * 2,
                hashlib.sha256(str(n).encode()).digest()[:16],
                1,
                n + 1,
                FrameTable(1, 2_000 + n % 5 * 2, 512 * 512 * 16, 524_288).encode(),
            )
        )
    return rows


def hash_digits(n: int) -> str:
    return str(int.from_bytes(hashlib.sha256(b"uid" + str(n).encode()).digest()[:6], "big"))


@given(st.lists(ROWS, max_size=12))
def test_rows_survive(rows: list[InstanceRow]) -> None:
    """Whatever their values, in their order."""
    assert decode(encode(rows)) == tuple(rows)


@pytest.mark.parametrize("count", [30, 120, 1000])
def test_a_table_takes_at_most_65_bytes_an_instance(count: int) -> None:
    """UIDs with 15 random digits, real digests, native frame tables."""
    assert len(encode(slices(count))) <= 65 * count


@given(st.binary(max_size=120))
def test_noise_is_refused(data: bytes) -> None:
    """Raw and inflated noise: PackError."""
    for damaged in (data, zlib.compress(b"\1" + data)):
        try:
            decode(damaged)
        except PackError:
            continue


@given(st.data())
def test_a_damaged_table_is_refused_or_rows(draw: st.DataObject) -> None:
    """One byte of the inflated table changed, or its end lost: rows or PackError, never another error."""
    raw = bytearray(zlib.decompress(encode(slices(5))))
    at = draw.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= draw.draw(st.integers(1, 255))
    for damaged in (bytes(raw), bytes(raw[:at])):
        try:
            decode(zlib.compress(damaged))
        except PackError:
            continue


def test_a_table_that_would_fill_the_memory_is_refused() -> None:
    """A deflate bomb, and a count of rows that are not there."""
    with pytest.raises(PackError):
        decode(zlib.compress(bytes(80 << 20), 9))
    with pytest.raises(PackError):
        decode(zlib.compress(b"\1\xff\xff\xff\xff\x7f"))


def test_a_digest_of_another_length_is_not_encoded() -> None:
    """A caller's mistake is seen at once."""
    row = slices(1)[0]
    wrong = InstanceRow(row.sop_instance_uid, row.sop_class_uid, row.transfer_syntax_uid, 0, 0, b"short", 1, 1, None)
    with pytest.raises(PackError):
        encode([wrong])


def test_a_uid_hash_has_eight_bytes_of_sha256() -> None:
    """So that heads of other versions can be compared."""
    assert uid_hash("1.2.3") == hashlib.sha256(b"1.2.3").digest()[:8]
