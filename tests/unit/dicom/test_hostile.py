"""Bytes meant to break a parser: each ends as a header or a DicomError, soon, and in bounded memory."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import sample_files, sample_id
from tests.unit.dicom.build import IMPLICIT, UNDEFINED, element, implicit, instance, item, part10, sequence_end

from maypacs.dicom import elements, header, walker
from maypacs.dicom.explicit import to_explicit_little_endian
from maypacs.dicom.frames import frame_table
from maypacs.dicom.header import parse_header, walk
from maypacs.errors import DicomError, HeaderError, PixelError


def read_everything(data: bytes) -> None:
    """All that ingest does with an instance; DicomError is the only way out but success."""
    try:
        orjson.dumps(walk(data).dataset)
        parsed = parse_header(data)
        table = frame_table(data, parsed)
        if table is not None:
            table.locate(table.number_of_frames)
        to_explicit_little_endian(data, parsed, b"" if parsed.pixel_data and parsed.pixel_data.encapsulated else None)
    except DicomError:
        return


SMALL = list({p.read_bytes(): p for p in sample_files() if p.stat().st_size < 60_000}.values())


@pytest.mark.parametrize("path", SMALL, ids=sample_id)
def test_truncated_and_mutated_samples_never_crash(path: Path) -> None:
    """Cut at and mutated in 6 places each, by a generator seeded with the file's size."""
    data = path.read_bytes()
    generator = random.Random(len(data))
    for _ in range(6):
        if not data:
            continue
        read_everything(data[: generator.randrange(len(data))])
        mutated = bytearray(data)
        for _ in range(generator.randrange(1, 6)):
            at = generator.randrange(min(len(mutated), 6_000))
            mutated[at] = generator.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, generator.randrange(256)))
        read_everything(bytes(mutated))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=400), st.sampled_from(["1.2.840.10008.1.2.1", IMPLICIT, "1.2.840.10008.1.2.2"]))
def test_noise_as_a_data_set_never_crashes(noise: bytes, syntax: str) -> None:
    """Behind a good file meta, and behind good UIDs."""
    read_everything(part10(noise, syntax))
    read_everything(instance(late=noise))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x00080005, 0x00080018, 0x00080100, 0x00282000, 0x7FE00010, 0xFFFEE000, 0xFFFEE00D]),
            st.sampled_from(["SQ", "UN", "OB", "LO", "PN", "US", "??", "UI"]),
            st.sampled_from([0, 1, 2, 8, 16, 0xFFFE, 0xFFFF]),
            st.binary(max_size=20),
        ),
        max_size=12,
    )
)
def test_elements_whose_lengths_lie_never_crash(parts: list[tuple[int, str, int, bytes]]) -> None:
    """Real tags, VRs and items with lengths of fancy."""
    late = b"".join(element(tag, vr, value, length=length, pad=False) for tag, vr, length, value in parts)
    read_everything(instance(late=late))
    read_everything(part10(b"".join(implicit(tag, value, length=length) for tag, _, length, value in parts), IMPLICIT))


@pytest.mark.parametrize("length", [10, 0xFFFE, 0x7FFFFFFF, 0xFFFFFFFE])
def test_a_length_past_the_end_is_an_error(length: int) -> None:
    """Of a value, a sequence, an item."""
    for late in (
        element(0x00411001, "OB", b"ab", length=length),
        element(0x00411001, "SQ", item(b""), length=length),
        element(0x00411001, "SQ", item(b"", length=length)),
    ):
        with pytest.raises(HeaderError):
            parse_header(instance(late=late))


@pytest.mark.parametrize(
    "late",
    [
        element(0x00411001, "SQ", item(b""), length=UNDEFINED),
        element(0x00411001, "SQ", item(element(0x00080100, "SH", b"a"))[:-3], length=UNDEFINED),
        element(0x00411001, "SQ", item(b"", length=UNDEFINED)[:-8], length=UNDEFINED),
        element(0x00411001, "SQ", element(0x00080100, "SH", b"abcd"), length=UNDEFINED) + sequence_end(),
        item(b""),
        b"\x41\x00\x01",
    ],
    ids=["sequence", "item", "item delimiter", "no item", "stray item", "three bytes"],
)
def test_what_has_no_end_or_no_beginning_is_an_error(late: bytes) -> None:
    """HeaderError, with an offset in its text and no value."""
    with pytest.raises(HeaderError):
        parse_header(instance(late=late))


def nested(depth: int, *, undefined: bool) -> bytes:
    inner = element(0x00080100, "SH", b"DEEP")
    for _ in range(depth):
        body = item(inner, length=UNDEFINED if undefined else None)
        inner = element(0x00411001, "SQ", body, length=UNDEFINED if undefined else None)
        inner += sequence_end() if undefined else b""
    return inner


@pytest.mark.parametrize("undefined", [False, True])
def test_nesting_works_to_its_limit_and_is_an_error_beyond(undefined: bool) -> None:
    """80 levels become JSON that can be written; 81 and 3,000 are a HeaderError, not a dead process."""
    data = instance(late=nested(elements.MAX_DEPTH, undefined=undefined))
    parsed = parse_header(data)
    assert orjson.dumps(parsed.dataset).count(b"00411001") == elements.MAX_DEPTH
    assert walk(to_explicit_little_endian(data, parsed)).dataset == parsed.dataset
    for depth in (elements.MAX_DEPTH + 1, 3_000 if undefined else 2_000):
        with pytest.raises(HeaderError):
            parse_header(instance(late=nested(depth, undefined=undefined)))


