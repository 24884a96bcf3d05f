"""Samples of one frame to the bytes of a transfer syntax: what is asked for by name, and nothing that is not exact.

Each losslessly compressed frame is decoded again and compared before it is given away: an encoder that fails over an
odd picture is a PixelError, never a wrong picture. Sources: PS3.5 8.2 (what a syntax may hold), A.4.
"""

from __future__ import annotations

import dataclasses
import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maypacs.dicom import transfer_syntaxes
from maypacs.errors import PixelError
from maypacs.pixels import jpeg
from maypacs.pixels.decode import DEFLATED_FRAMES, NATIVE, decode_frame, inflated_frame, upsample_422
from maypacs.pixels.image import ImagePixel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

RLE = transfer_syntaxes.RLE_LOSSLESS
ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
#: A reversible stream is allowed under these too, and is what they get (any predictor; JPEG 2000 of either kind).
_SAME_STREAM = {"1.2.840.10008.1.2.4.57": JPEG_LOSSLESS, "1.2.840.10008.1.2.4.91": JPEG_2000}
LOSSLESS = frozenset({RLE, ENCAPSULATED_NATIVE, DEFLATED_FRAMES, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, *_SAME_STREAM})
#: Every syntax that frames can be compressed to. HTJ2K is not: no encoder of a permissive licence is in the lock.
TARGETS = LOSSLESS | {JPEG_BASELINE}
#: Quality of JPEG baseline; chroma is halved across (YBR_FULL_422 is what baseline colour is called, PS3.5 8.2.1).
_QUALITY = 92


def encode_frame(frame: bytes, pixel: ImagePixel, stored_syntax: str, target: str) -> tuple[bytes, str]:
    """A stored frame (as `maypacs.dicom.frames.defragment` gives it) in the target syntax, and its photometric
    interpretation. Raises PixelError when that cannot be, with the reason."""
    if pixel.floats:
        raise PixelError("floating point pixels have no compressed form")
    if target not in TARGETS:
        raise PixelError("no encoder for that transfer syntax")
    array, photometric = samples(frame, pixel, stored_syntax)
    shape = dataclasses.replace(pixel, photometric=photometric, planar=False)
    if target == JPEG_BASELINE:
        return _baseline(array, shape)
    if target in {ENCAPSULATED_NATIVE, DEFLATED_FRAMES}:
        from maypacs.pixels.decode import native_bytes

        native = native_bytes(array, shape)
        return (native if target == ENCAPSULATED_NATIVE else _deflate(native)), photometric
    if pixel.bits_allocated not in {8, 16, 32}:
        raise PixelError(f"{pixel.bits_allocated}-bit pixels have no form in that transfer syntax")
    if photometric == "RGB" and _SAME_STREAM.get(target, target) == JPEG_2000:
        # With the reversible colour transform: smaller, and all that an ultrasound image may be (PS3.3 C.8.5.6.1.2).
        photometric = "YBR_RCT"
        shape = dataclasses.replace(shape, photometric=photometric)
    return _lossless(array, shape, target), photometric


