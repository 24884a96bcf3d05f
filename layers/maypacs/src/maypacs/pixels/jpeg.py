"""JPEG by discrete cosine transform: which processes there are, and how wide the samples of a stream are."""

from __future__ import annotations

#: Processes 1, 2/4, 3/5 and the retired progressive ones.
DCT_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in range(50, 57))
_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})


def sample_precision(stream: bytes) -> int:
    """Bits a sample of a DCT code stream (ISO/IEC 10918-1 B.2.2); 0 when no frame header is found."""
    position = 2
    while position + 5 < len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker in _FRAME_MARKERS:
            return stream[position + 4]
        if marker == 0xFF:
            position += 1
            continue
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return 0
