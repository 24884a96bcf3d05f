"""The codecs that a rule may name. Each is optional, and none is loaded before it is needed.

Frames are (rows, columns) or (rows, columns, 3), as `image.Image.frame` gives them; a stream is of one frame.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

from edge_forwarder.dicom.syntaxes import HTJ2K_LOSSLESS, JPEG_LS_LOSSLESS

if TYPE_CHECKING:
    from edge_forwarder.compression.image import Frame

#: The rule that leaves images as they come.
NONE: Final = "none"


class Codec(Protocol):
    """``module`` is what must be installed, by ``pip install maypacs-edge[extra]``."""

    syntax: str
    module: str
    extra: str

    def photometric(self, photometric: str) -> str:
        """Photometric Interpretation of the stream (PS3.5 8.2.3, 8.2.4)."""
        ...

    def encode(self, frame: Frame, precision: int) -> bytes:
        """Raises any exception for what the codec does not take."""
        ...

    def decode(self, stream: bytes, like: Frame) -> Frame:
        """The frame again, of the type and shape of ``like``; raises any exception for a stream that is not such."""
        ...


def is_available(codec: Codec) -> bool:
    return find_spec(codec.module) is not None


def works(codec: Codec) -> bool:
    """Whether it gives back a small frame: what is installed may be a build without it, or for another machine."""
    try:
        import numpy as np

        frame = np.arange(1024, dtype="<u2").reshape(32, 32)
        return bool(np.array_equal(codec.decode(codec.encode(frame, 12), frame), frame))
    except Exception:  # of whatever class
        return False


class JpegLs:
    """JPEG-LS lossless (ISO 14495-1) by CharLS, both ways: there is no other decoder of a permissive licence."""

    syntax = JPEG_LS_LOSSLESS
    module = "jpeg_ls"
    extra = "compress"

    def photometric(self, photometric: str) -> str:
        return photometric

    def encode(self, frame: Frame, precision: int) -> bytes:
        import jpeg_ls

        if frame.dtype.kind == "i":
            # It knows no signs. Whole words, for a reader that cuts the sign off would have another number.
            precision = 8 * frame.itemsize
        return bytes(
            jpeg_ls.encode_pixel_data(
                frame.tobytes(),
                rows=frame.shape[0],
                columns=frame.shape[1],
                samples_per_pixel=1 if frame.ndim == 2 else frame.shape[2],
                planar_configuration=0,
                bits_stored=precision,
            )
        )

    def decode(self, stream: bytes, like: Frame) -> Frame:
        import jpeg_ls
        import numpy as np

        raw, _ = jpeg_ls.decode_pixel_data(stream)
        return np.frombuffer(bytes(raw), like.dtype).reshape(like.shape)


class Htj2k:
    """High-throughput JPEG 2000, reversible (ISO 15444-15), by OpenJPH; read again by another, OpenJPEG."""

    syntax = HTJ2K_LOSSLESS
    module = "imagecodecs"
    extra = "htj2k"

    def photometric(self, photometric: str) -> str:
        return "YBR_RCT" if photometric == "RGB" else photometric

    def encode(self, frame: Frame, precision: int) -> bytes:
        import imagecodecs
        import numpy as np

        bits, signed = 8 * frame.itemsize, frame.dtype.kind == "i"
        words = frame
        if precision < bits and not signed:
            # The binding calls every word one of 8 or 16 bits. The stream of so many bits, unsigned, is that of signed
            # words half their range lower (the level shift of ISO 15444-1 G.1), but for what SIZ says of them.
            words = (frame.astype(np.int32) - (1 << precision - 1)).astype(f"<i{frame.itemsize}")
        rgb, planar = (None, None) if frame.ndim == 2 else (True, False)
        words = np.ascontiguousarray(words)
        stream = bytes(imagecodecs.htj2k_encode(words, reversible=True, rgb=rgb, planar=planar))
        return _with_precision(stream, precision, signed=signed)

    def decode(self, stream: bytes, like: Frame) -> Frame:
        import imagecodecs

        # Like its encoder, it makes words of 8 or 16 bits of whatever the stream has.
        return imagecodecs.jpeg2k_decode(stream).astype(like.dtype, casting="safe").reshape(like.shape)


def _with_precision(stream: bytes, precision: int, *, signed: bool) -> bytes:
    """Ssiz of every component (ISO 15444-1 A.5.1). What quantisation says of the bit planes may be more than that."""
    if stream[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("no codestream")
    (components,) = struct.unpack_from(">H", stream, 40)
    changed = bytearray(stream)
    for n in range(components):
        changed[42 + 3 * n] = precision - 1 | (0x80 if signed else 0)
    return bytes(changed)


#: By the name that a rule gives.
CODECS: Final[Mapping[str, Codec]] = {"jpeg-ls": JpegLs(), "htj2k": Htj2k()}
