"""Bytes of one frame to an array of samples.

Native frames (PS3.5 8.1) are read by numpy alone; compressed ones (PS3.5 8.2, A.4) by the codecs that pydicom knows
(openjpeg, pylibjpeg-rle, CharLS, Pillow; GDCM in a child), imported only here and only then. None of them is GPL.
"""

from __future__ import annotations

import logging
import warnings
import zlib
from typing import TYPE_CHECKING, Any

from maypacs.errors import PixelError
from maypacs.pixels import isolated, jpeg
from maypacs.pixels.image import ImagePixel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_log = logging.getLogger(__name__)

NATIVE = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.1.98",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
        "1.2.840.113619.5.2",
    }
)
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
#: DCT processes that pydicom has an entry for; the others are read as baseline when they hold 8 bits.
_OF_PYDICOM = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
#: Syntaxes that pydicom has no entry for, read by the decoder of another of the same family.
_SAME_FAMILY = {"1.2.840.10008.1.2.4.92": "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.93": "1.2.840.10008.1.2.4.91"}

#: Samples of a frame that we are willing to unpack: above it the memory of a function is at risk.
MAX_SAMPLES = 150_000_000


def decode_frame(
    frame: bytes, image: ImagePixel, transfer_syntax_uid: str, *, as_rgb: bool = True
) -> tuple[Array, str]:
    """(rows, columns[, samples]) of the stored samples, and their photometric interpretation.

    `as_rgb`: YBR becomes RGB, to be drawn; otherwise the samples are what the stream holds.

    `frame` is what `maypacs.dicom.frames.defragment` gives: one native frame, little endian and beginning at a byte, or
    the fragments of one compressed frame joined. Raises PixelError with the reason.
    """
    if image.rows * image.columns * image.samples > MAX_SAMPLES:
        raise PixelError("the frame is too large to be drawn")
    if transfer_syntax_uid == DEFLATED_FRAMES:
        frame = inflated_frame(frame, image)
    if transfer_syntax_uid in NATIVE or transfer_syntax_uid == DEFLATED_FRAMES:
        return native_frame(frame, image)
    if transfer_syntax_uid in jpeg.SYNTAXES:
        jpeg.check_stream(frame, image, transfer_syntax_uid)
    if transfer_syntax_uid in jpeg.DCT_SYNTAXES:
        if jpeg.sample_precision(frame) == 12:
            return isolated.decode_twelve_bits(frame, image), image.photometric
        if transfer_syntax_uid not in _OF_PYDICOM:
            transfer_syntax_uid = "1.2.840.10008.1.2.4.50"
    return _compressed(frame, image, transfer_syntax_uid, as_rgb=as_rgb)


def inflated_frame(frame: bytes, image: ImagePixel) -> bytes:
    """Deflated Image Frame Compression (PS3.5 A.4.13): each frame is a raw deflate stream of native bytes."""
    room = image.rows * image.columns * image.samples * max(1, image.bits_allocated // 8) + 2
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, room)
    except zlib.error:
        raise PixelError("the deflated frame cannot be inflated") from None


def native_bytes(array: Array, image: ImagePixel) -> bytes:
    """A decoded frame as Explicit VR Little Endian holds it: BitsAllocated wide, colour by pixel (PS3.5 8.1)."""
    import numpy as np

    if image.bits_allocated == 1:
        return np.packbits(array.reshape(-1).astype(np.uint8), bitorder="little").tobytes()
    kind = f"<{'i' if image.signed else 'u'}{image.bits_allocated // 8}"
    return np.ascontiguousarray(array).astype(np.dtype(kind), copy=False).tobytes()


