"""Rendered resources and WADO-URI through a real node: signed URLs, ranges of a large video, headers on the wire."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from PIL import Image
from tests.functional.dicomweb import make
from tests.functional.dicomweb.make import content_item, pdf, report, video
from tests.support.processes import Node

pytestmark = pytest.mark.e2e

STREAM = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 48_000  # 12 MB: more than goes inline, or through a gateway


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, requests.Session]]:
    """The archive's DICOMweb root with a picture, a report, a document and a video, each a series."""
    with Node(Path(tmp_path_factory.mktemp("rendered")) / "node") as node, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {node.archive('hosp1')}"
        url = f"{node.url}/dicomweb/hosp1"
        for body in (
            make.instance(),
            report(content_item("TEXT", "Finding", TextValue="none"), number=2, series=make.SERIES + ".7"),
            pdf(number=3, series=make.SERIES + ".8"),
            video(STREAM, number=4),
        ):
            reply = session.post(f"{url}/studies", body, headers={"Content-Type": "application/dicom"}, timeout=30)
            assert reply.status_code == 200, reply.text
        yield url, session


def test_each_kind_is_rendered_as_what_it_is(root: tuple[str, requests.Session]) -> None:
    """Picture, report, document; conditional; with the headers that keep a report from acting."""
    url, session = root
    picture = session.get(f"{url}{make.url(1)}/rendered", headers={"Accept": "image/png"}, timeout=30)
    assert Image.open(io.BytesIO(picture.content)).size == (16, 16)
    known = {"Accept": "image/png", "If-None-Match": picture.headers["ETag"]}
    again = session.get(f"{url}{make.url(1)}/rendered", headers=known, timeout=30)
    assert (again.status_code, again.content) == (304, b"")
    text = session.get(f"{url}{make.url(2, series=make.SERIES + '.7')}/rendered", timeout=30)
    assert text.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "sandbox" in text.headers["Content-Security-Policy"]
    document = session.get(f"{url}{make.url(3, series=make.SERIES + '.8')}/rendered", timeout=30)
    assert document.content.startswith(b"%PDF-")


def test_a_large_video_is_played_by_ranges(root: tuple[str, requests.Session]) -> None:
    """As a browser's player does: the redirect, then ranges of what it names, which storage cuts."""
    url, session = root
    first = session.get(f"{url}{make.url(4)}/rendered", headers={"Range": "bytes=0-99"}, timeout=60)
    assert (first.status_code, first.content) == (206, STREAM[:100])
    assert first.headers["Content-Type"] == "video/mp4"
    assert first.headers["Content-Range"] == f"bytes 0-99/{len(STREAM)}"
    later = requests.get(first.url, headers={"Range": "bytes=5000000-"}, timeout=60)
    assert (later.status_code, later.content) == (206, STREAM[5_000_000:])
    assert session.get(f"{url}{make.url(4)}/rendered", timeout=60).content == STREAM


def test_wado_uri_gives_pictures_and_dicom(root: tuple[str, requests.Session]) -> None:
    """As older viewers ask."""
    url, session = root
    uids = {"studyUID": make.STUDY, "seriesUID": make.SERIES, "objectUID": make.sop(1)}
    ask = {"requestType": "WADO", **uids}
    picture = session.get(f"{url}/wado", params=ask, timeout=30)
    assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
    dicom = session.get(f"{url}/wado", params={**ask, "contentType": "application/dicom"}, timeout=30)
    assert dicom.content[128:132] == b"DICM"
    assert requests.get(f"{url}/wado", params=ask, timeout=30).status_code == 401
