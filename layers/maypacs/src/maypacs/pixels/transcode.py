"""A whole instance as Explicit VR Little Endian (PS3.18 8.7.3.5: the default transfer syntax of every answer).

The data set keeps its SOPInstanceUID: the picture is the same, its encoding is not. Attributes that describe the pixels
(photometric interpretation, planar configuration) follow what the decoded bytes are.
"""

from __future__ import annotations

import io
import warnings

from maypacs.dicom.header import parse_header
from maypacs.errors import MayPACSError, PixelError
from maypacs.pixels import image as images
from maypacs.pixels.decode import NATIVE
from maypacs.pixels.whole import WholeInstance

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def to_explicit_little_endian(data: bytes) -> bytes:
    """A Part 10 file in Explicit VR Little Endian. Raises PixelError when the pixels or the data set cannot be converted."""
    header = parse_header(data)
    if header.transfer_syntax_uid == EXPLICIT_LITTLE_ENDIAN:
        return data
    try:
        if header.transfer_syntax_uid in NATIVE or not images.has_pixels(header.dataset):
            from maypacs.dicom.file_meta import to_explicit_little_endian as rewrite

            return rewrite(data)
        return _decompress(WholeInstance(data, header))
    except MayPACSError:
        raise
    except Exception as error:  # pydicom raises whatever a strange data set leads it to
        raise PixelError(f"the data set cannot be rewritten ({type(error).__name__})") from error


def _decompress(instance: WholeInstance) -> bytes:
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    pixel = instance.pixel
    frames, photometric = [], pixel.photometric
    for number in range(1, instance.frame_table.number_of_frames + 1):
        frame, photometric = instance.native_frame(number)
        frames.append(frame)
    value = b"".join(frames)
    if len(value) >= 0xFFFFFFFE:
        raise PixelError("the decompressed pixel data would exceed 4 GiB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(instance.data), force=True)
        element = dataset["PixelData"]
        element.value = value + b"\0" * (len(value) % 2)
        element.VR = "OB" if pixel.bits_allocated <= 8 else "OW"
        element.is_undefined_length = False
        if photometric != pixel.photometric:
            dataset.PhotometricInterpretation = photometric
        if pixel.samples > 1:
            dataset.PlanarConfiguration = 0
        for extended in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if extended in dataset:
                del dataset[extended]
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        out = io.BytesIO()
        dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
