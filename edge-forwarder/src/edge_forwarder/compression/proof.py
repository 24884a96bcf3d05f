"""Whether a compressed file holds what the original held, read from its own bytes as anybody else would.

Pixels: every frame is decoded from the file and compared, word by word. Attributes that were rewritten (Implicit VR):
pydicom reads both files, and has to find the same.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator

from edge_forwarder.compression.codecs import Codec
from edge_forwarder.compression.image import PHOTOMETRIC, PIXEL_DATA, PLANAR, Image
from edge_forwarder.compression.reasons import LeftAloneError, Reason
from edge_forwarder.dicom import part10
from edge_forwarder.dicom.elements import UNDEFINED, element_header, skip_sequence


def pixels(compressed: bytes, data_set: bytes, image: Image, codec: Codec) -> None:
    """``image`` is that of ``data_set``, the original in Explicit VR. Raises LeftAloneError."""
    import numpy as np

    number = 0
    try:
        for number, fragment in enumerate(_fragments(compressed), 1):
            frame = image.frame(data_set, number - 1) if number <= image.frames else None
            if frame is None or not np.array_equal(codec.decode(fragment, frame), frame):
                raise LeftAloneError(Reason.NOT_EXACT)
    except LeftAloneError:
        raise
    except Exception:  # a codec's own error, of whatever class
        raise LeftAloneError(Reason.NOT_EXACT) from None
    if number != image.frames:
        raise LeftAloneError(Reason.NOT_EXACT)


def _fragments(compressed: bytes) -> Iterator[bytes]:
    at, tag, length = part10.dataset_offset(compressed), 0, 0
    while tag != PIXEL_DATA:
        tag, vr, length, at = element_header(compressed, at, explicit=True)
        if tag != PIXEL_DATA:
            at = skip_sequence(compressed, at, explicit=vr != b"UN") if length == UNDEFINED else at + length
    is_table = True
    while True:
        group, element, length = struct.unpack_from("<HHI", compressed, at)
        if (group, element) != (0xFFFE, 0xE000):
            return
        if not is_table:
            yield compressed[at + 8 : at + 8 + length]
        is_table, at = False, at + 8 + length


def attributes(compressed: bytes, original: bytes, pixels: bytes) -> None:
    """``pixels``: those that were compared. Raises LeftAloneError."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before, after = (pydicom.dcmread(io.BytesIO(data)) for data in (original, compressed))
            if before[PIXEL_DATA].value != pixels:
                raise LeftAloneError(Reason.DATA_SET)
            for data_set in (before, after):
                for tag in (PIXEL_DATA, PLANAR, PHOTOMETRIC):
                    data_set.pop(tag, None)
                lengths = [element.tag for element in data_set.iterall() if element.tag.element == 0]
                for tag in lengths:
                    data_set.pop(tag, None)
            if before != after:
                raise LeftAloneError(Reason.DATA_SET)
    except LeftAloneError:
        raise
    except Exception:  # pydicom raises nearly anything on bytes that are not DICOM
        raise LeftAloneError(Reason.DATA_SET) from None
