"""Where each frame lies in a Part 10 file: native (bit-packed too) and encapsulated (PS3.5 8.2, A.4).

Encapsulated frames are found by, in this order: the Extended Offset Table, the Basic Offset Table, one frame, one
fragment a frame, fragments that begin as a code stream does, fragments that end as one does. An offset table that
points between fragments is not believed.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode
from dataclasses import dataclass
from itertools import pairwise

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.elements import Dataset
from maypacs.dicom.header import Header
from maypacs.dicom.values import swap_words
from maypacs.dicom.varints import VarintReader, append_all, unzigzag, zigzag
from maypacs.errors import FrameNotFoundError, PixelError

_ITEM = b"\xfe\xff\x00\xe0"
#: Frames, and fragments, of one instance: a slide of gigabytes has some 100,000.
MAX_FRAMES = 1_000_000
_MAX_TABLE = 64 << 20
_NATIVE, _ENCAPSULATED = 1, 2


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Bytes of one frame in the Part 10 file; `defragment` makes the frame out of them."""

    offset: int
    length: int
    fragmented: bool  #: the range begins with an item header and holds one between fragments
    bit_offset: int = (
        0  #: the frame begins at this bit (0 = the lowest of the first byte): 1-bit pixels, odd big endian
    )
    bits: int = 0  #: bits of the frame when they are not all of the range; 0 = the range is the frame
    word: int = 1  #: big endian pixels: bytes of a word to reverse


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Native: frames of ``frame_bits`` from ``base``. Encapsulated: one range a frame."""

    number_of_frames: int
    base: int = 0
    frame_bits: int = 0  #: 0: encapsulated
    available: int = 0  #: bytes of native pixel data in the file
    word: int = 1  #: native, big endian: bytes of a word to reverse
    ranges: tuple[tuple[int, int, bool], ...] = ()  #: offset, length, fragmented

    def locate(self, number: int) -> FrameRange:
        """The frame of a 1-based number. Raises FrameNotFoundError; PixelError for one that the file was cut before."""
        if not 1 <= number <= self.number_of_frames:
            raise FrameNotFoundError(f"there is no frame {number}: the instance has {self.number_of_frames}")
        if not self.frame_bits:
            return FrameRange(*self.ranges[number - 1])
        first = (number - 1) * self.frame_bits
        after = first + self.frame_bits
        if -(-after // 8) > self.available:
            raise PixelError(f"the pixel data end before frame {number} does")
        unit = 8 * self.word  # a frame may begin inside a byte, or inside a word whose bytes are to be reversed
        start = first // unit * unit
        length = min(-(-after // unit) * unit - start, self.available * 8 - start) // 8
        cut = self.frame_bits if length * 8 != self.frame_bits else 0
        return FrameRange(self.base + start // 8, length, False, first - start, cut, self.word)

    def runs(self) -> list[tuple[int, int, int]]:
        """Offset, length and count of frames of one length that lie one after the other, when the bytes there are the
        frames; empty when any frame must be made first (fragments, bits, big endian words) or is cut off."""
        if self.frame_bits:
            length, odd = divmod(self.frame_bits, 8)
            whole = self.word <= 1 and not odd and length * self.number_of_frames <= self.available
            return [(self.base, length, self.number_of_frames)] if whole else []
        if any(fragmented for _, _, fragmented in self.ranges):
            return []
        found: list[tuple[int, int, int]] = []
        for offset, length, _ in self.ranges:
            first, size, count = found[-1] if found else (0, -1, 0)
            if size == length and first + size * count == offset:
                found[-1] = (first, size, count + 1)
            else:
                found.append((offset, length, 1))
        return found

    def encode(self) -> bytes:
        """Compact bytes: delta varints, compressed. 50,000 frames of a slide: about 100 KB; native frames: 15 bytes."""
        out = bytearray()
        if self.frame_bits:
            append_all(out, (_NATIVE, self.number_of_frames, self.base, self.frame_bits, self.available, self.word))
            return bytes(out)
        append_all(out, (_ENCAPSULATED, self.number_of_frames))
        gaps: list[int] = []
        lengths: list[int] = []
        end = previous = 0
        for offset, length, fragmented in self.ranges:
            gaps.append(zigzag(offset - end) << 1 | fragmented)
            lengths.append(zigzag(length - previous))
            end, previous = offset + length, length
        body = bytearray()
        append_all(body, gaps)
        append_all(body, lengths)
        return bytes(out) + zlib.compress(bytes(body), 9)

    @classmethod
    def decode(cls, data: bytes) -> FrameTable:
        """The table of its bytes. Raises PixelError when they are damaged."""
        try:
            reader = VarintReader(data)
            kind, count = reader.varint(), reader.varint()
            if count > MAX_FRAMES:
                raise ValueError
            if kind == _NATIVE:
                base, frame_bits, available, word = reader.varints(4)
                if not frame_bits or word not in (1, 2, 4, 8):
                    raise ValueError
                return cls(count, base, frame_bits, available, word)
            if kind != _ENCAPSULATED:
                raise ValueError
            engine = zlib.decompressobj()
            body = VarintReader(engine.decompress(data[reader.at :], _MAX_TABLE))
            gaps, lengths = body.varints(count), body.varints(count)
        except (ValueError, zlib.error):
            raise PixelError("a frame table is damaged") from None
        ranges: list[tuple[int, int, bool]] = []
        end = previous = 0
        for gap, delta in zip(gaps, lengths, strict=True):
            offset, length = end + unzigzag(gap >> 1), previous + unzigzag(delta)
            if offset < 0 or length < 0:
                raise PixelError("a frame table is damaged")
            ranges.append((offset, length, bool(gap & 1)))
            end, previous = offset + length, length
        return cls(count, ranges=tuple(ranges))


def frame_table(data: bytes | memoryview, header: Header) -> FrameTable | None:
    """The frames of an instance; None when it has no pixel data, or when its whole data set is deflated: no frame can
    be read by range then (`to_explicit_little_endian` it first, and parse what that gives).

    A video stream counts as one frame. Raises PixelError when the frames cannot be told apart.
    """
    pixels = header.pixel_data
    syntax = transfer_syntaxes.info(header.transfer_syntax_uid)
    if pixels is None or syntax.deflated:
        return None
    frames = number_of_frames(header.dataset)
    if frames > MAX_FRAMES:
        raise PixelError(f"more than {MAX_FRAMES} frames")
    if not pixels.encapsulated:
        bits = native_frame_bits(header.dataset, pixels.tag, pixels.declared_length, frames)
        return FrameTable(frames, pixels.offset, bits, pixels.length, pixels.word)
    view = memoryview(data)
    table, fragments = _fragments(view, pixels.offset, pixels.offset + pixels.length, frames)
    if not fragments:
        raise PixelError("the encapsulated pixel data have no fragment")
    starts = [0] if syntax.video else _frame_starts(view, header, table, fragments, frames)
    ranges = []
    for first, after in pairwise((*starts, len(fragments))):
        offset, length = fragments[first]
        if after == first + 1:
            ranges.append((offset + 8, length, False))
        else:
            last_offset, last_length = fragments[after - 1]
            ranges.append((offset, last_offset + 8 + last_length - offset, True))
    return FrameTable(len(ranges), ranges=tuple(ranges))


def number_of_frames(dataset: Dataset) -> int:
    """(0028,0008); 1 when it is absent, zero, negative or no number."""
    values = dataset.get("00280008", {}).get("Value") or [1]
    return values[0] if isinstance(values[0], int) and values[0] > 0 else 1


def _attribute(dataset: Dataset, tag: str) -> int:
    values = dataset.get(tag, {}).get("Value") or [0]
    return values[0] if isinstance(values[0], int) else 0


def native_frame_bits(dataset: Dataset, tag: int, length: int, frames: int) -> int:
    """Bits of one native frame (PS3.5 8.1.1). Raises PixelError when Rows, Columns … do not say."""
    rows, columns = _attribute(dataset, "00280010"), _attribute(dataset, "00280011")
    samples = _attribute(dataset, "00280002") or 1
    allocated = {0x7FE00008: 32, 0x7FE00009: 64}.get(tag) or _attribute(dataset, "00280100")
    if rows <= 0 or columns <= 0 or allocated <= 0:
        raise PixelError("Rows, Columns and Bits Allocated do not give the size of a frame")
    bits = rows * columns * samples * allocated
    photometric = (dataset.get("00280004", {}).get("Value") or [""])[0]
    if photometric == "YBR_FULL_422" and samples == 3 and length * 8 < bits * frames:
        bits = bits // 3 * 2  # two pixels share their chroma (PS3.3 C.7.6.3.1.2)
    return bits


def _fragments(view: memoryview, pos: int, end: int, frames: int) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    """Basic offset table (if it has an entry a frame), and (offset of the item header, length) of each fragment."""
    table: tuple[int, ...] | None = None
    fragments: list[tuple[int, int]] = []
    while pos + 8 <= end and view[pos : pos + 4] == _ITEM:
        length = struct.unpack_from("<I", view, pos + 4)[0]
        length = min(length, end - pos - 8)  # a truncated file's last fragment
        if table is None:
            table = struct.unpack_from(f"<{frames}I", view, pos + 8) if length // 4 == frames else ()
        else:
            if len(fragments) == MAX_FRAMES:
                raise PixelError(f"more than {MAX_FRAMES} fragments")
            fragments.append((pos, length))
        pos += 8 + length
    return table or (), fragments


def _frame_starts(
    view: memoryview, header: Header, table: tuple[int, ...], fragments: list[tuple[int, int]], frames: int
) -> list[int]:
    """Index of the first fragment of each frame."""
    base = fragments[0][0]
    index = {offset - base: i for i, (offset, _) in enumerate(fragments)}
    for offsets in (_extended_offsets(view, header, frames), table):
        starts = [index.get(offset, -1) for offset in offsets]
        if len(starts) == frames and starts[0] == 0 and all(a < b for a, b in pairwise(starts)):
            return starts
    if frames == 1:
        return [0]
    if len(fragments) == frames:
        return list(range(frames))
    starts = [i for i, (offset, length) in enumerate(fragments) if _begins_stream(view, offset + 8, length, header)]
    if starts and starts[0] == 0 and len(starts) == frames:
        return starts
    ends = [i for i, (offset, length) in enumerate(fragments) if _ends_stream(view, offset + 8, length)]
    if len(ends) == frames and ends[-1] == len(fragments) - 1:
        return [0, *(i + 1 for i in ends[:-1])]
    raise PixelError(f"{len(fragments)} fragments without an offset table cannot be told apart as {frames} frames")


def _extended_offsets(view: memoryview, header: Header, frames: int) -> tuple[int, ...]:
    """(7FE0,0001), wherever the header has it."""
    element = header.dataset.get("7FE00001", {})
    if "InlineBinary" in element:
        raw = b64decode(element["InlineBinary"])
    elif (value := header.bulk.get("7FE00001")) is not None:
        raw = bytes(view[value.offset : value.offset + value.length])
    else:
        return ()
    return struct.unpack_from(f"<{frames}Q", raw) if len(raw) // 8 == frames else ()


def _begins_stream(view: memoryview, at: int, length: int, header: Header) -> bool:
    begin = bytes(view[at : at + min(length, 12)])
    if header.transfer_syntax_uid == transfer_syntaxes.RLE_LOSSLESS:
        return len(begin) >= 8 and 1 <= begin[0] <= 15 and begin[1:8] == b"\0\0\0\x40\0\0\0"
    return begin.startswith((b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "))


def _ends_stream(view: memoryview, at: int, length: int) -> bool:
    return b"\xff\xd9" in bytes(view[at + max(0, length - 10) : at + length])


def defragment(raw: bytes, frame: FrameRange) -> bytes:
    """The frame of the bytes of its range: without item headers, little endian, bit-packed frames from bit 0 on.

    Raises PixelError when the bytes are not the range's.
    """
    if len(raw) != frame.length:
        raise PixelError("the bytes are not those of the frame's range")
    if frame.fragmented:
        return b"".join(_fragment_values(raw))
    if frame.word > 1:
        raw = swap_words(raw, frame.word)
    if frame.bits and not frame.bits % 8 and not frame.bit_offset % 8:
        return raw[frame.bit_offset // 8 :][: frame.bits // 8]
    if frame.bits:
        number = int.from_bytes(raw, "little") >> frame.bit_offset & (1 << frame.bits) - 1
        return number.to_bytes(-(-frame.bits // 8), "little")
    return raw


def _fragment_values(raw: bytes) -> list[bytes]:
    pos, values = 0, []
    while pos < len(raw):
        if raw[pos : pos + 4] != _ITEM or pos + 8 > len(raw):
            raise PixelError("a fragment is not where it should be")
        length = struct.unpack_from("<I", raw, pos + 4)[0]
        if pos + 8 + length > len(raw):
            raise PixelError("a fragment is longer than its frame")
        values.append(raw[pos + 8 : pos + 8 + length])
        pos += 8 + length
    return values
