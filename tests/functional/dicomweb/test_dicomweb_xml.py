"""application/dicom+xml in and out (PS3.18 8.7.3.2, PS3.19 A.1): metadata, searches, STOW requests and responses."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, Client

from maypacs.dicom.native_model import NAMESPACE, from_xml, to_xml

XML = "application/dicom+xml"
PARTS = f'multipart/related; type="{XML}"'
NS = f"{{{NAMESPACE}}}"


def _value(document: bytes, tag: str) -> str | None:
    return ElementTree.fromstring(document).findtext(f"{NS}DicomAttribute[@tag='{tag}']/{NS}Value")


def test_metadata_come_as_xml_a_part_an_instance_and_say_what_the_json_says(client: Client) -> None:
    """Of study, series and instance; bulk data by absolute URLs; a bare document for one instance alone."""
    client.stow(make.instance(1, size=64), make.instance(2, size=64))
    for path, count in ((f"/studies/{make.STUDY}", 2), (make.url(), 2), (make.url(2), 1)):
        parts = client.get(f"{path}/metadata", PARTS).parts()
        assert {kind for kind, _ in parts} == {XML}
        assert [from_xml(document) for _, document in parts] == client.metadata(path)
        assert len(parts) == count
    bulk = ElementTree.fromstring(parts[0][1]).find(f"{NS}DicomAttribute[@tag='7FE00010']/{NS}BulkData")
    assert bulk is not None
    assert (bulk.get("uri") or "").startswith(f"https://{HOST}/dicomweb/{client.archive}{make.url(2)}/bulkdata/")
    bare = client.get(f"{make.url(1)}/metadata", XML)
    assert bare.headers["content-type"] == XML
    assert _value(bare.body, "00080018") == make.sop(1)
    assert client.get(f"{make.url()}/metadata", XML).status == 406


def test_xml_metadata_have_an_etag_of_their_own_and_are_compressed_for_who_takes_it(client: Client) -> None:
    """304 on a repeat; another representation is another ETag."""
    client.stow(make.instance(1))
    path = f"{make.url(1)}/metadata"
    tags = [client.get(path, accept).headers["etag"] for accept in (PARTS, XML, "application/dicom+json")]
    assert len(set(tags)) == 3
    assert client.get(path, PARTS, If_None_Match=tags[0]).status == 304
    packed = client.get(path, PARTS, Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == client.get(path, PARTS).body


def test_large_xml_metadata_are_a_redirect(make_client: Callable[..., Client]) -> None:
    """As JSON is."""
    client = make_client(inline_limit=2000, limits="none")
    client.stow(make.instance(1), make.instance(2))
    reply = client.send("GET", f"{make.url()}/metadata", {"Accept": PARTS}, follow=False)
    assert reply.status == 307
    assert [_value(document, "00080018") for _, document in client.blob(reply).parts()] == [make.sop(1), make.sop(2)]


def test_search_results_come_as_xml_a_part_a_match(client: Client) -> None:
    """At every level; none is 204; a cut list has its Warning."""
    client.stow(make.instance(1), make.instance(2))
    for path in ("/studies", "/series", f"/studies/{make.STUDY}/instances"):
        parts = client.get(path, PARTS).parts()
        assert [from_xml(document) for _, document in parts] == client.get(path).json()
    assert client.get("/studies?PatientID=nobody", PARTS).status == 204
    cut = client.get("/instances?limit=1", PARTS)
    assert len(cut.parts()) == 1
    assert cut.headers["warning"].startswith("299 ")


def test_the_answer_to_a_store_comes_as_xml(client: Client) -> None:
    """What was stored and what was not, with the status it has in JSON."""
    broken = make.part10(make.dataset(2, study="1.2.3.4"))
    body = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % data for data in (make.instance(1), broken)
    )
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b', "Accept": XML}
    reply = client.send("POST", f"/studies/{make.STUDY}", headers, body + b"--b--\r\n")
    assert (reply.status, reply.headers["content-type"]) == (202, XML)
    document = from_xml(reply.body)
    assert document["00081199"]["Value"][0]["00081155"]["Value"] == [make.sop(1)]
    assert document["00081198"]["Value"][0]["00081197"]["Value"] == [0xA901]


def _body(model: dict[str, Any], pixels: bytes) -> bytes:
    return (
        b"--b\r\nContent-Type: application/dicom+xml\r\n\r\n%s\r\n--b\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Location: pixels-1\r\n\r\n%s\r\n--b--\r\n" % (to_xml(model), pixels)
    )


XML_REQUEST = {"Content-Type": f'multipart/related; type="{XML}"; boundary=b'}


def test_metadata_as_xml_with_bulk_data_are_stored(client: Client) -> None:
    """What comes back is what the model said, and the pixels are those of the bulk part."""
    ds = make.dataset(1, size=64)
    ds["PixelData"].VR = "OW"  # not said until it is written
    model = ds.to_json_dict(bulk_data_threshold=1000, bulk_data_element_handler=lambda _: "pixels-1")
    reply = client.send("POST", "/studies", XML_REQUEST, _body(model, ds.PixelData))
    assert reply.status == 200, reply.body
    (stored,) = client.metadata(make.url(1))
    assert stored["00100010"]["Value"] == [{"Alphabetic": "Nguyễn^Văn Thử"}]
    ((_, frame),) = client.get(f"{make.url(1)}/frames/1").parts()
    assert frame == ds.PixelData


@pytest.mark.parametrize(
    "document",
    [b"{}", b"", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><NativeDicomModel>&a;</NativeDicomModel>'],
    ids=["JSON", "nothing", "an external entity"],
)
def test_hostile_xml_is_a_bad_request(client: Client, document: bytes) -> None:
    """400, and nothing of any file in the answer."""
    body = b"--b\r\nContent-Type: application/dicom+xml\r\n\r\n%s\r\n--b--\r\n" % document
    reply = client.send("POST", "/studies", XML_REQUEST, body)
    assert reply.status == 400
    assert b"root:" not in reply.body
