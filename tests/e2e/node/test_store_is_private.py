"""The object store beside other users and browsers of the same machine: its S3 gateway is the only way in over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from maypacs_node import upkeep
from maypacs_node.seaweed import ARCHIVE_BUCKET, REGION, SeaweedFS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("store")) as running:
        s3 = boto3.client(
            "s3",
            endpoint_url=running.endpoint,
            region_name=REGION,
            aws_access_key_id=running.access_key,
            aws_secret_access_key=running.secret_key,
        )
        s3.put_object(Bucket=ARCHIVE_BUCKET, Key="blobs/secret", Body=b"a picture")
        yield running


def ask(port: int, method: str, path: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, data=None if method in ("GET", "DELETE") else b"x"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize(
    ("service", "method", "path", "why"),
    [
        ("s3", "GET", "/archive/blobs/secret", "reads an object"),
        ("s3", "GET", "/archive?list-type=2", "lists a bucket"),
        ("s3", "PUT", "/inbox/demo/planted", "plants a file"),
        ("filer", "GET", "/buckets/archive/blobs/secret", "reads an object behind S3's back"),
        ("filer", "GET", "/buckets/archive/", "lists a bucket behind S3's back"),
        ("filer", "PUT", "/buckets/inbox/demo/planted", "plants a file, as a form of any web page could"),
        ("filer", "DELETE", "/buckets/archive/blobs/secret", "deletes an object"),
        ("master", "GET", "/dir/assign", "gets a file id with the token to write it"),
        ("master", "POST", "/col/delete?collection=archive", "deletes a bucket's data"),
        ("volume", "GET", "/1,0100000000", "reads a piece of an object"),
        ("volume", "POST", "/1,0100000000", "writes a piece of an object"),
        ("volume", "DELETE", "/1,0100000000", "deletes a piece of an object"),
    ],
)
def test_nobody_without_credentials(store: SeaweedFS, service: str, method: str, path: str, why: str) -> None:
    """No HTTP port of the store does any of this for a stranger on the same machine."""
    assert ask(store.ports[service], method, path) in (401, 403, 404), why


def test_its_parts_share_keys_that_nobody_else_reads(store: SeaweedFS) -> None:
    """The keys by which its parts know each other, and the S3 credentials, are the owner's alone."""
    for path in (store.run / "security.toml", store.folder / "s3.json"):
        assert path.stat().st_mode & 0o077 == 0


def test_what_was_stored_is_there_after_a_restart_with_other_keys(tmp_path: Path) -> None:
    """The keys of its parts are new at each start; objects do not depend on them."""
    for known in (b"", b"kept"):
        with SeaweedFS(tmp_path) as running:
            s3 = boto3.client(
                "s3",
                endpoint_url=running.endpoint,
                region_name=REGION,
                aws_access_key_id=running.access_key,
                aws_secret_access_key=running.secret_key,
            )
            if known:
                assert s3.get_object(Bucket=ARCHIVE_BUCKET, Key="blobs/x")["Body"].read() == known
            s3.put_object(Bucket=ARCHIVE_BUCKET, Key="blobs/x", Body=b"kept")


def test_uploads_that_nobody_ends_are_given_up(store: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process was killed in the middle of a large object; its parts would lie there for ever."""
    buckets = {"MAYPACS_INBOX_BUCKET": "inbox", "MAYPACS_ARCHIVE_BUCKET": "archive"}
    for name, value in {**store.environment, **buckets}.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3", endpoint_url=store.endpoint)
    upload = s3.create_multipart_upload(Bucket="archive", Key="blobs/packs/half")["UploadId"]
    s3.upload_part(Bucket="archive", Key="blobs/packs/half", UploadId=upload, PartNumber=1, Body=bytes(1000))
    upkeep.abort_old_uploads()
    assert len(s3.list_multipart_uploads(Bucket="archive").get("Uploads", [])) == 1
    upkeep.abort_old_uploads(timedelta(seconds=-60))
    assert s3.list_multipart_uploads(Bucket="archive").get("Uploads", []) == []
