"""What is rendered otherwise than as one picture: studies and series, cines, videos, documents, reports, states."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.conftest import sample_files, sample_id
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client, Reply

from maypacs import rendered_many

ANY = 'multipart/related; type="*/*"'


def _image(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


# -- studies and series -----------------------------------------------------------------------------------------------


def test_a_rendered_series_is_a_multipart_of_the_rendered_instances(client: Client) -> None:
    """One part an instance, in their order, each with its Content-Location; study and series alike."""
    client.stow(*(make.instance(n) for n in (1, 2, 3)))
    for path in (f"/studies/{make.STUDY}", make.url()):
        reply = client.get(f"{path}/rendered", 'multipart/related; type="image/png"')
        assert reply.status == 200, reply.body
        assert reply.headers["content-type"].startswith('multipart/related; type="image/png"; boundary=')
        expected = [client.get(f"{make.url(n)}/rendered", "image/png").body for n in (1, 2, 3)]
        assert reply.parts() == [("image/png", body) for body in expected]
        for n in (1, 2, 3):
            assert f"Content-Location: https://pacs.example/dicomweb/{client.archive}{make.url(n)}/rendered" in str(
                reply.body
            )
        assert client.get(f"{path}/rendered", ANY, If_None_Match='"x"').status == 200
        etag = reply.headers["etag"]
        assert client.get(f"{path}/rendered", 'multipart/related; type="image/png"', If_None_Match=etag).status == 304


def test_a_single_part_holds_no_series_and_parameters_count_for_every_part(client: Client) -> None:
    """406 (Table 10.4.4-1); viewport and windows as of one instance; 400 before anything is drawn."""
    client.stow(make.instance(1), make.instance(2))
    for accept in ("image/png", 'multipart/related; type="application/dicom"', 'multipart/related; type="image/tiff"'):
        assert client.get(f"{make.url()}/rendered", accept).status == 406, accept
    parts = client.get(f"{make.url()}/rendered?viewport=8,8", ANY).parts()
    assert [_image(body).size for _, body in parts] == [(8, 8), (8, 8)]
    assert client.get(f"{make.url()}/rendered?window=nonsense", ANY).status == 400
    assert client.get(f"/studies/{make.STUDY}9/rendered").status == 404


def test_of_a_mixed_study_each_instance_is_what_it_can_be(client: Client) -> None:
    """Pictures, a report and a document under */*; under image/png what is no picture has no part, and is counted."""
    client.stow(
        make.instance(1),
        make.report(make.content_item("TEXT", "Finding", TextValue="none"), number=2, series=make.SERIES + ".7"),
        make.pdf(number=3, series=make.SERIES + ".8"),
    )
    reply = client.get(f"/studies/{make.STUDY}/rendered")
    assert sorted(kind.replace('"', "") for kind, _ in reply.parts()) == [
        "application/pdf",
        "image/jpeg",
        "text/html; charset=utf-8",
    ]
    pictures = client.get(f"/studies/{make.STUDY}/rendered", 'multipart/related; type="image/png"')
    assert [kind for kind, _ in pictures.parts()] == ["image/png"]
    assert pictures.headers["warning"].startswith("299 ")
    assert client.get(f"/studies/{make.STUDY}/rendered", 'multipart/related; type="video/mp4"').status == 406


def test_a_large_rendered_series_is_made_in_steps_and_redirected_to(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After while there is work left; the pieces are joined, and nothing is drawn twice."""
    client = make_client(inline_limit=1000, limits="none")
    client.stow(*(make.instance(n) for n in range(1, 6)))
    drawn: list[str] = []
    original = rendered_many.rendered_body

    def counted(*arguments: Any) -> tuple[bytes, str]:
        drawn.append(arguments[1].sop_instance_uid)
        return original(*arguments)

    monkeypatch.setattr(rendered_many, "rendered_body", counted)
    ticks = itertools.count(0, 8)  # two or three instances a request
    monkeypatch.setattr(rendered_many.retrieve_rendered_many, "__kwdefaults__", {"clock": lambda: next(ticks)})
    replies = []
    while not replies or replies[-1].status == 503:
        replies.append(client.send("GET", f"{make.url()}/rendered", {"Accept": ANY}, follow=False))
        assert len(replies) < 10
    assert [reply.status for reply in replies][-1] == 307
    assert len(replies) > 1
    assert replies[0].headers["retry-after"]
    assert len(client.blob(replies[-1]).parts()) == 5
    assert len(drawn) == 5
    again = client.send("GET", f"{make.url()}/rendered", {"Accept": ANY}, follow=False)
    assert again.status == 307
    assert len(drawn) == 5


# -- cines ------------------------------------------------------------------------------------------------------------


def test_several_frames_as_a_gif_are_a_cine_at_their_own_speed(client: Client) -> None:
    """Every frame, in its order, exact greys; FrameTime says how long."""
    levels = (0, 80, 160, 255)
    frames = np.stack([np.full((16, 16), level, "<u2") for level in levels])
    client.stow(
        make.instance(
            NumberOfFrames=4,
            PixelData=frames.tobytes(),
            FrameTime="40",
            RescaleIntercept="0",
            WindowCenter="127.5",
            WindowWidth="255",
            VOILUTFunction="LINEAR_EXACT",
        )
    )
    picture = _image(client.get(f"{make.url(1)}/rendered", "image/gif").body)
    assert picture.n_frames == 4
    found = []
    for n in range(4):
        picture.seek(n)
        assert picture.info["duration"] == 40
        found.append(int(np.asarray(picture.convert("L"))[3, 3]))
    assert found == list(levels)
    single = _image(client.get(f"{make.url(1)}/frames/3/rendered", "image/gif").body)
    assert getattr(single, "n_frames", 1) == 1
    assert _image(client.get(f"{make.url(1)}/rendered", "image/png").body).getpixel((0, 0)) == 0


def test_a_cine_that_is_too_long_is_406(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the text says what to ask for instead."""
    client.stow(make.instance(NumberOfFrames=4, PixelData=bytes(16 * 16 * 2 * 4)))
    assert client.get(f"{make.url(1)}/rendered?viewport=9000,9000", "image/gif").status == 406
    monkeypatch.setattr("maypacs.cines.MAX_CINE_FRAMES", 3)
    reply = client.get(f"{make.url(1)}/rendered", "image/gif")
    assert reply.status == 406
    assert "frames" in reply.json()["detail"]


# -- video and documents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("syntax", "kind"), [(make.H264, "video/mp4"), (make.MPEG2, "video/mpeg")])
@pytest.mark.parametrize("fragments", [1, 3])
def test_a_video_is_given_as_it_is_with_ranges(client: Client, fragments: int, syntax: str, kind: str) -> None:
    """By the type of its syntax; fragments are joined; no single frame of it is given."""
    stream = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8
    client.stow(make.video(stream, fragments, syntax))
    reply = client.get(f"{make.url(1)}/rendered")
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, kind, stream)
    assert client.get(f"{make.url(1)}/rendered", kind).body == stream
    assert client.get(f"{make.url(1)}/rendered", "video/H265").status == 406
    assert reply.headers["accept-ranges"] == "bytes"
    part = client.get(f"{make.url(1)}/rendered", Range="bytes=4-11")
    assert (part.status, part.body) == (206, b"ftypmp42")
    assert part.headers["content-range"] == f"bytes 4-11/{len(stream)}"
    assert client.get(f"{make.url(1)}/rendered", "image/jpeg").status == 406
    assert client.get(f"{make.url(1)}/frames/1/rendered").status in {404, 406}


@pytest.mark.parametrize("fragments", [1, 4])
def test_a_large_video_is_a_redirect_to_an_object_of_its_own(
    make_client: Callable[..., Client], fragments: int
) -> None:
    """Put together by storage, so that storage answers ranges of it."""
    client = make_client(inline_limit=1000, limits="none")
    stream = b"\0\0\0\x18ftypmp42" + hashlib.sha256(b"x").digest() * 1000
    client.stow(make.video(stream, fragments))
    replies = [client.send("GET", f"{make.url(1)}/rendered", follow=False) for _ in range(2)]
    assert [reply.status for reply in replies] == [307, 307]
    blob = client.blob(replies[1])
    assert (blob.headers["content-type"], blob.body) == ("video/mp4", stream)


def test_a_pdf_is_given_as_it_is(make_client: Callable[..., Client]) -> None:
    """To the byte: the padding is not part of it; ranges; a redirect when large; something else is no PDF."""
    client = make_client()
    odd = make.PDF + (b"\n" if len(make.PDF) % 2 == 0 else b"")
    client.stow(make.pdf(odd), make.pdf(b"<script>alert(1)</script>", number=2))
    reply = client.get(f"{make.url(1)}/rendered", "application/pdf")
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "application/pdf", odd)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"{make.url(1)}/rendered", Range="bytes=0-4").body == b"%PDF-"
    assert client.get(f"{make.url(1)}/rendered", "image/jpeg").status == 406
    assert client.get(f"{make.url(2)}/rendered").status == 406
    small = make_client(inline_limit=40, limits="none", archive=client.archive)
    redirect = small.send("GET", f"{make.url(1)}/rendered", follow=False)
    assert redirect.status == 307
    assert small.blob(redirect).body == odd


# -- reports ----------------------------------------------------------------------------------------------------------


def _measurement() -> Dataset:
    measured = Dataset()
    measured.NumericValue = "12.5"
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "mm", "UCUM", "millimeter"
    measured.MeasurementUnitsCodeSequence = Sequence([unit])
    return make.content_item("NUM", "Diameter", MeasuredValueSequence=Sequence([measured]))


def test_a_report_is_html_by_default_and_plain_text_when_asked(client: Client) -> None:
    """Title, patient, the tree with its values; UTF-8."""
    nested = make.content_item("CONTAINER", "Findings", ContentSequence=Sequence([_measurement()]))
    name = make.content_item("PNAME", "Observer", PersonName="Trần^Thị Mẫu")
    code = make.content_item("CODE", "Procedure", ConceptCodeSequence=make.code("Chest CT"))
    client.stow(
        make.report(make.content_item("TEXT", "Conclusion", TextValue="Bình thường\nTwo lines"), nested, name, code)
    )
    html = client.get(f"{make.url(1)}/rendered")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    for text in ("Radiology report", "Nguyễn Văn Thử", "Bình thường", "12.5 mm", "Trần Thị Mẫu", "Chest CT"):
        assert text in html.body.decode()
    plain = client.get(f"{make.url(1)}/rendered", "text/plain")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    lines = plain.body.decode().splitlines()
    assert "Findings" in lines
    assert "  Diameter: 12.5 mm" in lines
    assert "Observer: Trần Thị Mẫu" in lines
    assert client.get(f"{make.url(1)}/rendered", "image/jpeg").status == 406
    assert client.get(f"{make.url(1)}/rendered", If_None_Match=html.headers["etag"]).status == 304


def test_hostile_text_of_a_report_is_text(client: Client) -> None:
    """Escaped wherever it stands, and a policy that lets nothing act if it were not."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    item = make.content_item("TEXT", evil, TextValue=evil, RelationshipType="HAS OBS CONTEXT")
    client.stow(make.report(item, PatientName=evil.replace("\\", ""), PatientID="<b>1</b>"))
    reply = client.get(f"{make.url(1)}/rendered")
    body = reply.body.decode()
    assert "<script" not in body
    assert "<img" not in body
    assert "<b>1</b>" not in body
    assert "&lt;script&gt;" in body
    assert "sandbox" in reply.headers["content-security-policy"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]


REPORTS = [
    p for p in sample_files() if p.name in {"dcmqi__sr.dcm", "pydicom__test-SR.dcm", "reportsi.dcm", "test-SR.dcm"}
]


@pytest.mark.parametrize("path", REPORTS, ids=sample_id)
def test_reports_of_others_are_well_formed(client: Client, path: Path) -> None:
    """Every list that is opened is closed, in real reports too."""
    import xml.etree.ElementTree as ElementTree

    url = client.stow(path.read_bytes()).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    body = client.get(f"{url}/rendered", "text/html").body.decode()
    tree = ElementTree.fromstring(body.removeprefix("<!doctype html>").replace('<meta charset="utf-8">', ""))
    assert len(tree.findall(".//li")) > 3


# -- presentation states ----------------------------------------------------------------------------------------------


def _state(**attributes: Any) -> bytes:
    """A grayscale softcopy presentation state for instance 1."""
    ds = make.without_pixels("1.2.840.10008.5.1.4.1.1.11.1", number=9, series=make.SERIES + ".9", Modality="PR")
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PhotometricInterpretation"):
        if keyword in ds:
            delattr(ds, keyword)
    reference, series = Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = make.CT, make.sop(1)
    series.SeriesInstanceUID, series.ReferencedImageSequence = make.SERIES, Sequence([reference])
    ds.ReferencedSeriesSequence = Sequence([series])
    ds.PresentationLUTShape = "IDENTITY"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return make.part10(ds)


def _voi(centre: str, width: str, instance: str | None = None) -> Dataset:
    item = Dataset()
    item.WindowCenter, item.WindowWidth = centre, width
    if instance:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = make.CT, instance
        item.ReferencedImageSequence = Sequence([reference])
    return item


def _pixels(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    return np.asarray(_image(reply.body).convert("L")).astype(int)


def test_a_presentation_state_is_its_image_shown_as_it_says(client: Client) -> None:
    """Window for this image, inverse, rotated; as a resource of its own and by WADO-URI's parameters."""
    client.stow(
        make.instance(),
        _state(
            SoftcopyVOILUTSequence=Sequence([_voi("0", "10", "1.2.3"), _voi("50", "101", make.sop(1))]),
            RescaleSlope="1",
            RescaleIntercept="0",
            RescaleType="US",
            PresentationLUTShape="INVERSE",
            ImageRotation=90,
            ImageHorizontalFlip="N",
        ),
    )
    stored = np.arange(256).reshape(16, 16)
    expected = np.rot90(255 - np.clip((stored - 49.5) / 100 + 0.5, 0, 1) * 255, -1)
    url = make.url(9, series=make.SERIES + ".9")
    assert np.abs(_pixels(client.get(f"{url}/rendered", "image/png")) - expected).max() <= 3
    ask = f"/wado?requestType=WADO&studyUID={make.STUDY}&seriesUID={make.SERIES}&objectUID={make.sop(1)}"
    state = f"&presentationSeriesUID={make.SERIES}.9&presentationUID={make.sop(9, make.SERIES + '.9')}"
    by_uri = client.get(f"{ask}{state}&contentType=image/png")
    assert np.abs(_pixels(by_uri) - expected).max() <= 3
    assert client.get(f"{url}/frames/1/rendered").status == 404


def test_a_presentation_lut_and_a_displayed_area_are_applied(client: Client) -> None:
    """C.11.4, C.10.4."""
    lut, area = Dataset(), Dataset()
    lut.LUTDescriptor, lut.LUTData = [256, 0, 8], bytes(255 - n for n in range(256))
    lut["LUTDescriptor"].VR = "US"
    lut["LUTData"].VR = "OW"
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [5, 3], [8, 4]
    area.PresentationSizeMode = "SCALE TO FIT"
    data = _state(
        SoftcopyVOILUTSequence=Sequence([_voi("128", "256")]),
        PresentationLUTSequence=Sequence([lut]),
        DisplayedAreaSelectionSequence=Sequence([area]),
        RescaleSlope="1",
        RescaleIntercept="0",
        RescaleType="US",
    )
    client.stow(make.instance(), data)
    found = _pixels(client.get(f"{make.url(9, series=make.SERIES + '.9')}/rendered", "image/png"))
    expected = 255 - np.arange(256).reshape(16, 16)[2:4, 4:8]
    assert found.shape == (2, 4)
    assert np.abs(found - expected).max() <= 3


def test_other_kinds_of_presentation_states_are_not_shown_wrongly(client: Client) -> None:
    """Pseudo-colour and blending are more than this: 501 with words, and no part in a rendered study."""
    client.stow(make.instance(), _state(SOPClassUID="1.2.840.10008.5.1.4.1.1.11.4"))
    reply = client.get(f"{make.url(9, series=make.SERIES + '.9')}/rendered")
    assert reply.status == 501
    assert "grayscale" in reply.json()["detail"]
    assert len(client.get(f"/studies/{make.STUDY}/rendered").parts()) == 1


def test_a_presentation_state_without_its_image_is_not_found(client: Client) -> None:
    """404; and for another image than its own it is a bad request."""
    client.stow(_state(), make.instance(2))
    assert client.get(f"{make.url(9, series=make.SERIES + '.9')}/rendered").status == 404
    ask = f"/wado?requestType=WADO&studyUID={make.STUDY}&seriesUID={make.SERIES}&objectUID={make.sop(2)}"
    state = f"&presentationSeriesUID={make.SERIES}.9&presentationUID={make.sop(9, make.SERIES + '.9')}"
    assert client.get(f"{ask}{state}").status == 400
    assert client.get(f"{ask}{state}9").status == 404
