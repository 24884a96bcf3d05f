"""What the header says: UIDs, values by VR, bulk data, prefixes."""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode, b64encode
from typing import Any

import orjson
import pytest
from tests.conftest import sample_files
from tests.unit.dicom.build import (
    BIG,
    IMPLICIT,
    UNDEFINED,
    element,
    implicit,
    instance,
    item,
    part10,
    sequence_end,
    study_uids,
    uids,
)

from maypacs.dicom.header import PrefixTooShortError, inflate, locate_bulk, parse_header, walk
from maypacs.errors import HeaderError, MissingUidError, NotDicomError, NotFoundError


def value_of(vr: str, raw: bytes) -> dict[str, Any]:
    """An element of private group 0041 behind the UIDs, so that no dictionary speaks."""
    found = parse_header(instance(late=element(0x00411001, vr, raw, pad=False))).dataset["00411001"]
    assert found["vr"] == vr
    return {key: content for key, content in found.items() if key != "vr"}


@pytest.mark.parametrize(
    ("vr", "raw", "expected"),
    [
        ("IS", b"12 ", [12]),
        ("IS", b"1\\\\-7", [1, None, -7]),
        ("IS", b"1.0", [1]),
        ("IS", b"1.5", ["1.5"]),
        ("IS", b"1_000", ["1_000"]),
        ("IS", b"99999999999999999999", ["99999999999999999999"]),
        ("IS", b"9007199254740993", ["9007199254740993"]),
        ("DS", b"1.50", [1.5]),
        ("DS", b"1e3\\ -2", [1000.0, -2.0]),
        ("DS", b"1,5", ["1,5"]),
        ("DS", b"nan", ["nan"]),
        ("DS", b"1e999", ["1e999"]),
        ("FD", struct.pack("<d", float("nan")), ["NaN"]),
        ("FL", struct.pack("<2f", float("-inf"), 0.5), ["-inf", 0.5]),
        ("US", struct.pack("<2H", 1, 65535), [1, 65535]),
        ("SV", struct.pack("<q", -(2**53)), [-(2**53)]),
        ("SV", struct.pack("<q", -(2**63)), ["-9223372036854775808"]),
        ("UV", struct.pack("<2Q", 7, 2**64 - 1), [7, "18446744073709551615"]),
        ("AT", struct.pack("<4H", 0x0010, 0x0020, 0x7FE0, 0x0010), ["00100020", "7FE00010"]),
        ("CS", b" A \\B ", ["A", "B"]),
        ("LO", b" a \\\\b\0", [" a", None, "b"]),
        ("LT", b" a\\b \r\n ", [" a\\b \r\n"]),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
        ("UR", b"http://x/a?b\\c ", ["http://x/a?b\\c"]),
        ("PN", b"A^B=C=D\\", [{"Alphabetic": "A^B", "Ideographic": "C", "Phonetic": "D"}, None]),
        ("PN", b"==D", [{"Phonetic": "D"}]),
    ],
)
def test_values_by_vr(vr: str, raw: bytes, expected: list[Any]) -> None:
    """One row a rule of PS3.18 F.2."""
    assert value_of(vr, raw) == {"Value": expected}


@pytest.mark.parametrize("vr", ["IS", "DS", "LO", "LT", "CS", "PN", "UI"])
@pytest.mark.parametrize("raw", [b"", b"  ", b"\0\0"])
def test_an_empty_value_has_its_vr_only(vr: str, raw: bytes) -> None:
    """No length, or padding only (F.2.5)."""
    assert value_of(vr, raw) == {}


def test_a_number_of_an_impossible_length_is_kept_as_bytes() -> None:
    """Three bytes of US: UN, with a warning, not an error that costs the whole instance."""
    header = parse_header(instance(late=element(0x00411001, "US", b"abc", pad=False)))
    assert header.dataset["00411001"] == {"vr": "UN", "InlineBinary": b64encode(b"abc").decode()}
    assert header.warnings


