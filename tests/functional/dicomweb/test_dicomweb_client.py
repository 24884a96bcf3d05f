"""dicomweb-client as an outside judge: its parser of multipart answers, its QIDO, its STOW, against the handler."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest
import requests
import urllib3
from dicomweb_client.api import DICOMwebClient
from pydicom.pixels import pixel_array
from pydicom.uid import RLELossless
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, Client


class InProcess(requests.adapters.BaseAdapter):
    """A requests transport that calls the handler; what is redirected comes from storage."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        target = url.path + (f"?{url.query}" if url.query else "")
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        assert request.method
        headers = {str(name): str(value) for name, value in request.headers.items()}
        reply = self.client.send(request.method, f"https://{HOST}{target}", headers, body)
        raw = urllib3.HTTPResponse(io.BytesIO(reply.body), reply.headers, reply.status, preload_content=False)
        return requests.adapters.HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def judge(client: Client) -> DICOMwebClient:
    session = requests.Session()
    session.mount("https://", InProcess(client))
    return DICOMwebClient(url=f"https://{HOST}/dicomweb/{client.archive}", session=session)


@pytest.fixture
def stored(judge: DICOMwebClient) -> list[pydicom.Dataset]:
    files = [pydicom.dcmread(io.BytesIO(make.instance(n))) for n in (1, 2)]
    files.append(pydicom.dcmread(io.BytesIO(make.instance(3, syntax=RLELossless))))
    answer = judge.store_instances(files)
    assert len(answer.ReferencedSOPSequence) == 3
    return files


def test_it_finds_what_it_stored(judge: DICOMwebClient, stored: list[pydicom.Dataset]) -> None:
    """Studies, series, instances."""
    assert [s["0020000D"]["Value"] for s in judge.search_for_studies()] == [[make.STUDY]]
    assert len(judge.search_for_series(make.STUDY)) == 1
    assert len(judge.search_for_instances(make.STUDY, make.SERIES)) == 3
    assert judge.search_for_studies(search_filters={"PatientID": "nobody"}) == []


def test_it_reads_metadata_and_whole_series(judge: DICOMwebClient, stored: list[pydicom.Dataset]) -> None:
    """The data sets equal what was stored."""
    metadata = judge.retrieve_series_metadata(make.STUDY, make.SERIES)
    assert [m["00080018"]["Value"][0] for m in metadata] == [f.SOPInstanceUID for f in stored]
    back = judge.retrieve_series(make.STUDY, make.SERIES, media_types=(("application/dicom", "*"),))
    assert back == stored
    assert [b.file_meta.TransferSyntaxUID for b in back] == [s.file_meta.TransferSyntaxUID for s in stored]
    default = judge.retrieve_series(make.STUDY, make.SERIES)
    assert {d.file_meta.TransferSyntaxUID for d in default} == {"1.2.840.10008.1.2.1"}
    for was, now in zip(stored, default, strict=True):
        assert np.array_equal(pixel_array(was), pixel_array(now))


def test_it_reads_frames_bulk_data_and_pictures(judge: DICOMwebClient, stored: list[pydicom.Dataset]) -> None:
    """Each with its own parser."""
    (frame,) = judge.retrieve_instance_frames(make.STUDY, make.SERIES, make.sop(1), [1])
    assert frame == stored[0].PixelData
    picture = judge.retrieve_instance_rendered(make.STUDY, make.SERIES, make.sop(1), media_types=("image/png",))
    assert picture.startswith(b"\x89PNG")
    single = judge.retrieve_instance(make.STUDY, make.SERIES, make.sop(2))
    assert single.SOPInstanceUID == make.sop(2)


def test_its_error_is_the_status(judge: DICOMwebClient) -> None:
    """404 as an exception of requests."""
    with pytest.raises(requests.exceptions.HTTPError) as caught:
        judge.retrieve_study_metadata("1.2.3")
    assert json.loads(caught.value.response.content)["status"] == 404