def native_frame(frame: bytes, image: ImagePixel) -> tuple[Array, str]:
    """A native little endian frame. Raises PixelError when it is too short."""
    import numpy as np

    size = image.native_size(len(frame))
    rows, columns, samples = image.rows, image.columns, image.samples
    if image.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8, size), bitorder="little")
        return bits[: rows * columns].reshape(rows, columns), image.photometric
    letter = "f" if image.floats else "i" if image.signed else "u"
    kind = f"<{letter}{image.bits_allocated // 8}"
    flat: Array = np.frombuffer(frame, np.dtype(kind), size // (image.bits_allocated // 8))
    if not image.floats:
        flat = _stored_bits(flat, image)
    if samples == 1:
        return flat.reshape(rows, columns), image.photometric
    if flat.size < rows * columns * samples:
        array = upsample_422(flat, rows, columns)
    elif image.planar:
        array = flat.reshape(samples, rows, columns).transpose(1, 2, 0)
    else:
        array = flat.reshape(rows, columns, samples)
    return to_rgb(array, image.photometric, image.bits_stored)


def _stored_bits(array: Array, image: ImagePixel) -> Array:
    """Only the stored bits: what is above HighBit may be an overlay (PS3.5 8.1.1), what is below it is noise."""
    spare_high = image.bits_allocated - 1 - image.high_bit
    spare = image.bits_allocated - image.bits_stored
    if spare <= 0 or spare_high < 0:
        return array
    return (array << spare_high) >> spare


def upsample_422(flat: Array, rows: int, columns: int) -> Array:
    """Two pixels that share their chroma (PS3.3 C.7.6.3.1.2) as two pixels that have it each."""
    import numpy as np

    if columns % 2:
        raise PixelError("a YBR_FULL_422 image needs an even number of columns")
    quads = flat.reshape(rows, columns // 2, 4)  # Y1 Y2 Cb Cr
    out = np.empty((rows, columns, 3), flat.dtype)
    out[:, 0::2, 0], out[:, 1::2, 0] = quads[:, :, 0], quads[:, :, 1]
    out[:, :, 1], out[:, :, 2] = np.repeat(quads[:, :, 2], 2, axis=1), np.repeat(quads[:, :, 3], 2, axis=1)
    return out


def to_rgb(array: Array, photometric: str, bits_stored: int) -> tuple[Array, str]:
    """YBR_FULL, YBR_FULL_422 and YBR_PARTIAL_* to RGB (PS3.3 C.7.6.3.1.2); everything else is left alone."""
    import numpy as np

    if not photometric.startswith("YBR") or photometric in {"YBR_RCT", "YBR_ICT"} or array.ndim != 3:
        return array, photometric
    scale = float(1 << max(0, bits_stored - 8))
    y, cb, cr = (array[..., n].astype(np.float32) / scale for n in range(3))
    cb, cr = cb - 128.0, cr - 128.0
    if photometric.startswith("YBR_PARTIAL"):
        y = (y - 16.0) * (255.0 / 219.0)
        cb, cr = cb * (255.0 / 224.0), cr * (255.0 / 224.0)
    rgb = np.stack((y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb), axis=-1)
    top = 255.0 * scale
    return np.clip(np.rint(rgb * scale), 0, top).astype(array.dtype), "RGB"


def _compressed(frame: bytes, image: ImagePixel, transfer_syntax_uid: str, *, as_rgb: bool) -> tuple[Array, str]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    syntax = _SAME_FAMILY.get(transfer_syntax_uid, transfer_syntax_uid)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise PixelError(f"no decoder for the transfer syntax {transfer_syntax_uid}") from None
    options: dict[str, Any] = {
        "rows": image.rows,
        "columns": image.columns,
        "samples_per_pixel": image.samples,
        "bits_allocated": image.bits_allocated,
        "bits_stored": image.bits_stored,
        "photometric_interpretation": image.photometric,
        "pixel_representation": int(image.signed),
        "pixel_keyword": "PixelData",
        "number_of_frames": 1,
        "planar_configuration": int(image.planar),
        "transfer_syntax_uid": syntax,
        "as_rgb": as_rgb,
    }
    failures = []
    for plugin in _plugins(decoder, syntax):
        try:
            if plugin == "gdcm":
                # GDCM ends its process over pixels of 8 bits of which fewer are stored.
                stored = 8 if image.bits_allocated == 8 else image.bits_stored
                return isolated.decode(frame, {**options, "bits_stored": stored})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array, meta = decoder.as_array(
                    encapsulate([frame]),
                    index=0,
                    decoding_plugin=plugin,
                    **{**options, "transfer_syntax_uid": UID(syntax)},
                )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a codec's own error, of whatever class (a panic in Rust is no Exception)
            failures.append(f"{plugin}: {type(error).__name__}")
            _log.debug("decoder failed", exc_info=True)
            continue
        return array, str(meta["photometric_interpretation"])
    raise PixelError(
        f"no decoder reads this frame of {transfer_syntax_uid} ({', '.join(failures) or 'none is installed'})"
    )


def _plugins(decoder: Any, syntax: str) -> list[str]:
    """The decoder's plugins, the ones we trust most first."""
    if syntax in jpeg.JPEG_2000_SYNTAXES:
        order = ["pylibjpeg", "gdcm", "pillow"]
    elif syntax == "1.2.840.10008.1.2.5":
        order = ["pylibjpeg", "pydicom"]
    elif syntax in {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}:
        order = ["pyjpegls", "gdcm"]
    else:
        order = ["pillow", "gdcm"]
    available = decoder.available_plugins
    return [p for p in order if p in available] + [p for p in available if p not in order]
