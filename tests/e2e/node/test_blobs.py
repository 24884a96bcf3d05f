"""`/blobs/…` of a real node: ranges, validators, signatures, clients that are slow or go away."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from tests.support.processes import Node, wait_until

from maypacs.archive.grants import HmacBlobSigner

pytestmark = pytest.mark.e2e

KEY = "blobs/packs/hosp1/1.2.3/1.2.3.4/0123456789abcdef"
TYPE = 'multipart/related; type="application/dicom"; boundary=B'
BODY = os.urandom(1_000_003)
LARGE_KEY = "blobs/packs/hosp1/1.2.3/1.2.3.4/large"
LARGE = 48 * 1024 * 1024

Sign = Callable[..., str]


@pytest.fixture(scope="module")
def sign(running: Node, s3: Any, secrets: dict[str, bytes]) -> Sign:
    s3.put_object(Bucket="archive", Key=KEY, Body=BODY, ContentType=TYPE)
    s3.put_object(Bucket="archive", Key=LARGE_KEY, Body=bytes(LARGE))
    s3.put_object(Bucket="archive", Key="meta/hosp1/secret", Body=b"not served")

    def url(key: str = KEY, *, now: float | None = None, filename: str | None = None) -> str:
        signer = HmacBlobSigner(secrets["blob_key"], (lambda: now) if now is not None else time.time)
        return running.url + signer.sign(key, filename=filename)

    return url


def test_the_whole_object_comes_with_its_type_and_its_headers(sign: Sign) -> None:
    """What a pack's reader needs: its boundary is in the content type."""
    answer = requests.get(sign(), timeout=30)
    assert answer.status_code == 200
    assert answer.content == BODY
    assert answer.headers["Content-Type"] == TYPE
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, max-age=900, immutable"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["ETag"].startswith('"')


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-99", (0, 100)),
        ("bytes=1000-", (1000, len(BODY))),
        ("bytes=-7", (len(BODY) - 7, len(BODY))),
        ("bytes=999999-99999999", (999999, len(BODY))),
    ],
)
def test_a_range_is_answered_with_206(sign: Sign, asked: str, expected: tuple[int, int]) -> None:
    """RFC 9110 14.2, one range of bytes."""
    first, end = expected
    answer = requests.get(sign(), headers={"Range": asked}, timeout=30)
    assert answer.status_code == 206
    assert answer.content == BODY[first:end]
    assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(BODY)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2", "bytes=x-y", "bytes=-"])
def test_a_range_that_we_do_not_serve_gets_the_whole(sign: Sign, asked: str) -> None:
    """Which RFC 9110 14.2 allows: several ranges, other units, nonsense."""
    answer = requests.get(sign(), headers={"Range": asked}, timeout=30)
    assert (answer.status_code, len(answer.content)) == (200, len(BODY))


def test_a_range_behind_the_end_is_416_with_the_size(sign: Sign) -> None:
    """RFC 9110 15.5.17."""
    answer = requests.get(sign(), headers={"Range": f"bytes={len(BODY)}-"}, timeout=30)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BODY)}"


