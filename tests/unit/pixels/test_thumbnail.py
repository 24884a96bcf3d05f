"""Thumbnails never identify (PS3.18 10.4.3.3.4), and are never an error."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from tests.conftest import OWN_SAMPLES, sample_files, sample_id

from maypacs.pixels.thumbnail import may_have_burned_in_text, placeholder
from maypacs.small_pictures import thumbnail_jpeg

CASES = [
    ({"00080060": {"Value": ["US"]}}, True, "ultrasound writes names into its pictures"),
    ({"00080016": {"Value": ["1.2.840.10008.5.1.4.1.1.7"]}, "00080060": {"Value": ["CT"]}}, True, "secondary capture"),
    ({"00080016": {"Value": ["1.2.840.10008.5.1.4.1.1.7.4"]}}, True, "multi-frame secondary capture"),
    ({"00080060": {"Value": ["CT"]}, "00280301": {"Value": ["YES"]}}, True, "it says so"),
    ({"00080060": {"Value": ["CT"]}, "00280301": {"Value": ["NO"]}}, False, "a CT that says no"),
    ({"00080060": {"Value": ["MR"]}}, False, "an MR"),
    (
        {"00080016": {"Value": ["1.2.840.10008.5.1.4.1.1.77.1.6"]}, "00080060": {"Value": ["SM"]}},
        False,
        "a slide, not .7",
    ),
]


@pytest.mark.parametrize(("attributes", "burned_in", "reason"), CASES, ids=[r for *_, r in CASES])
def test_what_may_hold_text_is_known_by_its_attributes(
    attributes: dict[str, object], burned_in: bool, reason: str
) -> None:
    """The rule of the placeholder."""
    assert may_have_burned_in_text(attributes) is burned_in


def test_an_ultrasound_gives_a_placeholder_that_is_the_same_for_everybody() -> None:
    """Unless the caller says that it may identify."""
    data = (OWN_SAMPLES / "studies" / "us-heart" / "01.dcm").read_bytes()
    assert thumbnail_jpeg(data) == placeholder("US")
    assert thumbnail_jpeg(data, may_identify=True) != placeholder("US")


def test_a_ct_gives_its_picture_within_the_size_asked_for() -> None:
    """Proportions kept."""
    data = (OWN_SAMPLES / "files" / "CT_small.dcm").read_bytes()
    picture = Image.open(io.BytesIO(thumbnail_jpeg(data, max_side=96)))
    assert max(picture.size) == 96
    assert len(set(picture.convert("L").tobytes())) > 20


def test_every_sample_gives_a_jpeg() -> None:
    """Broken files, documents, videos: a placeholder, never an error."""
    for path in sample_files():
        picture = Image.open(io.BytesIO(thumbnail_jpeg(path.read_bytes(), max_side=64)))
        assert picture.format == "JPEG", sample_id(path)
        assert max(picture.size) <= 64, sample_id(path)


def test_a_placeholder_takes_nothing_but_letters_from_a_modality() -> None:
    """A modality of a hostile file is text like any other."""
    assert placeholder("<script>") == placeholder("SCRIPT")
    assert placeholder("") == placeholder("!!")
