"""The pipeline of PS3.4 N.2, step by step: what the formulas and tables of PS3.3 say, against what is drawn."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from maypacs.errors import BadRequestError
from maypacs.pixels import image as images
from maypacs.pixels import luts, overlays
from maypacs.pixels.annotate import annotate, patient_lines, plain, technique_lines
from maypacs.pixels.colour import profile, with_profile
from maypacs.pixels.image import ImagePixel, Lut, Window
from maypacs.pixels.picture import Rendering, Viewport, fit
from maypacs.pixels.render import render_frame, to_eight_bits

SIGNED = ImagePixel(1, 4, 1, 16, 16, 15, True, False, "MONOCHROME2", 1)
BITS = ImagePixel(1, 4, 1, 1, 1, 0, False, False, "MONOCHROME2", 1)
EXACT = {"vr": "CS", "Value": ["LINEAR_EXACT"]}


def _no_bulk(uri: str) -> bytes:
    raise AssertionError(f"nothing to resolve: {uri}")


def _value(*values: Any, vr: str = "DS") -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def _sequence(*items: dict[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def _draw(
    values: Any,
    attributes: dict[str, Any],
    *,
    pixel: ImagePixel = SIGNED,
    photometric: str = "MONOCHROME2",
    frame: int = 1,
    window: Window | None = None,
) -> list[int]:
    array = np.asarray([values])
    drawn = to_eight_bits(array, photometric, pixel, attributes, frame=frame, window=window, resolve=_no_bulk)
    return [int(v) for v in drawn[0]]


def _lut(entries: list[int], first: int = 0, bits: int = 16) -> dict[str, Any]:
    return {"00283002": _value(len(entries), first, bits, vr="US"), "00283006": _value(*entries, vr="US")}


@pytest.mark.parametrize(
    ("photometric", "shape", "expected"),
    [
        ("MONOCHROME2", None, [0, 255]),
        ("MONOCHROME1", None, [255, 0]),
        ("MONOCHROME2", "IDENTITY", [0, 255]),
        ("MONOCHROME2", "INVERSE", [255, 0]),
        ("MONOCHROME1", "INVERSE", [255, 0]),  # digital X-ray says both of one image (C.8.11.3.1.2): inverted once
    ],
)
def test_an_image_is_inverted_once(photometric: str, shape: str | None, expected: list[int]) -> None:
    """MONOCHROME1 and the presentation LUT shape together."""
    attributes = {"00281050": _value(50), "00281051": _value(100), "00281056": EXACT}
    if shape:
        attributes["20500020"] = {"vr": "CS", "Value": [shape]}
    assert _draw([0, 100], attributes, photometric=photometric) == expected


def test_a_presentation_lut_maps_the_windows_output() -> None:
    """C.11.4: its entries span the output of the VOI LUT."""
    attributes = {
        "00281050": _value(50),
        "00281051": _value(100),
        "00281056": EXACT,
        "20500010": _sequence(_lut([0, 0, 255], bits=8)),
    }
    assert _draw([0, 50, 100], attributes) == [0, 0, 255]


def test_the_first_of_several_windows_is_used_and_an_unusable_one_is_passed_over() -> None:
    """C.11.2.1.2: alternatives, the first is the default; a width below 1 is no LINEAR window."""
    attributes = {"00281050": _value(50, 500), "00281051": _value(100, 1000), "00281056": EXACT}
    assert _draw([0, 50, 100], attributes) == [0, 128, 255]
    attributes = {"00281050": _value(50), "00281051": _value(0), "00283010": _sequence(_lut([0, 128, 255], bits=8))}
    assert _draw([0, 1, 2], attributes) == [0, 128, 255]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_function_of_the_image_is_used(function: str) -> None:
    """(0028,1056), within a grey level of C.11.2.1.2.1, C.11.2.1.3.2 and C.11.2.1.3.1."""
    x, c, w = np.arange(-300, 301, 25), 40.0, 400.0
    attributes = {"00281050": _value(c), "00281051": _value(w), "00281056": {"vr": "CS", "Value": [function]}}
    by_the_book = {
        "LINEAR": np.clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1) * 255,
        "LINEAR_EXACT": np.clip((x - c) / w + 0.5, 0, 1) * 255,
        "SIGMOID": 255 / (1 + np.exp(-4 * (x - c) / w)),
    }[function]
    assert np.abs(np.array(_draw(x.astype(np.int16), attributes)) - by_the_book).max() <= 1


def test_the_voi_lut_of_a_signed_image_may_begin_below_zero() -> None:
    """C.11.2.1.1: the first value mapped is signed when what is mapped is; JSON of a US descriptor says 65534."""
    attributes = {"00283010": _sequence(_lut([0, 100, 200, 255], first=0xFFFE, bits=8))}
    assert _draw(np.array([-3, -2, -1, 0, 1, 9], np.int16), attributes) == [0, 0, 100, 200, 255, 255]
    unsigned = ImagePixel(1, 4, 1, 16, 16, 15, False, False, "MONOCHROME2", 1)
    assert _draw(np.array([0, 0xFFFE, 0xFFFF], np.uint16), attributes, pixel=unsigned) == [0, 0, 100]


def test_a_modality_lut_of_16_bits_and_its_ends() -> None:
    """C.11.1.1.1: below the first entry the first, above the last the last."""
    attributes = {"00283000": _sequence(_lut([1000, 2000, 3000], first=10))}
    found = _draw(np.array([0, 10, 11, 12, 50], np.int16), attributes, window=Window(2000, 2000, "linear-exact"))
    assert found == [0, 0, 128, 255, 255]


def test_padding_does_not_stretch_the_window_and_may_be_a_range() -> None:
    """C.7.5.1.1.2: value and range limit, in either order; floats have their own."""
    attributes = {"00280120": _value(-2000, vr="SS"), "00280121": _value(-1990, vr="SS")}
    assert _draw(np.array([-2000, -1995, 0, 50, 100], np.int16), attributes) == [0, 0, 0, 128, 255]
    floats = ImagePixel(1, 3, 1, 32, 32, 31, False, False, "MONOCHROME2", 1, floats=True)
    values = np.array([-1e30, 0.0, 5.0, 10.0], np.float32)
    assert _draw(values, {"00280122": _value(float(np.float32(-1e30)), vr="FL")}, pixel=floats) == [0, 0, 128, 255]


def test_a_segmentation_is_black_and_white_in_every_frame() -> None:
    """1 bit: a frame of nothing is black, of everything white; fractional ones by their maximum (C.8.20.2.3)."""
    binary = {"00620001": {"vr": "CS", "Value": ["BINARY"]}}
    for bits in ([0, 0, 0], [1, 1, 1], [0, 1, 0]):
        assert _draw(np.array(bits, np.uint8), binary, pixel=BITS) == [255 * bit for bit in bits]
    fractional = {"00620001": {"vr": "CS", "Value": ["FRACTIONAL"]}, "0062000E": _value(200, vr="US")}
    assert _draw(np.array([0, 100, 200], np.uint8), fractional, pixel=BITS) == [0, 128, 255]


def test_32_bit_and_64_bit_values_span_the_greys() -> None:
    """Without a window; and with one."""
    for kind in (np.uint32, np.int32, np.float64):
        values = np.array([0, 2_000_000_000], kind)
        floats = kind is np.float64
        pixel = ImagePixel(1, 2, 1, 64 if floats else 32, 32, 31, True, False, "MONOCHROME2", 1, floats=floats)
        assert _draw(values, {}, pixel=pixel) == [0, 255]
        assert _draw(values, {}, pixel=pixel, window=Window(0, 4e9, "linear-exact")) == [128, 255]


def test_one_grey_everywhere_is_not_grey() -> None:
    """Nothing is black and something is white: the middle would say nothing."""
    assert _draw(np.zeros(3, np.int16), {}) == [0, 0, 0]
    assert _draw(np.full(3, 7, np.int16), {}) == [255, 255, 255]


def test_palettes_of_8_and_16_bits_give_the_same_colours() -> None:
    """C.7.6.3.1.5."""

    def palette(values: list[int], bits: int) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        for n in (1, 2, 3):
            attributes[f"0028110{n}"] = _value(3, 5, bits, vr="US")
            attributes[f"0028120{n}"] = _value(*values, vr="US")
        return attributes

    array = np.array([[4, 5, 6, 7, 8]], np.uint8)
    for attributes in (palette([0, 128, 255], 8), palette([0, 0x8000, 0xFF00], 16)):
        drawn = to_eight_bits(array, "PALETTE COLOR", BITS, attributes, frame=1, window=None, resolve=_no_bulk)
        assert drawn[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_segmented_palette_is_that_of_its_expansion() -> None:
    """C.7.9.2: the ends of a linear segment and what lies between."""
    assert luts.expand_segments(Lut(5, 0, 16, (0, 1, 0, 1, 4, 0xFF00))).tolist() == [0, 16320, 32640, 48960, 65280]


# -- overlays ---------------------------------------------------------------------------------------------------------


def _overlay(bits: list[list[int]], origin: tuple[int, int] = (1, 1), **more: Any) -> dict[str, Any]:
    packed = np.packbits(np.array(bits, np.uint8).reshape(-1), bitorder="little").tobytes()
    rows, columns = len(bits), len(bits[0])
    return {
        "60000010": _value(rows, vr="US"),
        "60000011": _value(columns, vr="US"),
        "60000040": {"vr": "CS", "Value": ["G"]},
        "60000050": _value(*origin, vr="SS"),
        "60003000": {"vr": "OW", "InlineBinary": base64.b64encode(packed).decode()},
        **more,
    }


def test_an_overlay_is_drawn_where_its_origin_says() -> None:
    """Row and column from 1; what lies outside of the image is cut; the picture that came in is left alone."""
    grey = np.zeros((4, 4), np.uint8)
    attributes = _overlay([[1, 0], [1, 1]], (2, 3))
    drawn = overlays.draw(grey, attributes, attributes, 1, _no_bulk, None)
    assert (drawn > 0).astype(int).tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
    assert not grey.any()
    for origin, seen in (((0, 0), 1), ((4, 4), 1), ((9, 9), 0), ((-5, 1), 0)):
        attributes = _overlay([[1, 0], [1, 1]], origin)
        assert (overlays.draw(grey, attributes, attributes, 1, _no_bulk, None) > 0).sum() == seen


def test_an_overlay_of_several_frames_is_that_of_the_frame() -> None:
    """(60xx,0015), (60xx,0051); frames follow each other bit by bit."""
    grey = np.zeros((1, 3), np.uint8)
    attributes = _overlay([[1, 0, 0, 0, 1, 0]], **{"60000011": _value(3, vr="US"), "60000015": _value(2, vr="IS")})
    attributes["60000051"] = _value(2, vr="US")
    found = [overlays.draw(grey, attributes, attributes, n, _no_bulk, None)[0].tolist() for n in (1, 2, 3, 4)]
    assert found == [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 0]]


def test_a_broken_overlay_is_left_out() -> None:
    """Too few bytes, no size, absurd size."""
    grey = np.zeros((2, 2), np.uint8)
    for change in ({"60000010": _value(9999, vr="US")}, {"60000011": _value(0, vr="US")}, {"60000010": {"vr": "US"}}):
        attributes = _overlay([[1]], **change)
        assert not overlays.draw(grey, attributes, attributes, 1, _no_bulk, None).any()


# -- annotations, colour ----------------------------------------------------------------------------------------------


PATIENT: dict[str, Any] = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Nguyễn^Văn Thử"}]},
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "0008103E": {"vr": "LO", "Value": ["Đầu"]},
    "00281050": _value(40),
    "00281051": _value(400),
}


def test_annotations_are_what_they_are_asked_to_be() -> None:
    """Patient: who; technique: what and how. Letters without marks: the font has no others."""
    assert patient_lines(PATIENT) == ["Nguyen Van Thu", "P-1"]
    assert technique_lines(PATIENT, 1) == ["CT", "Dau", "C 40 W 400"]
    assert plain("Đỗ 山田\x00\n") == "Do ????"
    blank = Image.new("L", (200, 200), 100)
    top, bottom = (
        np.asarray(annotate(blank, PATIENT, 1, frozenset({word}))) != 100 for word in ("patient", "technique")
    )
    assert top[:100].any()
    assert not top[100:].any()
    assert bottom[100:].any()
    assert not bottom[:100].any()
    assert np.asarray(blank).max() == 100


def test_nothing_is_annotated_unless_it_is_asked_for() -> None:
    """8.3.5.1.1."""
    attributes = {**PATIENT, **_overlay([[1, 1], [1, 1]])}
    array, pixel = np.zeros((64, 64), np.int16), SIGNED

    def drawn(*words: str) -> Any:
        rendering = Rendering(format="png", annotation=frozenset(words))
        body = render_frame(array, "MONOCHROME2", pixel, attributes, frame=1, rendering=rendering, resolve=_no_bulk)
        return np.asarray(Image.open(io.BytesIO(body))).astype(int)

    bare = drawn()
    assert len(np.unique(bare)) == 1
    assert (drawn("overlay") != bare).sum() == 4
    assert (drawn("patient") != bare).sum() > 20


@pytest.mark.parametrize("name", ["srgb", "adobergb", "rommrgb"])
def test_a_profile_is_one_that_others_read_and_the_same_every_time(name: str) -> None:
    """By Little CMS; white stays white and the colour moves."""
    made = profile(name)
    profile.cache_clear()
    assert made == profile(name)
    read = ImageCms.ImageCmsProfile(io.BytesIO(made))
    assert read.profile.xcolor_space.strip() == "RGB"
    picture = Image.new("RGB", (2, 1), (255, 255, 255))
    picture.putpixel((1, 0), (255, 0, 0))
    turned, embedded = with_profile(picture, name, {}, _no_bulk)
    assert embedded == made
    assert min(turned.getpixel((0, 0))) >= 253
    assert (turned.getpixel((1, 0)) == (255, 0, 0)) == (name == "srgb")
    back = ImageCms.profileToProfile(turned, read, ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(back).astype(int) - np.asarray(picture).astype(int)).max() <= 4


def test_the_profile_of_the_image_is_embedded_or_converted_from() -> None:
    """(0028,2000), of the image or of its optical path; grey pictures are sRGB."""
    own = profile("adobergb")
    element = {"vr": "OB", "InlineBinary": base64.b64encode(own).decode()}
    picture = Image.new("RGB", (1, 1), (10, 200, 30))
    for attributes in ({"00282000": element}, {"00480105": _sequence({"00282000": element})}):
        assert with_profile(picture, "yes", attributes, _no_bulk)[1] == own
        assert with_profile(picture, "adobergb", attributes, _no_bulk)[0].getpixel((0, 0)) == (10, 200, 30)
        assert with_profile(picture, "srgb", attributes, _no_bulk)[0].getpixel((0, 0)) != (10, 200, 30)
    grey, embedded = with_profile(Image.new("L", (1, 1), 7), "yes", {"00282000": element}, _no_bulk)
    assert (grey.mode, embedded) == ("RGB", profile("srgb"))


def test_a_broken_profile_is_a_reason_not_a_fault() -> None:
    """406 with words, where the colours would have to be converted."""
    from maypacs.errors import PixelError

    element = {"vr": "OB", "InlineBinary": base64.b64encode(b"no profile at all").decode()}
    with pytest.raises(PixelError, match="profile"):
        with_profile(Image.new("RGB", (1, 1)), "srgb", {"00282000": element}, _no_bulk)


# -- viewports --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("viewport", "expected"),
    [
        (Viewport(4, 2), [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (Viewport(2, 2, 1, 0, 2, 2), [[1, 2], [5, 6]]),
        (Viewport(4, 2, 0, 0, -4, 2), [[3, 2, 1, 0], [7, 6, 5, 4]]),
        (Viewport(4, 2, 0, 0, 4, -2), [[4, 5, 6, 7], [0, 1, 2, 3]]),
        (Viewport(2, 1, 2, 1, -2, -1), [[7, 6]]),
        (Viewport(3, 2, 1), [[1, 2, 3], [5, 6, 7]]),
    ],
)
def test_a_region_of_its_own_size_is_exact_and_negative_sizes_mirror(
    viewport: Viewport, expected: list[list[int]]
) -> None:
    """8.3.5.1.3."""
    source = Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4))
    assert np.asarray(fit(source, viewport)).tolist() == expected


@pytest.mark.parametrize(
    "region", [(4.0, 0.0, 1.0, 1.0), (0.0, 0.0, 5.0, 1.0), (-1.0, 0.0, 2.0, 1.0), (3.0, 0.0, -2.0, 1.0)]
)
def test_a_region_outside_of_the_image_is_a_bad_request(region: tuple[float, float, float, float]) -> None:
    """Wherever it leaves it."""
    with pytest.raises(BadRequestError):
        fit(Image.new("L", (4, 2)), Viewport(4, 2, *region))


def test_functional_groups_of_the_frame_go_before_shared_ones_and_those_before_the_image() -> None:
    """C.7.6.16: window and rescale of frame 2 alone."""

    def voi(centre: float) -> dict[str, Any]:
        return {"00289132": _sequence({"00281050": _value(centre), "00281051": _value(10)})}

    attributes = {
        "00281050": _value(1),
        "00281051": _value(10),
        "52009229": _sequence(voi(2)),
        "52009230": _sequence({}, voi(3)),
    }
    windows = [images.window(attributes, n) for n in (1, 2, 3)]
    assert [w.centre for w in windows if w] == [2, 3, 2]
