"""Frames in the transfer syntaxes that can be asked for: exact, read by decoders of others, or refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maypacs.errors import PixelError
from maypacs.pixels import encode, jpeg_lossless
from maypacs.pixels.decode import decode_frame, native_bytes
from maypacs.pixels.image import ImagePixel

EXPLICIT = "1.2.840.10008.1.2.1"
Array = np.ndarray[Any, np.dtype[Any]]
#: allocated, stored, signed, samples
SHAPES = [
    (8, 8, False, 1),
    (8, 8, False, 3),
    (8, 8, True, 1),
    (8, 6, False, 1),
    (16, 12, False, 1),
    (16, 12, True, 1),
    (16, 16, False, 1),
    (16, 16, True, 1),
    (16, 10, False, 3),
    (16, 16, False, 3),
]
LOSSLESS = sorted(encode.LOSSLESS)


def pixel(
    allocated: int, stored: int, signed: bool, samples: int, rows: int, columns: int, **more: object
) -> ImagePixel:
    facts: dict[str, object] = {
        "rows": rows,
        "columns": columns,
        "samples": samples,
        "bits_allocated": allocated,
        "bits_stored": stored,
        "high_bit": stored - 1,
        "signed": signed,
        "planar": False,
        "photometric": "RGB" if samples == 3 else "MONOCHROME2",
        "number_of_frames": 1,
    }
    return ImagePixel(**{**facts, **more})  # type: ignore[arg-type]


def picture(draw: st.DataObject, allocated: int, stored: int, signed: bool, samples: int) -> tuple[ImagePixel, Array]:
    """Noise over all of the range or a part of it; not tiny (CharLS and openjpeg refuse those)."""
    rows, columns = draw.draw(st.tuples(st.integers(32, 40), st.integers(32, 40)))
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    first, last = sorted(draw.draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    kind = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
    shape = (rows, columns, 3) if samples == 3 else (rows, columns)
    array = np.random.default_rng(draw.draw(st.integers(0, 1 << 30))).integers(first, last + 1, shape).astype(kind)
    array[0, 0], array[-1, -1] = low, high
    return pixel(allocated, stored, signed, samples, rows, columns), array


@pytest.mark.parametrize("target", LOSSLESS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_a_lossless_syntax_gives_the_samples_back(
    data: st.DataObject, shape: tuple[int, int, bool, int], target: str
) -> None:
    """Signed and not, all bits and fewer, one sample and three."""
    image, array = picture(data, *shape)
    encoded, photometric = encode.encode_frame(native_bytes(array, image), image, EXPLICIT, target)
    transformed = image.photometric == "RGB" and target in {encode.JPEG_2000, "1.2.840.10008.1.2.4.91"}
    assert photometric == ("YBR_RCT" if transformed else image.photometric)
    if transformed:
        assert encoded[encoded.index(b"\xff\x52") + 8] == 1, "COD says that there is a colour transform"
    back, _ = decode_frame(encoded, image, target, as_rgb=False)
    assert np.array_equal(back, array)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), precision=st.integers(2, 16), samples=st.sampled_from([1, 3]))
def test_our_jpeg_lossless_is_read_by_gdcm_with_every_precision(
    data: st.DataObject, precision: int, samples: int
) -> None:
    """The judge is a decoder that is not ours."""
    image, array = picture(data, 8 if precision <= 8 else 16, precision, False, samples)
    stream = jpeg_lossless.encode(array, precision)
    back, _ = decode_frame(stream, image, encode.JPEG_LOSSLESS, as_rgb=False)
    assert np.array_equal(back, array)


def test_our_jpeg_lossless_codes_the_extreme_differences_and_long_pictures() -> None:
    """Differences of -32768 have no extra bits (H.1.2.2); bits are carried over the borders of chunks."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 65536, (900, 700), dtype=np.uint16)
    noise[::2, ::2] = 0
    noise[1::2, 1::2] = 32768
    image = pixel(16, 16, False, 1, 900, 700)
    back, _ = decode_frame(jpeg_lossless.encode(noise, 16), image, encode.JPEG_LOSSLESS)
    assert np.array_equal(back, noise)
    flat = np.full((900, 700), 1234, np.uint16)
    stream = jpeg_lossless.encode(flat, 12)
    assert len(stream) < flat.size / 7
    assert np.array_equal(decode_frame(stream, image, encode.JPEG_LOSSLESS)[0], flat)


