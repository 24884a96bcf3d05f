"""When two instances are the same, and when they only look so."""

from __future__ import annotations

import hashlib

import pytest
from tests.conftest import sample_files
from tests.unit.dicom.build import UNDEFINED, element, instance, item, sequence_end

from maypacs.dicom.equality import dataset_digest, same_content
from maypacs.dicom.explicit import to_explicit_little_endian
from maypacs.dicom.file_meta import part10_header
from maypacs.dicom.header import Header, parse_header

PIXELS = element(0x7FE00010, "OW", b"abcd")


def sample(name: str) -> bytes:
    return next(p for p in sample_files() if p.name.endswith(name)).read_bytes()


def test_the_digest_is_of_the_data_set_alone() -> None:
    """Another file meta, the same digest; another data set, another digest."""
    one = instance(late=PIXELS)
    offset = parse_header(one).dataset_offset
    other = part10_header("1.2.3", "1.2.3.4", "1.2.840.10008.1.2.1").replace(b"MAYPACS", b"ANOTHER") + one[offset:]
    assert one != other
    digest = dataset_digest(one, parse_header(one))
    assert digest == dataset_digest(memoryview(other), parse_header(other)) == hashlib.sha256(one[offset:]).digest()
    assert same_content(one, other)


@pytest.mark.parametrize("name", ["MR_small_implicit.dcm", "MR_small_bigendian.dcm", "CT_small.dcm"])
def test_another_native_encoding_is_the_same_content(name: str) -> None:
    """Implicit VR, big endian and explicit little endian of one image."""
    data = sample(name)
    assert same_content(data, to_explicit_little_endian(data, parse_header(data)))


def test_group_lengths_padding_and_sequence_encoding_do_not_matter() -> None:
    """One writer's habits and another's."""
    inner = element(0x00080100, "SH", b"CODE")
    one = instance(late=element(0x00400555, "SQ", item(inner)) + PIXELS)
    other = instance(
        early=element(0x00080000, "UL", bytes(4)),
        late=element(0x00400555, "SQ", item(inner, length=UNDEFINED) + sequence_end(), length=UNDEFINED)
        + PIXELS
        + element(0xFFFCFFFC, "OB", bytes(20)),
    )
    assert same_content(one, other)
    text = instance(middle=element(0x00100020, "LO", b"A"), late=PIXELS)
    padded = instance(middle=element(0x00100020, "LO", b"A     "), late=PIXELS)
    assert same_content(text, padded)


@pytest.mark.parametrize(
    "other",
    [
        instance(middle=element(0x00100020, "LO", b"B"), late=PIXELS),
        instance(middle=element(0x00100020, "LO", b"A") + element(0x00100021, "LO", b"x"), late=PIXELS),
        instance(late=PIXELS),
        instance(middle=element(0x00100020, "LO", b"A"), late=element(0x7FE00010, "OW", b"abce")),
        instance(middle=element(0x00100020, "LO", b"A"), late=element(0x7FE00010, "OW", b"abcdef")),
        instance(middle=element(0x00100020, "LO", b"A")),
        b"not DICOM",
    ],
    ids=["value", "attribute more", "attribute less", "pixel", "pixels more", "no pixels", "no DICOM"],
)
def test_any_difference_is_one(other: bytes) -> None:
    """Both ways round."""
    one = instance(middle=element(0x00100020, "LO", b"A"), late=PIXELS)
    assert not same_content(one, other)
    assert not same_content(other, one)
    assert same_content(one, one)


def test_bulk_bytes_within_sequences_are_compared() -> None:
    """Not their place in the file."""

    def with_value(value: bytes) -> bytes:
        return instance(late=element(0x00411001, "SQ", item(element(0x00411002, "OB", value))))

    assert not same_content(with_value(bytes(2000)), with_value(bytes(1999) + b"\1"))
    moved = instance(
        middle=element(0x00100020, "LO", b""),
        late=element(0x00411001, "SQ", item(element(0x00411002, "OB", bytes(2000)))),
    )
    assert not same_content(with_value(bytes(2000)), moved), "an empty attribute is an attribute"


def encapsulated(*fragments: bytes, table: bytes = b"", syntax: str = "1.2.840.10008.1.2.5") -> bytes:
    body = item(table) + b"".join(item(f) for f in fragments) + sequence_end()
    native = instance(late=element(0x7FE00010, "OB", body, length=UNDEFINED))
    return part10_header("1.2.3", "1.2.3.4", syntax) + native[parse_header(native).dataset_offset :]


def test_fragmentation_and_offset_tables_do_not_matter() -> None:
    """One code stream in one or two fragments, with a table or without."""
    assert same_content(encapsulated(b"abcdef"), encapsulated(b"ab", b"cdef", table=bytes(4)))
    assert not same_content(encapsulated(b"abcdef"), encapsulated(b"abcdeX"))


def test_a_truncated_black_border_is_not_the_same_picture() -> None:
    """Only the byte that makes a length even may differ."""
    assert same_content(
        instance(late=element(0x7FE00010, "OB", b"abc")), instance(late=element(0x7FE00010, "OB", b"abc\0"))
    )
    assert not same_content(
        instance(late=element(0x7FE00010, "OB", b"abcd")), instance(late=element(0x7FE00010, "OB", b"abcd\0\0"))
    )


def test_two_lossless_encodings_are_compared_by_their_pixels_when_a_decoder_is_given() -> None:
    """Without one, and for lossy ones, a person decides."""
    native, rle = instance(late=element(0x7FE00010, "OB", b"abcd")), encapsulated(b"rle of abcd")
    lossy = encapsulated(b"rle of abcd", syntax="1.2.840.10008.1.2.4.50")

    def decode(data: bytes, header: Header) -> bytes:
        assert b"rle of " in data
        return b"abcd"

    assert same_content(native, rle, decode)
    assert not same_content(native, rle)
    assert not same_content(native, lossy, decode)
    assert not same_content(instance(late=element(0x7FE00010, "OB", b"abcX")), rle, decode)


def test_colours_transformed_without_loss_are_the_same_colours() -> None:
    """JPEG 2000 names RGB by its reversible transform; another interpretation is another picture."""

    def of(photometric: bytes) -> bytes:
        return element(0x00280004, "CS", photometric)

    native = instance(late=of(b"RGB") + element(0x7FE00010, "OB", b"abcd"))

    def compressed(photometric: bytes) -> bytes:
        body = item(b"") + item(b"codestream") + sequence_end()
        made = instance(late=of(photometric) + element(0x7FE00010, "OB", body, length=UNDEFINED))
        return part10_header("1.2.3", "1.2.3.4", "1.2.840.10008.1.2.4.90") + made[parse_header(made).dataset_offset :]

    assert same_content(native, compressed(b"YBR_RCT"), lambda data, header: b"abcd")
    assert not same_content(native, compressed(b"MONOCHROME2"), lambda data, header: b"abcd")
