"""WADO-URI (PS3.18 clause 9): one instance by query parameters."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client, Reply

from maypacs.access.principals import Role

UIDS = f"studyUID={make.STUDY}&seriesUID={make.SERIES}&objectUID={make.sop(1)}"
ASK = f"/wado?requestType=WADO&{UIDS}"


def _picture(reply: Reply) -> Image.Image:
    assert reply.status == 200, reply.body
    return Image.open(io.BytesIO(reply.body))


@pytest.fixture
def ramp(client: Client) -> Client:
    """One slice of 16 x 16, stored values 0 to 255."""
    client.stow(make.instance())
    return client


def test_the_default_of_a_single_frame_is_a_jpeg_and_contenttype_chooses(ramp: Client) -> None:
    """8.7.2: a single frame image; contentType goes before Accept, and is a list."""
    assert ramp.get(ASK).headers["content-type"] == "image/jpeg"
    assert ramp.get(ASK, "text/html,application/xhtml+xml,*/*;q=0.8").headers["content-type"] == "image/jpeg"
    assert ramp.get(ASK, "image/png").headers["content-type"] == "image/png"
    for asked, given in (
        ("image/png", "image/png"),
        ("image/jp2,image/png", "image/png"),
        ("image/gif", "image/gif"),
        ("application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
    ):
        assert ramp.get(f"{ASK}&contentType={asked}", "image/*").headers["content-type"] == given
    assert ramp.get(f"{ASK}&contentType=image/tiff").status == 406


def test_the_picture_is_that_of_the_rendered_instance(ramp: Client) -> None:
    """Byte for byte what WADO-RS gives to the same wish."""
    pairs = {
        "": "",
        "&windowCenter=-900&windowWidth=100": "?window=-900,100,linear",
        "&rows=8&columns=32": "?viewport=32,8",
        "&region=0.5,0,1,0.25&rows=8&columns=8": "?viewport=8,8,8,0,8,4",
        "&annotation=technique": "?annotation=technique",
    }
    for uri, rs in pairs.items():
        found = ramp.get(f"{ASK}&contentType=image/png{uri}")
        assert found.status == 200, found.body
        assert found.body == ramp.get(f"{make.url(1)}/rendered{rs}", "image/png").body, uri
    low, high = (ramp.get(f"{ASK}&rows=200&imageQuality={quality}") for quality in (5, 100))
    assert len(low.body) < len(high.body)


def test_a_region_alone_is_as_large_as_it_is_in_the_image(ramp: Client) -> None:
    """xmin, ymin, xmax, ymax of the whole, the first row and column being 0 (9.5.1.2.5)."""
    whole = np.asarray(_picture(ramp.get(f"{ASK}&contentType=image/png")))
    part = np.asarray(_picture(ramp.get(f"{ASK}&contentType=image/png&region=0.25,0.5,0.75,1")))
    assert (part == whole[8:16, 4:12]).all()


def test_dicom_comes_decompressed_or_in_the_syntax_asked_for(client: Client) -> None:
    """9.4: Explicit VR Little Endian by default; implicit VR and big endian are not to be asked for."""
    stored = make.instance(syntax="1.2.840.10008.1.2.5")
    client.stow(stored)
    dicom = f"{ASK}&contentType=application/dicom"
    read = dcmread(io.BytesIO(client.get(dicom).body))
    assert read.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert read.PixelData == make.dataset().PixelData
    assert client.get(f"{dicom}&transferSyntax=1.2.840.10008.1.2.5").body == stored
    assert client.get(f"{dicom}&transferSyntax=*").body == stored
    assert client.get(f"{dicom}&transferSyntax=1.2.840.10008.1.2").status == 400
    assert client.get(f"{dicom}&transferSyntax=nonsense").status == 400


def test_several_frames_are_dicom_by_default_and_a_frame_number_makes_a_picture(client: Client) -> None:
    """Multi-frame images: 8.7.2; a frame that is not there is 400 (9.5.2)."""
    frames = np.stack([np.full((16, 16), value, "<u2") for value in (0, 255)])
    client.stow(make.instance(NumberOfFrames=2, PixelData=frames.tobytes()))
    assert client.get(ASK).headers["content-type"].startswith("application/dicom")
    first, second = (_picture(client.get(f"{ASK}&frameNumber={n}")) for n in (1, 2))
    assert first.getpixel((0, 0)) < 10
    assert second.getpixel((0, 0)) > 245
    assert client.get(f"{ASK}&frameNumber=3").status == 400
    assert client.get(f"{ASK}&frameNumber=2&contentType=application/dicom").status == 400


def test_frame_one_of_a_single_frame_is_its_picture(ramp: Client) -> None:
    """A declared deviation from 9.5.2: clients name the frame always. Another one is 400."""
    assert ramp.get(f"{ASK}&frameNumber=1").body == ramp.get(ASK).body
    assert ramp.get(f"{ASK}&frameNumber=2").status == 400


@pytest.mark.parametrize("absent", ["requestType", "studyUID", "seriesUID", "objectUID"])
def test_what_is_required_is_required(ramp: Client, absent: str) -> None:
    """Table 9.1.2-1: 400 that names the parameter; empty is absent, and twice is not once."""
    fields = ["requestType=WADO", *UIDS.split("&")]
    without = "&".join(field for field in fields if not field.startswith(absent))
    for query in (without, f"{without}&{absent}=", "&".join([*fields, f"{absent}=1.2"])):
        reply = ramp.get(f"/wado?{query}")
        assert reply.status == 400
        assert absent in reply.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "frameNumber=0",
        "frameNumber=x",
        "rows=0",
        "rows=1e3",
        "columns=100000",
        "region=0,0,1",
        "region=0.5,0,0.5,1",
        "region=0,0,1.5,1",
        "region=a,b,c,d",
        "windowCenter=1",
        "windowWidth=1",
        "windowCenter=a&windowWidth=1",
        "imageQuality=0",
        "presentationUID=1.2",
        "presentationUID=1.2&presentationSeriesUID=1.3&windowCenter=1&windowWidth=2",
    ],
)
def test_parameters_that_make_no_sense_are_bad_requests(ramp: Client, query: str) -> None:
    """400 with the reason."""
    reply = ramp.get(f"{ASK}&{query}")
    assert reply.status == 400
    assert reply.json()["detail"]


def test_charset_is_utf8_and_nothing_is_anonymized(ramp: Client) -> None:
    """406 for a set that is not written here; 501 rather than a picture that was not anonymized."""
    assert ramp.get(f"{ASK}&charset=UTF-8").status == 200
    assert ramp.get(f"{ASK}&charset=ISO-8859-1,utf-8").status == 200
    assert ramp.get(f"{ASK}&charset=ISO-8859-1").status == 406
    assert ramp.get(f"{ASK}&anonymize=yes").status == 501
    assert ramp.get(f"{ASK}&unknown=thing").status == 200


def test_what_is_not_there_is_not_found(ramp: Client) -> None:
    """At each level."""
    for level in (make.STUDY, make.SERIES, make.sop(1)):
        assert ramp.get(ASK.replace(f"={level}&", "=1.2.9&") if f"={level}&" in ASK else f"{ASK}9").status == 404


def test_access_and_the_audit_know_the_study(make_client: Callable[..., Client]) -> None:
    """The rules are those of every other resource, though the study is in the query."""
    admin = make_client()
    admin.stow(make.instance())
    assert make_client(archive=admin.archive, role=None).get(ASK).status == 401
    assert make_client().get(ASK).status == 404
    viewer = make_client(archive=admin.archive, role=Role.VIEWER)
    assert viewer.get(ASK).status == 200
    day = f"{datetime.now(UTC):%Y%m%d}"
    records = admin.runtime.gatekeeper.audit.read(admin.runtime.unscoped_workspace(admin.archive).archive_id, day)
    assert {record.study_instance_uid for record in records if record.action == "read"} == {make.STUDY}


def test_a_second_time_is_304(ramp: Client) -> None:
    """The ETag of the rendered instance."""
    etag = ramp.get(ASK).headers["etag"]
    assert ramp.get(ASK, If_None_Match=etag).status == 304
