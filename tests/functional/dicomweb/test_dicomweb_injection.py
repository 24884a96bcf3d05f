"""What strangers put into paths, headers, boundaries and bodies stays there: no header, key or part is made of it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, STORED, Client, Reply
from tests.support.instances import slice_of

EVIL = "\r\nSet-Cookie: a=b\r\n\r\n<script>"
STUDY = f"/studies/{make.STUDY}"


def assert_harmless(reply: Reply) -> None:
    """No fault; headers of one line each, none of them a stranger's; errors quote nothing."""
    assert reply.status not in {500, 502}, reply.body
    for name, value in reply.headers.items():
        assert re.fullmatch(r"[\t\x20-\x7e]*", value), name
        assert "script" not in value
    assert "set-cookie" not in reply.headers
    if reply.headers.get("content-type") == "application/problem+json":
        assert b"script" not in reply.body


@pytest.mark.parametrize(
    "segment",
    ["..", "%2e%2e", "..%2f..", "%2F", "%00", "1.2%00", "%0d%0aX-Y:%20z", "1" * 65, "1" * 100_000, "%ff%fe", "%", "%%%",
     " ", "1.2;a=b", "1.2?x", "1.2%23", "é", "%c0%ae%c0%ae", "~", "'", "*", "null", "-1"],
)  # fmt: skip
def test_a_path_that_is_no_uid_is_refused_at_every_level(client: Client, segment: str) -> None:
    """400 or 404, and nothing is read, written or deleted for it."""
    client.stow(make.instance())
    before = sorted(head.key for head in client.runtime.archive_objects.list(""))
    for path in (
        f"/studies/{segment}",
        f"{STUDY}/series/{segment}",
        f"{make.url()}/instances/{segment}",
        f"{make.url(1)}/frames/{segment}",
        f"{make.url(1)}/bulkdata/{segment}",
        f"/{segment}",
        f"/studies/{segment}/metadata",
    ):
        for method in ("GET", "DELETE", "POST"):
            reply = client.send(method, path, {"Content-Type": "application/dicom"}, b"")
            assert_harmless(reply)
            assert reply.status in {400, 404, 405}, (method, path[:80], reply.status)
    assert sorted(head.key for head in client.runtime.archive_objects.list("")) == before


@pytest.mark.parametrize("archive", ["..", "hosp%2f1", "A", "a" * 33, "x%00", "%0d%0a", "a/b", ""])
def test_an_archive_that_is_no_id_is_not_found(client: Client, archive: str) -> None:
    """Whoever asks."""
    answer = client.send("GET", f"https://{HOST}/dicomweb/{archive}/studies")
    assert_harmless(answer)
    assert answer.status in {400, 404}


@pytest.mark.parametrize(
    "header",
    ["Accept", "Content-Type", "Host", "Origin", "If-None-Match", "Range", "Forwarded", "X-Forwarded-Host",
     "Authorization", "X-Forwarded-Proto", "X-Forwarded-For", "Accept-Encoding", "Accept-Charset",
     "Content-Encoding", "User-Agent"],
)  # fmt: skip
def test_a_header_with_line_ends_or_of_any_length_is_no_other_header(
    make_client: Callable[..., Client], header: str
) -> None:
    """Proxies may let them through; nothing that we answer has them."""
    client = make_client(trust_forwarded=True)
    client.stow(make.instance())
    for value in (EVIL, f"image/jpeg{EVIL}", "x" * 100_000, "\0", '"' * 1000, ",;=" * 5000, "é\udcff", f"{HOST}{EVIL}"):
        for path in ("/studies", make.url(1), f"{make.url(1)}/metadata", f"{make.url(1)}/frames/1"):
            assert_harmless(client.send("GET", path, {header: value}, follow=False))
        assert_harmless(client.send("POST", "/studies", {"Content-Type": "application/dicom", header: value}, b"x"))


def test_a_host_that_is_none_makes_no_url(client: Client) -> None:
    """Relative URLs instead of a stranger's origin in the answers."""
    client.stow(make.instance(size=64))
    for host in (f"evil.example/{EVIL}", "a b", "user@evil.example", "evil.example/x?"):
        reply = client.send("GET", f"{make.url(1)}/metadata", {"Host": host})
        uri = reply.json()[0]["7FE00010"]["BulkDataURI"]
        assert uri.startswith("/dicomweb/"), uri