def test_group_lengths_go_and_the_character_set_is_utf8() -> None:
    """F.2.2, even when the file has no (0008,0005)."""
    header = parse_header(instance(early=element(0x00080000, "UL", bytes(4))))
    assert "00080000" not in header.dataset
    assert header.dataset["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert list(header.dataset) == sorted(header.dataset)


@pytest.mark.parametrize(
    ("size", "kind"), [(0, None), (2, "InlineBinary"), (1024, "InlineBinary"), (1026, "BulkDataURI")]
)
def test_binary_values_are_inline_up_to_the_threshold(size: int, kind: str | None) -> None:
    """UN of 2 bytes comes back as 2 bytes; more than 1024 is bulk data, whose bytes are found by its path."""
    data = instance(late=element(0x00411001, "UN", bytes(range(256)) * 5, length=size)[: 12 + size])
    header = parse_header(data)
    found = header.dataset["00411001"]
    assert set(found) == ({"vr", kind} if kind else {"vr"})
    if kind == "InlineBinary":
        assert len(b64decode(found[kind])) == size
    if kind == "BulkDataURI":
        assert found[kind] == "/studies/1.2.5/series/1.2.6/instances/1.2.3.4/bulkdata/00411001"
        assert locate_bulk(data, "00411001") == (bytes(range(256)) * 5)[:size]


def test_bulk_data_in_items_have_a_path_and_their_bytes() -> None:
    """Two items, the second with the value; an unknown path is not found."""
    value = bytes(range(200)) * 10
    items = item(b"") + item(element(0x00411002, "OW", value))
    data = instance(late=element(0x00411001, "SQ", items))
    found = parse_header(data).dataset["00411001"]["Value"][1]["00411002"]
    path = "00411001/1/00411002"
    assert found["BulkDataURI"].endswith("/bulkdata/" + path)
    assert locate_bulk(data, path) == value
    with pytest.raises(NotFoundError):
        locate_bulk(data, "00411001/0/00411002")


def test_pixel_data_are_always_bulk_data_however_small() -> None:
    """Native and encapsulated; with their place in the file."""
    data = instance(late=element(0x7FE00010, "OW", b"abcd"))
    header = parse_header(data, bulk_threshold=1 << 30)
    assert "BulkDataURI" in header.dataset["7FE00010"]
    pixels = header.pixel_data
    assert pixels is not None
    assert data[pixels.offset : pixels.offset + pixels.length] == b"abcd"


def test_very_long_text_is_bulk_data_too() -> None:
    """Two mebibytes of UT are no JSON to send with every metadata answer; a name is never bulk data."""
    header = parse_header(instance(late=element(0x00411001, "UT", b"x" * (2 << 20))))
    assert "BulkDataURI" in header.dataset["00411001"]


def test_text_that_is_bulk_data_for_want_of_room_is_found_by_its_path() -> None:
    """What is inline before it decides; locate_bulk must decide the same."""
    small = b"".join(element(0x00411001 + n, "OB", bytes(1000)) for n in range(200))
    long_texts = b"".join(element(0x00431001 + n, "UT", bytes([65 + n]) * (1 << 20)) for n in range(12))
    data = instance(late=small + long_texts)
    bulk = [tag for tag, found in parse_header(data).dataset.items() if "BulkDataURI" in found]
    assert bulk
    assert all(len(locate_bulk(data, tag)) == 1 << 20 for tag in bulk)


def test_sequences_of_any_length_encoding_give_the_same() -> None:
    """Defined and undefined lengths of sequence and items, four ways."""
    inner = element(0x00080100, "SH", b"T-A0001")
    expected = [{"00080100": {"vr": "SH", "Value": ["T-A0001"]}}]
    for item_length in (None, UNDEFINED):
        body = item(inner, length=item_length)
        for stated, end in ((None, b""), (UNDEFINED, sequence_end())):
            data = instance(late=element(0x00400555, "SQ", body, length=stated) + end)
            assert parse_header(data).dataset["00400555"] == {"vr": "SQ", "Value": expected}


def test_un_of_undefined_length_is_an_implicit_sequence() -> None:
    """PS3.5 6.2.2, note 4; with a public tag its VR comes back too."""
    inner = item(implicit(0x00080100, b"T-A0001 "), length=UNDEFINED)
    data = instance(late=element(0x00411001, "UN", inner, length=UNDEFINED) + sequence_end())
    assert parse_header(data).dataset["00411001"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["T-A0001"]}}]


def test_un_of_a_public_tag_gets_its_vr_back() -> None:
    """A relay wrote UN for what PS3.6 knows."""
    header = parse_header(instance(late=element(0x00280010, "UN", struct.pack("<H", 512))))
    assert header.dataset["00280010"] == {"vr": "US", "Value": [512]}


