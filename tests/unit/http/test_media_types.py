"""The Accept parser and the choices made from it (PS3.18 8.7, Table 10.4.4-1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.errors import BadRequestError, NotAcceptableError
from maypacs.http import media_types as mt
from maypacs.http.media_types import Choice

DICOM_ACCEPTS = [
    # Accept, first choice, why
    (None, Choice("application/dicom", True, None), "no Accept: the default"),
    ("", Choice("application/dicom", True, None), "an empty one too"),
    ("*/*", Choice("application/dicom", True, None), "anything: the default"),
    (
        'multipart/related; type="application/dicom"',
        Choice("application/dicom", True, None),
        "as the standard writes it",
    ),
    ("multipart/related; type=application/dicom", Choice("application/dicom", True, None), "unquoted, as OHIF may"),
    ("Multipart/Related;TYPE=Application/DICOM;Transfer-Syntax=*", Choice("application/dicom", True, "*"), "any case"),
    (
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.80',
        Choice("application/dicom", True, "1.2.840.10008.1.2.4.80"),
        "a named syntax",
    ),
    ("multipart/related", Choice("application/dicom", True, None), "a multipart that does not say of what"),
    (
        "application/x-unknown, image/avif, multipart/related; type=application/dicom;q=0.1",
        Choice("application/dicom", True, None),
        "one fits",
    ),
    (
        "multipart/related;type=application/dicom;transfer-syntax=1.2;q=0.2, multipart/related;type=application/dicom",
        Choice("application/dicom", True, None),
        "the larger q first",
    ),
    ("application/dicom; transfer-syntax=*", Choice("application/dicom", False, "*"), "a single part, of one instance"),
]


@pytest.mark.parametrize(("accept", "expected", "reason"), DICOM_ACCEPTS, ids=[r for _, _, r in DICOM_ACCEPTS])
def test_the_best_dicom_choice_is_the_one_the_client_meant(accept: str | None, expected: Choice, reason: str) -> None:
    """Spelling never decides; q and order do."""
    assert mt.dicom_choices(mt.parse_accept(accept), single_allowed=True)[0] == expected


@pytest.mark.parametrize(
    ("old", "right"),
    [
        ("image/x-dicom-rle", "image/dicom-rle"),
        ("image/x-jls", "image/jls"),
        ("image/jll", "image/jpeg"),
        ("image/j2c", "image/jp2"),
    ],
)
def test_old_spellings_are_the_media_types_of_the_standard(old: str, right: str) -> None:
    """In a multipart and alone (Table 8.7.3-5 has had others)."""
    for accept, multipart in ((f'multipart/related; type="{old}"', True), (old, False)):
        assert mt.frame_choices(mt.parse_accept(accept), single_allowed=True) == [Choice(right, multipart, None)]


def test_a_single_part_of_a_series_is_not_acceptable() -> None:
    """Table 10.4.4-1: several instances need a multipart."""
    with pytest.raises(NotAcceptableError):
        mt.dicom_choices(mt.parse_accept("application/dicom"), single_allowed=False)


def test_dicom_and_rendered_types_in_one_accept_are_a_bad_request() -> None:
    """PS3.18 8.7.5."""
    with pytest.raises(BadRequestError):
        mt.parse_accept('multipart/related; type="application/dicom", image/jpeg')


def test_the_media_type_of_a_compressed_frame_is_no_rendered_type() -> None:
    """multipart/related; type=image/jpeg asks for stored frames."""
    accept = mt.parse_accept('multipart/related; type="image/jpeg", multipart/related; type="application/octet-stream"')
    assert [c.media_type for c in mt.frame_choices(accept, single_allowed=True)] == [
        "image/jpeg",
        "application/octet-stream",
    ]


def test_a_browsers_accept_line_gets_json_metadata_and_a_jpeg() -> None:
    """A person who pastes a URL into the address bar."""
    accept = mt.parse_accept("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8")
    assert mt.metadata_choice(accept) == "application/dicom+json"
    assert mt.rendered_choice(accept) == "image/jpeg"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("image/png", "image/png"),
        ("image/jpg", "image/jpeg"),
        ("image/webp, image/png;q=0.3", "image/png"),
        (None, "image/jpeg"),
    ],
)
def test_rendered_pictures_are_jpeg_or_png(accept: str | None, expected: str) -> None:
    """What we cannot make is passed over for what we can."""
    assert mt.rendered_choice(mt.parse_accept(accept)) == expected


def test_nothing_that_fits_is_not_acceptable_and_says_what_would_be() -> None:
    """406 with help."""
    for choose in (mt.rendered_choice, mt.metadata_choice):
        with pytest.raises(NotAcceptableError, match="acceptable here"):
            choose(mt.parse_accept("audio/mpeg"))


def test_a_q_of_zero_means_never() -> None:
    """RFC 9110 12.4.2."""
    with pytest.raises(NotAcceptableError):
        mt.rendered_choice(mt.parse_accept("image/jpeg;q=0, audio/mpeg"))


def test_a_comma_inside_quotes_does_not_split() -> None:
    """A boundary may hold one."""
    parsed = mt.parse_media_type('multipart/related; type="application/dicom"; boundary="a,b;c"')
    assert parsed.parameters == {"type": "application/dicom", "boundary": "a,b;c"}


def test_the_accept_query_parameter_goes_before_the_header() -> None:
    """PS3.18 8.3.3.1."""
    assert mt.rendered_choice(mt.parse_accept("image/jpeg", ["image/png"])) == "image/png"


@given(st.text(max_size=300))
def test_no_accept_line_breaks_the_parser(text: str) -> None:
    """Hostile input ends in a choice or in an error of ours."""
    try:
        choices = mt.frame_choices(mt.parse_accept(text), single_allowed=True)
    except (BadRequestError, NotAcceptableError):
        return
    assert choices


def test_an_accept_of_hundreds_of_ranges_is_refused() -> None:
    """No work for attackers."""
    with pytest.raises(BadRequestError):
        mt.parse_accept(",".join(["image/x"] * 500))
