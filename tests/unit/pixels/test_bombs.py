"""Streams of some bytes that claim gigabytes, or hours: refused by their header, before a codec makes room for them."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import bombs

from maypacs.errors import PixelError
from maypacs.pixels import decode, jpeg
from maypacs.pixels.image import ImagePixel

J2K, BASELINE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
SIDE = bombs.SIDE


def _image(samples: int = 1) -> ImagePixel:
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    return ImagePixel(SIDE, SIDE, samples, 8, 8, 7, False, False, photometric, 1)


BOMBS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "components": (bombs.components, J2K, "samples a pixel"),
    "components in a JP2 file": (bombs.components_in_jp2, J2K, "samples a pixel"),
    "a palette of a JP2 file": (bombs.palette_in_jp2, J2K, "no decoder reads"),
    "tiles": (bombs.tiles, J2K, "more pieces"),
    "precincts": (bombs.precincts, J2K, "more pieces"),
    "precincts of one tile-part": (bombs.precincts_of_a_tile, J2K, "more pieces"),
    "precincts of one component": (bombs.precincts_of_a_component, J2K, "more pieces"),
    "precincts behind a marker that nobody knows": (bombs.precincts_behind_an_unknown_marker, J2K, "more pieces"),
    "layers": (bombs.layers, J2K, "more pieces"),
    "layers of many tiles": (bombs.layers_of_tiles, J2K, "more pieces"),
    "bits": (bombs.bits, J2K, "bits a sample"),
    "rows for columns": (bombs.turned, J2K, "another size"),
    "JPEG components": (bombs.jpeg_components, BASELINE, "samples a pixel"),
    "JPEG of two pictures": (bombs.jpeg_of_two_frames, BASELINE, "another size"),
    "JPEG scans": (bombs.jpeg_scans, BASELINE, "more pieces"),
    "JPEG behind bytes of nothing": (bombs.jpeg_behind_junk, BASELINE, "another size"),
    "another syntax": (bombs.components, BASELINE, "no decoder reads"),
}


@pytest.mark.parametrize(("make", "syntax", "reason"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_with_its_reason(make: Callable[[], bytes], syntax: str, reason: str) -> None:
    """Of at most 64 KB each."""
    stream = make()
    assert len(stream) < 1 << 16
    with pytest.raises(PixelError, match=reason):
        decode.decode_frame(stream, _image(), syntax)


def test_code_blocks_of_a_few_samples_are_a_bomb_where_the_picture_is_large() -> None:
    """Each takes more than ten times what is in it."""
    with pytest.raises(PixelError, match="more pieces"):
        decode.decode_frame(bombs.code_blocks(), dataclasses.replace(_image(), rows=4096, columns=4096), J2K)


def test_no_bomb_takes_memory() -> None:
    """In a process of its own, whose largest size is looked at; the codecs are loaded by a picture that is one."""
    code = """
import resource
from tests.support import bombs
from tests.unit.pixels.test_bombs import BOMBS, J2K, _image
from maypacs.errors import PixelError
from maypacs.pixels import decode
decode.decode_frame(bombs.picture(), _image(), J2K)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for make, syntax, _ in BOMBS.values():
    try:
        decode.decode_frame(make(), _image(), syntax)
    except PixelError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 << 10, "KiB"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile_size": (64, 64)},
        {"codeblock_size": (32, 32), "precinct_size": (128, 128)},
        {"num_resolutions": 1},
        {"quality_mode": "rates", "quality_layers": [20, 10, 1]},
        {"no_jp2": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("samples", [1, 3])
def test_a_real_picture_in_tiles_precincts_and_layers_is_decoded(samples: int, options: dict[str, object]) -> None:
    """What other encoders write."""
    pixels = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, samples), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if samples == 1 else pixels).save(out, "JPEG2000", **{"no_jp2": True, **options})
    array, _ = decode.decode_frame(out.getvalue(), _image(samples), J2K)
    if "quality_layers" not in options:
        assert np.array_equal(array.reshape(pixels.shape), pixels)


def test_a_progressive_jpeg_and_one_with_a_thumbnail_are_read() -> None:
    """Ten scans are no bomb; a picture inside of an APPn segment is not the picture."""
    small, out = io.BytesIO(), io.BytesIO()
    Image.new("L", (8, 8)).save(small, "JPEG")
    Image.new("RGB", (SIDE, SIDE), "red").save(out, "JPEG", progressive=True)
    thumbnail = b"\xff\xe1" + (len(small.getvalue()) + 2).to_bytes(2, "big") + small.getvalue()
    stream = out.getvalue()[:2] + thumbnail + out.getvalue()[2:]
    header = jpeg.stream_header(stream)
    assert header is not None
    assert (header.columns, header.rows, header.samples, header.shattered) == (SIDE, SIDE, 3, False)
    assert decode.decode_frame(stream, _image(3), BASELINE)[0].shape == (SIDE, SIDE, 3)