def test_head_has_the_headers_and_no_body(sign: Sign) -> None:
    """The same as GET's."""
    answer = requests.head(sign(), timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers["Content-Type"] == TYPE


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
def test_a_client_that_has_it_gets_304(sign: Sign, form: str) -> None:
    """Also when a cache on the way made the tag weak."""
    tag = requests.head(sign(), timeout=30).headers["ETag"]
    answer = requests.get(sign(), headers={"If-None-Match": form.format(tag)}, timeout=30)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == tag
    assert requests.get(sign(), headers={"If-None-Match": '"other"'}, timeout=30).status_code == 200


def test_a_filename_in_the_signature_becomes_the_disposition(sign: Sign) -> None:
    """For downloads by people."""
    answer = requests.get(sign(filename="study 1.zip"), timeout=30)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="study_1.zip"'


def tampered(url: str) -> dict[str, str]:
    digits = "0123456789abcdef"
    return {
        "another object": url.replace("0123456789abcdef", "large"),
        "a later expiry": url.replace("?e=", "?e=9"),
        "another signature": url[:-3] + "AAA",
        "no signature": url.partition("?")[0],
        "an added disposition": url + "&response-content-disposition=inline",
        "a dot segment": url.replace(digits, "../../1.2.3/1.2.3.4/" + digits),
        "an encoded slash": url.replace("packs/hosp1", "packs%2Fhosp1"),
    }


@pytest.mark.parametrize("change", list(tampered("")))
def test_a_url_that_was_changed_is_403(sign: Sign, change: str) -> None:
    """In any of its parts."""
    with requests.Session() as session:
        request = requests.Request("GET", sign()).prepare()
        request.url = tampered(sign())[change]  # as it is: requests would resolve the dots
        answer = session.send(request, timeout=30)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_url_that_has_expired_is_403(sign: Sign) -> None:
    """Signatures live 15 to 30 minutes."""
    answer = requests.get(sign(now=time.time() - 3600), timeout=30)
    assert answer.status_code == 403
    assert "expired" in answer.json()["detail"]


def test_an_object_that_is_gone_is_404(sign: Sign) -> None:
    """The signature says nothing about existence."""
    assert requests.get(sign("blobs/packs/hosp1/1/2/gone"), timeout=30).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_nothing_else_than_reading_is_allowed(sign: Sign, method: str) -> None:
    """The object stays."""
    assert requests.request(method, sign(), data=b"x", timeout=30).status_code == 405
    assert requests.get(sign(), timeout=30).content == BODY


def test_a_preflight_needs_no_signature(running: Node) -> None:
    """A browser sends it without the query's secrets in its own right."""
    answer = requests.options(f"{running.url}/blobs/x", headers={"Origin": "https://viewer.test"}, timeout=30)
    assert answer.status_code == 204
    assert "Range" in answer.headers["Access-Control-Allow-Headers"]


def begin(url: str) -> socket.socket:
    """A client that has asked, and reads nothing yet."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    client = socket.create_connection((parts.hostname, parts.port or 80), timeout=30)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
    client.sendall(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    )
    return client


def web_memory(node: Node) -> int:
    """Resident bytes of the event-loop processes."""
    total = 0
    for file in (node.data / "run").glob("web-*.pid"):
        status = Path(f"/proc/{file.read_text()}/status").read_text()
        total += int(status.partition("VmRSS:")[2].split()[0]) * 1024
    return total


def test_slow_clients_block_nobody_and_cost_no_memory(running: Node, sign: Sign) -> None:
    """Twenty clients that read byte by byte (960 MB asked for); others are served, the slow ones in the end too."""
    before = web_memory(running)
    slow = [begin(sign(LARGE_KEY)) for _ in range(20)]
    try:
        first = [client.recv(1) for client in slow]
        assert first == [b"H"] * 20
        for _ in range(20):
            assert requests.get(sign(), timeout=10).content == BODY
            assert requests.get(f"{running.url}/health", timeout=10).status_code == 200
            assert [client.recv(1) for client in slow] != []
        assert web_memory(running) - before < 3 * LARGE
        received = 0
        while chunk := slow[0].recv(1 << 20):
            received += len(chunk)
        assert received > LARGE
    finally:
        for client in slow:
            client.close()


def test_a_client_that_goes_away_ends_the_reading_from_storage(running: Node, sign: Sign) -> None:
    """The access log tells how much was read for it."""
    client = begin(sign(LARGE_KEY) + "&")
    client.recv(100)
    client.close()

    def given_up() -> list[int]:
        lines = [
            json.loads(line)
            for log in (running.data / "log").glob("web-*.log")
            for line in log.read_text().splitlines()
            if line.startswith("{")
        ]
        return [line["bytes"] for line in lines if line.get("path") == "/" + LARGE_KEY and line["bytes"] < LARGE]

    wait_until(given_up, what="the line of a transfer that was given up")


def test_many_readers_at_once_get_their_own_bytes(sign: Sign) -> None:
    """Eight threads, each asking for its own ranges over one connection."""
    url = sign()
    wrong: list[int] = []

    def read(thread: int) -> None:
        with requests.Session() as session:
            for n in range(30):
                first = (thread * 7919 + n * 104_729) % (len(BODY) - 5000)
                answer = session.get(url, headers={"Range": f"bytes={first}-{first + 4999}"}, timeout=30)
                if answer.content != BODY[first : first + 5000]:
                    wrong.append(first)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
