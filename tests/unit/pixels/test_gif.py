"""Blocks of an animated GIF, drawn one by one: what a reader makes of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from maypacs.pixels import gif


def _animation(pictures: list[Image.Image], milliseconds: float = 40) -> Image.Image:
    blocks = [gif.block(picture, milliseconds) for picture in pictures]
    return Image.open(io.BytesIO(b"".join((gif.head(blocks[0]), *blocks, gif.TAIL))))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("colours", [1, 2, 3, 17, 256])
def test_every_picture_has_its_own_palette(mode: str, colours: int) -> None:
    """Of any size; pictures of few colours are exact."""
    values = np.random.default_rng(colours).integers(0, 256, (3, colours, 3), np.uint8)
    places = np.random.default_rng(1).integers(0, colours, (3, 20, 30))
    pixels = [values[n][places[n]] for n in range(3)]
    pictures = [Image.fromarray(each if mode == "RGB" else each[..., 0]) for each in pixels]
    found = _animation(pictures)
    assert found.n_frames == 3
    assert found.size == (30, 20)
    for n, picture in enumerate(pictures):
        found.seek(n)
        assert np.array_equal(np.asarray(found.convert(mode)), np.asarray(picture))


def test_pictures_that_are_equal_stay_and_take_their_time() -> None:
    """Two hundredths of a second at least."""
    found = _animation([Image.new("L", (8, 8), 7)] * 4, milliseconds=1)
    assert found.n_frames == 4
    assert found.info["duration"] == 20
    assert found.info["loop"] == 0


def test_a_large_colour_picture_gets_its_palette_fast() -> None:
    """Still near to what it shows."""
    y, x = np.mgrid[0:2048, 0:2048]
    pixels = np.stack([x // 8, y // 8, (x + y) // 16], -1).astype(np.uint8)
    found = gif.paletted(Image.fromarray(pixels)).convert("RGB")
    assert np.abs(np.asarray(found).astype(int) - pixels).mean() < 16
