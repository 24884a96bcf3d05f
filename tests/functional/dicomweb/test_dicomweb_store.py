"""STOW-RS (PS3.18 10.5): what is stored comes back to the byte, what is not has a reason."""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import RLELossless
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, STORED, Client

from maypacs.http.multipart import OutPart, write_multipart

JSON = "application/dicom+json"
REFERENCED, FAILED, REASON, RETRIEVE = "00081199", "00081198", "00081197", "00081190"


def _reasons(document: dict[str, object]) -> list[int]:
    sequence = document.get(FAILED, {"Value": []})
    return [item[REASON]["Value"][0] for item in sequence["Value"]]  # type: ignore[index]


def test_a_stored_instance_is_referenced_with_urls_that_give_the_bytes_back(client: Client) -> None:
    """Table 10.5.3-2: class, instance and URL of each; the study's URL; no FailedSOPSequence."""
    data = make.instance()
    reply = client.stow(data)
    document = reply.json()
    assert (reply.status, reply.headers["content-type"]) == (200, JSON)
    assert FAILED not in document
    assert document[RETRIEVE]["Value"] == [f"https://{HOST}/dicomweb/{client.archive}/studies/{make.STUDY}"]
    (item,) = document[REFERENCED]["Value"]
    assert item["00081150"]["Value"] == [make.CT]
    assert item["00081155"]["Value"] == [make.sop(1)]
    assert client.get(item[RETRIEVE]["Value"][0], STORED).parts()[0][1] == data


def test_the_same_again_is_a_success_and_stores_nothing(client: Client) -> None:
    """Still one instance."""
    for _ in range(2):
        assert client.stow(make.instance()).status == 200
    assert len(client.metadata(make.url())) == 1


def test_other_bytes_under_one_uid_are_a_conflict_and_the_picture_stays(client: Client) -> None:
    """0111: kept for a person, told to the sender, never an overwrite."""
    first = make.instance()
    client.stow(first)
    reply = client.stow(make.instance(PatientID="P-2"))
    assert reply.status == 409
    assert _reasons(reply.json()) == [0x0111]
    assert client.get(make.url(1), STORED).parts()[0][1] == first


def test_some_stored_is_202_and_each_failure_has_its_own_reason(client: Client) -> None:
    """Table 10.5.3-1 and the fixed reasons."""
    no_uid = make.dataset(2)
    no_uid.StudyInstanceUID = ""
    reply = client.stow(make.instance(1), b"this is no DICOM file", make.part10(no_uid))
    assert reply.status == 202
    assert sorted(_reasons(reply.json())) == [0xC000, 0xC001]
    assert len(reply.json()[REFERENCED]["Value"]) == 1


def test_instances_of_another_study_than_the_urls_fail(client: Client) -> None:
    """A901, and nothing of them is stored."""
    other = "1.2.826.0.1.3680043.8.498.9"
    reply = client.stow(make.instance(1), make.instance(2, study=other), study=make.STUDY)
    assert reply.status == 202
    assert _reasons(reply.json()) == [0xA901]
    assert client.get(f"/studies/{other}/metadata").status == 404


PDF_PARTS = 'multipart/related; type="application/pdf"; boundary=B'
JSON_PARTS = 'multipart/related; type="application/dicom+json"; boundary=B'
JPEG_PART = b"--B\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--B--"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "reason"),
    [
        ("application/dicom", None, 200, "one bare instance"),
        ('multipart/related; type="application/dicom"; boundary=B', b"--B--\r\n", 400, "no parts"),
        ('multipart/related; type="application/dicom"; boundary=B', b"", 400, "no body"),
        ('multipart/related; type="application/dicom"', b"--B\r\n\r\nx\r\n--B--", 400, "no boundary"),
        ("multipart/related; type=application/dicom; boundary=B", b"--B\r\n\r\ncut", 400, "cut short"),
        ("application/pdf", b"%PDF", 415, "another media type"),
        (
            'multipart/related; type="application/pdf"; boundary=B',
            b"--B\r\n\r\nx\r\n--B--",
            415,
            "parts of another type",
        ),
        (
            "multipart/related; boundary=B",
            b"--B\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--B--",
            415,
            "a part of another type",
        ),
        (
            'multipart/related; type="application/dicom+xml"; boundary=B',
            b"--B\r\n\r\nx\r\n--B--",
            400,
            "XML that is none",
        ),
        ("application/dicom", b"", 400, "an empty bare body"),
        ("", b"x", 415, "no media type"),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" not in value else "",
)
def test_a_request_is_read_or_refused_as_a_whole(
    client: Client, content_type: str, body: bytes | None, status: int, reason: str
) -> None:
    """400 unreadable, 415 another type."""
    headers = {"Content-Type": content_type} if content_type else {}
    reply = client.send("POST", "/studies", headers, make.instance() if body is None else body)
    assert reply.status == status, reply.body
    if status != 200:
        assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "part_type",
    ["application/dicom", "application/dicom;transfer-syntax=1.2.840.10008.1.2.1", 'Application/DICOM; x="a;b"'],
)
def test_part_types_may_name_a_transfer_syntax(client: Client, part_type: str) -> None:
    """What senders write after the semicolon is not needed."""
    assert client.stow(make.instance(), part_type=part_type).status == 200


