"""When two instances are the same (protocols: "What an instance is")."""

from __future__ import annotations

import hashlib

from maypacs.dicom.header import Header


def dataset_digest(data: bytes | memoryview, header: Header) -> bytes:
    """SHA-256 (32 bytes) of the data set: everything after group 0002, as it is."""
    return hashlib.sha256(memoryview(data)[header.dataset_offset :]).digest()
