"""Drawing: windows, palettes, viewports, encodings (PS3.3 C.11.2, C.7.9.2; PS3.18 8.3.5)."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maypacs.errors import BadRequestError, PixelError
from maypacs.pixels import image as images
from maypacs.pixels.image import ImagePixel, Lut, Window
from maypacs.pixels.luts import expand_segments
from maypacs.pixels.picture import Rendering, Viewport, encode, fit
from maypacs.pixels.render import apply_window, render_frame, to_eight_bits

GREY = ImagePixel(1, 4, 1, 16, 16, 15, True, False, "MONOCHROME2", 1)


def _no_bulk(uri: str) -> bytes:
    raise AssertionError(f"nothing to resolve: {uri}")


def _grey(
    values: list[int], attributes: dict[str, object], window: Window | None = None, kind: str = "MONOCHROME2"
) -> list[int]:
    array = np.array([values], dtype=np.int16)
    drawn = to_eight_bits(array, kind, GREY, attributes, frame=1, window=window, resolve=_no_bulk)
    return [int(v) for v in drawn[0]]


def _ds(value: float, vr: str = "DS") -> dict[str, object]:
    return {"vr": vr, "Value": [value]}


def _by_the_book(x: float, window: Window) -> float:
    """The formulas of C.11.2.1.2 and C.11.2.1.3, written out."""
    c, w = window.centre, window.width
    if window.function == "sigmoid":
        return 255 / (1 + math.exp(min(700, -4 * (x - c) / w)))
    if window.function == "linear-exact":
        return 0 if x <= c - w / 2 else 255 if x > c + w / 2 else ((x - c) / w + 0.5) * 255
    if x <= c - 0.5 - (w - 1) / 2:
        return 0
    if x > c - 0.5 + (w - 1) / 2:
        return 255
    return ((x - (c - 0.5)) / (w - 1) + 0.5) * 255


@given(
    x=st.integers(-3000, 3000),
    centre=st.floats(-2000, 2000),
    width=st.floats(1, 4000),
    function=st.sampled_from(["linear", "linear-exact", "sigmoid"]),
)
def test_a_window_is_within_a_grey_level_of_the_standards_formula(
    x: int, centre: float, width: float, function: str
) -> None:
    """C.11.2.1.2.1 and C.11.2.1.3."""
    window = Window(centre, width, function)  # type: ignore[arg-type]
    found = int(apply_window(np.array([float(x)]), window)[0])
    assert abs(found - _by_the_book(x, window)) <= 1


def test_the_rescale_comes_before_the_window() -> None:
    """Hounsfield units, not stored values."""
    attributes = {"00281053": _ds(2), "00281052": _ds(-1000), "00281050": _ds(0), "00281051": _ds(2001)}
    assert _grey([0, 500, 1000], attributes) == [0, 127, 255] or _grey([0, 500, 1000], attributes) == [0, 128, 255]


def test_a_window_of_the_request_goes_before_that_of_the_image() -> None:
    """PS3.18 8.3.5.1.4."""
    attributes = {"00281050": _ds(0), "00281051": _ds(10)}
    assert _grey([0, 100, 200], attributes, Window(100, 200, "linear-exact")) == [0, 128, 255]


def test_monochrome1_is_inverted() -> None:
    """The smallest value is white (C.7.6.3.1.2)."""
    attributes = {"00281050": _ds(100), "00281051": _ds(200), "00281056": {"vr": "CS", "Value": ["LINEAR_EXACT"]}}
    assert _grey([0, 200], attributes, kind="MONOCHROME1") == [255, 0]


def test_without_a_window_the_values_there_are_span_the_greys_and_padding_does_not_count() -> None:
    """C.7.5.1.1.2: a pad value of -2000 must not flatten the picture."""
    assert _grey([-2000, 0, 50, 100], {"00280120": _ds(-2000, "SS")}) == [0, 0, 128, 255]


def test_per_frame_windows_and_rescales_are_those_of_the_frame() -> None:
    """Enhanced multi-frame (C.7.6.16)."""

    def group(centre: float) -> dict[str, object]:
        voi = {"00281050": _ds(centre), "00281051": _ds(10)}
        slope = {"00281053": _ds(centre), "00281052": _ds(0)}
        return {"00289132": {"vr": "SQ", "Value": [voi]}, "00289145": {"vr": "SQ", "Value": [slope]}}

    attributes = {"52009230": {"vr": "SQ", "Value": [group(1), group(2)]}}
    found = [images.window(attributes, n) for n in (1, 2)]
    assert [w.centre for w in found if w] == [1, 2]
    assert [images.rescale(attributes, n) for n in (1, 2)] == [(1, 0), (2, 0)]


def test_a_voi_lut_is_used_when_there_is_no_window() -> None:
    """C.11.2.1.1: values below the first are the first, above the last the last."""
    lut = {
        "00283002": {"vr": "US", "Value": [3, 10, 8]},
        "00283006": {"vr": "US", "Value": [0, 100, 255]},
    }
    assert _grey([0, 10, 11, 50], {"00283010": {"vr": "SQ", "Value": [lut]}}) == [0, 0, 100, 255]


def test_a_modality_lut_is_used_instead_of_a_rescale() -> None:
    """C.11.1.1.1."""
    lut = {
        "00283002": {"vr": "US", "Value": [3, 0, 16]},
        "00283006": {"vr": "US", "Value": [0, 1000, 2000]},
    }
    attributes = {"00283000": {"vr": "SQ", "Value": [lut]}}
    assert _grey([0, 1, 2], attributes, Window(1000, 2000, "linear-exact")) == [0, 128, 255]


def test_a_palette_gives_colours_and_its_tables_may_be_bulk_data() -> None:
    """C.7.6.3.1.5; entries of 16 bits are scaled to 8."""
    words = np.array([0x0000, 0xFF00], dtype="<u2").tobytes()
    attributes: dict[str, object] = {}
    for n in (1, 2, 3):
        attributes[f"0028110{n}"] = {"vr": "US", "Value": [2, 0, 16]}
        attributes[f"0028120{n}"] = {"vr": "OW", "BulkDataURI": f"/x/{n}"}
    array = np.array([[0, 1, 9]], dtype=np.uint8)
    drawn = to_eight_bits(array, "PALETTE COLOR", GREY, attributes, frame=1, window=None, resolve=lambda uri: words)
    assert drawn.tolist() == [[[0, 0, 0], [255, 255, 255], [255, 255, 255]]]


@pytest.mark.parametrize("sequence", ["00283000", "00283010"])
def test_a_table_without_a_whole_entry_is_a_pixel_error(sequence: str) -> None:
    """Not an IndexError."""
    table = {"00283002": {"vr": "US", "Value": [3, 0, 16]}, "00283006": {"vr": "OW", "BulkDataURI": "/x"}}
    attributes = {sequence: {"vr": "SQ", "Value": [table]}}
    with pytest.raises(PixelError, match="look-up table without data"):
        to_eight_bits(
            np.zeros((1, 4), np.int16), "MONOCHROME2", GREY, attributes, frame=1, window=None, resolve=lambda uri: b"1"
        )


@pytest.mark.parametrize("entries", [2, 2 - 0x10000, 2 - 0x20000])
def test_a_table_whose_descriptor_counts_below_zero_is_read(entries: int) -> None:
    """A descriptor of VR SS says more than 32,767 entries so; no other number makes a table of nothing."""
    table = {"00283002": {"vr": "SS", "Value": [entries, 0, 8]}, "00283006": {"vr": "US", "Value": [0, 255]}}
    attributes = {"00283010": {"vr": "SQ", "Value": [table]}}
    assert _grey([-5, 0, 1, 9], attributes) == [0, 0, 255, 255]


def test_a_palette_image_without_palette_is_a_pixel_error() -> None:
    """Not a KeyError."""
    with pytest.raises(PixelError, match="palette"):
        to_eight_bits(np.zeros((1, 1), np.uint8), "PALETTE COLOR", GREY, {}, frame=1, window=None, resolve=_no_bulk)


def test_segmented_palettes_are_expanded() -> None:
    """C.7.9.2: discrete, linear and indirect segments."""
    discrete_then_linear = (0, 2, 10, 20, 1, 4, 60)
    assert expand_segments(Lut(6, 0, 16, discrete_then_linear)).tolist() == [10, 20, 30, 40, 50, 60]
    indirect = (0, 1, 7, 2, 1, 0, 0)
    assert expand_segments(Lut(2, 0, 16, indirect)).tolist() == [7, 7]


@given(st.lists(st.integers(0, 65_535), max_size=40))
def test_no_segmented_palette_hangs_or_crashes(words: list[int]) -> None:
    """Hostile opcodes, offsets that point to themselves."""
    try:
        found = expand_segments(Lut(256, 0, 16, tuple(words)))
    except PixelError:
        return
    assert 0 < len(found) <= 256


def test_a_viewport_keeps_proportions_and_flips() -> None:
    """PS3.18 8.3.5.1.3."""
    picture = Image.fromarray(np.array([[0, 255]] * 4, dtype=np.uint8).repeat(50, axis=1))
    assert fit(picture, Viewport(50, 50)).size == (50, 2)
    flipped = fit(picture, Viewport(100, 4, 0, 0, -100, 4))
    assert flipped.getpixel((0, 0)) == 255
    with pytest.raises(BadRequestError):
        fit(picture, Viewport(10, 10, 90, 0, 20, 4))


def test_png_and_jpeg_come_as_asked_and_quality_matters() -> None:
    """And both can be read again."""
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8))
    assert Image.open(io.BytesIO(encode(picture, Rendering(format="png")))).format == "PNG"
    low, high = (encode(picture, Rendering(quality=q)) for q in (10, 100))
    assert Image.open(io.BytesIO(low)).format == "JPEG"
    assert len(low) < len(high) / 2


def test_colour_of_more_than_eight_bits_is_scaled() -> None:
    """RGB of 16 bits."""
    pixel = ImagePixel(1, 1, 3, 16, 12, 11, False, False, "RGB", 1)
    array = np.array([[[0, 2048, 4095]]], dtype=np.uint16)
    assert to_eight_bits(array, "RGB", pixel, {}, frame=1, window=None, resolve=_no_bulk).tolist() == [[[0, 128, 255]]]


def test_floats_that_are_no_numbers_are_drawn_black() -> None:
    """Parametric maps hold NaN outside of the body."""
    pixel = ImagePixel(1, 3, 1, 32, 32, 31, False, False, "MONOCHROME2", 1, floats=True)
    array = np.array([[float("nan"), 0.0, 1.0]], dtype=np.float32)
    drawn = to_eight_bits(array, "MONOCHROME2", pixel, {}, frame=1, window=None, resolve=_no_bulk)
    assert drawn.tolist() == [[0, 0, 255]]


def test_a_rendered_frame_is_a_whole_picture() -> None:
    """From array to bytes."""
    body = render_frame(
        np.zeros((8, 4), np.uint8),
        "MONOCHROME2",
        ImagePixel(8, 4, 1, 8, 8, 7, False, False, "MONOCHROME2", 1),
        {},
        frame=1,
        rendering=Rendering(),
        resolve=_no_bulk,
    )
    assert Image.open(io.BytesIO(body)).size == (4, 8)
