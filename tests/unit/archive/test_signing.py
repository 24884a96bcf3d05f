"""Our Signature Version 4 against botocore's."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from maypacs.archive import signing

NOW = datetime(2026, 11, 24, 4, 5, 6, tzinfo=UTC)
#: Over plain http botocore always signs the body: an empty one here.
EMPTY = hashlib.sha256(b"").hexdigest()
ACCESS, SECRET, REGION = "key", "secret", "us-east-1"


def ours(
    method: str, key: str, headers: dict[str, str], query: dict[str, str], *, session_token: str | None = None
) -> str:
    signed = signing.sign(
        method,
        "127.0.0.1:8333",
        signing.encoded_path("archive", key),
        access_key=ACCESS,
        secret_key=SECRET,
        region=REGION,
        session_token=session_token,
        headers=headers,
        query=query,
        payload_sha256=EMPTY,
        now=NOW.timestamp(),
    )
    return signed["authorization"]


def botocores(
    method: str, key: str, headers: dict[str, str], query: dict[str, str], *, session_token: str | None = None
) -> str:
    url = "http://127.0.0.1:8333" + signing.encoded_path("archive", key)
    request = AWSRequest(method, url, headers=headers, params=query)
    with patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        S3SigV4Auth(Credentials(ACCESS, SECRET, session_token), "s3", REGION).add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    ("method", "key", "headers", "query", "reason"),
    [
        ("GET", "blobs/packs/a/1.2/1.3/abc", {}, {}, "the usual one"),
        ("GET", "blobs/x", {"range": "bytes=0-99"}, {}, "a range"),
        ("PUT", "hosp1/uploads/01J", {"content-type": 'multipart/related; type="application/dicom"'}, {}, "quotes"),
        (
            "PUT",
            "a/b c+d=e~f",
            {"if-none-match": "*"},
            {"partNumber": "2", "uploadId": "a/b+c"},
            "odd characters",
        ),
        ("POST", "a/Nguyễn.dcm", {}, {"uploads": ""}, "a key that is not ASCII"),
    ],
)
def test_it_signs_as_botocore_does(
    method: str, key: str, headers: dict[str, str], query: dict[str, str], reason: str
) -> None:
    """One signature a case."""
    assert ours(method, key, headers, query) == botocores(method, key, headers, query)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).map(lambda t: "k" + t))
def test_it_signs_any_key_as_botocore_does(key: str) -> None:
    """Files copied into the inbox have the names that people gave them."""
    assert ours("GET", key, {}, {}) == botocores("GET", key, {}, {})


def test_it_signs_the_token_of_temporary_credentials() -> None:
    """Those of a Lambda's role: the token is a header, and signed."""
    signed = ours("GET", "blobs/x", {}, {}, session_token="a/token==")
    assert "x-amz-security-token" in signed
    assert signed == botocores("GET", "blobs/x", {}, {}, session_token="a/token==")
