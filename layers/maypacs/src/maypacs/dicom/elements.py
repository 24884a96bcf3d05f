"""Reading element headers with bounds: what the JSON walker and the rewriter share.

PS3.5 clause 7 (data elements, sequences), 6.2.2 (UN), annex A. Written for hostile input: every length is checked
against what encloses it; nesting and the number of elements are bounded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from maypacs.dicom.dictionary import private_vr, public_vr
from maypacs.dicom.values import NUMBER_FORMATS, WORD_BYTES
from maypacs.errors import HeaderError

#: DICOM JSON: tag (8 hex digits) -> {"vr": …, "Value" | "InlineBinary" | "BulkDataURI": …}
Dataset = dict[str, Any]

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_DELIMITER, SEQUENCE_DELIMITER = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_TAGS = frozenset((0x7FE00010, 0x7FE00008, 0x7FE00009))
PIXEL_DATA = 0x7FE00010

#: Sequences within sequences. PS3.5 has no limit; JSON writers have (orjson: 254 levels, of which a sequence takes 3).
MAX_DEPTH = 80
#: Elements and items of one instance: 15,000 frames with 60 functional-group attributes each fit.
MAX_ELEMENTS = 1_000_000
_SHORT_VRS = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
#: VR bytes -> (VR, has a 32-bit length)
VRS = {
    **{vr.encode(): (vr, False) for vr in _SHORT_VRS.split()},
    **{vr.encode(): (vr, True) for vr in LONG_VRS},
}


class PrefixTooShortError(HeaderError):
    """The data are a prefix of the instance and end before the header does. ``needed``: at least so many bytes."""

    needs_more = True

    def __init__(self, needed: int) -> None:
        super().__init__(f"the header goes on after these bytes: at least {needed} are needed")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class BulkValue:
    """Where the value of a ``BulkDataURI`` lies, in bytes from the start of the file."""

    offset: int
    length: int
    vr: str
    word: int = 1  #: bytes of a word to reverse: the data set is big endian; 1 = nothing to do


@dataclass(frozen=True, slots=True)
class PixelData:
    """Pixel Data, Float or Double Float Pixel Data of the instance itself (not an icon's)."""

    tag: int
    offset: int  #: first byte of the value; encapsulated: the item of the basic offset table
    length: int  #: bytes of the value that are there; encapsulated: with all item headers, without the last delimiter
    encapsulated: bool
    vr: str
    word: int  #: big endian: bytes of a word to reverse; 1 = nothing to do
    declared_length: int  #: as the file says; more than ``length`` when the file is truncated; 0xFFFFFFFF = undefined


class ElementReader:
    """Where one walk over one instance is. ``data`` may be a prefix of ``total`` bytes."""

    def __init__(self, data: bytes, *, total: int, big_endian: bool) -> None:
        self.data = data
        self.have = len(data)
        self.total = total
        self.warnings: dict[str, None] = {}
        self._elements = 0
        self._padding_sought = False
        self._set_order(">" if big_endian else "<")

    def _set_order(self, order: str) -> None:
        self.order = order
        self._header = struct.Struct(order + "HH2sH")
        self._implicit_header = struct.Struct(order + "HHI")
        self._uint32 = struct.Struct(order + "I")

    def _check(self, end: int) -> None:
        """Bytes up to ``end`` must be here."""
        if end > self.have:
            if end <= self.total:
                raise PrefixTooShortError(end)
            raise HeaderError(f"the data set ends at byte {self.total} inside an element")

    def _count(self) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise HeaderError(f"more than {MAX_ELEMENTS} elements")

    def _is_trailing_padding(self, pos: int, end: int) -> bool:
        """Zeros up to the end of the file: written by disk images and by hand. Looked for once: it reads to the end."""
        if self._padding_sought or self.have < end:
            return False
        self._padding_sought = True
        if self.data[pos:end].strip(b"\0"):
            return False
        self.warnings["zeros follow the data set"] = None
        return True

    def _element_header(self, pos: int, end: int, vr_bytes: bytes, short: int, explicit: bool) -> tuple[str, int, int]:
        """VR ("" when not told), offset and length of the value of the element at ``pos`` (PS3.5 7.1.2, 7.1.3)."""
        if not explicit:
            return "", pos + 8, self._uint32.unpack_from(self.data, pos + 4)[0]
        known = VRS.get(vr_bytes)
        if known is not None:
            if not known[1]:
                return known[0], pos + 8, short
            if pos + 12 > end:
                raise HeaderError(f"the data set ends at byte {end} inside an element")
            self._check(pos + 12)
            return known[0], pos + 12, self._uint32.unpack_from(self.data, pos + 8)[0]
        if vr_bytes.isalpha() and vr_bytes.isupper():
            self.warnings["an element with an unknown VR was read as UN"] = None
            return self._unknown_vr(pos, end, short)
        self.warnings["an element without a VR was read as implicit VR"] = None
        return "", pos + 8, self._uint32.unpack_from(self.data, pos + 4)[0]

    def _unknown_vr(self, pos: int, end: int, short: int) -> tuple[str, int, int]:
        """A VR younger than this code has a 32-bit length (PS3.5 7.1.2); an invented one more often 16 bits."""
        if short == 0 and pos + 12 <= min(end, self.have):
            length = self._uint32.unpack_from(self.data, pos + 8)[0]
            if 0 < length <= end - pos - 12:
                return "UN", pos + 12, length
        return "UN", pos + 8, short

    def _resolve_vr(self, tag: int, creators: dict[int, str]) -> str:
        """The VR that implicit VR and UN do not tell: by the dictionaries, UN when they do not know the tag."""
        group, element = tag >> 16, tag & 0xFFFF
        if not group & 1:
            return public_vr(tag) or "UN"
        if 0x10 <= element <= 0xFF:
            return "LO"
        creator = creators.get(group << 8 | element >> 8)
        return (private_vr(creator, tag) if creator and len(creator) <= 64 else None) or "UN"

    def _is_explicit(self, pos: int, end: int, assumed: bool) -> bool:
        """An item may be in implicit VR within explicit VR (PS3.5 6.2.2), never the other way round."""
        if not assumed or pos + 8 > end:
            return assumed
        self._check(pos + 8)
        vr = self.data[pos + 4 : pos + 6]
        return vr in VRS or (vr.isalpha() and vr.isupper()) or self.data[pos : pos + 2] in (b"\xfe\xff", b"\xff\xfe")

    def _fragments(self, pos: int, end: int) -> tuple[int, int]:
        """Over the items of an encapsulated value: (first byte after it, end of the last item)."""
        while pos + 8 <= end:
            self._check(pos + 8)
            group, element, length = self._implicit_header.unpack_from(self.data, pos)
            found = group << 16 | element
            if found == SEQUENCE_DELIMITER:
                return pos + 8, pos
            if found != ITEM or length == UNDEFINED:
                break
            if pos + 8 + length > end:
                self.warnings["the pixel data are truncated"] = None
                return end, end
            pos += 8 + length
        self.warnings["the pixel data have no end"] = None
        return end, min(pos, end)


def word_bytes(vr: str) -> int:
    """Bytes whose order is that of the data set, for a VR."""
    if vr == "AT":
        return 2
    return WORD_BYTES.get(vr) or NUMBER_FORMATS.get(vr, (1,))[0]


def pixel_word(vr: str, dataset: Dataset) -> int:
    """The same of Pixel Data: OW is words of 16 bits, but everybody writes samples of 32 and 64 bits as one word."""
    allocated = (dataset.get("00280100", {}).get("Value") or [0])[0]
    word = word_bytes(vr)
    return max(word, allocated // 8) if vr == "OW" and allocated in (32, 64) else word