def test_a_part_without_a_type_is_what_the_whole_says(client: Client) -> None:
    """The type parameter stands for a Content-Type that is not there, beside parts that have one."""
    first, second = make.instance(1), make.instance(2)
    body = b"--B\r\n\r\n" + first + b"\r\n--B\r\nContent-Type: application/dicom\r\n\r\n" + second + b"\r\n--B--"
    content_type = 'multipart/related; type="application/dicom"; boundary=B'
    assert client.send("POST", "/studies", {"Content-Type": content_type}, body).status == 200
    assert [content for _, content in client.get(make.url(), STORED).parts()] == [first, second]


def test_an_accept_that_we_cannot_make_is_406_and_stores_nothing(client: Client) -> None:
    """Before anything is done."""
    reply = client.send(
        "POST", "/studies", {"Content-Type": "application/dicom", "Accept": "text/html"}, make.instance()
    )
    assert reply.status == 406
    assert client.get("/studies").status == 204


def test_a_body_above_the_gateways_size_names_the_upload_route(make_client: Callable[..., Client]) -> None:
    """413 with the way that has no limit."""
    client = make_client(inline_limit=1000)
    reply = client.stow(make.instance())
    assert reply.status == 413
    assert f"/api/archives/{client.archive}/uploads" in reply.json()["detail"]


def test_a_node_takes_a_body_of_any_size(make_client: Callable[..., Client]) -> None:
    """limits = none."""
    assert make_client(inline_limit=1000, limits="none").stow(make.instance()).status == 200


def _send_mapped(client: Client, path: Path, body: bytes, content_type: str) -> tuple[int, Any]:
    """As a node does: the body is a file that is mapped into memory, and gone."""
    path.write_bytes(body)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    path.unlink()
    event = client.event("POST", f"/dicomweb/{client.archive}/studies", {"Content-Type": content_type})
    answer = client.handler.handler({**event, "largeBody": mapped}, None)
    mapped.close()  # raises BufferError while anybody holds a window of it
    return answer["statusCode"], json.loads(answer["body"])


def test_a_body_that_is_a_mapped_file_is_stored_to_the_byte(make_client: Callable[..., Client], tmp_path: Path) -> None:
    """What is no DICOM is named, a repeat is a duplicate, another version a conflict; nobody keeps the file."""
    client = make_client(limits="none")
    sent = [make.instance(1), make.instance(2, syntax=RLELossless), b"not DICOM", make.instance(2, PatientID="X")]
    body, content_type = write_multipart([OutPart("application/dicom", data) for data in sent], "application/dicom")
    status, document = _send_mapped(client, tmp_path / "body", body, content_type)
    assert status == 202
    assert _reasons(document) == [0xC000, 0x0111]
    for number, data in enumerate(sent[:2], start=1):
        assert client.get(make.url(number), STORED).parts()[0][1] == data
    again = _send_mapped(client, tmp_path / "body", body, content_type)
    assert again[0] == 202
    assert len(again[1][REFERENCED]["Value"]) == 2


@pytest.mark.parametrize("cut", [-1, -10, 700, 60, 1])
def test_a_mapped_body_that_is_broken_is_named_and_let_go(
    make_client: Callable[..., Client], tmp_path: Path, cut: int
) -> None:
    """As one in memory is: 400, and nothing is stored."""
    client = make_client(limits="none")
    body, content_type = write_multipart([OutPart("application/dicom", make.instance())], "application/dicom")
    status, problem = _send_mapped(client, tmp_path / "body", body.rstrip()[:cut], content_type)
    assert status == 400
    assert "body" in problem["detail"] or "part" in problem["detail"] or "boundary" in problem["detail"]
    assert client.get("/studies").status == 204


def test_hundreds_of_instances_in_one_request_are_all_stored(client: Client) -> None:
    """In one pack, in their order."""
    instances = [make.instance(number, size=4) for number in range(1, 201)]
    assert client.stow(*instances).status == 200
    assert [content for _, content in client.get(make.url(), STORED).parts()] == instances
