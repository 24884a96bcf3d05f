"""Rendered instances, frames and thumbnails (PS3.18 10.4.3.3, 8.3.5)."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from tests.conftest import OWN_SAMPLES
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client, Reply

from maypacs.pixels.thumbnail import placeholder


def _pixels(reply: Reply) -> np.ndarray:
    assert reply.status == 200, reply.body
    return np.asarray(Image.open(io.BytesIO(reply.body)).convert("L")).astype(int)


@pytest.fixture
def ramp(client: Client) -> Client:
    """Stored values 0 to 255, -1000 to -745 HU, one picture of 16 x 16."""
    client.stow(make.instance())
    return client


def test_the_default_is_a_jpeg_and_png_comes_when_asked(ramp: Client) -> None:
    """By Accept, or by the accept parameter, which goes first."""
    assert ramp.get(f"{make.url(1)}/rendered").headers["content-type"] == "image/jpeg"
    assert ramp.get(f"{make.url(1)}/rendered", "image/png").headers["content-type"] == "image/png"
    assert ramp.get(f"{make.url(1)}/rendered?accept=image/png", "image/jpeg").headers["content-type"] == "image/png"
    assert ramp.get(f"{make.url(1)}/rendered", "image/tiff").status == 406
    assert ramp.get(f"{make.url(1)}/rendered", 'image/jpeg, multipart/related; type="application/dicom"').status == 400


def test_the_window_of_the_image_is_used_and_one_of_the_request_replaces_it(ramp: Client) -> None:
    """Within 3 grey levels of PS3.3 C.11.2.1.2."""
    hounsfield = np.arange(256).reshape(16, 16) - 1000.0
    for query, centre, width in (("", -872, 256), ("?window=-900,100,linear", -900, 100)):
        expected = np.clip((hounsfield - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
        found = _pixels(ramp.get(f"{make.url(1)}/rendered{query}", "image/png"))
        assert np.abs(found - expected).max() <= 3, query


def test_monochrome1_is_white_where_values_are_small(client: Client) -> None:
    """The same ramp, inverted."""
    client.stow(make.instance(PhotometricInterpretation="MONOCHROME1"))
    found = _pixels(client.get(f"{make.url(1)}/rendered", "image/png"))
    assert found[0, 0] > 250
    assert found[-1, -1] < 5


def test_a_viewport_scales_and_a_frame_has_a_picture_of_its_own(ramp: Client) -> None:
    """vw,vh; frames/1/rendered is the instance's for one frame."""
    assert _pixels(ramp.get(f"{make.url(1)}/rendered?viewport=8,8")).shape == (8, 8)
    assert _pixels(ramp.get(f"{make.url(1)}/rendered?viewport=8,8,0,0,16,8")).shape == (4, 8)
    assert ramp.get(f"{make.url(1)}/frames/1/rendered").body == ramp.get(f"{make.url(1)}/rendered").body


@pytest.mark.parametrize(
    "query",
    [
        "window=1",
        "window=a,b,linear",
        "window=1,2,cubic",
        "window=1,0,linear",
        "window=nan,1,linear",
        "window=1,2&window=3,4",
        "viewport=0,10",
        "viewport=10",
        "viewport=10,10,90,90,10,10",
        "viewport=1e9,10",
        "quality=0",
        "quality=101",
        "quality=x",
    ],
)
def test_a_rendering_that_makes_no_sense_is_a_bad_request(ramp: Client, query: str) -> None:
    """400, and the text says what is meant."""
    reply = ramp.get(f"{make.url(1)}/rendered?{query}")
    assert reply.status == 400
    assert reply.json()["detail"]


def test_quality_is_the_jpegs(ramp: Client) -> None:
    """Fewer bytes for less."""
    low, high = (ramp.get(f"{make.url(1)}/rendered?viewport=200,200&quality={q}").body for q in (5, 95))
    assert len(low) < len(high)


COLOURED = ["SC_rgb_jpeg_dcmtk.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_small_odd.dcm"]


