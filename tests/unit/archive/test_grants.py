"""Signed URLs: what they allow, that they allow nothing else, and that a repeat gives the same."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from maypacs.archive import grants
from maypacs.archive.grants import (
    CloudFrontBlobSigner,
    HmacBlobSigner,
    HmacUploadGranter,
    verify_blob,
    verify_upload,
)
from maypacs.errors import ForbiddenError, SettingsError
from maypacs.settings import Settings

SECRET = b"s" * 32
NOW = 1_800_000_123.0
KEY = "blobs/packs/hosp1/1.2/1.2.3/0123456789abcdef0123456789abcdef"


def parts(url: str) -> tuple[str, dict[str, str]]:
    split = urlsplit(url)
    return split.path, dict(parse_qsl(split.query))


def test_a_signed_blob_url_names_its_object() -> None:
    """A path on our own origin; the file name travels as S3's own parameter."""
    signer = HmacBlobSigner(SECRET, clock=lambda: NOW)
    path, query = parts(signer.sign(KEY, filename='nguyễn "x".dcm'))
    assert path == f"/{KEY}"
    found = verify_blob(SECRET, path, query, NOW)
    assert found.key == KEY
    assert found.content_disposition == 'attachment; filename="nguy_n__x_.dcm"'
    assert verify_blob(SECRET, *parts(signer.sign(KEY)), NOW).content_disposition is None


def test_a_repeat_within_a_quarter_of_an_hour_gives_the_same_url() -> None:
    """So that browsers cache; a URL lives 15 to 30 minutes."""
    start = NOW // 900 * 900
    urls = {HmacBlobSigner(SECRET, clock=lambda at=start + s: at).sign(KEY) for s in (0, 1, 899.9)}  # type: ignore[misc]
    assert len(urls) == 1
    path, query = parts(urls.pop())
    assert verify_blob(SECRET, path, query, start + 1800).key == KEY
    with pytest.raises(ForbiddenError):
        verify_blob(SECRET, path, query, start + 1801)
    assert HmacBlobSigner(SECRET, clock=lambda: start + 900).sign(KEY) != f"{path}?{query}"


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("another object", lambda path, query: (path[:-1] + "0", query)),
        ("a later expiry", lambda path, query: (path, {**query, "e": str(int(query["e"]) + 900)})),
        ("no number", lambda path, query: (path, {**query, "e": "soon"})),
        ("a file name", lambda path, query: (path, {**query, "response-content-disposition": "inline"})),
        ("no signature", lambda path, query: (path, {"e": query["e"]})),
        ("nothing", lambda path, query: (path, {})),
    ],
)
def test_a_blob_url_that_was_tampered_with_is_forbidden(what: str, change: object) -> None:
    """Every field is signed."""
    path, query = parts(HmacBlobSigner(SECRET, clock=lambda: NOW).sign(KEY))
    assert callable(change)
    with pytest.raises(ForbiddenError):
        verify_blob(SECRET, *change(path, query), NOW)


def test_only_what_is_below_blobs_is_ever_signed() -> None:
    """Quarantine, metadata and decisions are not served."""
    signer = HmacBlobSigner(SECRET)
    for key in ("meta/hosp1/x", "quarantine/hosp1/x", "blobs/../meta/x", "blobs"):
        with pytest.raises(ValueError, match="blobs/"):
            signer.sign(key)


def test_an_upload_grant_covers_key_length_checksum_and_type() -> None:
    """What the host checks while it streams the body."""
    granter = HmacUploadGranter(SECRET, clock=lambda: NOW)
    grant = granter.grant("hosp1/uploads/01A", 10, "ab" * 32, "application/dicom")
    assert (grant.method, dict(grant.headers)) == ("PUT", {"Content-Type": "application/dicom"})
    assert grant.expires == int(NOW) + 900
    path, query = parts(grant.url)
    found = verify_upload(SECRET, path, query, NOW)
    assert (found.key, found.length, found.sha256_hex) == ("hosp1/uploads/01A", 10, "ab" * 32)
    assert (found.content_type, found.expires) == ("application/dicom", grant.expires)
    for name, value in (("l", "11"), ("c", "ac" * 32), ("t", "text/html"), ("e", str(grant.expires + 1))):
        with pytest.raises(ForbiddenError):
            verify_upload(SECRET, path, {**query, name: value}, NOW)
    with pytest.raises(ForbiddenError):
        verify_upload(SECRET, path.replace("hosp1", "hosp2"), query, NOW)
    with pytest.raises(ForbiddenError):
        verify_upload(SECRET, path, query, NOW + 901)
    with pytest.raises(ForbiddenError):
        verify_upload(b"t" * 32, path, query, NOW)


def test_a_blob_signature_is_no_upload_signature() -> None:
    """Each purpose signs its own message."""
    path, query = parts(HmacBlobSigner(SECRET, clock=lambda: NOW).sign(KEY))
    with pytest.raises(ForbiddenError):
        verify_upload(SECRET, path, {**query, "l": "1", "c": "", "t": ""}, NOW)


def test_a_cloudfront_url_is_what_cloudfront_checks() -> None:
    """Canned policy over the whole URL, RSA-SHA1 in its own base64; relative to our origin."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    signer = CloudFrontBlobSigner("K1", pem, "https://pacs.example.org", clock=lambda: NOW)
    url = signer.sign(KEY)
    path, query = parts(url)
    assert path == f"/{KEY}"
    assert query["Key-Pair-Id"] == "K1"
    policy = (
        f'{{"Statement":[{{"Resource":"https://pacs.example.org/{KEY}",'
        f'"Condition":{{"DateLessThan":{{"AWS:EpochTime":{query["Expires"]}}}}}}}]}}'
    )
    signature = base64.b64decode(query["Signature"].replace("-", "+").replace("_", "=").replace("~", "/"))
    key.public_key().verify(signature, policy.encode(), padding.PKCS1v15(), hashes.SHA1())
    assert signer.sign(KEY) == url


def test_secrets_that_lack_a_key_are_named() -> None:
    """Loud, at the first use."""
    settings = Settings("i", "a", "archive", "inbox", "s", blobs="hmac", uploads="hmac")
    with pytest.raises(SettingsError, match="blob_key"):
        grants.blob_signer(settings, {})
    with pytest.raises(SettingsError, match="upload_key"):
        grants.upload_granter(settings, {"blob_key": "00"})
    with pytest.raises(SettingsError, match="cloudfront_key_id"):
        grants.blob_signer(Settings("i", "a", "archive", "inbox", "s"), {})
