"""Why an image goes up as it came."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """As the counters of `status` name it."""

    NO_IMAGE = "no image"
    """No Pixel Data (7FE0,0010): a report, a waveform, or pixels of floating point numbers."""
    COMPRESSED = "compressed already"
    BIG_ENDIAN = "big endian"
    TOO_LARGE = "too large"
    COLOUR = "colour of another kind"
    """Neither one sample a pixel nor RGB or YBR_FULL."""
    DEPTH = "bits"
    """Not 8 or 16 allocated, or those stored are not the lowest of them."""
    GEOMETRY = "pixels do not fit"
    """More or fewer bytes than rows, columns, samples and frames say."""
    DATA_SET = "data set"
    """It cannot be walked, or would not be the same in Explicit VR."""
    NOT_EXACT = "not exact"
    """The codec refuses it, or what it made does not give back every bit."""
    NO_SMALLER = "no smaller"
    NO_ROOM = "no room"
    """For both files at once."""
    SPOILT = "spoilt"
    """Not what was received: whoever sends it sees that, too."""


class LeftAloneError(Exception):
    """Not an error of anybody: the image stays as it came."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
