"""Every sample in other transfer syntaxes: the same pixels, or refused with a reason; no other error."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import sample_files, sample_id

from maypacs.dicom.header import parse_header
from maypacs.errors import MayPACSError, PixelError
from maypacs.pixels.encode import JPEG_2000, JPEG_LOSSLESS, JPEG_LS, RLE
from maypacs.pixels.image import has_pixels
from maypacs.pixels.transcode import to_explicit_little_endian, to_transfer_syntax
from maypacs.pixels.whole import WholeInstance

TARGETS = (RLE, JPEG_LS, JPEG_2000, JPEG_LOSSLESS)
#: Frames compared of each; and the largest file, so that the whole takes a minute.
FRAMES, LARGEST = 3, 600_000


def _decodable() -> list[Path]:
    found = []
    for path in sample_files():
        try:
            if path.stat().st_size <= LARGEST and has_pixels(parse_header(path.read_bytes()).dataset):
                found.append(path)
        except MayPACSError:
            continue
    return found


SAMPLES = _decodable()


@pytest.mark.parametrize(("number", "path"), list(enumerate(SAMPLES)), ids=[sample_id(path) for path in SAMPLES])
def test_a_sample_keeps_its_pixels_in_another_syntax(number: int, path: Path) -> None:
    """One of the targets each, in turn; compared with the instance as Explicit VR Little Endian has it."""
    data, target = path.read_bytes(), TARGETS[number % len(TARGETS)]
    try:
        converted = to_transfer_syntax(data, target)
    except PixelError:
        return  # how many may be is the next test's
    native = WholeInstance(to_explicit_little_endian(data))
    back = WholeInstance(converted)
    assert back.transfer_syntax_uid == target
    assert back.frame_table.number_of_frames == native.frame_table.number_of_frames
    for frame in range(1, min(FRAMES, native.frame_table.number_of_frames) + 1):
        left, right = back.decode(frame), native.decode(frame)
        assert left[1] == right[1]
        assert left[0].shape == right[0].shape
        assert (left[0] == right[0]).all()


def test_most_samples_can_be_had_in_every_target() -> None:
    """A refusal is the exception: odd depths, tiny pictures, broken streams, videos."""
    refused = 0
    small = [path for path in SAMPLES if path.stat().st_size < 60_000]
    for number, path in enumerate(small):
        try:
            to_transfer_syntax(path.read_bytes(), TARGETS[number % len(TARGETS)])
        except PixelError:
            refused += 1
    assert refused < len(small) / 3
