"""The same synthetic image in another encoding."""

from __future__ import annotations

import io

import pydicom


def jpeg_ls(data: bytes) -> bytes:
    """JPEG-LS lossless, by pydicom and pyjpegls; the SOP Instance UID stays."""
    file = pydicom.dcmread(io.BytesIO(data))
    file.compress(pydicom.uid.JPEGLSLossless, generate_instance_uid=False)
    out = io.BytesIO()
    file.save_as(out)
    return out.getvalue()
