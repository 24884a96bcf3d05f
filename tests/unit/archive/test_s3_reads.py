"""Reads past the SDK: where they go, what they are signed with, and what is left to boto3."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from maypacs.archive.s3_objects import S3Objects
from maypacs.errors import ObjectNotFoundError, StorageError

Answer = tuple[int, dict[str, str], bytes]
HEADERS = {"ETag": '"abc"', "Last-Modified": "Tue, 24 Nov 2026 04:05:06 GMT", "Content-Length": "5"}


class Body(io.BytesIO):
    """As urllib3's."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class FakeS3:
    """Stands before the network, as moto does; keeps what was asked."""

    def __init__(self) -> None:
        self.requests: list[AWSPreparedRequest] = []
        self.answers: list[Answer] = []

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        self.requests.append(request)
        status, headers, body = self.answers.pop(0)
        return AWSResponse(request.url, status, headers, Body(body))


Bucket = Callable[..., S3Objects]


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def bucket(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Makes a bucket of a region, or of an endpoint, whose answers are the fake's."""

    def make(name: str = "archive", *, region: str = "eu-central-1", endpoint: str | None = None) -> S3Objects:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        monkeypatch.setattr("time.sleep", lambda _: None)  # between boto3's tries
        session = boto3.Session()
        session.events.register_first("before-send.s3", s3)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
        return S3Objects(name, endpoint=endpoint)

    return make


def through_boto3(request: AWSPreparedRequest) -> bool:
    return any(name.lower() == "user-agent" for name in request.headers)


@pytest.mark.parametrize(
    ("name", "settings", "url"),
    [
        ("archive", {}, "https://archive.s3.eu-central-1.amazonaws.com/blobs/x%20y"),
        ("archive", {"region": "cn-north-1"}, "https://archive.s3.cn-north-1.amazonaws.com.cn/blobs/x%20y"),
        ("with.dots", {}, "https://s3.eu-central-1.amazonaws.com/with.dots/blobs/x%20y"),
        ("archive", {"endpoint": "http://127.0.0.1:9"}, "http://127.0.0.1:9/archive/blobs/x%20y"),
    ],
)
def test_the_bucket_is_named_by_host_on_aws_and_by_path_elsewhere(
    s3: FakeS3, bucket: Bucket, name: str, settings: dict[str, str], url: str
) -> None:
    """Certificates of AWS hold for one label; other stores know no hosts."""
    s3.answers = [(206, HEADERS, b"01234")]
    assert bucket(name, **settings).get("blobs/x y", offset=0, length=5) == b"01234"
    (request,) = s3.requests
    assert request.url == url
    assert not through_boto3(request)


def test_a_read_is_signed_with_the_session_token(s3: FakeS3, bucket: Bucket) -> None:
    """A Lambda's credentials are temporary."""
    s3.answers = [(200, HEADERS, b"01234")]
    bucket().get("x")
    assert s3.requests[0].headers["x-amz-security-token"] == "a-token"
    assert "x-amz-security-token" in s3.requests[0].headers["authorization"]


def test_credentials_that_changed_are_used_by_the_next_read(s3: FakeS3, bucket: Bucket) -> None:
    """They expire while a process lives: botocore's object gives new ones."""
    objects = bucket()
    s3.answers = [(200, HEADERS, b"01234")] * 2
    objects.get("x")
    assert boto3.DEFAULT_SESSION is not None
    credentials = boto3.DEFAULT_SESSION.get_credentials()
    assert credentials is not None
    credentials.access_key = "NEWID"
    objects.get("x")
    assert ["AKID" in r.headers["authorization"] for r in s3.requests] == [True, False]


@pytest.mark.parametrize("status", [301, 400, 403, 500, 503])
def test_what_goes_wrong_is_asked_again_through_boto3(s3: FakeS3, bucket: Bucket, status: int) -> None:
    """Its retries, redirects and clock corrections are the ones that hold."""
    s3.answers = [(status, {}, b""), (206, HEADERS, b"01234")]
    assert bucket().get("x", offset=0, length=5) == b"01234"
    assert [through_boto3(request) for request in s3.requests] == [False, True]


def test_a_store_that_ignores_the_range_is_no_answer(s3: FakeS3, bucket: Bucket) -> None:
    """All of the object is not the five bytes asked for."""
    s3.answers = [(200, HEADERS, b"0123456789"), (206, HEADERS, b"56789")]
    assert bucket().get("x", offset=5, length=5) == b"56789"


def test_what_is_not_there_takes_one_request(s3: FakeS3, bucket: Bucket) -> None:
    """GET says so in its body, HEAD has none."""
    objects = bucket()
    s3.answers = [(404, {}, b"<Error><Code>NoSuchKey</Code></Error>"), (404, {}, b"")]
    with pytest.raises(ObjectNotFoundError):
        objects.get("x")
    with pytest.raises(ObjectNotFoundError):
        objects.head("x")
    assert len(s3.requests) == 2


def test_a_missing_bucket_is_not_a_missing_object(s3: FakeS3, bucket: Bucket) -> None:
    """A wrong setting must not look like an empty archive."""
    s3.answers = [(404, {}, b"<Error><Code>NoSuchBucket</Code></Error>")] * 2
    with pytest.raises(StorageError) as raised:
        bucket().get("x")
    assert not isinstance(raised.value, ObjectNotFoundError)


def test_the_head_of_an_object_is_read_past_the_sdk(s3: FakeS3, bucket: Bucket) -> None:
    """The same head as boto3 gives (the contract compares both on engines)."""
    s3.answers = [(200, {**HEADERS, "Content-Type": "a/b", "x-amz-meta-Arrival": "01A"}, b"")]
    head = bucket().head("x")
    assert (head.size, head.etag, head.content_type, dict(head.metadata)) == (5, "abc", "a/b", {"arrival": "01A"})
    assert head.last_modified.isoformat() == "2026-11-24T04:05:06+00:00"


def test_a_proxy_is_left_to_boto3(s3: FakeS3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows how to go through one."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    s3.answers = [(200, HEADERS, b"01234")]
    bucket().get("x")
    assert through_boto3(s3.requests[0])


def test_a_setting_whose_name_ends_in_proxy_is_none(
    s3: FakeS3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard library takes it for the proxy of a scheme of that name."""
    monkeypatch.setenv("MAYPACS_NODE_BEHIND_PROXY", "0")
    s3.answers = [(200, HEADERS, b"01234")]
    bucket().get("x")
    assert not through_boto3(s3.requests[0])


def test_a_store_that_does_not_answer_is_a_storage_error(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on port 9 of this machine."""
    objects = bucket(endpoint="http://127.0.0.1:9")
    monkeypatch.setattr(FakeS3, "__call__", lambda self, request, **_: None)
    with pytest.raises(StorageError):
        objects.get("x")
