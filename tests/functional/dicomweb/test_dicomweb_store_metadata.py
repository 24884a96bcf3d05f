"""STOW of metadata and bulk data: what is stored is the instance that they describe."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pydicom
import pytest
from pydicom.uid import RLELossless
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client, Reply

BOUNDARY = "meta-7c1e"
REASON, WARNING = "00081197", "00081196"


def stow(client: Client, models: Any, *bulk: tuple[str, str, bytes], raw: bytes | None = None) -> Reply:
    """``bulk``: (Content-Location, Content-Type, bytes)."""
    head = b"--%s\r\nContent-Type: application/dicom+json\r\n\r\n" % BOUNDARY.encode()
    body = head + (raw if raw is not None else json.dumps(models).encode()) + b"\r\n"
    for location, media_type, content in bulk:
        lines = f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Location: {location}\r\n\r\n"
        body += lines.encode() + content + b"\r\n"
    content_type = f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'
    return client.send("POST", "/studies", {"Content-Type": content_type}, body + f"--{BOUNDARY}--\r\n".encode())


def model_of(ds: pydicom.Dataset, uri: str = "bulk/1") -> dict[str, Any]:
    """As a client makes it: pydicom's own model."""
    ds["PixelData"].VR = (
        "OW" if ds["PixelData"].VR == "OB or OW" else ds["PixelData"].VR
    )  # not said until it is written
    model: dict[str, Any] = ds.to_json_dict(bulk_data_threshold=64, bulk_data_element_handler=lambda element: uri)
    return model


def stored(client: Client, number: int = 1) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(client.get(make.url(number), STORED).parts()[0][1]))