def test_un_that_is_no_sequence_after_all_stays_un() -> None:
    """The dictionary calls (0008,1140) a sequence; the relay's bytes are none: kept, and the instance with them."""
    items = item(implicit(0x00282000, bytes(2000))) + b"not an item"
    data = instance(late=element(0x00081140, "UN", items) + element(0x00100020, "LO", b"after"))
    header = parse_header(data)
    assert header.dataset["00081140"]["vr"] == "UN"
    assert header.dataset["00100020"]["Value"] == ["after"]
    assert list(header.bulk) == ["00081140"]


def test_private_tags_of_known_creators_have_their_vr_in_implicit_vr() -> None:
    """The block of the creator decides, not the tag alone."""
    creator = implicit(0x00190010, b"GEMS_ACQU_01")
    dataset = implicit(0x00080016, b"1.2.3\0") + implicit(0x00080018, b"1.2.3.4\0") + creator
    dataset += implicit(0x00191002, struct.pack("<l", 7)) + implicit(0x00191102, b"\1\0")
    dataset += implicit(0x0020000D, b"1.2.5\0") + implicit(0x0020000E, b"1.2.6\0")
    found = parse_header(part10(dataset, IMPLICIT)).dataset
    assert found["00190010"] == {"vr": "LO", "Value": ["GEMS_ACQU_01"]}
    assert found["00191002"] == {"vr": "SL", "Value": [7]}
    assert found["00191102"] == {"vr": "UN", "InlineBinary": "AQA="}


@pytest.mark.parametrize(("representation", "vr", "value"), [(0, "US", 65535), (1, "SS", -1)])
def test_us_or_ss_goes_by_pixel_representation(representation: int, vr: str, value: int) -> None:
    """Also inside items below it."""
    dataset = implicit(0x00080016, b"1.2.3\0") + implicit(0x00080018, b"1.2.3.4\0")
    dataset += implicit(0x0020000D, b"1.2.5\0") + implicit(0x0020000E, b"1.2.6\0")
    dataset += implicit(0x00280103, struct.pack("<H", representation)) + implicit(0x00280106, b"\xff\xff")
    dataset += implicit(0x00409096, item(implicit(0x00409216, b"\xff\xff")))
    found = parse_header(part10(dataset, IMPLICIT)).dataset
    assert found["00280106"] == {"vr": vr, "Value": [value]}
    assert found["00409096"]["Value"][0]["00409216"] == {"vr": vr, "Value": [value]}


def test_big_endian_values_and_words_come_out_little_endian() -> None:
    """Numbers, tags, sequences and words of OW, inline and as bulk data."""
    words = bytes(range(250)) * 8
    dataset = uids(">") + study_uids(">") + element(0x00280010, "US", b"\2\1", order=">")
    dataset += element(0x00280009, "AT", b"\0\x18\x10\x63", order=">")
    nested = item(element(0x00080100, "SH", b"CODE", order=">"), order=">", length=UNDEFINED)
    dataset += element(0x00400555, "SQ", nested + sequence_end(">"), order=">", length=UNDEFINED)
    dataset += element(0x00411001, "OW", b"\1\2\3\4", order=">") + element(0x00411002, "OW", words, order=">")
    data = part10(dataset, BIG)
    found = parse_header(data).dataset
    assert found["00280010"]["Value"] == [513]
    assert found["00280009"]["Value"] == ["00181063"]
    assert found["00400555"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["CODE"]}}]
    assert b64decode(found["00411001"]["InlineBinary"]) == b"\2\1\4\3"
    assert locate_bulk(data, "00411002")[:4] == b"\1\0\3\2"


def test_a_deflated_data_set_is_read_and_its_bulk_data_found() -> None:
    """Offsets of its header point into the inflated file."""
    value = bytes(3000)
    dataset = uids() + study_uids() + element(0x00411001, "OB", value)
    engine = zlib.compressobj(wbits=-15)
    data = part10(engine.compress(dataset) + engine.flush(), "1.2.840.10008.1.2.1.99")
    header = parse_header(data)
    place = header.bulk["00411001"]
    assert inflate(data)[place.offset : place.offset + place.length] == value == locate_bulk(data, "00411001")


