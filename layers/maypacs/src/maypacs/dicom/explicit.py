"""A data set of any transfer syntax as Explicit VR Little Endian, element by element, without decoding its text.

PS3.5 A.2, 6.2.2 (a value above 64 KiB whose VR has a 16-bit length becomes UN). Text stays in its character set, values
stay as they are (padded to even length); sequences get explicit lengths; group lengths go. The same input gives the
same bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.charsets import CharacterSet
from maypacs.dicom.dictionary import public_vr
from maypacs.dicom.elements import (
    ITEM,
    ITEM_DELIMITER,
    LONG_VRS,
    MAX_DEPTH,
    PIXEL_DATA,
    PIXEL_TAGS,
    SEQUENCE_DELIMITER,
    UNDEFINED,
    ElementReader,
    pixel_word,
    word_bytes,
)
from maypacs.dicom.encapsulation import ENCAPSULATED_TAIL, encapsulated, encapsulated_head
from maypacs.dicom.file_meta import part10_header
from maypacs.dicom.header import Header, inflate, really_explicit
from maypacs.dicom.values import BINARY_VRS, swap_words
from maypacs.errors import HeaderError, PixelError

_Chunks = list[bytes | memoryview]
#: Offsets and lengths of encapsulated frames, and the length of a padded encapsulated value: void without them.
_ENCAPSULATION_TAGS = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00003))
_ICON_SEQUENCE = 0x00880200


def to_explicit_little_endian(
    data: bytes | memoryview,
    header: Header,
    pixels: bytes | memoryview | None = None,
    overrides: Mapping[str, str | int | None] | None = None,
) -> bytes:
    """The instance as a Part 10 file in Explicit VR Little Endian (1.2.840.10008.1.2.1).

    ``pixels``: native little endian pixel data, all frames, needed when the source is encapsulated. ``overrides``: what
    decoding changed, by tag: {"00280004": "RGB", "00280006": 0}; None removes an attribute.
    Raises PixelError when pixels are needed and not given, HeaderError when the data set cannot be walked.
    """
    if header.pixel_data is not None and header.pixel_data.encapsulated and pixels is None:
        raise PixelError("encapsulated pixel data must be decoded first")
    elements = _elements(data, header, pixels, overrides)
    meta = part10_header(header.sop_class_uid, header.sop_instance_uid, transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN)
    return b"".join((meta, *(chunk for tag in sorted(elements) for chunk in elements[tag])))


def around_pixels(before: bytes, after: bytes, header: Header) -> tuple[bytes, bytes]:
    """What an instance in Explicit VR Little Endian has before and after the value of its native pixel data.

    ``before``: its file up to that value, as ``header`` says; ``after``: the rest behind it. Neither big endian words
    nor a deflated data set. Raises HeaderError.
    """
    pixels = header.pixel_data
    if pixels is None or pixels.encapsulated or len(before) != pixels.offset:
        raise HeaderError("there is no native pixel data there")
    # The same file with pixel data of no length: 32 bits right before the value, in every VR that these can have.
    elements = _elements(b"".join((before[:-4], bytes(4), after)), header, None, None)
    head, _ = elements.pop(pixels.tag)
    padding = pixels.length % 2
    if pixels.length + padding >= UNDEFINED:
        raise HeaderError("a value of 4 GiB and more has no explicit length")
    meta = part10_header(header.sop_class_uid, header.sop_instance_uid, transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN)
    first = [chunk for tag in sorted(elements) if tag < pixels.tag for chunk in elements[tag]]
    last = [chunk for tag in sorted(elements) if tag > pixels.tag for chunk in elements[tag]]
    value_head = bytes(head)[:-4] + struct.pack("<I", pixels.length + padding)
    return b"".join((meta, *first, value_head)), b"".join((bytes(padding), *last))


def to_encapsulated(
    data: bytes | memoryview,
    header: Header,
    transfer_syntax_uid: str,
    frames: Sequence[bytes],
    overrides: Mapping[str, str | int | None] | None = None,
) -> bytes:
    """The instance as a Part 10 file in a transfer syntax of encapsulated pixels (PS3.5 A.4), a fragment a frame.

    ``frames``: compressed, in order. Raises HeaderError when the data set cannot be walked.
    """
    elements = _elements(data, header, b"", overrides)
    elements[PIXEL_DATA] = [*encapsulated(frames)]
    uid = str((overrides or {}).get("00080018") or header.sop_instance_uid)
    meta = part10_header(header.sop_class_uid, uid, transfer_syntax_uid)
    return b"".join((meta, *(chunk for tag in sorted(elements) for chunk in elements[tag])))


def to_deflated(data: bytes | memoryview, header: Header) -> bytes:
    """An instance of Explicit VR Little Endian as Deflated Explicit VR Little Endian (PS3.5 A.5)."""
    engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = engine.compress(data[header.dataset_offset :]) + engine.flush()
    syntax = transfer_syntaxes.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    return part10_header(header.sop_class_uid, header.sop_instance_uid, syntax) + body + bytes(len(body) % 2)


def _elements(
    data: bytes | memoryview,
    header: Header,
    pixels: bytes | memoryview | None,
    overrides: Mapping[str, str | int | None] | None,
) -> dict[int, _Chunks]:
    """The data set by tag, in Explicit VR Little Endian, what was overridden included."""
    syntax = transfer_syntaxes.info(header.transfer_syntax_uid)
    source = inflate(data)
    rewriter = _Rewriter(source, big_endian=syntax.big_endian)
    explicit = really_explicit(source, header.dataset_offset, syntax.explicit, rewriter.warnings)
    elements = rewriter.rewrite(header, pixels, explicit=explicit)
    for tag_text, value in (overrides or {}).items():
        tag = int(tag_text, 16)
        elements.pop(tag, None)
        if value is not None:
            elements[tag] = [_short_element(tag, value)]
    return elements


def around_frames(
    data: bytes | memoryview,
    header: Header,
    transfer_syntax_uid: str,
    lengths: Sequence[int],
    overrides: Mapping[str, str | int | None] | None = None,
) -> tuple[bytes, bytes]:
    """What comes before and after the frames of the instance as a Part 10 file in another transfer syntax.

    ``lengths``: of native frames under Explicit VR Little Endian, otherwise of fragments (`encapsulation.fragment`).
    Raises HeaderError when the data set cannot be walked, or when 4 GiB of native pixel data have no length.
    """
    elements = _elements(data, header, b"", overrides)
    size = sum(lengths)
    if transfer_syntax_uid == transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN:
        if size + size % 2 >= UNDEFINED:
            raise HeaderError("a value of 4 GiB and more has no explicit length")
        vr = b"OW" if int((header.dataset.get("00280100", {}).get("Value") or [16])[0]) > 8 else b"OB"
        head = struct.pack("<HH2sHI", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF, vr, 0, size + size % 2)
        tail = bytes(size % 2)
    else:
        head, tail = encapsulated_head(lengths), ENCAPSULATED_TAIL
    uid = str((overrides or {}).get("00080018") or header.sop_instance_uid)
    meta = part10_header(header.sop_class_uid, uid, transfer_syntax_uid)
    before = [chunk for tag in sorted(elements) if tag < PIXEL_DATA for chunk in elements[tag]]
    after = [chunk for tag in sorted(elements) if tag > PIXEL_DATA for chunk in elements[tag]]
    return b"".join((meta, *before, head)), b"".join((tail, *after))


def _short_element(tag: int, value: str | int) -> bytes:
    vr = public_vr(tag) or "UN"
    if isinstance(value, int) and vr in ("US", "UL"):
        raw = struct.pack("<H" if vr == "US" else "<I", value)
    else:
        raw = str(value).encode("ascii")
    return b"".join(_element(tag, vr, raw))


def _element(tag: int, vr: str, value: bytes | memoryview) -> _Chunks:
    """Header, value and padding of one element."""
    length = len(value)
    padded = length + length % 2
    group, element = tag >> 16, tag & 0xFFFF
    if vr not in LONG_VRS and padded > 0xFFFF:
        vr = "UN"
    if vr in LONG_VRS:
        if padded >= UNDEFINED:
            raise HeaderError("a value of 4 GiB and more has no explicit length")
        head = struct.pack("<HH2sHI", group, element, vr.encode(), 0, padded)
    else:
        head = struct.pack("<HH2sH", group, element, vr.encode(), padded)
    if padded == length:
        return [head, value]
    return [head, value, b"\0" if vr in BINARY_VRS or vr == "UI" else b" "]


class _Rewriter(ElementReader):
    """The same reading as the walker's, with bytes as the result."""

    def __init__(self, data: bytes, *, big_endian: bool) -> None:
        super().__init__(data, total=len(data), big_endian=big_endian)
        self.view = memoryview(data)
        self._pixels_given: bytes | memoryview | None = None
        self._encapsulated_icon = False

    def rewrite(self, header: Header, pixels: bytes | memoryview | None, *, explicit: bool) -> dict[int, _Chunks]:
        self._pixels_given = pixels
        chunks, _ = self._level(header.dataset_offset, self.total, explicit, {}, 0, undefined=False)
        if pixels is not None:
            for tag in _ENCAPSULATION_TAGS:
                chunks.pop(tag, None)
        return chunks

    def _level(
        self, pos: int, end: int, explicit: bool, context: dict[str, int], depth: int, *, undefined: bool
    ) -> tuple[dict[int, _Chunks], int]:
        """One data set: tag -> chunks of its element. ``context``: Pixel Representation and such of levels above."""
        out: dict[int, _Chunks] = {}
        creators: dict[int, str] = {}
        context = dict(context)
        while pos < end:
            if pos + 8 > end:
                if depth == 0 and self._is_trailing_padding(pos, end):
                    break
                raise HeaderError(f"{end - pos} bytes at byte {pos} are no element")
            group, element, vr_bytes, short = self._header.unpack_from(self.data, pos)
            tag = group << 16 | element
            if group == 0xFFFE:
                if tag == ITEM_DELIMITER and undefined:
                    return out, pos + 8
                if tag == SEQUENCE_DELIMITER and undefined:
                    return out, pos
                if tag == ITEM:
                    raise HeaderError(f"an item outside a sequence at byte {pos}")
                pos += 8
                continue
            if tag == 0 and depth == 0 and self._is_trailing_padding(pos, end):
                break
            self._count()
            stated, value, length = self._element_header(pos, end, vr_bytes, short, explicit)
            vr = self._vr(tag, stated, length, creators, context)
            if tag in PIXEL_TAGS and length:
                chunks, pos = self._pixel_element(tag, vr, value, length, end, context, depth)
            elif vr == "SQ" or (length == UNDEFINED and vr not in ("OB", "OW")):
                inner_explicit = explicit and stated not in ("", "UN")
                order = self.order
                if stated == "UN":
                    self._set_order("<")
                chunks, pos = self._sequence_element(tag, value, length, end, inner_explicit, context, depth)
                self._set_order(order)
                if tag == _ICON_SEQUENCE and self._encapsulated_icon:
                    self._encapsulated_icon = False
                    continue
            elif length == UNDEFINED:
                pos, last = self._fragments(value, end)
                chunks = _element(tag, vr, self.view[value:last])
            else:
                pos = value + length
                if pos > end:
                    raise HeaderError(f"the value of ({group:04X},{element:04X}) goes {pos - end} bytes past its end")
                if element == 0 or group in (0, 2):
                    continue
                raw = self._little_endian(vr, self.view[value:pos])
                self._remember(tag, raw, creators, context)
                chunks = _element(tag, vr, raw)
            out[tag] = chunks
        else:
            if undefined:
                raise HeaderError(f"an item of undefined length has no end before byte {end}")
        return out, pos

    def _vr(self, tag: int, stated: str, length: int, creators: dict[int, str], context: dict[str, int]) -> str:
        if stated and stated != "UN":
            return stated
        if stated == "UN" and length != UNDEFINED:
            return "UN"  # its bytes stay what they are
        vr = self._resolve_vr(tag, creators)
        if vr == "US|SS":
            return "SS" if context.get("00280103") == 1 else "US"
        if vr == "US|OW":
            return "US" if context.get("00283002") == 1 else "OW"
        return vr

    def _remember(self, tag: int, raw: bytes | memoryview, creators: dict[int, str], context: dict[str, int]) -> None:
        """What the VRs and words of later elements depend on."""
        group, element = tag >> 16, tag & 0xFFFF
        if tag in (0x00280100, 0x00280103, 0x00283002) and len(raw) >= 2:
            context[f"{tag:08X}"] = int.from_bytes(raw[:2], "little")
        elif group & 1 and 0x10 <= element <= 0xFF:
            creators[group << 8 | element] = CharacterSet((), {}).decode(bytes(raw)).rstrip(" \0")

    def _little_endian(self, vr: str, raw: memoryview) -> bytes | memoryview:
        word = word_bytes(vr) if self.order == ">" else 1
        return swap_words(bytes(raw), word) if word > 1 else raw

    def _sequence_element(
        self, tag: int, value: int, length: int, end: int, explicit: bool, context: dict[str, int], depth: int
    ) -> tuple[_Chunks, int]:
        if depth >= MAX_DEPTH:
            raise HeaderError(f"sequences are nested more than {MAX_DEPTH} deep")
        undefined = length == UNDEFINED
        pos, stop = value, end if undefined else value + length
        if stop > end:
            raise HeaderError(f"a sequence goes {stop - end} bytes past its end")
        body: _Chunks = []
        size = 0
        while pos < stop:
            if pos + 8 > stop:
                raise HeaderError(f"{stop - pos} bytes at byte {pos} are no item")
            group, element, item_length = self._implicit_header.unpack_from(self.data, pos)
            found = group << 16 | element
            pos += 8
            if found == SEQUENCE_DELIMITER:
                if undefined:
                    break
                continue
            if found != ITEM:
                raise HeaderError(f"({group:04X},{element:04X}) at byte {pos - 8} where an item was expected")
            self._count()
            item_end = stop if item_length == UNDEFINED else pos + item_length
            if item_end > stop:
                raise HeaderError(f"an item at byte {pos - 8} goes {item_end - stop} bytes past its sequence")
            item, pos = self._level(
                pos,
                item_end,
                self._is_explicit(pos, item_end, explicit),
                context,
                depth + 1,
                undefined=item_length == UNDEFINED,
            )
            chunks = [chunk for inner in sorted(item) for chunk in item[inner]]
            item_size = sum(map(len, chunks))
            body += [struct.pack("<HHI", 0xFFFE, 0xE000, item_size), *chunks]
            size += 8 + item_size
        else:
            if undefined:
                raise HeaderError(f"a sequence of undefined length has no end before byte {stop}")
        return [struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, size), *body], pos

    def _pixel_element(
        self, tag: int, vr: str, value: int, length: int, end: int, context: dict[str, int], depth: int
    ) -> tuple[_Chunks, int]:
        allocated = context.get("00280100", 16)
        if length == UNDEFINED:
            after, last = self._fragments(value, end)
            if depth:  # native syntaxes have no place for it: the icon goes
                self._encapsulated_icon = True
                return [], after
        else:
            after = last = min(value + length, end)
        if depth == 0 and self._pixels_given is not None:
            return _element(PIXEL_DATA, "OW" if allocated > 8 else "OB", self._pixels_given), after
        raw: bytes | memoryview = self.view[value:last]
        word = pixel_word(vr, {"00280100": {"Value": [allocated]}}) if self.order == ">" else 1
        if word > 1:
            raw = swap_words(bytes(raw), word)
        return _element(tag, vr, raw), after
