"""The byte walker: a data set of any transfer syntax straight into the DICOM JSON model, without decoding pixels.

Nothing is copied that stays bulk data, and the sum of what is inlined is bounded.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from maypacs.dicom.charsets import CharacterSet
from maypacs.dicom.elements import (
    ITEM,
    ITEM_DELIMITER,
    MAX_DEPTH,
    MAX_ELEMENTS,
    PIXEL_TAGS,
    SEQUENCE_DELIMITER,
    UNDEFINED,
    VRS,
    BulkValue,
    Dataset,
    ElementReader,
    PixelData,
    PrefixTooShortError,
    pixel_word,
    word_bytes,
)
from maypacs.dicom.values import BINARY_VRS, NUMBER_FORMATS, TEXT_CONVERTERS, WORD_BYTES, swap_words, unpack_numbers
from maypacs.errors import HeaderError

#: A value above this is bulk data whatever its VR.
MAX_INLINE_VALUE = 1 << 20
#: Values above _SMALL bytes are inlined up to this sum, then they are bulk data too: "1\\1\\1" takes 16 times as much.
MAX_INLINE_TOTAL = 8 << 20
_SMALL = 256

#: PS3.18 Table F.3.1-1 gives these no BulkDataURI; beyond any sense in size they become UN, which has one.
_NEVER_BULK = frozenset(("AE", "AS", "AT", "CS", "DA", "DT", "LO", "PN", "SH", "TM", "UI"))


@dataclass(slots=True)
class _Level:
    """What the elements of one data set (the instance or an item) share."""

    explicit: bool
    charset: CharacterSet
    pixel_representation: int
    depth: int
    path: str


class Walker(ElementReader):
    """One walk over one instance. ``data`` may be a prefix of ``total`` bytes that reaches the pixel data's header."""

    def __init__(self, data: bytes, *, total: int, big_endian: bool, threshold: int) -> None:
        super().__init__(data, total=total, big_endian=big_endian)
        self.threshold = threshold
        self.bulk: dict[str, BulkValue] = {}
        self.bulk_elements: list[tuple[Dataset, str]] = []  #: elements that wait for their BulkDataURI, and its path
        self.pixel_data: PixelData | None = None
        self.complete = True
        self._inlined = 0

    # -- data sets ---------------------------------------------------------------------------------------------------

    def walk(self, offset: int, *, explicit: bool) -> Dataset:
        """The data set from ``offset`` to the end of the file."""
        dataset, _ = self._dataset(offset, self.total, self.top_level(explicit), undefined=False)
        return dataset

    def top_level(self, explicit: bool) -> _Level:
        return _Level(explicit, CharacterSet((), self.warnings), 0, 0, "")

    def _dataset(self, pos: int, end: int, level: _Level, *, undefined: bool) -> tuple[Dataset, int]:
        out: Dataset = {}
        creators: dict[int, str] = {}
        last_tag = -1
        ordered = True
        data, unpack = self.data, self._header.unpack_from
        while pos < end:
            if pos + 8 > end or pos + 8 > self.have:
                if level.depth == 0 and self._is_trailing_padding(pos, end):
                    break
                if pos + 8 > end:
                    raise HeaderError(f"{end - pos} bytes at byte {pos} are no element")
                self._check(pos + 8)
            group, element, vr_bytes, length = unpack(data, pos)
            tag = group << 16 | element
            if group == 0xFFFE:
                if tag == ITEM_DELIMITER and undefined:
                    return self._finished(out, ordered), pos + 8
                if tag == SEQUENCE_DELIMITER and undefined:
                    self.warnings["an item ends with the delimiter of its sequence"] = None
                    return self._finished(out, ordered), pos
                if tag == ITEM:
                    raise HeaderError(f"an item outside a sequence at byte {pos}")
                self.warnings["a delimiter without a beginning was skipped"] = None
                pos += 8
                continue
            if tag == 0 and level.depth == 0 and self._is_trailing_padding(pos, end):
                break
            known = VRS.get(vr_bytes) if level.explicit else None
            if known is not None and not known[1]:  # the common case, without a call
                vr, value = known[0], pos + 8
            else:
                vr, value, length = self._element_header(pos, end, vr_bytes, length, level.explicit)
            self._elements += 1
            if self._elements > MAX_ELEMENTS:
                raise HeaderError(f"more than {MAX_ELEMENTS} elements")
            inner_explicit = level.explicit
            order = self.order
            relayed = vr == "UN"
            if relayed or not vr:
                inner_explicit = False
                if relayed and order == ">":
                    self._set_order("<")  # the value of UN is that of implicit VR little endian (PS3.5 6.2.2)
                vr = self._resolve_vr(tag, creators)
                if "|" in vr:
                    vr = self._resolve_ambiguous(vr, out, level)
            if tag in PIXEL_TAGS:
                converted, pos = self._pixels(tag, vr, value, length, end, level, out)
            elif length == UNDEFINED:
                converted, pos = self._undefined(tag, vr, value, end, inner_explicit, level)
            else:
                pos = value + length
                if pos > end:
                    raise HeaderError(f"the value of ({group:04X},{element:04X}) goes {pos - end} bytes past its end")
                if element == 0 or group in (0, 2):
                    self._set_order(order)
                    continue
                convert = TEXT_CONVERTERS.get(vr)
                if convert is not None and 0 < length <= _SMALL and pos <= self.have:  # again without a call
                    values = convert(data[value:pos], level.charset)
                    converted = {"vr": vr, "Value": values} if values else {"vr": vr}
                elif relayed and vr == "SQ":
                    converted = self._relayed_sequence(tag, value, length, level)
                else:
                    converted = self._defined(tag, vr, value, length, inner_explicit, level)
            if self.order != order:
                self._set_order(order)
            if tag <= last_tag:
                ordered = False
            last_tag = tag
            out[f"{tag:08X}"] = converted
            if tag == 0x00080005:
                level.charset = CharacterSet(_strings(converted), self.warnings)
            elif tag == 0x00280103:
                level.pixel_representation = (converted.get("Value") or [level.pixel_representation])[0]
            elif group & 1 and 0x10 <= element <= 0xFF:
                creators[group << 8 | element] = "".join(_strings(converted)[:1])
            if not self.complete:
                break
        else:
            if undefined:
                raise HeaderError(f"an item of undefined length has no end before byte {end}")
        return self._finished(out, ordered), pos

    def _finished(self, out: Dataset, ordered: bool) -> Dataset:
        if ordered:
            return out
        self.warnings["elements are not in ascending order"] = None
        return dict(sorted(out.items()))

    def _resolve_ambiguous(self, vr: str, out: Dataset, level: _Level) -> str:
        if vr == "US|SS":
            return "SS" if level.pixel_representation == 1 else "US"
        descriptor = out.get("00283002", {}).get("Value")
        return "US" if descriptor and descriptor[0] == 1 else "OW"

    # -- values ------------------------------------------------------------------------------------------------------

    def _defined(self, tag: int, vr: str, value: int, length: int, explicit: bool, level: _Level) -> Dataset:
        if length == 0:
            return {"vr": vr}
        if vr in NUMBER_FORMATS:
            if length > _SMALL and self._too_large_to_inline(length):
                return self._bulk(tag, vr, value, length, level)
            self._check(value + length)
            raw = self.data[value : value + length]
            numbers = unpack_numbers(vr, raw, self.order)
            if numbers is not None:
                return {"vr": vr, "Value": numbers}
            self.warnings["a number of an impossible length was read as UN"] = None
            return {"vr": "UN", "InlineBinary": b64encode(raw).decode("ascii")}
        convert = TEXT_CONVERTERS.get(vr)
        if convert is not None:
            if length > _SMALL and self._too_large_to_inline(length):
                return self._bulk(tag, vr, value, length, level)
            self._check(value + length)
            values = convert(self.data[value : value + length], level.charset)
            return {"vr": vr, "Value": values} if values else {"vr": vr}
        if vr == "SQ":
            return self._defined_sequence(tag, value, length, explicit, level)
        if length > self.threshold or (length > _SMALL and self._too_large_to_inline(length)):
            return self._bulk(tag, vr, value, length, level)
        self._check(value + length)
        raw = self.data[value : value + length]
        if self.order == ">" and vr in WORD_BYTES:
            raw = swap_words(raw, WORD_BYTES[vr])
        return {"vr": vr, "InlineBinary": b64encode(raw).decode("ascii")}

    def _too_large_to_inline(self, length: int) -> bool:
        if length > MAX_INLINE_VALUE or self._inlined + length > MAX_INLINE_TOTAL:
            return True
        self._inlined += length
        return False

    def _bulk(self, tag: int, vr: str, value: int, length: int, level: _Level, word: int | None = None) -> Dataset:
        path = f"{level.path}{tag:08X}"
        if vr in _NEVER_BULK:
            self.warnings["a value too large for its VR was read as UN"] = None
            vr = "UN"
        self.bulk[path] = BulkValue(value, length, vr, word or (word_bytes(vr) if self.order == ">" else 1))
        element: Dataset = {"vr": vr}
        self.bulk_elements.append((element, path))
        return element

    # -- sequences ---------------------------------------------------------------------------------------------------

    def _defined_sequence(self, tag: int, value: int, length: int, explicit: bool, level: _Level) -> Dataset:
        items, _ = self._sequence(tag, value, value + length, explicit, level, undefined=False)
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}

    def _relayed_sequence(self, tag: int, value: int, length: int, level: _Level) -> Dataset:
        """UN of a tag that a dictionary calls a sequence: one, if its bytes agree."""
        waiting, bulk, order = len(self.bulk_elements), len(self.bulk), self.order
        try:
            return self._defined(tag, "SQ", value, length, False, level)
        except PrefixTooShortError:
            raise
        except HeaderError:
            self._set_order(order)
            del self.bulk_elements[waiting:]
            while len(self.bulk) > bulk:
                self.bulk.popitem()
            return self._defined(tag, "UN", value, length, False, level)

    def _undefined(self, tag: int, vr: str, value: int, end: int, explicit: bool, level: _Level) -> tuple[Dataset, int]:
        """UN of undefined length is a sequence in implicit VR (PS3.5 6.2.2); so, by habit, is any VR of text."""
        if vr in BINARY_VRS and vr != "UN":
            after, last = self._fragments(value, end)
            return self._bulk(tag, vr, value, last - value, level), after
        items, after = self._sequence(tag, value, end, explicit, level, undefined=True)
        return ({"vr": "SQ", "Value": items} if items else {"vr": "SQ"}), after

    def _sequence(
        self, tag: int, pos: int, end: int, explicit: bool, level: _Level, *, undefined: bool
    ) -> tuple[list[Dataset], int]:
        if level.depth >= MAX_DEPTH:
            raise HeaderError(f"sequences are nested more than {MAX_DEPTH} deep")
        items: list[Dataset] = []
        prefix = f"{level.path}{tag:08X}/"
        while pos < end:
            if pos + 8 > end:
                raise HeaderError(f"{end - pos} bytes at byte {pos} are no item")
            self._check(pos + 8)
            group, element, length = self._implicit_header.unpack_from(self.data, pos)
            found = group << 16 | element
            pos += 8
            if found == SEQUENCE_DELIMITER:
                if undefined:
                    return items, pos
                self.warnings["a sequence of known length has a delimiter too"] = None
                continue
            if found != ITEM:
                raise HeaderError(f"({group:04X},{element:04X}) at byte {pos - 8} where an item was expected")
            self._count()
            item_end = end if length == UNDEFINED else pos + length
            if item_end > end:
                raise HeaderError(f"an item at byte {pos - 8} goes {item_end - end} bytes past its sequence")
            inner = _Level(
                self._is_explicit(pos, item_end, explicit),
                level.charset,
                level.pixel_representation,
                level.depth + 1,
                f"{prefix}{len(items)}/",
            )
            item, pos = self._dataset(pos, item_end, inner, undefined=length == UNDEFINED)
            items.append(item)
        if undefined:
            raise HeaderError(f"a sequence of undefined length has no end before byte {end}")
        return items, pos

    # -- pixel data --------------------------------------------------------------------------------------------------

    def _pixels(
        self, tag: int, vr: str, value: int, length: int, end: int, level: _Level, out: Dataset
    ) -> tuple[Dataset, int]:
        """Always bulk data. Truncated native pixels of the instance itself are kept, with a warning."""
        encapsulated = length == UNDEFINED
        if length == 0:
            return {"vr": vr}, value
        if encapsulated:
            vr = "OB"
            if level.depth == 0 and self.have < self.total:
                self.complete = False
                after = last = self.total
            else:
                after, last = self._fragments(value, end)
        else:
            after = last = value + length
            if after > end:
                if level.depth:
                    raise HeaderError(f"the pixel data of an icon go {after - end} bytes past its end")
                self.warnings["the pixel data are truncated"] = None
                after = last = end
            if level.depth == 0 and after > self.have:
                self.complete = False
        word = 1 if encapsulated or self.order == "<" else pixel_word(vr, out)
        if level.depth == 0:
            self.pixel_data = PixelData(tag, value, last - value, encapsulated, vr, word, length)
        return self._bulk(tag, vr, value, last - value, level, word), after


def _strings(element: Dataset) -> Sequence[str]:
    return [value if isinstance(value, str) else "" for value in element.get("Value", ())]