@pytest.mark.parametrize("missing", ["0020000D", "0020000E", "00080018"])
@pytest.mark.parametrize("value", [None, b"", b"1.2.x", b"1" * 65, b".."])
def test_an_instance_without_its_uids_says_which(missing: str, value: bytes | None) -> None:
    """Absent, empty, no UID, too long, a step of a path; the message names the attribute, never the value."""
    tags = {"00080016": b"1.2.3", "00080018": b"1.2.4", "0020000D": b"1.2.5", "0020000E": b"1.2.6"}
    tags |= {missing: value} if value is not None else {}
    data = part10(b"".join(element(int(t, 16), "UI", v) for t, v in tags.items() if value is not None or t != missing))
    with pytest.raises(MissingUidError) as caught:
        parse_header(data)
    assert "Instance UID" in str(caught.value)
    assert value is None or len(value) < 3 or value.decode() not in str(caught.value)


def test_uids_are_trimmed_and_the_class_may_come_from_the_file_meta() -> None:
    """NULs and spaces around; (0008,0016) absent but (0002,0002) there."""
    data = part10(element(0x00080018, "UI", b" 1.2.4\0\0") + study_uids())
    header = parse_header(data)
    assert header.sop_instance_uid == "1.2.4"
    assert header.sop_class_uid == "1.2.3"
    assert header.dataset["00080016"]["Value"] == ["1.2.3"]


def test_bare_data_sets_are_read() -> None:
    """Without preamble, without file meta: explicit, implicit, big endian."""
    explicit = uids() + study_uids()
    for data, syntax in ((explicit, "1.2.840.10008.1.2.1"), (uids(">") + study_uids(">"), BIG)):
        header = parse_header(data)
        assert header.transfer_syntax_uid == syntax
        assert header.dataset_offset == 0
        assert "no Part 10 preamble" in header.warnings
    with_meta = part10(explicit)[132:]
    assert parse_header(with_meta).transfer_syntax_uid == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    "data", [b"", b"x", b"hello, this is no DICOM file at all", bytes(132), b"%PDF-1.7" + bytes(300), b"PK\3\4" * 50]
)
def test_other_files_are_not_dicom(data: bytes) -> None:
    """Text, zeros, PDF, zip."""
    with pytest.raises(NotDicomError):
        parse_header(data)


def test_a_prefix_that_reaches_the_pixel_data_is_enough() -> None:
    """The header of a large instance from its first bytes; a shorter prefix says that more is needed, and how much."""
    data = instance(late=element(0x7FE00010, "OW", bytes(100_000)))
    whole = parse_header(data)
    assert whole.pixel_data is not None
    start = whole.pixel_data.offset
    header = parse_header(data[:start], total_size=len(data))
    assert header.dataset == whole.dataset
    assert header.pixel_data == whole.pixel_data
    assert not header.complete
    assert whole.complete
    for size in range(140, start):
        with pytest.raises(PrefixTooShortError) as caught:
            parse_header(data[:size], total_size=len(data))
        assert size < caught.value.needed <= start
        assert caught.value.needs_more


def test_a_prefix_of_encapsulated_pixel_data_takes_the_rest_of_the_file() -> None:
    """Where they end is not known from a prefix."""
    pixels = element(0x7FE00010, "OB", item(b"") + item(b"x" * 5000) + sequence_end(), length=UNDEFINED)
    data = instance(late=pixels)
    header = parse_header(data[:500], total_size=len(data))
    assert header.pixel_data is not None
    assert header.pixel_data.offset + header.pixel_data.length == len(data)
    assert not header.complete


def test_bulk_values_beyond_a_prefix_are_skipped_over_when_more_follows() -> None:
    """A large value before the pixel data: the element behind it is asked for."""
    data = instance(late=element(0x00411001, "OB", bytes(10_000)) + element(0x7FE00010, "OW", bytes(10)))
    with pytest.raises(PrefixTooShortError) as caught:
        parse_header(data[:600], total_size=len(data))
    assert caught.value.needed > 10_000


@pytest.mark.parametrize("path", [p for p in sample_files() if p.stat().st_size < 400_000], ids=lambda p: p.name)
def test_the_json_of_every_sample_is_json(path: Any) -> None:
    """orjson takes it, and nothing is lost on the way: no lone surrogates, no huge integers, no NaN, no bytes."""
    try:
        dataset = walk(path.read_bytes()).dataset
    except (HeaderError, NotDicomError):
        return
    assert orjson.loads(orjson.dumps(dataset)) == dataset
