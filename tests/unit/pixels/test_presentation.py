"""Presentation states on one image: transformations, shutters, graphics, geometry (PS3.3 A.33, C.10, C.11)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.conftest import sample_files

from maypacs.dicom.header import parse_header
from maypacs.pixels import graphics, overlays
from maypacs.pixels.picture import Rendering
from maypacs.pixels.presentation import Presentation, referenced
from maypacs.pixels.render import draw_frame
from maypacs.pixels.whole import WholeInstance, resolve_bulk


def _value(*values: Any, vr: str = "IS") -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def _sequence(*items: dict[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def _shown(state: dict[str, Any], size: int = 10, level: int = 200) -> Any:
    picture = Image.new("L", (size, size), level)
    return np.asarray(graphics.draw(picture, Presentation(state, "1.2.3", 1)))


def test_three_scrambled_tables_together_give_the_ramp_that_was_scrambled() -> None:
    """Modality, VOI and presentation LUT of a published test object: only all three, in their order, give the ramp."""
    files = {path.name: path for path in sample_files()}
    image, state = (files.get(f"weasis-dicom-tools__{name}.dcm") for name in ("imageForPrLUTs", "prLUTs"))
    if not image or not state:
        return  # the tables are tried one by one elsewhere
    whole, data = WholeInstance(image.read_bytes()), state.read_bytes()
    header = parse_header(data)
    ((_, instance, frame),) = referenced(header.dataset)
    assert instance == whole.header.sop_instance_uid
    array, photometric = whole.decode(1)
    drawn = draw_frame(
        array,
        photometric,
        whole.pixel,
        whole.attributes,
        frame=frame,
        rendering=Rendering(),
        resolve=partial(resolve_bulk, data),
        presentation=Presentation(header.dataset, instance, frame),
    )
    ramp = np.asarray(drawn).astype(int)[5]
    assert (np.diff(ramp) >= 0).all()
    assert (ramp[0], ramp[-1]) == (0, 255)
    assert len(set(ramp)) == 256


def test_what_the_state_does_not_say_is_not_taken_from_the_image() -> None:
    """PS3.4 N.2: a state without a window does not show the image's; what names another image is for that one."""
    attributes = {"00281050": _value(1), "00281052": _value(5), "52009230": _sequence({}), "00100020": _value("P")}
    other = {"00081140": _sequence({"00081155": _value("1.2.9", vr="UI")}), "00281050": _value(7)}
    mine = {"00081140": _sequence({"00081155": _value("1.2.3", vr="UI"), "00081160": _value(2)}), "00281050": _value(8)}
    state = {"00283110": _sequence(other, mine), "20500020": {"vr": "CS", "Value": ["INVERSE"]}}
    first, second = (Presentation(state, "1.2.3", frame).over(attributes) for frame in (1, 2))
    assert "00281050" not in first
    assert second["00281050"] == _value(8)
    for shown in (first, second):
        assert "00281052" not in shown
        assert "52009230" not in shown
        assert shown["20500020"]["Value"] == ["INVERSE"]
        assert shown["00100020"] == _value("P")


@pytest.mark.parametrize(
    ("rotation", "flip", "expected"),
    [
        (0, "N", [[0, 1], [2, 3]]),
        (90, "N", [[2, 0], [3, 1]]),
        (180, "N", [[3, 2], [1, 0]]),
        (270, "N", [[1, 3], [0, 2]]),
        (0, "Y", [[1, 0], [3, 2]]),
        (90, "Y", [[0, 2], [1, 3]]),
    ],
)
def test_the_rotation_is_clockwise_and_the_flip_comes_after_it(
    rotation: int, flip: str, expected: list[list[int]]
) -> None:
    """C.10.6."""
    picture = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    state = {"00700042": _value(rotation, vr="US"), "00700041": {"vr": "CS", "Value": [flip]}}
    assert np.asarray(Presentation(state, "", 1).geometry(picture)).tolist() == expected


def test_shutters_close_what_lies_outside_of_their_openings() -> None:
    """C.7.6.11: rectangular, circular, polygonal, all that there are; in the grey that is asked for."""
    edges = {"00181602": 3, "00181604": 8, "00181606": 4, "00181608": 6}
    rectangle = {tag: _value(value) for tag, value in edges.items()}
    drawn = _shown({"00181600": _value("RECTANGULAR", vr="CS"), **rectangle})
    assert (drawn == 200).nonzero()[0].min() == 3
    assert (drawn == 200).sum() == 3 * 6
    assert (drawn == 0).sum() == 100 - 18
    grey = _shown({"00181600": _value("RECTANGULAR", vr="CS"), "00181622": _value(0x8000, vr="US"), **rectangle})
    assert grey[0, 0] == 0x80
    circle = {"00181600": _value("CIRCULAR", vr="CS"), "00181610": _value(5, 7), "00181612": _value(2)}
    seen = np.argwhere(_shown(circle) == 200)
    assert seen.mean(axis=0).tolist() == [4, 6]
    triangle = {"00181600": _value("POLYGONAL", vr="CS"), "00181620": _value(1, 1, 1, 10, 10, 1)}
    drawn = _shown(triangle)
    assert drawn[1, 1] == 200
    assert drawn[9, 9] == 0
    both = {"00181600": _value("RECTANGULAR", "CIRCULAR", vr="CS"), **rectangle, **circle}
    both["00181600"] = _value("RECTANGULAR", "CIRCULAR", vr="CS")
    assert (_shown(both) == 200).sum() < 18


