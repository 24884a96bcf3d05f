"""Attributes of an image that lie: a picture or a PixelError, never anything else."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from maypacs.errors import BadRequestError, PixelError
from maypacs.pixels.image import ImagePixel
from maypacs.pixels.picture import Rendering
from maypacs.pixels.presentation import Presentation
from maypacs.pixels.render import draw_frame

WORDS = st.integers(-(2**16), 2**33)
ODD = st.one_of(
    st.none(), WORDS, st.floats(), st.text(max_size=5), st.dictionaries(st.text(max_size=3), WORDS, max_size=1)
)
BINARY = st.binary(max_size=40).map(lambda raw: {"vr": "OW", "InlineBinary": base64.b64encode(raw).decode()})


def _element(values: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(values, max_size=size).map(lambda found: {"vr": "US", "Value": found})


ELEMENT = st.one_of(_element(WORDS, 4), _element(ODD, 4), BINARY, st.just({"vr": "US"}))
LUT_ITEM = st.fixed_dictionaries(
    {}, optional={"00283002": st.one_of(_element(st.integers(-3, 70_000), 3), ELEMENT), "00283006": ELEMENT}
)
NESTED = st.lists(LUT_ITEM, max_size=2).map(lambda found: {"vr": "SQ", "Value": found})
SCALARS = [
    *("00281050", "00281051", "00281052", "00281053", "00281056", "00280120", "00280121", "00620001", "0062000E"),
    *("20500020", "00281101", "00281102", "00281103", "00281201", "00281202", "00281203", "00281221", "00281222"),
    *("00281223", "60000010", "60000011", "60000050", "60000015", "60000051", "60003000", "60001001", "00100010"),
    *("00200011", "00180060", "00280008", "00700041", "00700042", "00181600", "00181610", "00181612", "00181620"),
]
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(SCALARS, ELEMENT),
        **dict.fromkeys(("00283000", "00283010", "20500010", "00283110", "0070005A", "00700001"), NESTED),
    },
)


@settings(max_examples=400, deadline=None)
@given(
    attributes=ATTRIBUTES,
    state=st.none() | ATTRIBUTES,
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"]),
    kind=st.sampled_from(["u1", "i2", "u2", "i4", "f4"]),
    values=st.lists(st.integers(0, 255), min_size=4, max_size=4),
)
def test_attributes_that_lie_give_a_picture_or_a_reason(
    attributes: dict[str, Any], state: dict[str, Any] | None, photometric: str, kind: str, values: list[int]
) -> None:
    """LUTs of no size, tables that are too short, windows of text, overlays of absurd sizes."""
    array = np.array(values, np.dtype(kind)).reshape(2, 2)
    bits = array.dtype.itemsize * 8
    floats = kind.startswith("f")
    pixel = ImagePixel(2, 2, 1, bits, bits, bits - 1, kind.startswith("i"), False, photometric, 1, floats=floats)
    rendering = Rendering(annotation=frozenset({"patient", "technique", "overlay"}))
    presentation = None if state is None else Presentation(state, "1.2.3", 1)
    try:
        picture = draw_frame(
            array,
            photometric,
            pixel,
            attributes,
            frame=1,
            rendering=rendering,
            resolve=lambda uri: b"",
            presentation=presentation,
        )
    except (PixelError, BadRequestError):
        return
    assert picture.size == (2, 2) or state is not None
