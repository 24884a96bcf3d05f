"""A whole instance as Explicit VR Little Endian (PS3.18 8.7.3.5: the default transfer syntax of every answer), or in
another transfer syntax that was asked for by name.

The data set keeps its SOPInstanceUID: the picture is the same, its encoding is not. Attributes that describe the pixels
(photometric interpretation, planar configuration) follow what the new bytes are. JPEG baseline makes another picture:
a derived one, with a UID of its own (the same each time) and the attributes of lossy compression (PS3.3 C.7.6.1.1.5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from maypacs.dicom import explicit, transfer_syntaxes
from maypacs.dicom.header import MAX_INFLATED, Header, parse_header
from maypacs.errors import PixelError
from maypacs.pixels.jpeg import DCT_SYNTAXES
from maypacs.pixels.whole import WholeInstance, joined

#: Attributes by tag; None removes one.
Changes = dict[str, str | int | None]
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


def to_transfer_syntax(data: bytes, target: str) -> bytes:
    """A Part 10 file in the target syntax. Raises PixelError (pixels, syntax) and HeaderError (data set)."""
    if target == transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN:
        return to_explicit_little_endian(data)
    if target == transfer_syntaxes.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        _check_inflated_size(data)
        native = to_explicit_little_endian(data)
        return explicit.to_deflated(native, parse_header(native))
    from maypacs.pixels import encode

    if target not in encode.TARGETS:
        raise PixelError("no encoder for that transfer syntax")
    header = parse_header(data)
    if header.pixel_data is None and not transfer_syntaxes.info(header.transfer_syntax_uid).deflated:
        raise PixelError("the instance has no pixels to compress")
    instance = WholeInstance(data, header)
    frames, overrides = compressed_frames(instance, target)
    return explicit.to_encapsulated(instance.data, instance.header, target, frames, overrides)


def _check_inflated_size(data: bytes) -> None:
    """A deflated data set is made whole, in memory, and nobody could read a larger one again. Raises PixelError."""
    header = parse_header(data)
    size = len(data)
    if header.pixel_data is not None and header.pixel_data.encapsulated:
        instance = WholeInstance(data, header)
        size = instance.pixel.decoded_size * instance.frame_table.number_of_frames
    if size > MAX_INFLATED:
        raise PixelError(f"above {MAX_INFLATED >> 20} MiB uncompressed no data set is deflated")


def compressed_frames(instance: WholeInstance, target: str) -> tuple[list[bytes], Changes]:
    """All frames in the target syntax, and the attributes that are others now. Raises PixelError."""
    frames, photometric = [], instance.pixel.photometric
    for number in range(1, instance.frame_table.number_of_frames + 1):
        frame, photometric = instance.compressed_frame(number, target)
        frames.append(frame)
    return frames, changes(instance, target, photometric, sum(map(len, frames)))


def changes(instance: WholeInstance, target: str, photometric: str, size: int) -> Changes:
    """The attributes that are others when the frames are in the target syntax, of so many bytes."""
    from maypacs.pixels.encode import JPEG_BASELINE

    pixel = instance.pixel
    overrides: Changes = {"00280006": 0} if pixel.samples > 1 else {}
    if photometric != pixel.photometric:
        overrides["00280004"] = photometric
    if target != transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN and instance.transfer_syntax_uid in DCT_SYNTAXES:
        overrides["00282110"] = "01"  # once lossy, always lossy
    if target == JPEG_BASELINE:
        overrides |= _lossy(instance, size)
    return overrides


def _lossy(instance: WholeInstance, size: int) -> Changes:
    """PS3.3 C.7.6.1.1.2 (derived), C.7.6.1.1.5 (lossy): what was there stays, ours is added."""
    pixel, attributes = instance.pixel, instance.attributes
    native = pixel.rows * pixel.columns * pixel.samples * pixel.number_of_frames

    def values(tag: str) -> list[str]:
        """A value that is empty among others is null in JSON."""
        return ["" if each is None else str(each) for each in attributes.get(tag, {}).get("Value", [])]

    def added(tag: str, value: str) -> str:
        return "\\".join([*values(tag), value])

    kind = values("00080008") or ["ORIGINAL", "PRIMARY"]
    state = hashlib.sha256(f"{instance.header.sop_instance_uid} in JPEG baseline".encode()).digest()
    return {
        "00080008": "\\".join(["DERIVED", *kind[1:]]),
        "00080018": f"2.25.{int.from_bytes(state[:16], 'big')}",
        "00282110": "01",
        "00282112": added("00282112", f"{native / max(size, 1):.2f}"),
        "00282114": added("00282114", "ISO_10918_1"),
    }


def decoded_pixels(data: bytes, header: Header) -> tuple[bytes, Changes]:
    """All frames as native little endian pixel data, and the attributes that are others now. Raises PixelError."""
    instance = WholeInstance(data, header)
    frames, photometric = [], instance.pixel.photometric
    for number in range(1, instance.frame_table.number_of_frames + 1):
        frame, photometric = instance.native_frame(number)
        frames.append(frame)
    if sum(map(len, frames)) > _LARGEST:
        raise PixelError("the decompressed pixel data would exceed 4 GiB")
    native = joined(frames, instance.pixel)
    return native, changes(instance, transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN, photometric, len(native))


def around_frames(data: bytes, target: str, lengths: Sequence[int], photometric: str) -> tuple[bytes, bytes]:
    """What comes before and after frames that were made one by one: a Part 10 file. Raises PixelError, HeaderError.

    ``lengths``: of native frames, or of fragments (`encapsulation.fragment`); ``photometric``: what they have become.
    """
    instance = WholeInstance(data)
    overrides = changes(instance, target, photometric, sum(lengths) - 8 * len(lengths))
    return explicit.around_frames(instance.data, instance.header, target, lengths, overrides)
