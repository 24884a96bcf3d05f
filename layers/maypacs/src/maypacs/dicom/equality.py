"""When two instances are the same (protocols: "What an instance is").

Quickly: equal SHA-256 of the data set in one transfer syntax. Slowly: equal content, which is equal attributes
(without group lengths and padding; text compared as Unicode) and equal pixels, in whatever lossless encoding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.elements import Dataset
from maypacs.dicom.frames import defragment, frame_table
from maypacs.dicom.header import Header, inflate, parse_header
from maypacs.dicom.values import swap_words
from maypacs.errors import DicomError

#: (Part 10 file, header) -> all frames, native little endian, colour by pixel, one after the other; raises PixelError.
Decoder = Callable[[bytes, Header], bytes]

#: Pixels and the attributes of their encoding: compared as pixels.
_PIXELS = frozenset(("7FE00001", "7FE00002", "7FE00003", "7FE00008", "7FE00009", "7FE00010"))
#: What an encoder may state otherwise about the same pixels: compared only within one transfer syntax.
_ENCODING = frozenset(("00280004", "00280006"))
#: The reversible transform of JPEG 2000 is RGB to whoever decodes it (PS3.3 C.7.6.3.1.2).
_RGB = ("RGB", "YBR_RCT")
#: Data Set Trailing Padding.
_IGNORED = frozenset(("FFFCFFFC",))


def dataset_digest(data: bytes | memoryview, header: Header) -> bytes:
    """SHA-256 (32 bytes) of the data set: everything after group 0002, as it is."""
    return hashlib.sha256(memoryview(data)[header.dataset_offset :]).digest()


def same_content(a: bytes | memoryview, b: bytes | memoryview, decode: Decoder | None = None) -> bool:
    """Whether two instances hold the same, however encoded. Slow: for digests that differ under one UID.

    ``decode`` (of `maypacs.pixels`) is needed to compare encapsulated pixels of two syntaxes; without it, and for lossy
    syntaxes, such are not the same: a conflict for a person is the safe answer. Raises nothing: what cannot be read is
    not the same.
    """
    first, second = bytes(a), bytes(b)
    try:
        return _same(first, second, decode)
    except DicomError:
        return False


def _same(a: bytes, b: bytes, decode: Decoder | None) -> bool:
    first, second = parse_header(a, bulk_threshold=0), parse_header(b, bulk_threshold=0)
    one_syntax = first.transfer_syntax_uid == second.transfer_syntax_uid
    if one_syntax and dataset_digest(a, first) == dataset_digest(b, second):
        return True
    left, right = inflate(a), inflate(b)
    if not _same_attributes(_Content(left, first), _Content(right, second), one_syntax):
        return False
    if (first.pixel_data is None) != (second.pixel_data is None):
        return False
    if first.pixel_data is None or second.pixel_data is None:
        return True
    if first.pixel_data.tag != second.pixel_data.tag:
        return False
    return _same_pixels(left, first, right, second, decode)


class _Content:
    """Attributes with their bulk bytes at hand."""

    def __init__(self, data: bytes, header: Header) -> None:
        self.data, self.header = data, header

    def bulk(self, path: str) -> bytes:
        value = self.header.bulk[path]
        raw = self.data[value.offset : value.offset + value.length]
        return swap_words(raw, value.word) if value.word > 1 else raw


def _same_attributes(a: _Content, b: _Content, one_syntax: bool) -> bool:
    skipped = _PIXELS | _IGNORED | (frozenset() if one_syntax else _ENCODING)
    if not one_syntax and _colours(a.header.dataset) != _colours(b.header.dataset):
        return False
    return _same_level(a.header.dataset, b.header.dataset, "", a, b, skipped)


def _colours(dataset: Dataset) -> list[str]:
    values = dataset.get("00280004", {}).get("Value", [])
    return ["RGB" if value in _RGB else value for value in values]


def _same_level(left: Dataset, right: Dataset, path: str, a: _Content, b: _Content, skipped: frozenset[str]) -> bool:
    tags = left.keys() - skipped
    if tags != right.keys() - skipped:
        return False
    return all(_same_element(left[tag], right[tag], path + tag, a, b) for tag in tags)


def _same_element(left: dict[str, Any], right: dict[str, Any], path: str, a: _Content, b: _Content) -> bool:
    if left["vr"] == "SQ" == right["vr"]:
        mine, other = left.get("Value", []), right.get("Value", [])
        return len(mine) == len(other) and all(
            _same_level(one, two, f"{path}/{i}/", a, b, frozenset())
            for i, (one, two) in enumerate(zip(mine, other, strict=True))
        )
    if path in a.header.bulk and path in b.header.bulk:
        return _same_bytes(a.bulk(path), b.bulk(path))  # OB or OW of one content: implicit VR knows OW alone
    return left == right


def _same_pixels(a: bytes, first: Header, b: bytes, second: Header, decode: Decoder | None) -> bool:
    syntaxes = [transfer_syntaxes.info(header.transfer_syntax_uid) for header in (first, second)]
    if first.transfer_syntax_uid == second.transfer_syntax_uid and syntaxes[0].encapsulated:
        one, two = list(_frames(a, first)), list(_frames(b, second))
        return len(one) == len(two) and all(map(_same_bytes, one, two))
    if any(syntax.lossy or not syntax.known for syntax in syntaxes):
        return False
    by_plane = [_is_by_plane(header) for header in (first, second)]
    if by_plane[0] == by_plane[1]:
        by_plane = [False, False]  # either is as good
    left, right = _native(a, first, decode, by_plane[0]), _native(b, second, decode, by_plane[1])
    return left is not None and right is not None and _same_bytes(left, right)


def _same_bytes(one: bytes, two: bytes) -> bool:
    """Equal but for the one byte that makes a length even. (More would call a truncated black border the same.)"""
    if len(one) == len(two):
        return one == two
    longer, shorter = (one, two) if len(one) > len(two) else (two, one)
    return len(longer) == len(shorter) + 1 and longer[-1] == 0 and longer[:-1] == shorter


def _frames(data: bytes, header: Header) -> Iterator[bytes]:
    """Code streams without their fragmentation."""
    table = frame_table(data, header)
    if table is None:
        return
    for number in range(1, table.number_of_frames + 1):
        place = table.locate(number)
        yield defragment(data[place.offset : place.offset + place.length], place)


def _is_by_plane(header: Header) -> bool:
    """Whether native colours lie plane by plane (PS3.3 C.7.6.3.1.3); what is decoded comes by pixel anyway."""
    if header.pixel_data is None or header.pixel_data.encapsulated:
        return False
    return [header.dataset.get(tag, {}).get("Value") for tag in ("00280002", "00280006")] == [[3], [1]]


def _native(data: bytes, header: Header, decode: Decoder | None, by_plane: bool) -> bytes | None:
    """Native little endian pixels, colour by pixel if they are ``by_plane``; None when they cannot be had."""
    pixels = header.pixel_data
    assert pixels is not None
    if pixels.encapsulated or by_plane:
        return decode(data, header) if decode is not None else None
    raw = data[pixels.offset : pixels.offset + pixels.length]
    return swap_words(raw, pixels.word) if pixels.word > 1 else raw
