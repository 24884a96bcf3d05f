"""`/uploads/…` of a real node: what a grant covers, and that nothing partial ever becomes an object."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from tests.support.processes import Node, wait_until
from tests.support.stub_cloud import NOT_AS_GRANTED

from maypacs.archive.grants import WINDOW, HmacUploadGranter, UploadGrant
from maypacs_node.uploads import SINGLE_PUT_BYTES

pytestmark = pytest.mark.e2e

#: Below no archive of the node: ingest leaves it where it is.
PREFIX = "X/uploads"
TYPE = "application/dicom"


class Uploader:
    def __init__(self, node: Node, s3: Any, secret: bytes) -> None:
        self.node = node
        self.s3 = s3
        self.secret = secret

    def grant(self, name: str, body: bytes, *, now: float | None = None) -> UploadGrant:
        granter = HmacUploadGranter(self.secret, (lambda: now) if now is not None else time.time)
        return granter.grant(f"{PREFIX}/{name}", len(body), hashlib.sha256(body).hexdigest(), TYPE)

    def put(self, grant: UploadGrant, body: Any, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.put(
            self.node.url + grant.url, data=body, headers={**grant.headers, **(headers or {})}, timeout=60
        )

    def stored(self, name: str) -> bytes | None:
        key = f"{PREFIX}/{name}"
        if key not in [item["Key"] for item in self.s3.list_objects_v2(Bucket="inbox", Prefix=key).get("Contents", ())]:
            return None
        body: bytes = self.s3.get_object(Bucket="inbox", Key=key)["Body"].read()
        return body


@pytest.fixture(scope="module")
def uploader(running: Node, s3: Any, secrets: dict[str, bytes]) -> Uploader:
    return Uploader(running, s3, secrets["upload_key"])


def test_granted_bytes_become_an_object(uploader: Uploader) -> None:
    """With the type of the grant."""
    body = os.urandom(700_000)
    answer = uploader.put(uploader.grant("good", body), body)
    assert answer.status_code == 200
    assert answer.headers["ETag"].startswith('"')
    assert uploader.stored("good") == body
    assert uploader.s3.head_object(Bucket="inbox", Key=f"{PREFIX}/good")["ContentType"] == TYPE


def test_a_chunked_body_is_checked_all_the_same(uploader: Uploader) -> None:
    """A client that streams does not say the length first."""
    body = os.urandom(300_000)
    pieces = iter([body[:100_000], body[100_000:]])
    assert uploader.put(uploader.grant("chunked", body), pieces).status_code == 200
    assert uploader.stored("chunked") == body


def test_the_same_again_is_412(uploader: Uploader) -> None:
    """A retry whose first answer was lost learns that it is there; the object stays as it was."""
    body = os.urandom(10_000)
    grant = uploader.grant("again", body)
    assert uploader.put(grant, body).status_code == 200
    assert uploader.put(grant, body).status_code == 412
    other = b"other bytes of the same name"
    assert uploader.put(uploader.grant("again", other), other).status_code == 412
    assert uploader.stored("again") == body


@pytest.mark.parametrize(
    ("name", "sent", "status"),
    [
        ("hash", b"B" * 50_000, 400),
        ("short", b"A" * 49_999, 400),
        ("long", b"A" * 50_001, 413),
        ("empty", b"", 400),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_other_bytes_than_granted_leave_nothing(
    uploader: Uploader, name: str, sent: bytes, status: int, chunked: bool
) -> None:
    """A wrong digest, too few, too many: whether the length is said first or found out."""
    name = f"{name}-{chunked}"
    grant = uploader.grant(name, b"A" * 50_000)
    answer = uploader.put(grant, iter([sent]) if chunked else sent)
    assert answer.status_code == status, answer.text
    # An edge tells by the words that it was the bytes: its tests' cloud must use the same.
    assert (NOT_AS_GRANTED["detail"] in answer.text) == (name.startswith("hash"))
    assert uploader.stored(name) is None
    assert uploader.put(grant, b"A" * 50_000).status_code == 200


def test_a_sender_that_breaks_off_leaves_nothing(uploader: Uploader) -> None:
    """And can send it again with the same grant."""
    body = os.urandom(5_000_000)
    grant = uploader.grant("broken", body)
    parts = urlsplit(uploader.node.url + grant.url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=30) as client:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\n"
        client.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:4_000_000])
    assert uploader.stored("broken") is None
    wait_until(lambda: uploader.put(grant, body).status_code == 200, what="the second try is taken")
    assert uploader.stored("broken") == body


@pytest.mark.parametrize("part", ["e", "l", "c", "t", "s", "path"])
def test_a_grant_that_was_changed_is_403(uploader: Uploader, part: str) -> None:
    """In any of the fields that it covers."""
    body = b"x" * 100
    grant = uploader.grant(f"changed-{part}", body)
    url = grant.url
    if part == "path":
        url = url.replace("changed-path", "changed-other")
    else:
        head, _, tail = url.partition(f"{part}=")
        value, separator, rest = tail.partition("&")
        url = f"{head}{part}={value[:-1]}{'1' if value[-1] != '1' else '2'}{separator}{rest}"
    changed = UploadGrant(url, grant.method, grant.headers, grant.expires)
    assert uploader.put(changed, body).status_code == 403
    assert uploader.stored(f"changed-{part}") is None


def test_an_expired_grant_is_403(uploader: Uploader) -> None:
    """It lives 15 minutes."""
    body = b"x" * 100
    answer = uploader.put(uploader.grant("expired", body, now=time.time() - WINDOW - 5), body)
    assert answer.status_code == 403
    assert uploader.stored("expired") is None


def test_another_type_than_granted_is_403(uploader: Uploader) -> None:
    """It says how the object is read: as a pack or as a file."""
    body = b"x" * 100
    assert uploader.put(uploader.grant("type", body), body, {"Content-Type": "text/html"}).status_code == 403
    assert uploader.stored("type") is None


def test_of_many_senders_at_once_one_wins(uploader: Uploader) -> None:
    """The others are told that it is there, or under way; the object is whole."""
    body = os.urandom(2_000_000)
    grant = uploader.grant("race", body)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(uploader.put(grant, body).status_code)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 409, 412}
    assert statuses.count(200) >= 1
    assert uploader.stored("race") == body


def test_an_object_above_one_put_of_the_store_goes_in_parts(uploader: Uploader) -> None:
    """Streamed, checked as a whole; a wrong last byte leaves nothing of it."""
    block = os.urandom(1 << 20)
    count = SINGLE_PUT_BYTES // len(block) + 5
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(block)
    granter = HmacUploadGranter(uploader.secret)
    key = f"{PREFIX}/parts"
    wrong = granter.grant(key, count << 20, hashlib.sha256(b"").hexdigest(), TYPE)
    assert uploader.put(wrong, (block for _ in range(count))).status_code == 400
    assert uploader.s3.list_objects_v2(Bucket="inbox", Prefix=key).get("KeyCount") == 0
    grant = granter.grant(key, count << 20, digest.hexdigest(), TYPE)
    assert uploader.put(grant, (block for _ in range(count))).status_code == 200
    assert uploader.s3.head_object(Bucket="inbox", Key=key)["ContentLength"] == count << 20
    last = uploader.s3.get_object(Bucket="inbox", Key=key, Range=f"bytes={(count - 1) << 20}-")["Body"].read()
    assert last == block
    assert uploader.put(grant, (block for _ in range(count))).status_code == 412
    uploader.s3.delete_object(Bucket="inbox", Key=key)


def test_a_part_is_checked_like_a_whole_and_becomes_no_object_by_itself(uploader: Uploader) -> None:
    """The console begins and completes the upload; each part has a grant of its own, for its bytes alone."""
    where = {"Bucket": "inbox", "Key": f"{PREFIX}/parts"}
    upload = uploader.s3.create_multipart_upload(**where)["UploadId"]
    granter = HmacUploadGranter(uploader.secret)
    bodies = {1: os.urandom(5 * 1024 * 1024), 2: os.urandom(1000)}

    def grant(number: int, upload: str = upload) -> UploadGrant:
        digest = hashlib.sha256(bodies[number]).hexdigest()
        return granter.grant_part(where["Key"], upload, number, len(bodies[number]), digest)

    assert uploader.put(grant(2), bodies[2][::-1]).status_code == 400
    assert uploader.put(grant(2), bodies[2] + b"x").status_code == 413
    forged = grant(2)
    other = UploadGrant(forged.url.replace("n=2", "n=1"), forged.method, forged.headers, forged.expires)
    assert uploader.put(other, bodies[2]).status_code == 403
    assert uploader.put(grant(2, "no-such-upload"), bodies[2]).status_code == 404
    for number, body in bodies.items():
        assert uploader.put(grant(number), body).status_code == 200
    assert uploader.stored("parts") is None
    listed = uploader.s3.list_parts(**where, UploadId=upload)["Parts"]
    parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed]
    assert [part["Size"] for part in listed] == [len(body) for body in bodies.values()]
    uploader.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    assert uploader.stored("parts") == bodies[1] + bodies[2]


def test_a_part_lies_on_disk_as_it_is(uploader: Uploader) -> None:
    """Not compressed by the store: a frame is a range of it, and must not cost the decompression of all around it."""
    where = {"Bucket": "inbox", "Key": f"{PREFIX}/plain"}
    upload = uploader.s3.create_multipart_upload(**where)["UploadId"]
    body = b"\0\1" * (4 << 20)
    grant = HmacUploadGranter(uploader.secret).grant_part(
        where["Key"], upload, 2, len(body), hashlib.sha256(body).hexdigest()
    )
    before = _on_disk(uploader.node)
    assert uploader.put(grant, body).status_code == 200
    assert _on_disk(uploader.node) - before >= len(body)
    uploader.s3.abort_multipart_upload(**where, UploadId=upload)


def _on_disk(node: Node) -> int:
    return sum(path.stat().st_size for path in node.data.rglob("*.dat"))
