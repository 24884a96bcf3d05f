"""Decoded frames against pydicom's own decoding, over the samples."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array
from tests.conftest import OWN_SAMPLES, sample_files, sample_id

from maypacs.dicom.header import parse_header
from maypacs.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from maypacs.errors import MayPACSError, PixelError
from maypacs.pixels import decode, jpeg
from maypacs.pixels.image import ImagePixel
from maypacs.pixels.transcode import to_explicit_little_endian
from maypacs.pixels.whole import WholeInstance

BIG_ENDIAN = "1.2.840.10008.1.2.2"


def _decodable(path: Path) -> WholeInstance | None:
    try:
        instance = WholeInstance(path.read_bytes())
        instance.decode(1)
    except MayPACSError:
        return None
    return instance


def _image(**changes: object) -> ImagePixel:
    values: dict[str, object] = {
        "rows": 2,
        "columns": 2,
        "samples": 1,
        "bits_allocated": 16,
        "bits_stored": 16,
        "high_bit": 15,
        "signed": False,
        "planar": False,
        "photometric": "MONOCHROME2",
        "number_of_frames": 1,
    }
    return ImagePixel(**{**values, **changes})  # type: ignore[arg-type]


def test_first_frames_equal_those_of_pydicom() -> None:
    """Over every sample that both read; big endian ones are compared with their little endian twins elsewhere."""
    compared = 0
    for path in sample_files():
        instance = _decodable(path)
        if instance is None or instance.transfer_syntax_uid == BIG_ENDIAN:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected = pixel_array(pydicom.dcmread(io.BytesIO(path.read_bytes()), force=True), index=0)
            except Exception:  # pydicom raises what it likes; then there is nothing to compare with
                continue
        found, _ = instance.decode(1)
        assert found.shape == expected.shape, sample_id(path)
        assert np.array_equal(found.astype(np.float64), expected.astype(np.float64)), sample_id(path)
        compared += 1
    assert compared >= 20


def test_a_big_endian_image_equals_its_little_endian_twin() -> None:
    """The same MR in three encodings."""
    twins = [
        WholeInstance((OWN_SAMPLES / "files" / f"MR_small_{kind}.dcm").read_bytes())
        for kind in ("bigendian", "implicit")
    ]
    big, little = (twin.decode(1)[0] for twin in twins)
    assert np.array_equal(big, little)
    assert twins[0].native_frame(1) == twins[1].native_frame(1)


def test_explicit_little_endian_conversions_hold_the_same_picture() -> None:
    """Every sample that decodes: converted, parsed by pydicom, and the first frame is the same."""
    converted = 0
    for path in sample_files():
        instance = _decodable(path)
        if instance is None or instance.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
            continue
        data = to_explicit_little_endian(path.read_bytes())
        header = parse_header(data)
        assert header.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN
        assert header.sop_instance_uid == instance.header.sop_instance_uid
        after, _ = WholeInstance(data).decode(1)
        assert np.array_equal(after, instance.decode(1)[0]), sample_id(path)
        converted += 1
    assert converted >= 10


def test_bits_above_the_high_bit_are_not_part_of_the_sample() -> None:
    """PS3.5 8.1.1: old scanners put overlays there."""
    image = _image(rows=1, columns=2, bits_stored=12, high_bit=11)
    assert decode.native_frame(b"\x01\xf0\xff\xff", image)[0].tolist() == [[1, 0xFFF]]
    signed = _image(rows=1, columns=1, bits_stored=12, high_bit=11, signed=True)
    assert decode.native_frame(b"\xff\x0f", signed)[0].tolist() == [[-1]]


def test_subsampled_colour_is_upsampled_and_made_rgb() -> None:
    """YBR_FULL_422: two pixels share their chroma (PS3.3 C.7.6.3.1.2)."""
    image = _image(
        rows=1, columns=2, samples=3, bits_allocated=8, bits_stored=8, high_bit=7, photometric="YBR_FULL_422"
    )
    array, photometric = decode.native_frame(bytes([16, 235, 128, 128]), image)
    assert photometric == "RGB"
    assert array.tolist() == [[[16, 16, 16], [235, 235, 235]]]


def test_one_bit_pixels_are_unpacked_lowest_bit_first() -> None:
    """PS3.5 8.1.1."""
    image = _image(rows=1, columns=3, bits_allocated=1, bits_stored=1, high_bit=0)
    assert decode.native_frame(b"\x05", image)[0].tolist() == [[1, 0, 1]]


def test_a_frame_cut_short_is_a_pixel_error() -> None:
    """Never a picture made of what is not there."""
    with pytest.raises(PixelError, match="needed"):
        decode.native_frame(b"\0\0", _image())


def test_jpeg_of_twelve_bits_is_decoded() -> None:
    """Which pydicom refuses; the range is that of 12 bits and beyond 8."""
    instance = WholeInstance((OWN_SAMPLES / "files" / "JPGExtended.dcm").read_bytes())
    assert jpeg.sample_precision(instance.stored_frame(1)) == 12
    array, _ = instance.decode(1)
    assert array.shape == (1024, 256)
    assert 255 < int(array.max()) < 4096


@pytest.mark.parametrize("stream", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff\xd8\xff\xe0\x00\x00\x00\x00\x00"])
def test_a_broken_jpeg_has_no_precision(stream: bytes) -> None:
    """And the search for it ends."""
    assert jpeg.sample_precision(stream) == 0


def test_a_stream_that_claims_another_size_is_refused_before_it_is_decoded() -> None:
    """JPEG and JPEG 2000: a bomb of some bytes, 65,500 pixels wide and high."""
    jpeg_bomb = b"\xff\xd8\xff\xc3\x00\x0b\x10\xff\xdc\xff\xdc\x01" + b"\0" * 20
    size = (65_500).to_bytes(4, "big") * 2
    j2k_bomb = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + (size + b"\0" * 8) * 2 + b"\x00\x01\x07\x01\x01"
    for stream, syntax in ((jpeg_bomb, 70), (j2k_bomb, 90)):
        with pytest.raises(PixelError, match="another size"):
            decode.decode_frame(stream, _image(), f"1.2.840.10008.1.2.4.{syntax}")


def test_an_unknown_syntax_is_a_pixel_error_with_its_reason() -> None:
    """Not an ImportError, not a 500."""
    with pytest.raises(PixelError, match="no decoder"):
        decode.decode_frame(b"\0" * 8, _image(), "1.2.840.10008.1.2.4.102")


def test_a_frame_larger_than_memory_is_refused_before_it_is_read() -> None:
    """A header can claim anything."""
    with pytest.raises(PixelError, match="too large"):
        decode.decode_frame(b"", _image(rows=65_535, columns=65_535), EXPLICIT_VR_LITTLE_ENDIAN)
