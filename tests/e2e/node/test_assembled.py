"""Answers that a node streams out of several objects: as one object would be, to the byte."""

from __future__ import annotations

import os
from typing import Any

import pytest
import requests
from tests.support.processes import Node

from maypacs.archive.assembled import assembled
from maypacs.archive.grants import HmacBlobSigner
from maypacs.archive.objects import CopyRange

pytestmark = pytest.mark.e2e

ROOT = "blobs/packs/hosp1/1.2.7/1.2.7.1"
FIRST, SECOND = os.urandom(700_001), os.urandom(300_007)
WHOLE = b"<head>" + FIRST[10:] + b"|" + SECOND
TYPE = 'multipart/related; type="application/dicom"; boundary=B'


@pytest.fixture(scope="module")
def url(running: Node, s3: Any, secrets: dict[str, bytes]) -> str:
    """A signed URL of an answer of two packs and what is between them."""
    s3.put_object(Bucket="archive", Key=f"{ROOT}/first", Body=FIRST)
    s3.put_object(Bucket="archive", Key=f"{ROOT}/second", Body=SECOND)
    parts: list[CopyRange | bytes] = [
        b"<head>",
        CopyRange(f"{ROOT}/first", 10, len(FIRST) - 10),
        b"|",
        CopyRange(f"{ROOT}/second", 0, 300_007),
    ]
    return put(running, s3, secrets, "assembled-" + "1" * 40, assembled(TYPE, parts).encode())


def put(running: Node, s3: Any, secrets: dict[str, bytes], name: str, body: bytes) -> str:
    key = f"blobs/exports/hosp1/{name}"
    s3.put_object(Bucket="archive", Key=key, Body=body)
    return running.url + HmacBlobSigner(secrets["blob_key"]).sign(key)


def test_the_pieces_come_as_one_object(url: str) -> None:
    """Bytes, type, length, validator."""
    answer = requests.get(url, timeout=30)
    assert (answer.status_code, answer.content) == (200, WHOLE)
    assert answer.headers["content-type"] == TYPE
    assert answer.headers["content-length"] == str(len(WHOLE))
    assert answer.headers["etag"] == f'"{"1" * 40}"'
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-5", 0, 6),
        ("bytes=3-9", 3, 10),
        ("bytes=699990-700010", 699_990, 700_011),
        ("bytes=1000000-", 1_000_000, len(WHOLE)),
        ("bytes=-7", len(WHOLE) - 7, len(WHOLE)),
        ("bytes=5-99999999", 5, len(WHOLE)),
    ],
)
def test_a_range_is_cut_across_the_pieces(url: str, asked: str, start: int, end: int) -> None:
    """Viewers read packs by range."""
    answer = requests.get(url, headers={"Range": asked}, timeout=30)
    assert (answer.status_code, answer.content) == (206, WHOLE[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(WHOLE)}"


def test_a_range_behind_the_end_is_416(url: str) -> None:
    """With the size, as RFC 9110 has it."""
    answer = requests.get(url, headers={"Range": f"bytes={len(WHOLE)}-"}, timeout=30)
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(WHOLE)}")


def test_head_and_validator_need_no_pack(url: str) -> None:
    """The length of what GET has; 304 for who has it."""
    head = requests.head(url, timeout=30)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(WHOLE)), b"")
    known = requests.get(url, headers={"If-None-Match": head.headers["etag"]}, timeout=30)
    assert (known.status_code, known.content) == (304, b"")


def test_a_pack_that_is_gone_is_404(running: Node, s3: Any, secrets: dict[str, bytes]) -> None:
    """The study was deleted after the URL was signed."""
    listed = assembled(TYPE, [CopyRange(f"{ROOT}/gone", 0, 5)]).encode()
    answer = requests.get(put(running, s3, secrets, "assembled-" + "2" * 40, listed), timeout=30)
    assert answer.status_code == 404


def test_a_pack_that_is_gone_in_the_middle_breaks_the_answer_off(
    running: Node, s3: Any, secrets: dict[str, bytes]
) -> None:
    """What is not whole must not look whole."""
    listed = assembled(TYPE, [CopyRange(f"{ROOT}/first", 0, 5), CopyRange(f"{ROOT}/gone", 0, 5)]).encode()
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(put(running, s3, secrets, "assembled-" + "3" * 40, listed), timeout=30)


def test_a_list_of_another_archives_packs_is_not_served(running: Node, s3: Any, secrets: dict[str, bytes]) -> None:
    """Whoever made it."""
    listed = assembled(TYPE, [CopyRange("blobs/packs/hosp2/1.2.7/1.2.7.1/first", 0, 5)]).encode()
    answer = requests.get(put(running, s3, secrets, "assembled-" + "4" * 40, listed), timeout=30)
    assert answer.status_code == 503
