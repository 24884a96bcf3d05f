"""Rendered instances, frames and thumbnails (PS3.18 10.4.3.3)."""

from __future__ import annotations


def thumbnail_jpeg(data: bytes, frame: int | None = None, max_side: int = 256, *, may_identify: bool = False) -> bytes:
    """A JPEG of at most `max_side` pixels a side of one frame of a Part 10 file (the middle one by default).

    A thumbnail must not identify (PS3.18 10.4.3.3.4): what may have burned-in text (US, SC, BurnedInAnnotation YES) gives
    a neutral placeholder that names the modality, unless `may_identify`. So does what has no pixels, or pixels that no
    decoder reads: a thumbnail is never an error.
    """
    from maypacs.pixels.thumbnail import thumbnail

    return thumbnail(data, frame, max_side, may_identify=may_identify)
