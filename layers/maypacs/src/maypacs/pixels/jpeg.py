"""What the header of a JPEG, JPEG-LS or JPEG 2000 code stream says of itself, read before a codec is let at it.

A codec makes room for what the stream claims, in this process: a stream of kilobytes that claims another picture than
the image is, or one in pieces without end, is refused here. Sources: ISO/IEC 10918-1 B.2.2, ISO/IEC 14495-1 C.2.2.
"""

from __future__ import annotations

from maypacs.errors import PixelError
from maypacs.pixels.image import ImagePixel
from maypacs.pixels.jpeg2000 import StreamHeader, code_stream

#: JPEG by discrete cosine transform: processes 1, 2/4, 3/5 and the retired progressive ones.
DCT_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in range(50, 57))
JPEG_2000_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93, 201, 202, 203))
#: DCT, lossless, JPEG-LS, JPEG 2000: whose streams have a header of ours to read.
SYNTAXES = DCT_SYNTAXES | JPEG_2000_SYNTAXES | {f"1.2.840.10008.1.2.4.{n}" for n in (57, 70, 80, 81)}
#: Start of frame: DCT, lossless, arithmetic, JPEG-LS. Not DHT (C4), JPG (C8), DAC (CC).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
#: Markers without a segment: TEM, RSTn.
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_SOS, _EOI = 0xDA, 0xD9
#: A progressive picture comes in some ten scans, each of which is work for the whole of it.
_MAX_SCANS = 64


def check_stream(frame: bytes, image: ImagePixel, transfer_syntax_uid: str) -> None:
    """Raises PixelError when the stream of a syntax of `SYNTAXES` is not the image that it is to be."""
    header = stream_header(frame)
    is_jpeg_2000 = transfer_syntax_uid in JPEG_2000_SYNTAXES
    if header is None or is_jpeg_2000 != (frame[:2] != b"\xff\xd8"):
        raise PixelError("no decoder reads this frame: it is no stream of its transfer syntax")
    if header.columns != image.columns or header.rows not in ({image.rows} if is_jpeg_2000 else {image.rows, 0}):
        raise PixelError(f"the stream is a picture of {header.columns} x {header.rows}, the image is of another size")
    if header.samples != image.samples:
        raise PixelError(f"the stream has {header.samples} samples a pixel, the image has {image.samples}")
    if header.precision > image.bits_allocated:
        raise PixelError(f"the stream has {header.precision} bits a sample, the image {image.bits_allocated}")
    if header.shattered:
        raise PixelError("the stream is in more pieces than we are willing to put together")


def stream_header(stream: bytes) -> StreamHeader | None:
    """None when there is no header that we can read."""
    if stream[:2] != b"\xff\xd8":
        return code_stream(stream)
    header, position = None, 2
    while (position := stream.find(b"\xff", position)) >= 0 and position + 4 <= len(stream):
        marker = stream[position + 1]
        if marker in {_SOS, _EOI}:
            break
        if marker in {0, 0xFF} or marker in _BARE:
            position += 1 + (marker != 0xFF)
            continue
        if marker in _FRAME_MARKERS and position + 9 < len(stream):
            rows, columns = (int.from_bytes(stream[position + at : position + at + 2], "big") for at in (5, 7))
            shattered = header is not None or stream.count(b"\xff\xda") > _MAX_SCANS
            header = StreamHeader(columns, rows, stream[position + 9], stream[position + 4], shattered)
        position += 2 + max(2, int.from_bytes(stream[position + 2 : position + 4], "big"))
    return header


def sample_precision(stream: bytes) -> int:
    """Bits a sample of a JPEG stream; 0 when they are not known."""
    found = stream_header(stream)
    return found.precision if found else 0
