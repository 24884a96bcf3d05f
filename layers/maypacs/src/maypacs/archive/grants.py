"""Signed, short-lived URLs: who may GET a blob, who may PUT an upload. No credential of storage ever leaves.

Blob URLs are paths on our own origin (``/blobs/…``), signed so that the same key gives the same URL within a window
of 15 minutes (browsers cache them): they live 15 to 30 minutes. An upload grant covers one key, length, SHA-256 and
type, for 15 minutes; of an upload in parts, one part.

- On a node: HMAC-SHA256 over all of it; the host verifies with `verify_blob` and `verify_upload`.
- On AWS: CloudFront's RSA signature; presigned S3 for uploads.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from maypacs.errors import ForbiddenError, SettingsError
from maypacs.settings import Settings

WINDOW = 15 * 60
Clock = Callable[[], float]

_DISPOSITION = "response-content-disposition"
_PART_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class UploadGrant:
    url: str  #: absolute, or a path on our own origin
    method: str
    headers: Mapping[str, str]  #: to be sent with the request, exactly
    expires: int  #: seconds since the epoch


@dataclass(frozen=True, slots=True)
class BlobRequest:
    key: str
    content_disposition: str | None


@dataclass(frozen=True, slots=True)
class UploadRequest:
    key: str
    length: int
    sha256_hex: str
    content_type: str
    expires: int
    upload: str = ""  #: of a part: storage's id of the upload in parts
    part: int = 0  #: and its number, 1 the first


class BlobSigner(Protocol):
    def sign(self, key: str, *, filename: str | None = None) -> str:
        """``/blobs/…?…`` of an object of the archive bucket whose key begins with ``blobs/``."""
        ...


class UploadGranter(Protocol):
    def grant(self, key: str, length: int, sha256_hex: str, content_type: str) -> UploadGrant:
        """A grant to PUT these bytes, once, to the key in the inbox."""
        ...

    def grant_part(self, key: str, upload: str, number: int, length: int, sha256_hex: str) -> UploadGrant:
        """A grant to PUT these bytes as one part (1 the first) of an upload in parts to that key."""
        ...


def blob_signer(settings: Settings, secrets: Mapping[str, Any]) -> BlobSigner:
    if settings.blobs == "hmac":
        return HmacBlobSigner(_secret(secrets, "blob_key"))
    try:
        return CloudFrontBlobSigner(*(secrets[f"cloudfront_{name}"] for name in ("key_id", "private_key", "origin")))
    except KeyError as missing:
        raise SettingsError(f"the secrets document lacks {missing}") from None


def upload_granter(settings: Settings, secrets: Mapping[str, Any]) -> UploadGranter:
    if settings.uploads == "hmac":
        return HmacUploadGranter(_secret(secrets, "upload_key"))
    return PresignedUploadGranter(settings.inbox_bucket, endpoint=settings.s3_endpoint)


def _secret(secrets: Mapping[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(secrets[name])
    except (KeyError, ValueError):
        raise SettingsError(f"the secrets document lacks {name} (hex)") from None


def _signature(secret: bytes, purpose: str, *fields: str) -> str:
    """HMAC over length-prefixed fields: no two lists of fields give the same message."""
    message = "".join(f"{len(item.encode())}:{item}" for item in (purpose, *fields)).encode()
    return base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256")).rstrip(b"=").decode()


def _rounded_expiry(now: float) -> int:
    return (int(now) // WINDOW + 2) * WINDOW


def _disposition(filename: str) -> str:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in filename)
    return f'attachment; filename="{safe}"'


def _blob_path(key: str) -> str:
    if not key.startswith("blobs/") or ".." in key.split("/"):
        raise ValueError("only objects below blobs/ are served")
    return "/" + quote(key)


@dataclass(frozen=True)
class HmacBlobSigner:
    secret: bytes = field(repr=False)
    clock: Clock = time.time

    def sign(self, key: str, *, filename: str | None = None) -> str:
        path = _blob_path(key)
        expires = str(_rounded_expiry(self.clock()))
        disposition = _disposition(filename) if filename else ""
        query = {"e": expires, "s": _signature(self.secret, "blob", path, expires, disposition)}
        if disposition:
            query[_DISPOSITION] = disposition
        return f"{path}?{urlencode(query, quote_via=quote)}"


def verify_blob(secret: bytes, path: str, query: Mapping[str, str], now: float) -> BlobRequest:
    """What a signed blob URL asks for. ``path`` as on the wire (still percent-encoded). Raises ForbiddenError."""
    expires = query.get("e", "")
    disposition = query.get(_DISPOSITION, "")
    expected = _signature(secret, "blob", path, expires, disposition)
    _check(expected, query.get("s", ""), expires, now)
    return BlobRequest(_unquoted(path, "/"), disposition or None)


def _check(expected: str, given: str, expires: str, now: float) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise ForbiddenError("the signature of this URL does not hold")
    if int(expires) < now:
        raise ForbiddenError("this URL has expired")


def _unquoted(path: str, prefix: str) -> str:
    from urllib.parse import unquote

    return unquote(path.removeprefix(prefix))


@dataclass(frozen=True)
class HmacUploadGranter:
    secret: bytes = field(repr=False)
    clock: Clock = time.time

    def grant(self, key: str, length: int, sha256_hex: str, content_type: str) -> UploadGrant:
        return self._signed(key, {"l": str(length), "c": sha256_hex, "t": content_type})

    def grant_part(self, key: str, upload: str, number: int, length: int, sha256_hex: str) -> UploadGrant:
        fields = {"l": str(length), "c": sha256_hex, "t": _PART_TYPE, "u": upload, "n": str(number)}
        return self._signed(key, fields)

    def _signed(self, key: str, fields: Mapping[str, str]) -> UploadGrant:
        path = "/uploads/" + quote(key)
        expires = int(self.clock()) + WINDOW
        query = {"e": str(expires), **fields}
        query["s"] = _signature(self.secret, _purpose(fields), path, *query.values())
        headers = {"Content-Type": fields["t"]}
        return UploadGrant(f"{path}?{urlencode(query, quote_via=quote)}", "PUT", headers, expires)


def _purpose(fields: Mapping[str, str]) -> str:
    return "upload part" if "u" in fields else "upload"


def verify_upload(secret: bytes, path: str, query: Mapping[str, str], now: float) -> UploadRequest:
    """What a signed upload URL allows: one key (or one part of its upload), so many bytes, of that SHA-256, of that
    type. Raises ForbiddenError.
    """
    names = ("e", "l", "c", "t", "u", "n") if "u" in query else ("e", "l", "c", "t")
    expires, length, checksum, content_type, *part = (query.get(name, "") for name in names)
    expected = _signature(secret, _purpose(query), path, expires, length, checksum, content_type, *part)
    _check(expected, query.get("s", ""), expires, now)
    upload, number = part or ("", "0")
    key = _unquoted(path, "/uploads/")
    return UploadRequest(key, int(length), checksum, content_type, int(expires), upload, int(number))


@dataclass(frozen=True)
class CloudFrontBlobSigner:
    """Canned policy, RSA-SHA1 (what CloudFront takes), so the URL is a function of key and window."""

    key_id: str
    private_key: str = field(repr=False)  #: PEM, RSA-2048
    origin: str  #: https://host of the distribution: the signature covers it
    clock: Clock = time.time

    @cached_property
    def _signer(self) -> Any:
        from botocore.signers import CloudFrontSigner
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa

        key = serialization.load_pem_private_key(self.private_key.encode(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise SettingsError("cloudfront.private_key must be an RSA key")

        def sign(message: bytes) -> bytes:
            return key.sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - CloudFront's algorithm

        return CloudFrontSigner(self.key_id, sign)

    def sign(self, key: str, *, filename: str | None = None) -> str:
        url = self.origin.rstrip("/") + _blob_path(key)
        if filename:
            url += "?" + urlencode({_DISPOSITION: _disposition(filename)}, quote_via=quote)
        expires = datetime.fromtimestamp(_rounded_expiry(self.clock()), UTC)
        signed: str = self._signer.generate_presigned_url(url, date_less_than=expires)
        return signed.removeprefix(self.origin.rstrip("/"))


@dataclass(frozen=True)
class PresignedUploadGranter:
    bucket: str
    endpoint: str | None = None
    client: Any = None
    clock: Clock = time.time

    @cached_property
    def _s3(self) -> Any:
        from maypacs.archive.s3_client import s3_client

        return self.client or s3_client(self.endpoint)

    def grant(self, key: str, length: int, sha256_hex: str, content_type: str) -> UploadGrant:
        checksum = base64.b64encode(bytes.fromhex(sha256_hex)).decode()
        url = self._s3.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ContentLength": length,
                "ContentType": content_type,
                "ChecksumSHA256": checksum,
                "IfNoneMatch": "*",
            },
            ExpiresIn=WINDOW,
            HttpMethod="PUT",
        )
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(length),
            "x-amz-checksum-sha256": checksum,
            "If-None-Match": "*",
        }
        return UploadGrant(url, "PUT", headers, int(self.clock()) + WINDOW)

    def grant_part(self, key: str, upload: str, number: int, length: int, sha256_hex: str) -> UploadGrant:
        checksum = base64.b64encode(bytes.fromhex(sha256_hex)).decode()
        url = self._s3.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "UploadId": upload,
                "PartNumber": number,
                "ContentLength": length,
                "ChecksumSHA256": checksum,
            },
            ExpiresIn=WINDOW,
            HttpMethod="PUT",
        )
        headers = {"Content-Length": str(length), "x-amz-checksum-sha256": checksum}
        return UploadGrant(url, "PUT", headers, int(self.clock()) + WINDOW)
