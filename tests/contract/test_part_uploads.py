"""Uploads whose parts come from outside, on SeaweedFS (what a node has) and moto."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable, Iterator

import boto3
import pytest
from moto import mock_aws

from maypacs.archive.grants import PresignedUploadGranter, UploadGrant
from maypacs.archive.part_uploads import PartUploads, is_whole
from maypacs.archive.s3_objects import S3Objects
from maypacs.errors import ObjectNotFoundError, PreconditionFailedError
from maypacs_node.seaweed import SeaweedFS

PART = 5 * 1024 * 1024
FIRST, LAST = os.urandom(PART), os.urandom(1000)
WHOLE = hashlib.sha256(FIRST + LAST).hexdigest()
Put = Callable[[str, str, int, bytes], None]


@pytest.fixture(params=["moto", "seaweed"])
def engine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PartUploads, S3Objects, Put]]:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    if request.param == "moto":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with mock_aws():
            client = boto3.client("s3")
            client.create_bucket(Bucket="inbox")

            def by_client(key: str, upload: str, number: int, body: bytes) -> None:
                client.upload_part(Bucket="inbox", Key=key, UploadId=upload, PartNumber=number, Body=body)

            yield PartUploads("inbox", checksums=True), S3Objects("inbox"), by_client
        return
    with SeaweedFS(tmp_path_factory.mktemp("seaweed"), fsync=False) as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        granter = PresignedUploadGranter("inbox", endpoint=store.endpoint)

        def by_grant(key: str, upload: str, number: int, body: bytes) -> None:
            digest = hashlib.sha256(body).hexdigest()
            send(granter.grant_part(key, upload, number, len(body), digest), body)

        yield PartUploads("inbox", store.endpoint, checksums=False), S3Objects("inbox", store.endpoint), by_grant


def send(grant: UploadGrant, body: bytes) -> None:
    request = urllib.request.Request(grant.url, body, dict(grant.headers), method=grant.method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def test_parts_in_any_order_become_one_object_that_knows_its_digest(
    engine: tuple[PartUploads, S3Objects, Put],
) -> None:
    """Listed, completed once; afterwards there is no such upload, and an object is never overwritten."""
    uploads, objects, put = engine
    key = "hosp1/uploads/a"
    upload = uploads.begin(key, content_type="application/dicom", sha256_hex=WHOLE)
    assert uploads.held(key, upload) == []
    put(key, upload, 2, LAST)
    for _ in range(2):  # the first answer was lost
        put(key, upload, 1, FIRST)
    # SeaweedFS lists a part as often as it came.
    held = list({part.number: part for part in uploads.held(key, upload)}.values())
    assert [(part.number, part.size) for part in held] == [(1, PART), (2, 1000)]
    with pytest.raises(ObjectNotFoundError):
        objects.head(key)
    uploads.complete(key, upload, held)
    head = objects.head(key)
    assert (head.size, head.content_type) == (PART + 1000, "application/dicom")
    assert is_whole(objects, head, None)
    assert is_whole(objects, head, FIRST + LAST)
    assert not is_whole(objects, head, LAST + FIRST)
    with pytest.raises(ObjectNotFoundError):
        uploads.held(key, upload)
    uploads.abort(key, upload)


def test_an_object_that_came_meanwhile_is_not_replaced(engine: tuple[PartUploads, S3Objects, Put]) -> None:
    uploads, objects, put = engine
    key = "hosp1/uploads/b"
    upload = uploads.begin(key, content_type="application/dicom", sha256_hex=WHOLE)
    put(key, upload, 1, LAST)
    objects.put(key, b"first")
    with pytest.raises(PreconditionFailedError):
        uploads.complete(key, upload, uploads.held(key, upload))
    uploads.abort(key, upload)
    assert objects.get(key) == b"first"
    assert is_whole(objects, objects.head(key), b"first")