def _graphic(kind: str, *points: float, units: str = "PIXEL", filled: str = "N") -> dict[str, Any]:
    item = {
        "00700005": _value(units, vr="CS"),
        "00700023": _value(kind, vr="CS"),
        "00700022": _value(*points, vr="FL"),
        "00700024": _value(filled, vr="CS"),
    }
    return {"00700001": _sequence({"00700009": _sequence(item)})}


def test_graphics_are_drawn_where_they_are_and_only_on_their_image() -> None:
    """C.10.5: positions from 1; DISPLAY units have no meaning here."""
    line = _shown(_graphic("POLYLINE", 2, 3, 6, 3))
    assert np.argwhere(line == 255).tolist() == [[2, 1], [2, 2], [2, 3], [2, 4], [2, 5]]
    assert (_shown(_graphic("POLYLINE", 2, 3, 6, 3, units="DISPLAY")) == 200).all()
    for kind, points in (("POINT", (5, 5)), ("CIRCLE", (5, 5, 7, 5)), ("ELLIPSE", (2, 5, 8, 5, 5, 3, 5, 7))):
        drawn = np.argwhere(_shown(_graphic(kind, *points)) == 255)
        assert len(drawn) > 4
        assert np.abs(drawn.mean(axis=0) - 4).max() < 0.5
    filled = _shown(_graphic("POLYLINE", 2, 2, 8, 2, 8, 8, 2, 8, 2, 2, filled="Y"))
    assert filled[4, 4] == 255
    elsewhere = _graphic("POLYLINE", 2, 3, 6, 3)
    elsewhere["00700001"]["Value"][0]["00081140"] = _sequence({"00081155": _value("9.9", vr="UI")})
    assert (_shown(elsewhere) == 200).all()


def test_text_is_drawn_at_its_box_or_its_anchor() -> None:
    """Also when it says nothing that the font has."""
    box = {
        "00700003": _value("PIXEL", vr="CS"),
        "00700010": _value(5, 5, vr="FL"),
        "00700006": {"vr": "ST", "Value": ["Khối u\r\n山"]},
    }
    anchored = {
        "00700004": _value("PIXEL", vr="CS"),
        "00700014": _value(5, 5, vr="FL"),
        "00700006": {"vr": "ST", "Value": ["x"]},
    }
    for item in (box, anchored):
        drawn = _shown({"00700001": _sequence({"00700008": _sequence(item)})}, size=64)
        assert (drawn != 200).any()
    assert (_shown({"00700001": _sequence({"00700008": _sequence({})})}) == 200).all()


def test_overlays_of_the_image_are_shown_when_the_state_activates_them() -> None:
    """C.11.7: (60xx,1001) names a layer; without it the plane is not shown."""
    attributes = {
        "60000010": _value(1, vr="US"),
        "60000011": _value(1, vr="US"),
        "60003000": {"vr": "OW", "InlineBinary": "AQA="},
    }
    grey = np.zeros((1, 1), np.uint8)

    def drawn(state: dict[str, Any]) -> int:
        presentation = Presentation(state, "1.2.3", 1)
        shown = presentation.over(attributes)
        found = overlays.draw(grey, attributes, shown, 1, lambda uri: b"", presentation)
        return int(found[0, 0])

    assert drawn({}) == 0
    assert drawn({"60001001": _value("LAYER1", vr="CS")}) == 255


@given(
    kind=st.sampled_from(["POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE", "POINT", "NONSENSE"]),
    points=st.lists(st.floats(-1e30, 1e30), max_size=9),
    vertices=st.lists(st.integers(-(2**31), 2**31), max_size=9),
    filled=st.sampled_from(["Y", "N"]),
)
def test_no_graphic_and_no_shutter_crashes(kind: str, points: list[float], vertices: list[int], filled: str) -> None:
    """Hostile numbers: a picture of the same size comes out."""
    state = _graphic(kind, *points, filled=filled)
    state["00181600"] = _value("POLYGONAL", "RECTANGULAR", "CIRCULAR", vr="CS")
    state["00181620"] = _value(*vertices)
    state |= {tag: _value(*vertices[:1]) for tag in ("00181602", "00181604", "00181606", "00181608", "00181612")}
    state["00181610"] = _value(*vertices[:2])
    assert _shown(state).shape == (10, 10)