@pytest.mark.parametrize("target", LOSSLESS)
def test_bits_above_the_high_bit_are_kept(target: str) -> None:
    """Old overlays live in unused bits: all words are compared, not the stored bits alone."""
    array = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 63
    image = pixel(16, 12, False, 1, 32, 32)
    encoded, _ = encode.encode_frame(array.tobytes(), image, EXPLICIT, target)
    whole = pixel(16, 16, False, 1, 32, 32)
    assert np.array_equal(decode_frame(encoded, whole, target)[0], array)


@pytest.mark.parametrize("target", LOSSLESS)
def test_colour_by_plane_becomes_colour_by_pixel(target: str) -> None:
    """Planar Configuration 1 is for native pixels."""
    rgb = np.arange(3072).astype(np.uint8).reshape(32, 32, 3)
    image = pixel(8, 8, False, 3, 32, 32, planar=True)
    encoded, _ = encode.encode_frame(rgb.transpose(2, 0, 1).tobytes(), image, EXPLICIT, target)
    back, _ = decode_frame(encoded, pixel(8, 8, False, 3, 32, 32), target, as_rgb=False)
    assert np.array_equal(back, rgb)


def test_shared_chroma_is_repeated() -> None:
    """YBR_FULL_422 has no lossless form of its own: YBR_FULL it is."""
    quads = bytes([10, 20, 100, 200] * 4)
    image = pixel(8, 8, False, 3, 2, 4, photometric="YBR_FULL_422")
    encoded, photometric = encode.encode_frame(quads, image, EXPLICIT, encode.RLE)
    assert photometric == "YBR_FULL"
    back, _ = decode_frame(encoded, pixel(8, 8, False, 3, 2, 4, photometric="YBR_FULL"), encode.RLE, as_rgb=False)
    assert back.reshape(-1, 3).tolist() == [[10, 100, 200], [20, 100, 200]] * 4


REFUSED = [
    ("floats", {"floats": True}, encode.RLE),
    ("HTJ2K: no encoder", {}, "1.2.840.10008.1.2.4.201"),
    ("lossy 16 bits", {}, encode.JPEG_BASELINE),
    ("bits in JPEG-LS", {"bits_allocated": 1, "bits_stored": 1, "high_bit": 0}, encode.JPEG_LS),
    ("32 bits in JPEG-LS", {"bits_allocated": 32, "bits_stored": 32, "high_bit": 31, "rows": 1}, encode.JPEG_LS),
    ("32 bits in JPEG lossless", {"bits_allocated": 32, "bits_stored": 32, "rows": 1}, encode.JPEG_LOSSLESS),
    ("YBR_FULL of 16 bits in RLE", {"samples": 3, "photometric": "YBR_FULL", "rows": 1, "columns": 2}, encode.RLE),
]


@pytest.mark.parametrize(("why", "changes", "target"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_has_no_exact_form_is_refused(why: str, changes: dict[str, object], target: str) -> None:
    """PixelError with a reason, never another picture."""
    image = dataclasses.replace(pixel(16, 16, False, 1, 2, 4), **changes)  # type: ignore[arg-type]
    with pytest.raises(PixelError, match=r"\w+"):
        encode.encode_frame(bytes(64), image, EXPLICIT, target)


def test_an_encoder_that_errs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame is decoded again before it is answered."""
    image = pixel(16, 16, False, 1, 16, 16)
    right = encode._ENCODERS[encode.JPEG_LS]
    monkeypatch.setitem(encode._ENCODERS, encode.JPEG_LS, lambda array, shape: right(array ^ 1, shape))
    with pytest.raises(PixelError, match="not exact"):
        encode.encode_frame(bytes(512), image, EXPLICIT, encode.JPEG_LS)


def test_baseline_is_near_the_picture_and_says_how_its_colour_is_kept() -> None:
    """Lossy, for who names it."""
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    grey, photometric = encode.encode_frame(
        ramp.tobytes(), pixel(8, 8, False, 1, 64, 64), EXPLICIT, encode.JPEG_BASELINE
    )
    back, _ = decode_frame(grey, pixel(8, 8, False, 1, 64, 64), encode.JPEG_BASELINE)
    assert photometric == "MONOCHROME2"
    assert np.abs(back.astype(int) - ramp).max() < 12
    rgb = np.stack((ramp, 255 - ramp, ramp // 2), axis=-1)
    colour, photometric = encode.encode_frame(
        rgb.tobytes(), pixel(8, 8, False, 3, 64, 64), EXPLICIT, encode.JPEG_BASELINE
    )
    assert photometric == "YBR_FULL_422"
    shape = pixel(8, 8, False, 3, 64, 64, photometric=photometric)
    back, kind = decode_frame(colour, shape, encode.JPEG_BASELINE)
    assert kind == "RGB"
    assert np.abs(back.astype(int) - rgb).max() < 30
