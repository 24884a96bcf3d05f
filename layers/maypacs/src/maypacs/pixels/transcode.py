"""A whole instance as Explicit VR Little Endian (PS3.18 8.7.3.5: the default transfer syntax of every answer).

The data set keeps its SOPInstanceUID: the picture is the same, its encoding is not. Attributes that describe the pixels
(photometric interpretation, planar configuration) follow what the decoded bytes are.
"""

from __future__ import annotations

from maypacs.dicom import explicit, transfer_syntaxes
from maypacs.dicom.header import Header, parse_header
from maypacs.errors import PixelError
from maypacs.pixels.whole import WholeInstance

#: Pixel data of a defined length take 32 bits (PS3.5 7.1.1).
_LARGEST = 0xFFFFFFFE


def to_explicit_little_endian(data: bytes) -> bytes:
    """A Part 10 file in Explicit VR Little Endian. Raises PixelError (pixels) and HeaderError (data set)."""
    header = parse_header(data)
    if header.transfer_syntax_uid == transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN:
        return data
    if header.pixel_data is None or not header.pixel_data.encapsulated:
        return explicit.to_explicit_little_endian(data, header)
    pixels, overrides = decoded_pixels(data, header)
    return explicit.to_explicit_little_endian(data, header, pixels, overrides)


def decoded_pixels(data: bytes, header: Header) -> tuple[bytes, dict[str, str | int | None]]:
    """All frames as native little endian pixel data, and the attributes that are others now. Raises PixelError."""
    instance = WholeInstance(data, header)
    pixel = instance.pixel
    frames, photometric = [], pixel.photometric
    for number in range(1, instance.frame_table.number_of_frames + 1):
        frame, photometric = instance.native_frame(number)
        frames.append(frame)
    if sum(map(len, frames)) > _LARGEST:
        raise PixelError("the decompressed pixel data would exceed 4 GiB")
    overrides: dict[str, str | int | None] = {"00280006": 0} if pixel.samples > 1 else {}
    if photometric != pixel.photometric:
        overrides["00280004"] = photometric
    return b"".join(frames), overrides
