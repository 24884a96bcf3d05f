"""What the header of a JPEG, JPEG-LS or JPEG 2000 code stream says of itself, read before a codec is let at it.

Sources: ISO/IEC 10918-1 B.2.2, ISO/IEC 14495-1 C.2.2, ISO/IEC 15444-1 A.5.1.
"""

from __future__ import annotations

from dataclasses import dataclass

#: JPEG by discrete cosine transform: processes 1, 2/4, 3/5 and the retired progressive ones.
DCT_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in range(50, 57))
#: Start of frame: DCT, lossless, arithmetic, JPEG-LS. Not DHT (C4), JPG (C8), DAC (CC).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class StreamHeader:
    columns: int
    rows: int
    precision: int  #: bits a sample; 0 when the header names it elsewhere (JPEG 2000)


def stream_header(stream: bytes) -> StreamHeader | None:
    """None when there is no header that we can read: the codec will tell."""
    if stream[:4] == b"\xff\x4f\xff\x51":
        width, height, left, top = (int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20))
        return StreamHeader(width - left, height - top, 0)
    if stream[:2] != b"\xff\xd8":
        return None
    position = 2
    while position + 9 < len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker in _FRAME_MARKERS:
            rows, columns = (int.from_bytes(stream[position + at : position + at + 2], "big") for at in (5, 7))
            return StreamHeader(columns, rows, stream[position + 4])
        position += 1 if marker == 0xFF else 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return None


def sample_precision(stream: bytes) -> int:
    """Bits a sample of a JPEG stream; 0 when they are not known."""
    found = stream_header(stream)
    return found.precision if found else 0
