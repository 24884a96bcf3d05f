"""Equal content in another encoding, with pixels decoded where that is needed (protocols: what an instance is)."""

from __future__ import annotations

from maypacs.dicom.header import Header
from maypacs.errors import MayPACSError, PixelError

#: Instances above this are compared by their digests alone: two of them decoded would not fit in a function's memory.
LIMIT = 64 * 1024 * 1024


def same_content(stored: bytes, sent: bytes | memoryview) -> bool:
    """False when they differ, or cannot be compared: then a person is asked, who sees both."""
    from maypacs.dicom.equality import same_content as same

    if max(len(stored), len(sent)) > LIMIT:
        return False
    try:
        return same(stored, sent, _all_frames)
    except MayPACSError:
        return False


def _all_frames(data: bytes, header: Header) -> bytes:
    try:
        from maypacs.pixels.decode import NATIVE, native_bytes
        from maypacs.pixels.encode import samples
        from maypacs.pixels.whole import WholeInstance
    except ImportError:  # a function without the codecs layer: two syntaxes are then two versions
        raise PixelError("no codecs here") from None
    whole = WholeInstance(data, header)
    numbers = range(1, whole.pixel.number_of_frames + 1)
    if whole.pixel.planar and whole.transfer_syntax_uid in NATIVE:
        syntax, pixel = whole.transfer_syntax_uid, whole.pixel
        return b"".join(native_bytes(samples(whole.stored_frame(n), pixel, syntax)[0], pixel) for n in numbers)
    return b"".join(whole.native_frame(n)[0] for n in numbers)