def test_query_parameters_with_line_ends_are_values(client: Client) -> None:
    """Of searches, media types, renderings: 200, 204, 400 or 406; the warnings' header repeats none of it."""
    client.stow(make.instance())
    for name in ("PatientName", "limit", "includefield", EVIL, "accept", "StudyDate", "charset"):
        assert_harmless(client.get(f"/studies?{quote(name)}={quote(EVIL)}"))
    for name in ("accept", "viewport", "window", "quality", "annotation", "iccprofile"):
        assert_harmless(client.get(f"{make.url(1)}/rendered?{name}={quote(EVIL)}"))


def test_an_instance_that_holds_the_boundary_of_its_study_stays_one_part(client: Client) -> None:
    """Who reads an answer knows the boundary, and may store an instance made of it: bytes come back as they were."""
    first = make.instance(1)
    client.stow(first)
    boundary = re.search(r"boundary=\"?([A-Za-z0-9-]+)", client.get(STUDY, STORED).headers["content-type"])
    assert boundary
    line = f"\r\n--{boundary[1]}\r\nContent-Type: application/dicom\r\n\r\nx\r\n--{boundary[1]}--\r\n"
    second = make.instance(2, ImageComments=line)
    assert client.stow(second).status == 200
    for path in (STUDY, make.url()):
        assert [content for _, content in client.get(path, STORED).parts()] == [first, second]
    assert client.get(make.url(2), STORED).parts()[0][1] == second


def test_uids_and_syntaxes_with_control_characters_do_not_come_in(client: Client) -> None:
    """Neither into keys nor into part headers."""
    bad = [
        slice_of(instance="1.2\r\nX: y"),
        slice_of(study="../../x"),
        slice_of(series="1.2/3"),
        slice_of().replace(b"1.2.840.10008.1.2.1\0", b"1.2\r\nX-Injected: yes"),
    ]
    for data in bad:
        reply = client.stow(data)
        assert_harmless(reply)
        assert reply.status == 409
    mixed = client.stow(make.instance(), *bad)
    assert mixed.status == 202, "each fails by itself"
    assert client.send("DELETE", STUDY).status == 204
    assert not [head.key for head in client.runtime.archive_objects.list(f"blobs/packs/{client.archive}/")]


def test_a_compressed_body_is_not_taken(client: Client) -> None:
    """415 before anything is inflated: a bomb stays small."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    for coding in ("gzip", "deflate", "br", "gzip, gzip"):
        reply = client.send("POST", "/studies", {"Content-Type": "application/dicom", "Content-Encoding": coding}, bomb)
        assert reply.status == 415
    assert client.send("POST", "/studies", {"Content-Type": "application/dicom"}, bomb).status == 409


def test_counts_are_bounded(client: Client) -> None:
    """Parts, media types, keys: 400, at once."""
    content_type = 'multipart/related; type="application/dicom"; boundary=B'
    parts = b"--B\r\n\r\nx\r\n" * 10_001 + b"--B--"
    assert client.send("POST", "/studies", {"Content-Type": content_type}, parts).status == 400
    assert client.get("/studies", ",".join(["application/dicom+json"] * 65)).status == 400
    many = "&".join(f"{group:04X}0010=x" for group in range(8, 3000, 2))
    assert client.get(f"/studies?{many}").status in {400, 413}
    frames = ",".join(["1"] * 20_000)
    assert client.get(f"{make.url(1)}/frames/{frames}").status in {400, 404, 413}


_NAMES = st.sampled_from(
    ["Accept", "Content-Type", "If-None-Match", "Range", "Accept-Encoding", "X-Forwarded-Host", "Origin"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    headers=st.dictionaries(_NAMES, st.text(max_size=40)),
    path=st.sampled_from(["", "/metadata", "/frames/1", "/thumbnail"]),
)
def test_headers_of_any_text_are_harmless(
    make_client: Callable[..., Client], headers: dict[str, str], path: str
) -> None:
    """Any of them together."""
    if id(make_client) not in _CLIENTS:
        _CLIENTS.clear()
        _CLIENTS[id(make_client)] = client = make_client(trust_forwarded=True)
        client.stow(make.instance())
    assert_harmless(_CLIENTS[id(make_client)].send("GET", make.url(1) + path, headers, follow=False))


_CLIENTS: dict[int, Client] = {}
