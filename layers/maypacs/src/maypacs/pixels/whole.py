"""An instance that is in memory as a whole: its frames as stored, decoded, drawn, or as Explicit VR Little Endian."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from maypacs.dicom import explicit, transfer_syntaxes
from maypacs.dicom import frames as frame_tables
from maypacs.dicom import header as headers
from maypacs.errors import DicomError, FrameNotFoundError, PixelError
from maypacs.pixels import image as images
from maypacs.pixels.decode import NATIVE, decode_frame, native_bytes
from maypacs.pixels.image import ImagePixel
from maypacs.pixels.picture import Rendering
from maypacs.pixels.render import render_frame

if TYPE_CHECKING:
    from maypacs.pixels.decode import Array


class WholeInstance:
    """Raises PixelError wherever the pixels cannot be had, with the reason."""

    def __init__(self, data: bytes, header: headers.Header | None = None) -> None:
        header = header or headers.parse_header(data)
        if transfer_syntaxes.info(header.transfer_syntax_uid).deflated:
            data = explicit.to_explicit_little_endian(data, header)
            header = headers.parse_header(data)
        self.data = data
        self.header = header
        self.attributes = self.header.dataset
        self.transfer_syntax_uid = self.header.transfer_syntax_uid

    @cached_property
    def pixel(self) -> ImagePixel:
        return images.image_pixel(self.attributes)

    @cached_property
    def frame_table(self) -> frame_tables.FrameTable:
        try:
            table = frame_tables.frame_table(self.data, self.header)
        except PixelError:
            raise
        except DicomError as error:
            raise PixelError(str(error)) from None
        if table is None:
            raise PixelError("the instance has no pixel data")
        return table

    def stored_frame(self, number: int) -> bytes:
        """One frame (1-based): native little endian samples, or the fragments joined. Raises FrameNotFoundError."""
        found = self.frame_table.locate(number)
        return frame_tables.defragment(bytes(self.data[found.offset : found.offset + found.length]), found)

    def decode(self, number: int) -> tuple[Array, str]:
        if number < 1:
            raise FrameNotFoundError("frames are counted from 1")
        return decode_frame(self.stored_frame(number), self.pixel, self.transfer_syntax_uid)

    def render(self, number: int, rendering: Rendering) -> bytes:
        array, photometric = self.decode(number)
        resolve = partial(resolve_bulk, self.data)
        return render_frame(
            array, photometric, self.pixel, self.attributes, frame=number, rendering=rendering, resolve=resolve
        )

    def native_frame(self, number: int) -> tuple[bytes, str]:
        """One frame as Explicit VR Little Endian holds it, and its photometric interpretation."""
        return native_frame_bytes(self.stored_frame(number), self.pixel, self.transfer_syntax_uid)

    def compressed_frame(self, number: int, target: str) -> tuple[bytes, str]:
        """One frame in a transfer syntax of compressed pixels, and its photometric interpretation."""
        return compressed_frame_bytes(self.stored_frame(number), self.pixel, self.transfer_syntax_uid, target)


def compressed_frame_bytes(frame: bytes, pixel: ImagePixel, stored_syntax: str, target: str) -> tuple[bytes, str]:
    """A stored frame in the target syntax, and its photometric interpretation. Raises PixelError."""
    from maypacs.pixels.encode import encode_frame

    if transfer_syntaxes.info(stored_syntax).video:
        raise PixelError("no single frame of a video is given")
    return encode_frame(frame, pixel, stored_syntax, target)


def native_frame_bytes(frame: bytes, pixel: ImagePixel, transfer_syntax_uid: str) -> tuple[bytes, str]:
    """A stored frame as Explicit VR Little Endian holds it: exactly rows x columns x samples x bytes, no padding."""
    if transfer_syntax_uid in NATIVE:
        return frame[: pixel.native_size(len(frame))], pixel.photometric
    # Lossy YBR is given as RGB: what a decoder makes of it; lossless YBR stays what it is.
    as_rgb = transfer_syntax_uid.startswith("1.2.840.10008.1.2.4.5")
    array, photometric = decode_frame(frame, pixel, transfer_syntax_uid, as_rgb=as_rgb)
    return native_bytes(array, pixel), photometric


def joined(frames: Sequence[bytes], pixel: ImagePixel) -> bytes:
    """Native frames, each from bit 0 of its first byte on, as pixel data have them (PS3.5 8.1.1): bits without gaps."""
    if pixel.together == 1:
        return b"".join(frames)
    bits, native = pixel.frame_bits, bytearray()
    for start in range(0, len(frames), pixel.together):
        number, together = 0, frames[start : start + pixel.together]
        for place, frame in enumerate(together):
            number |= (int.from_bytes(frame, "little") & (1 << bits) - 1) << place * bits
        native += number.to_bytes((len(together) * bits + 7) // 8, "little")
    return bytes(native)


def resolve_bulk(data: bytes, uri: str) -> bytes:
    """The bytes that a BulkDataURI of this instance names."""
    _, _, path = uri.partition("/bulkdata/")
    return bytes(headers.locate_bulk(data, path))