def samples(frame: bytes, pixel: ImagePixel, syntax: str) -> tuple[Array, str]:
    """(rows, columns[, samples]), whole words as they are stored, colour by pixel; nothing masked, nothing recoloured.

    Chroma that is shared (YBR_FULL_422) is repeated: the syntaxes asked for hold YBR_FULL. A DCT stream of YBR is RGB
    here, as it is in Explicit VR Little Endian.
    """
    import numpy as np

    if syntax not in NATIVE and syntax != DEFLATED_FRAMES:
        return decode_frame(frame, pixel, syntax, as_rgb=syntax in jpeg.DCT_SYNTAXES)
    if syntax == DEFLATED_FRAMES:
        frame = inflated_frame(frame, pixel)
    size = pixel.native_size(len(frame))
    rows, columns, count = pixel.rows, pixel.columns, pixel.samples
    if pixel.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8, size), bitorder="little")
        return bits[: rows * columns].reshape(rows, columns), pixel.photometric
    kind = np.dtype(f"<{'i' if pixel.signed else 'u'}{pixel.bits_allocated // 8}")
    flat: Array = np.frombuffer(frame, kind, size // kind.itemsize)
    if count == 1:
        return flat.reshape(rows, columns), pixel.photometric
    photometric = "YBR_FULL" if pixel.photometric == "YBR_FULL_422" else pixel.photometric
    if flat.size < rows * columns * count:
        return upsample_422(flat, rows, columns), photometric
    if pixel.planar:
        return flat.reshape(count, rows, columns).transpose(1, 2, 0), photometric
    return flat.reshape(rows, columns, count), photometric


def _lossless(array: Array, pixel: ImagePixel, target: str) -> bytes:
    """Tried with BitsStored first, then with all bits: some writers put overlays above, and signs go through all."""
    stream = _SAME_STREAM.get(target, target)
    encoder = _ENCODERS[stream]
    reasons = []
    for precision in dict.fromkeys((pixel.bits_stored, pixel.bits_allocated)):
        if not _fits(array, precision, signed=pixel.signed):
            continue
        shape = dataclasses.replace(pixel, bits_stored=precision, high_bit=precision - 1)
        try:
            encoded = encoder(array, shape)
        except PixelError:
            raise
        except Exception as error:  # a codec's own error, of whatever class; its words may hold values
            reasons.append(type(error).__name__)
            continue
        if _is_same(encoded, array, shape, stream):
            return encoded
        reasons.append("not exact")
    raise PixelError(f"these pixels have no exact form in that transfer syntax ({', '.join(reasons) or 'values'})")


def _fits(array: Array, precision: int, *, signed: bool) -> bool:
    low, high = (-(1 << precision - 1), (1 << precision - 1) - 1) if signed else (0, (1 << precision) - 1)
    return bool(low <= int(array.min()) and int(array.max()) <= high)


def _is_same(encoded: bytes, array: Array, pixel: ImagePixel, stream: str) -> bool:
    import numpy as np

    try:
        back, _ = decode_frame(encoded, pixel, stream, as_rgb=False)
    except PixelError:
        return False
    return back.shape == array.shape and bool(np.array_equal(back, array))


def _by_pydicom(array: Array, pixel: ImagePixel, syntax: str, plugin: str) -> bytes:
    """The samples by one of pydicom's encoders, which know what a syntax may hold (PS3.5 tables 8.2.x-1)."""
    import numpy as np
    from pydicom.pixels.encoders.base import get_encoder

    options: dict[str, Any] = {
        "rows": pixel.rows,
        "columns": pixel.columns,
        "samples_per_pixel": pixel.samples,
        "bits_allocated": pixel.bits_allocated,
        "bits_stored": pixel.bits_stored,
        "photometric_interpretation": pixel.photometric,
        "pixel_representation": int(pixel.signed),
        "number_of_frames": 1,
    }
    if pixel.samples > 1:
        options["planar_configuration"] = 0
    source = np.ascontiguousarray(array)
    return bytes(get_encoder(syntax).encode(source, encoding_plugin=plugin, **options))


def _jpeg_lossless(array: Array, pixel: ImagePixel) -> bytes:
    from maypacs.pixels import jpeg_lossless

    if pixel.bits_allocated > 16 or pixel.samples not in {1, 3} or pixel.bits_stored < 2:
        raise PixelError("JPEG Lossless holds 2 to 16 bits of one or three samples")
    return jpeg_lossless.encode(array, pixel.bits_stored)


_ENCODERS: dict[str, Callable[[Array, ImagePixel], bytes]] = {
    RLE: lambda array, pixel: _by_pydicom(array, pixel, RLE, "pylibjpeg"),
    JPEG_LS: lambda array, pixel: _by_pydicom(array, pixel, JPEG_LS, "pyjpegls"),
    JPEG_2000: lambda array, pixel: _by_pydicom(array, pixel, JPEG_2000, "pylibjpeg"),
    JPEG_LOSSLESS: _jpeg_lossless,
}


def _deflate(native: bytes) -> bytes:
    engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(native) + engine.flush()


def _baseline(array: Array, pixel: ImagePixel) -> tuple[bytes, str]:
    """JPEG baseline: 8 bits, lossy, so only for who names it. Raises PixelError for anything else."""
    from PIL import Image

    from maypacs.pixels.decode import to_rgb

    if pixel.bits_allocated != 8 or pixel.bits_stored != 8 or pixel.signed or pixel.samples not in {1, 3}:
        raise PixelError("JPEG baseline holds unsigned pixels of 8 bits")
    if pixel.samples == 1 and not pixel.photometric.startswith("MONOCHROME"):
        raise PixelError("a palette does not survive lossy compression")
    out = io.BytesIO()
    if pixel.samples == 1:
        Image.fromarray(array).save(out, "JPEG", quality=_QUALITY)
        return out.getvalue(), pixel.photometric
    rgb, photometric = to_rgb(array, pixel.photometric, 8)
    if photometric != "RGB":
        raise PixelError(f"no way from {photometric} to JPEG baseline")
    Image.fromarray(rgb).save(out, "JPEG", quality=_QUALITY, subsampling="4:2:2")
    return out.getvalue(), "YBR_FULL_422"