@pytest.mark.parametrize("sample", COLOURED)
def test_colour_stays_colour(client: Client, sample: str) -> None:
    """RGB and YBR, compressed and not: the picture has more than greys."""
    data = (OWN_SAMPLES / "files" / sample).read_bytes()
    url = client.stow(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    picture = np.asarray(Image.open(io.BytesIO(client.get(f"{url}/rendered", "image/png").body))).astype(int)
    assert picture.shape[2] == 3
    assert np.abs(picture[..., 0] - picture[..., 2]).max() > 50


def test_a_palette_is_drawn_in_its_colours(client: Client) -> None:
    """C.7.9: stored values are indices; 16-bit entries are scaled to 8."""
    ds = make.dataset(BitsAllocated=8, BitsStored=8, HighBit=7, PhotometricInterpretation="PALETTE COLOR")
    ds.PixelData = bytes(range(256))
    reds, greens, blues = (np.roll(np.arange(256, dtype="<u2") * 257, shift) for shift in (0, 50, 100))
    for colour, entries in (("Red", reds), ("Green", greens), ("Blue", blues)):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        ds[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(ds, f"{colour}PaletteColorLookupTableData", entries.tobytes())
    client.stow(make.part10(ds))
    found = np.asarray(Image.open(io.BytesIO(client.get(f"{make.url(1)}/rendered", "image/png").body))).astype(int)
    assert found.shape == (16, 16, 3)
    assert np.abs(found.reshape(256, 3) - np.stack([reds, greens, blues], axis=-1) // 257).max() <= 1


def test_a_large_picture_is_a_redirect(make_client: Callable[..., Client]) -> None:
    """Under the gateway's limit."""
    client = make_client(inline_limit=400, limits="none")
    client.stow(make.instance())
    reply = client.send("GET", f"{make.url(1)}/rendered?viewport=300,300", follow=False)
    assert reply.status == 307
    assert Image.open(io.BytesIO(client.blob(reply).body)).size == (300, 300)


def test_a_thumbnail_is_there_at_every_level_and_is_a_small_jpeg(ramp: Client) -> None:
    """Study, series, instance, frame."""
    for path in (f"/studies/{make.STUDY}", make.url(), make.url(1), f"{make.url(1)}/frames/1"):
        reply = ramp.get(f"{path}/thumbnail")
        assert reply.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(reply.body)).size) <= 256
        assert ramp.get(f"{path}/thumbnail", If_None_Match=reply.headers["etag"]).status == 304


def test_what_may_hold_text_has_a_placeholder_for_a_thumbnail(client: Client) -> None:
    """PS3.18 10.4.3.3.4: never identifying; the rendered picture is another matter."""
    client.stow(make.instance(BurnedInAnnotation="YES"))
    for path in (f"/studies/{make.STUDY}", make.url(), make.url(1)):
        assert client.get(f"{path}/thumbnail").body == placeholder("CT")
    assert client.get(f"{make.url(1)}/rendered").body != placeholder("CT")


@pytest.mark.parametrize(
    ("modality", "says"),
    [
        ("SM", {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}),
        ("CT", {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}),
        ("MR", {"RecognizableVisualFeatures": "YES"}),
        ("CR", {"ConversionType": "SD"}),
        ("OP", {}),
    ],
)
def test_labels_screens_faces_and_scans_have_placeholders_at_every_level(
    client: Client, modality: str, says: dict[str, object]
) -> None:
    """Also the small picture of the study, which is kept."""
    client.stow(make.instance(Modality=modality, **says))
    for path in (f"/studies/{make.STUDY}", make.url(), make.url(1), f"{make.url(1)}/frames/1"):
        assert client.get(f"{path}/thumbnail").body == placeholder(modality)


def test_a_report_has_a_placeholder_and_no_rendering(client: Client) -> None:
    """No pixels: 404 for the picture, a tile for the list."""
    ds = make.dataset(Modality="SR")
    del ds.PixelData
    client.stow(make.part10(ds))
    assert client.get(f"{make.url()}/thumbnail").body == placeholder("SR")


def test_a_thumbnail_of_a_study_shows_a_series_with_pictures(client: Client) -> None:
    """Not the report that came first."""
    report = make.dataset(Modality="SR", SeriesNumber=0, series=make.SERIES + ".5")
    del report.PixelData
    client.stow(make.part10(report), make.instance())
    assert client.get(f"/studies/{make.STUDY}/thumbnail").body == client.get(f"{make.url()}/thumbnail").body


def test_a_thumbnail_is_as_large_as_asked_and_no_larger_than_a_thumbnail(ramp: Client) -> None:
    """8.3.5.2: vw,vh alone; at most 512."""
    sizes = [
        Image.open(io.BytesIO(ramp.get(f"{make.url()}/thumbnail?viewport={asked}").body)).size
        for asked in ("32,64", "9000,9000")
    ]
    assert sizes == [(32, 32), (512, 512)]
    for asked in ("0,1", "8,8,0,0,4,4", "x"):
        assert ramp.get(f"{make.url()}/thumbnail?viewport={asked}").status == 400
    assert ramp.get(f"{make.url()}/thumbnail", "image/gif").status == 406


def test_annotations_come_only_when_asked_for_and_never_into_thumbnails(ramp: Client) -> None:
    """8.3.5.1.1: unknown keywords are a Warning, without their text."""
    bare = ramp.get(f"{make.url(1)}/rendered?viewport=200,200", "image/png")
    for word in ("patient", "technique", "patient,technique", "%20patient"):
        assert ramp.get(f"{make.url(1)}/rendered?viewport=200,200&annotation={word}", "image/png").body != bare.body
    unknown = ramp.get(f"{make.url(1)}/rendered?viewport=200,200&annotation=canary", "image/png")
    assert unknown.body == bare.body
    assert unknown.headers["warning"].startswith("299 ")
    assert "canary" not in unknown.headers["warning"]
    assert "warning" not in bare.headers
    thumbnail = ramp.get(f"{make.url()}/thumbnail").body
    assert ramp.get(f"{make.url()}/thumbnail?annotation=patient").body == thumbnail


def test_an_overlay_is_drawn_when_it_is_asked_for(client: Client) -> None:
    """annotation=overlay, a keyword of ours; without it the pixels alone (a thumbnail never has it)."""
    data = make.dataset()
    data.add_new(0x60000010, "US", 2)
    data.add_new(0x60000011, "US", 2)
    data.add_new(0x60000040, "CS", "G")
    data.add_new(0x60000050, "SS", [1, 1])
    data.add_new(0x60000100, "US", 1)
    data.add_new(0x60000102, "US", 0)
    data.add_new(0x60003000, "OW", bytes([0b1111, 0]))
    client.stow(make.part10(data))
    bare = _pixels(client.get(f"{make.url(1)}/rendered", "image/png"))
    drawn = _pixels(client.get(f"{make.url(1)}/rendered?annotation=overlay", "image/png"))
    assert np.argwhere(bare != drawn).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_colour_profile_is_embedded_when_it_is_asked_for(ramp: Client) -> None:
    """8.3.5.1.6: JPEG and PNG carry one; GIF cannot; what is unknown is 400."""
    assert "icc_profile" not in Image.open(io.BytesIO(ramp.get(f"{make.url(1)}/rendered").body)).info
    for name in ("yes", "srgb", "adobergb", "rommrgb"):
        for kind in ("image/png", "image/jpeg"):
            body = ramp.get(f"{make.url(1)}/rendered?iccprofile={name}", kind).body
            assert len(Image.open(io.BytesIO(body)).info["icc_profile"]) > 300
    assert ramp.get(f"{make.url(1)}/rendered?iccprofile=srgb", "image/gif").status == 400
    assert ramp.get(f"{make.url(1)}/rendered?iccprofile=cmyk").status == 400


def test_several_frames_are_a_multipart_of_pictures(client: Client) -> None:
    """Each part is that frame's own picture; a single part holds one; a multipart of one is had too."""
    client.stow(make.instance(NumberOfFrames=3, PixelData=bytes(512) + b"\xff\x00" * 256 + b"\x80\x00" * 256))
    single = [client.get(f"{make.url(1)}/frames/{n}/rendered", "image/png").body for n in (1, 2, 3)]
    reply = client.get(f"{make.url(1)}/frames/3,1/rendered", 'multipart/related; type="image/png"')
    assert reply.parts() == [("image/png", single[2]), ("image/png", single[0])]
    assert f"{make.url(1)}/frames/3/rendered" in str(reply.body)
    assert [kind for kind, _ in client.get(f"{make.url(1)}/frames/1,2/rendered").parts()] == ["image/jpeg"] * 2
    one = client.get(f"{make.url(1)}/frames/2/rendered", 'multipart/related; type="image/png"')
    assert one.parts() == [("image/png", single[1])]
    whole = client.get(f"{make.url(1)}/rendered", 'multipart/related; type="image/png", image/jpeg;q=0.5')
    assert whole.parts() == [("image/png", single[0])]
    assert client.get(f"{make.url(1)}/frames/1,2/rendered", "image/png").status == 406
    assert client.get(f"{make.url(1)}/frames/1,4/rendered").status == 404
    etag = reply.headers["etag"]
    again = client.get(f"{make.url(1)}/frames/3,1/rendered", 'multipart/related; type="image/png"', If_None_Match=etag)
    assert again.status == 304


def test_a_thumbnail_is_of_one_frame(client: Client) -> None:
    """400."""
    client.stow(make.instance())
    assert client.get(f"{make.url(1)}/frames/1,1/thumbnail").status == 400
