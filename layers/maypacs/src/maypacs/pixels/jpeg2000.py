"""What a JPEG 2000 code stream says of itself: its picture, and how many pieces a codec makes room for.

A few bytes can ask for gigabytes: by the components, or by tiles, precincts and code blocks of a few samples each, for
each of which OpenJPEG keeps some hundred bytes or more. Sources: ISO/IEC 15444-1 A.4.2, A.5.1, A.6.1, A.6.2, B.6, I.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  "
_COD, _COC, _SOT, _SOD, _EOC = 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9
#: Marker segments of the headers, those of parts 2 and 15 too. Over any other a codec looks for the next that it knows.
_KNOWN = range(0xFF50, 0xFF79)
#: A tile costs OpenJPEG about 7 KB, a precinct 2 KB, a code block 200 bytes; of each kind we let it have some 100 MB.
_MAX_TILES, _MAX_PRECINCTS, _MAX_BLOCKS = 10_000, 50_000, 500_000
#: Layers of precincts of all tiles: OpenJPEG looks at each, also where the stream has ended; seven millions a second.
_MAX_PACKETS = 2_000_000
#: Marker segments that we look at.
_MAX_SEGMENTS = 100_000


@dataclass(frozen=True, slots=True)
class StreamHeader:
    columns: int
    rows: int  #: 0: the header does not say (DNL of JPEG)
    samples: int
    precision: int  #: bits of the component that has the most
    shattered: bool = False  #: in more pieces than a real picture is, each of which costs memory or time


def code_stream(frame: bytes) -> StreamHeader | None:
    """Of a code stream, or of one in a JP2 file. None when there is none that we can read."""
    found = _in_jp2(frame) if frame.startswith(_JP2) else memoryview(frame)
    if found is None or found[:4] != _SOC_SIZ or len(found) < 42:
        return None
    width, height, left, top, tile_width, tile_height, tile_left, tile_top, samples = struct.unpack_from(
        ">8IH", found, 8
    )
    depths = bytes(found[42 : 42 + 3 * samples : 3])
    if len(depths) < samples or not samples or not tile_width or not tile_height:
        return None
    tiles = -(-(width - tile_left) // tile_width) * -(-(height - tile_top) // tile_height)
    area = (min(tile_width, width), min(tile_height, height))
    precision = max(depth & 0x7F for depth in depths) + 1
    shattered = tiles > _MAX_TILES or _has_shattered_tiles(found, area, tiles, samples)
    return StreamHeader(width - left, height - top, samples, precision, shattered)


def _in_jp2(frame: bytes) -> memoryview | None:
    """The code stream of a JP2 file; None too for one with a palette, which a codec makes more components of."""
    view, position = memoryview(frame), 0
    while position + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, position)
        start = 8
        if length == 1 and position + 16 <= len(frame):
            (length,) = struct.unpack_from(">Q", frame, position + 8)
            start = 16
        end = position + length if length else len(frame)
        if kind == b"jp2c":
            return view[position + start : end]
        if (length and length < start) or (kind == b"jp2h" and b"pclr" in frame[position:end]):
            return None
        position = end
    return None


def _has_shattered_tiles(stream: memoryview, area: tuple[int, int], tiles: int, samples: int) -> bool:
    """By every COD and COC, in the main header and in those of tile-parts; also when these cannot be told."""
    position, tile_end, layers = 2, 0, 1
    for _ in range(_MAX_SEGMENTS):
        if position + 4 > len(stream):
            return False
        marker, length = struct.unpack_from(">HH", stream, position)
        if marker == _EOC or (marker == _SOD and not tile_end):  # the last tile-part goes on to the end
            return False
        if marker == _SOD:
            position = tile_end
            continue
        if (marker not in _KNOWN and marker != _SOT) or length < 2:
            return True
        segment = bytes(stream[position + 4 : position + 2 + length])
        if marker == _SOT and len(segment) == 8:
            (part,) = struct.unpack_from(">I", segment, 2)
            tile_end = position + max(part, 14) if part else 0
        style = b""
        if marker == _COD and len(segment) >= 5:
            layers, style = max(layers, int.from_bytes(segment[2:4], "big")), segment[5:]
        elif marker == _COC:
            style = segment[3 if samples > 256 else 2 :]
        if len(style) >= 5 and _is_shattered(style, layers, area, tiles, samples):
            return True
        position += 2 + length
    return True


def _is_shattered(style: bytes, layers: int, area: tuple[int, int], tiles: int, samples: int) -> bool:
    """Whether tiles of this area come in too many precincts, packets or code blocks, those of all components counted.

    `style`: levels, width and height of a code block, its style, the transform, then the sizes of the precincts.
    """
    levels, block = style[0], [(style[1] & 15) + 2, (style[2] & 15) + 2]
    precincts = 0
    for resolution, size in enumerate(style[5 : 6 + levels]):
        powers = (size & 15, size >> 4)
        across, down = ((side >> (levels - resolution) >> power) + 1 for side, power in zip(area, powers, strict=True))
        precincts += across * down
        block = [min(mine, max(0, power - 1)) for mine, power in zip(block, powers, strict=True)]
    blocks = area[0] * area[1] >> sum(block)
    packets = layers * max(precincts, levels + 1) * tiles
    return precincts * samples > _MAX_PRECINCTS or blocks * samples > _MAX_BLOCKS or packets * samples > _MAX_PACKETS
