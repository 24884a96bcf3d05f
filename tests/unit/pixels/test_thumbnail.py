"""Thumbnails never identify (PS3.18 10.4.3.3.4), and are never an error."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from tests.conftest import OWN_SAMPLES, sample_files, sample_id

from maypacs.pixels.thumbnail import may_have_burned_in_text, placeholder
from maypacs.small_pictures import thumbnail_jpeg

_CLASS = "1.2.840.10008.5.1.4.1.1."


def _attributes(sop_class: str = "2", modality: str = "CT", **values: list[str]) -> dict[str, object]:
    return {
        "00080016": {"Value": [_CLASS + sop_class]},
        "00080060": {"Value": [modality]},
        **{tag.removeprefix("t"): {"Value": value} for tag, value in values.items()},
    }


CASES = [
    (_attributes("6.1", "US"), True, "ultrasound writes names into its pictures"),
    (_attributes("6.1", "MR"), True, "ultrasound, whatever the modality says"),
    (_attributes("7"), True, "secondary capture"),
    (_attributes("7.4"), True, "multi-frame secondary capture"),
    (_attributes(t00280301=["YES"]), True, "it says so"),
    (_attributes(t00280301=["NO"]), False, "a CT that says no"),
    (_attributes(t00280302=["YES"]), True, "a face that can be recognized"),
    (_attributes(t00280302=["NO"]), False, "no face that can be recognized"),
    (_attributes("4", "MR"), False, "an MR"),
    (_attributes(t00080008=["ORIGINAL", "PRIMARY", "LOCALIZER"]), False, "the scout of a CT"),
    (_attributes(t00080008=["DERIVED", "SECONDARY", "REFORMATTED"]), False, "a reformatted CT"),
    (_attributes(t00080008=["DERIVED", "SECONDARY", "SCREEN SAVE"]), True, "a screen that was saved"),
    (_attributes(t00080008=["DERIVED", "SECONDARY", "SCREENSHOT"]), True, "a screenshot"),
    (_attributes(t00080008=["ORIGINAL", "PRIMARY", "DOSE_INFO"]), True, "a page of doses"),
    (_attributes(t00080008=["ORIGINAL", "SECONDARY", "OTHER", "CT_SOM5 PROT"]), True, "a page of a protocol"),
    (_attributes("4", "MR", t00080008=["DERIVED", "SECONDARY", "OTHER", "CSA REPORT"]), True, "a page of a report"),
    (_attributes("1", "CR", t00080064=["DF"]), True, "film that was digitized"),
    (_attributes("1", "RG"), True, "film"),
    (_attributes("77.1.6", "SM", t00080008=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]), False, "a slide, not .7"),
    (_attributes("77.1.6", "SM", t00080008=["ORIGINAL", "PRIMARY", "LABEL", "NONE"]), True, "the label of a slide"),
    (_attributes("77.1.6", "SM", t00080008=["ORIGINAL", "PRIMARY", "overview"]), True, "a slide with its label"),
    (_attributes("77.1.6", "SM", t00080008=["ORIGINAL", "PRIMARY", "LOCALIZER"]), True, "a slide of old"),
    (_attributes("77.1.6", "SM", t00480010=["YES"]), True, "a slide that says that its label is seen"),
    (_attributes("77.1.4", "XC"), True, "a photograph"),
    (_attributes("77.1.4", "OTHER"), True, "a photograph of an unknown modality"),
    (_attributes("77.1.5.1", "OP"), True, "a photograph of an eye"),
    (_attributes("77.1.1", "ES"), True, "endoscopy"),
    (_attributes("77.1.2", "GM"), True, "a microscope's camera"),
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