def items(reply: Reply, tag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = reply.json().get(tag, {}).get("Value", [])
    return found


def test_metadata_and_bulk_data_become_the_instance_that_they_describe(client: Client) -> None:
    """Every attribute comes back as it was, sequences and names of three groups included; pixels to the byte."""
    ds = make.dataset(size=16, PatientName="Nguyễn^Văn Thử=阮^文=x", ImageComments="một hai")
    item = pydicom.Dataset()
    item.CodeValue, item.CodeMeaning = "T-1", "Ngực"
    item.add_new(0x00420011, "OB", b"abcd")
    ds.ProcedureCodeSequence = [item]
    ds.add_new(0x00091002, "UN", b"\1\2")
    ds.add_new(0x00090010, "LO", "MAYPACS TEST")
    ds.add_new(0x00189087, "FD", 1.25)
    ds.add_new(0x00280009, "AT", 0x00181063)
    reply = stow(client, [model_of(ds)], ("bulk/1", "application/octet-stream", ds.PixelData))
    assert (reply.status, items(reply, "00081198")) == (200, [])
    (told,) = items(reply, "00081199")
    assert told["00081155"]["Value"] == [make.sop(1)]
    held = stored(client)
    assert held.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert held.to_json_dict() == ds.to_json_dict()
    assert len(client.get(f"{make.url(1)}/frames/1", "application/octet-stream").body) == 512
    assert stow(client, [model_of(ds)], ("bulk/1", "application/octet-stream", ds.PixelData)).status == 200


def test_what_we_give_as_metadata_can_be_sent_back(client: Client) -> None:
    """Our own model, its absolute BulkDataURI as the location, under another UID."""
    client.stow(make.instance(1, size=32))
    (model,) = client.metadata(make.url(1))
    uri = model["7FE00010"]["BulkDataURI"]
    model["00080018"]["Value"] = [make.sop(2)]
    reply = stow(client, [model], (uri, "application/octet-stream", client.get(uri, "application/octet-stream").body))
    assert reply.status == 200
    assert stored(client, 2).PixelData == stored(client, 1).PixelData


def test_compressed_pixel_data_are_stored_in_the_syntax_of_their_parts(client: Client) -> None:
    """One part a frame, all of one location; the frames come back as they were sent."""
    ds = make.dataset(size=16, NumberOfFrames=2)
    ds.PixelData = ds.PixelData * 2
    compressed = pydicom.dcmread(io.BytesIO(make.part10(ds, RLELossless)))
    frames = list(pydicom.encaps.generate_frames(compressed.PixelData, number_of_frames=2))
    kind = f"image/dicom-rle; transfer-syntax={RLELossless}"
    model = model_of(compressed)
    reply = stow(client, [model], ("bulk/1", kind, frames[0]), ("bulk/1", kind, frames[1]))
    assert reply.status == 200
    assert stored(client).file_meta.TransferSyntaxUID == RLELossless
    parts = client.get(f"{make.url(1)}/frames/1,2", "multipart/related; type=image/dicom-rle").parts()
    assert [content.rstrip(b"\0") for _, content in parts] == [frame.rstrip(b"\0") for frame in frames]
    few = stow(client, [model | {"00080018": {"vr": "UI", "Value": [make.sop(3)]}}], ("bulk/1", kind, frames[0]))
    assert few.status == 409, "a frame is missing"


def test_what_is_stored_otherwise_than_it_was_sent_is_a_warning(client: Client) -> None:
    """B000 coerced, B006 left out, B007 pixels of another length: 202, and the instance is there."""
    cases: dict[int, dict[str, Any]] = {
        0xB000: {"00100020": {"Value": ["P-9"]}},
        0xB006: {"00101020": {"vr": "DS", "Value": [{"no": "number"}]}, "x": 1},
        0xB007: {"00280010": {"vr": "US", "Value": [17]}},
    }
    for number, (warning, changes) in enumerate(cases.items(), 1):
        ds = make.dataset(number)
        reply = stow(client, [model_of(ds) | changes], ("bulk/1", "application/octet-stream", ds.PixelData))
        assert reply.status == 202, hex(warning)
        assert items(reply, "00081199")[0][WARNING]["Value"] == [warning]
        assert client.get(f"{make.url(number)}/metadata").status == 200


def test_each_instance_of_several_has_its_own_result(client: Client) -> None:
    """Stored, bulk data not sent (C000, named by its UID), a UID missing (C001): 202."""
    good, lost, unnamed = make.dataset(1), make.dataset(2), make.dataset(3)
    models = [model_of(good), model_of(lost, "bulk/lost"), model_of(unnamed, "bulk/3")]
    del models[2]["00080018"]
    octets = "application/octet-stream"
    reply = stow(client, models, ("bulk/1", octets, good.PixelData), ("bulk/3", octets, unnamed.PixelData))
    assert reply.status == 202
    assert [item["00081155"]["Value"] for item in items(reply, "00081199")] == [[make.sop(1)]]
    failed = items(reply, "00081198")
    assert [item[REASON]["Value"] for item in failed] == [[0xC000], [0xC001]]
    assert failed[0]["00081155"]["Value"] == [make.sop(2)]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[1]", b'"x"', b"[[]]", b"[" * 100_000, b"[]", b"\xff\xfe", b"[null]"],
    ids=["empty", "cut", "number", "text", "nested list", "deep", "nothing", "not UTF-8", "null"],
)
def test_metadata_that_are_none_are_400(client: Client, raw: bytes) -> None:
    """Nothing is stored, nothing breaks."""
    assert stow(client, None, raw=raw).status == 400
    assert client.get("/studies").status == 204


def test_hostile_metadata_fail_by_themselves(client: Client) -> None:
    """Nesting, values of every wrong type, URIs of others' machines: 409 or 202, never a fault, never a request."""
    deep: Any = {}
    for _ in range(200):
        deep = {"00081115": {"vr": "SQ", "Value": [deep]}}
    whole = model_of(make.dataset(1, size=2))
    wrong: list[Any] = [deep["00081115"], {"vr": "PN", "Value": [7]}, {"vr": "SQ", "Value": ["x"]}, [], 3, None]
    for value in wrong:
        assert stow(client, [whole | {"00081115": value}]).status in {202, 409}
    for uri in ("http://127.0.0.1:1/x", "file:///etc/passwd", "../../x", "\r\nX: y", 5):
        broken = whole | {"7FE00010": {"vr": "OW", "BulkDataURI": uri}}
        assert stow(client, [broken]).status in {202, 409}
    inline = whole | {"7FE00010": {"vr": "OW", "InlineBinary": base64.b64encode(b"\0" * 8).decode()}}
    assert stow(client, [inline | {"00080018": {"vr": "UI", "Value": [make.sop(9)]}}]).status == 200
