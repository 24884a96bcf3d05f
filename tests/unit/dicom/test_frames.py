"""Frame tables: the same frames as pydicom finds, and what to do when the file says little or lies."""

from __future__ import annotations

import logging
import random
import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.pixels.utils import pack_bits
from tests.conftest import sample_files, sample_id

from maypacs.dicom.file_meta import part10_header
from maypacs.dicom.frames import FrameRange, FrameTable, defragment, frame_table
from maypacs.dicom.header import Header, parse_header
from maypacs.errors import DicomError, FrameNotFoundError, PixelError

#: Images of which pydicom gives no frame, or other ones: how many we find, and why.
PYDICOM_CANNOT = {
    "healthcare-dicom-dicomweb-adapter__example3.dcm": (1, "the fragment is no JPEG stream, and has no end"),
    "video_h264_mp4.dcm": (1, "50 frames in one stream: we count it as one"),
    "number_of_frames_bad.dcm": (1, "NumberOfFrames 0: pydicom refuses, we take it as 1"),
    "truncated_pixels.dcm": (1, "one frame, cut: located by neither"),
    "pydicom__MR_truncated.dcm": (1, "one frame, cut: located by neither"),
    "pydicom__badVR.dcm": (1, "NumberOfFrames '1A': pydicom refuses, we take it as 1"),
    "pydicom-data__emri_small_jpeg_2k_lossless_too_short.dcm": (10, "no end of the pixel data: pydicom cannot read it"),
}


def images() -> list[Path]:
    found: dict[bytes, Path] = {}
    for path in sample_files():
        data = path.read_bytes()
        try:
            header = parse_header(data)
        except DicomError:
            continue
        if header.pixel_data is not None:
            found.setdefault(data, path)
    return list(found.values())


def frame(data: bytes, table: FrameTable, number: int) -> bytes:
    place = table.locate(number)
    return defragment(data[place.offset : place.offset + place.length], place)


def read(path: Path) -> pydicom.FileDataset:
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def native_frame(dataset: pydicom.FileDataset, index: int, frames: int) -> bytes:
    """A native frame as bytes, little endian, in its planar configuration, bits packed; by way of pydicom's array."""
    array = pixel_array(dataset, index=index if frames > 1 else None, raw=True)
    if dataset.get("BitsAllocated") == 1:
        return bytes(pack_bits(array, pad=False))
    if dataset.get("PlanarConfiguration", 0) == 1 and dataset.SamplesPerPixel == 3:
        array = array.transpose(2, 0, 1)
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()


