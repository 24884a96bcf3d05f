"""Transfer syntaxes (PS3.5 annex A, PS3.6 A.1), and which an image may have before and after it was compressed here."""

from __future__ import annotations

from typing import Final

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPIP_REFERENCED_DEFLATE: Final = "1.2.840.10008.1.2.4.95"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
#: What is compressed, and what it may become. Nothing that a device sends in one of the second kind is touched.
NATIVE: Final = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, DEFLATED_LITTLE_ENDIAN)
OURS: Final = (JPEG_LS_LOSSLESS, HTJ2K_LOSSLESS)


def was_compressed(before: str, after: str) -> bool:
    """Whether a file of the spool in the one syntax can be what a device sent in the other."""
    return before in NATIVE and after in OURS