def test_implicit_and_un_nesting_has_the_same_limit() -> None:
    """Undefined lengths within UN."""
    inner = b""
    for _ in range(3_000):
        inner = implicit(0x00411001, item(inner, length=UNDEFINED), length=UNDEFINED) + sequence_end()
    with pytest.raises(HeaderError):
        parse_header(instance(late=element(0x00411001, "UN", inner, length=UNDEFINED) + sequence_end()))


def test_a_million_tiny_items_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bytes of file make a dict each: the number is bounded (the bound is lowered here)."""
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 1_000)
    monkeypatch.setattr(walker, "MAX_ELEMENTS", 1_000)
    with pytest.raises(HeaderError):
        parse_header(instance(late=element(0x00411001, "SQ", item(b"") * 1_001)))
    with pytest.raises(HeaderError):
        parse_header(instance(late=element(0x00411001, "LO", b"") * 1_001))


def test_a_deflate_bomb_is_an_error_and_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB out of 64 KB, with the bound lowered to 4 MiB: refused, without inflating all of it."""
    monkeypatch.setattr(header, "MAX_INFLATED", 4 << 20)
    engine = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(engine.compress(bytes(1 << 20)) for _ in range(64)) + engine.flush()
    data = part10(bomb, "1.2.840.10008.1.2.1.99")
    tracemalloc.start()
    with pytest.raises(HeaderError):
        parse_header(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_bulk_values_are_not_copied() -> None:
    """A header before 50 MB of private data and 50 MB of pixels costs kilobytes."""
    late = element(0x00411001, "OB", bytes(50_000_000)) + element(0x7FE00010, "OW", bytes(50_000_000))
    data = instance(late=late)
    parse_header(data)
    tracemalloc.start()
    parse_header(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


def test_inlined_numbers_have_a_budget() -> None:
    """100 values of 600 KB of numbers: JSON for the first of them, bulk data for the rest."""
    block = struct.pack("<150000f", *range(150_000))
    # FL has a 16-bit length in explicit VR, so it is implicit VR with a public tag, in many items.
    items = b"".join(item(implicit(0x00700022, block)) for _ in range(100))
    dataset = implicit(0x00080016, b"1.2.3\0") + implicit(0x00080018, b"1.2.4\0")
    dataset += implicit(0x0020000D, b"1.2.5\0") + implicit(0x0020000E, b"1.2.6\0")
    dataset += implicit(0x00700009, items)
    found = parse_header(part10(dataset, IMPLICIT)).dataset["00700009"]["Value"]
    kinds = ["BulkDataURI" if "BulkDataURI" in i["00700022"] else "Value" for i in found]
    assert kinds == ["Value"] * 13 + ["BulkDataURI"] * 87


def test_text_of_a_fancy_size_is_not_split() -> None:
    """Four mebibytes of backslashes as a CS in implicit VR: bytes to fetch, not four million nulls."""
    dataset = implicit(0x00080008, b"\\" * (4 << 20)) + implicit(0x00080016, b"1.2.3\0")
    dataset += implicit(0x00080018, b"1.2.4\0") + implicit(0x0020000D, b"1.2.5\0") + implicit(0x0020000E, b"1.2.6\0")
    found = parse_header(part10(dataset, IMPLICIT)).dataset["00080008"]
    assert found["vr"] == "UN"
    assert "BulkDataURI" in found


def test_zeros_that_are_no_padding_are_read_once() -> None:
    """Two mebibytes of empty (0000,0000) and a byte at their end: each must not read to the end again."""
    with pytest.raises(HeaderError):
        parse_header(instance(late=bytes(2 << 20) + b"\1" * 4))


def test_many_relayed_sequences_that_are_none_are_undone_cheaply() -> None:
    """20,000 values of UN that break as sequences, after bulk data have been found in each."""
    broken = element(0x00081140, "UN", item(implicit(0x00282000, bytes(1100))) + b"not an item")
    items = element(0x00411001, "SQ", b"".join(item(broken) for _ in range(20_000)))
    parsed = parse_header(instance(late=items))
    assert len(parsed.bulk) == 20_000


def test_many_fragments_are_walked_once() -> None:
    """300,000 empty fragments for 300,000 frames: a table, not a quarter of an hour."""
    fragments = item(b"") + item(b"ab") * 300_000 + sequence_end()
    frames = element(0x00280008, "IS", b"300000")
    data = instance_in("1.2.840.10008.1.2.5", frames + element(0x7FE00010, "OB", fragments, length=UNDEFINED))
    table = frame_table(data, parse_header(data))
    assert table is not None
    assert table.number_of_frames == 300_000


def instance_in(syntax: str, late: bytes) -> bytes:
    explicit = instance(late=late)
    offset = parse_header(explicit).dataset_offset
    return part10(explicit[offset:], syntax)


def test_a_number_of_frames_of_fancy_makes_no_table() -> None:
    """Two thousand million frames in ten bytes of pixels."""
    frames = element(0x00280008, "IS", b"2000000000")
    late = frames + element(0x7FE00010, "OB", item(b"") + item(b"ab") + sequence_end(), length=UNDEFINED)
    data = instance_in("1.2.840.10008.1.2.5", late)
    with pytest.raises(PixelError):
        frame_table(data, parse_header(data))


def test_errors_carry_no_value() -> None:
    """A patient's name in a broken data set is in no error text."""
    secret = b"NGUYEN^VAN THU"
    for late in (element(0x00100010, "PN", secret, length=500), element(0x00100010, "SQ", secret)):
        with pytest.raises(DicomError) as caught:
            parse_header(instance(late=late))
        assert "NGUYEN" not in str(caught.value)