@pytest.mark.parametrize("path", images(), ids=sample_id)
def test_frames_are_those_of_pydicom(path: Path) -> None:
    """Every frame's bytes, native and encapsulated, with and without offset tables, over all samples with pixels."""
    data = path.read_bytes()
    header = parse_header(data)
    table = frame_table(data, header)
    assert header.pixel_data is not None
    if header.transfer_syntax_uid == "1.2.840.10008.1.2.1.99":
        assert table is None, "no frame of a deflated data set can be read by range"
        return
    assert table is not None
    assert FrameTable.decode(table.encode()) == table
    listed = [(offset + n * length, length) for offset, length, count in table.runs() for n in range(count)]
    if listed:
        assert listed == [(f.offset, f.length) for f in map(table.locate, range(1, table.number_of_frames + 1))]
        assert all(frame(data, table, n + 1) == data[at : at + size] for n, (at, size) in enumerate(listed))
    if path.name in PYDICOM_CANNOT:
        assert table.number_of_frames == PYDICOM_CANNOT[path.name][0]
        return
    dataset = read(path)
    dataset.file_meta.TransferSyntaxUID = header.transfer_syntax_uid
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    assert table.number_of_frames == frames
    for index in sorted({0, frames // 2, frames - 1}):
        ours = frame(data, table, index + 1)
        if header.pixel_data.encapsulated:
            offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
            extended = offsets if offsets[0] is not None else None
            assert ours == get_frame(dataset.PixelData, index, number_of_frames=frames, extended_offsets=extended)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = native_frame(dataset, index, frames)
            if header.dataset["00280004"]["Value"] == ["YBR_FULL_422"]:
                assert len(ours) * 3 == len(theirs) * 2  # the array has the chroma spread again
            else:
                assert ours == theirs


def image(pixel_element: bytes, attributes: bytes = b"", syntax: str = "1.2.840.10008.1.2.4.50") -> bytes:
    """A minimal instance in explicit VR little endian around a pixel data element."""

    def text(group: int, element: int, vr: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", group, element, vr, len(value)) + value

    dataset = (
        text(0x0008, 0x0016, b"UI", b"1.2.3")
        + text(0x0008, 0x0018, b"UI", b"1.2.3.4")
        + text(0x0020, 0x000D, b"UI", b"1.2.5")
        + text(0x0020, 0x000E, b"UI", b"1.2.6")
        + attributes
        + pixel_element
    )
    return part10_header("1.2.3", "1.2.3.4", syntax) + dataset


def number_of_frames(value: bytes) -> bytes:
    return struct.pack("<HH2sH", 0x0028, 0x0008, b"IS", len(value)) + value


def native_attributes(rows: int, columns: int, allocated: int) -> bytes:
    shorts = ((0x0002, 1), (0x0010, rows), (0x0011, columns), (0x0100, allocated))
    return b"".join(struct.pack("<HH2sHH", 0x0028, element, b"US", 2, value) for element, value in shorts)


def item(value: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value


def encapsulated(fragments: list[bytes], table: list[int] | None = None) -> bytes:
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    offsets = b"".join(struct.pack("<I", offset) for offset in table or [])
    return head + item(offsets) + b"".join(map(item, fragments)) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def located(data: bytes) -> list[bytes]:
    table = frame_table(data, parse_header(data))
    assert table is not None
    return [frame(data, table, n) for n in range(1, table.number_of_frames + 1)]


JPEG = b"\xff\xd8\xff\xe0"


def test_a_basic_offset_table_that_points_between_fragments_is_not_believed() -> None:
    """Two frames of one fragment each, and a table of nonsense: found by one fragment a frame."""
    data = image(encapsulated([b"one!", b"two."], table=[0, 7]), number_of_frames(b"2 "))
    assert located(data) == [b"one!", b"two."]


def test_a_basic_offset_table_groups_fragments() -> None:
    """Three fragments, two frames: the table says which belong together, whatever they begin with."""
    data = image(encapsulated([b"aa", b"bb", b"cc"], table=[0, 20]), number_of_frames(b"2 "))
    assert located(data) == [b"aabb", b"cc"]


def test_fragments_without_a_table_are_told_apart_by_the_start_of_a_stream() -> None:
    """JPEG SOI, JPEG 2000 SOC and RLE's header begin a frame; other fragments go on with it."""
    data = image(encapsulated([JPEG + b"1", b"more", JPEG + b"2", b"more"]), number_of_frames(b"2 "))
    assert located(data) == [JPEG + b"1more", JPEG + b"2more"]
    j2k = b"\xff\x4f\xff\x51"
    data = image(encapsulated([j2k + b"1a", b"xx", j2k + b"2a"]), number_of_frames(b"2 "), "1.2.840.10008.1.2.4.90")
    assert located(data) == [j2k + b"1axx", j2k + b"2a"]
    rle = struct.pack("<II", 1, 64) + bytes(56)
    data = image(encapsulated([rle, b"xx", rle]), number_of_frames(b"2 "), "1.2.840.10008.1.2.5")
    assert located(data) == [rle + b"xx", rle]


def test_fragments_are_told_apart_by_the_end_of_a_stream_when_the_start_says_nothing() -> None:
    """A stream that begins oddly but ends in EOI."""
    data = image(encapsulated([b"xx", b"a\xff\xd9\0", b"yy", b"b\xff\xd9\0"]), number_of_frames(b"2 "))
    assert located(data) == [b"xxa\xff\xd9\0", b"yyb\xff\xd9\0"]


def test_frames_that_cannot_be_told_apart_are_an_error() -> None:
    """Three anonymous fragments for two frames; no fragment at all."""
    data = image(encapsulated([b"aa", b"bb", b"cc"]), number_of_frames(b"2 "))
    with pytest.raises(PixelError):
        frame_table(data, parse_header(data))
    empty = image(encapsulated([]))
    with pytest.raises(PixelError):
        frame_table(empty, parse_header(empty))


def test_one_bit_frames_that_share_a_byte_are_cut_out_and_shifted() -> None:
    """Three frames of 3 x 3 bits are 27 bits: frame 2 begins at bit 9."""
    bits = [1, 0, 0, 0, 1, 0, 0, 0, 1] + [0, 1, 0, 1, 0, 1, 0, 1, 0] + [1] * 9
    value = np.packbits(bits, bitorder="little").tobytes()
    element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, len(value)) + value
    attributes = number_of_frames(b"3 ") + native_attributes(3, 3, 1)
    data = image(element, attributes, "1.2.840.10008.1.2.1")
    frames = [list(np.unpackbits(np.frombuffer(f, np.uint8), bitorder="little")[:9]) for f in located(data)]
    assert [bit for f in frames for bit in f] == bits


def test_a_frame_that_was_cut_off_is_an_error_and_the_ones_before_it_are_not() -> None:
    """Two frames of 4 bytes announced, six bytes there."""
    element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 8) + b"aaaabb"
    data = image(element, number_of_frames(b"2 ") + native_attributes(2, 1, 16), "1.2.840.10008.1.2.1")
    table = frame_table(data, parse_header(data))
    assert table is not None
    assert frame(data, table, 1) == b"aaaa"
    with pytest.raises(PixelError):
        table.locate(2)


@pytest.mark.parametrize("value", [b"0 ", b"-1", b"x ", b"  ", b""])
def test_a_number_of_frames_that_is_none_is_one(value: bytes) -> None:
    """Zero, negative, text, empty: one frame."""
    element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 4) + b"abcd"
    data = image(element, number_of_frames(value) + native_attributes(2, 1, 16), "1.2.840.10008.1.2.1")
    assert located(data) == [b"abcd"]


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_frame_number_out_of_range_is_not_found(number: int) -> None:
    """Frames count from 1 to NumberOfFrames."""
    table = FrameTable(2, ranges=((10, 4, False), (22, 4, False)))
    with pytest.raises(FrameNotFoundError):
        table.locate(number)


def test_fifty_thousand_frames_of_a_slide_take_little_room() -> None:
    """Random lengths around 4 KB: under 140 KB for the whole table, as the design reckons."""
    generator = random.Random(7)
    end, ranges = 5_000, []
    for _ in range(50_000):
        length = generator.randrange(3_000, 9_000) & ~1
        ranges.append((end + 8, length, False))
        end += 8 + length
    table = FrameTable(50_000, ranges=tuple(ranges))
    encoded = table.encode()
    assert len(encoded) < 140_000
    assert FrameTable.decode(encoded) == table


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**32), st.booleans()), max_size=30))
def test_any_table_survives_encoding(ranges: list[tuple[int, int, bool]]) -> None:
    """Whatever the offsets: out of order, overlapping, huge."""
    table = FrameTable(len(ranges), ranges=tuple(ranges))
    assert FrameTable.decode(table.encode()) == table


@given(st.binary(max_size=200))
def test_damaged_tables_are_refused_and_nothing_else_happens(data: bytes) -> None:
    """Any bytes: a table or PixelError."""
    try:
        FrameTable.decode(data)
    except PixelError:
        return


@given(st.binary(max_size=100), st.booleans())
def test_defragmenting_the_wrong_bytes_is_an_error_not_a_crash(raw: bytes, fragmented: bool) -> None:
    """Any bytes: a frame or PixelError."""
    try:
        defragment(raw, FrameRange(0, len(raw), fragmented))
    except PixelError:
        return
    with pytest.raises(PixelError):
        defragment(raw + b"x", FrameRange(0, len(raw), fragmented))


def test_big_endian_frames_come_out_little_endian() -> None:
    """One frame of two 16-bit samples, stored big endian."""
    header = parse_header(next(p for p in sample_files() if p.name.endswith("MR_small_bigendian.dcm")).read_bytes())
    assert isinstance(header, Header)
    assert header.pixel_data is not None
    assert header.pixel_data.word == 2
    place = FrameTable(1, 0, 32, 4, 2).locate(1)
    assert defragment(b"\x01\x02\x03\x04", place) == b"\x02\x01\x04\x03"
