"""The object-store port on S3: AWS, SeaweedFS, Ceph RGW (contract: tests/contract/test_objects.py)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, BinaryIO

from maypacs.archive import multipart
from maypacs.archive.objects import CopyRange, ObjectHead, ObjectVersion
from maypacs.archive.s3_client import S3Client
from maypacs.archive.s3_reads import HttpAnswer, reads_of
from maypacs.errors import ObjectNotFoundError, PreconditionFailedError, StorageError

#: Above this a body that is a file goes by multipart; below it, in one request.
_FILE_PART = 64 * 1024 * 1024
#: CopyObject's own limit (S3): 5 GiB; above it, part copy.
_COPY_LIMIT = 5 * 1024**3
_CHUNK = 1024 * 1024

_NOT_FOUND = {"NoSuchKey", "404", "NotFound", "NoSuchUpload", "NoSuchVersion"}
_PRECONDITION = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


class S3Objects:
    """One bucket, with the environment's credentials. Reads of whole objects and ranges go past boto3 (`s3_reads`)."""

    def __init__(self, bucket: str, endpoint: str | None = None, client: S3Client | None = None) -> None:
        """``client``: one that several buckets share."""
        self.bucket = bucket
        self._made = client or S3Client(endpoint)

    @property
    def _client(self) -> Any:
        return self._made.get()

    @cached_property
    def _read(self) -> Callable[..., HttpAnswer | None]:
        return reads_of(self._client, self.bucket, self._made.endpoint)

    def head(self, key: str) -> ObjectHead:
        if known := self._read("HEAD", key):
            return _head_of(key, known)
        answer = self._call("head_object", Bucket=self.bucket, Key=key)
        return _head(key, answer, answer["ContentLength"])

    def get(self, key: str, *, offset: int = 0, length: int | None = None, if_match: str | None = None) -> bytes:
        if length == 0:
            return b""
        byte_range = _range(offset, length) if offset or length is not None else None
        if known := self._read("GET", key, byte_range=byte_range, if_match=if_match):
            return known.body
        extra: dict[str, Any] = {"IfMatch": f'"{if_match}"'} if if_match else {}
        if byte_range:
            extra["Range"] = byte_range
        body: bytes = self._call("get_object", Bucket=self.bucket, Key=key, **extra)["Body"].read()
        return body

    def get_with_head(self, key: str) -> tuple[bytes, ObjectHead]:
        if known := self._read("GET", key):
            return known.body, _head_of(key, known)
        answer = self._call("get_object", Bucket=self.bucket, Key=key)
        return answer["Body"].read(), _head(key, answer, answer["ContentLength"])

    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, version_id: str | None = None
    ) -> Iterator[bytes]:
        if length == 0:
            return
        extra = {"Range": _range(offset, length)} if offset or length is not None else {}
        if version_id:
            extra["VersionId"] = version_id
        body = self._call("get_object", Bucket=self.bucket, Key=key, **extra)["Body"]
        with body:
            while chunk := body.read(_CHUNK):
                yield chunk

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        only_if_absent: bool = False,
        content_encoding: str | None = None,
    ) -> str:
        fields: dict[str, Any] = {"ContentType": content_type, "Metadata": dict(metadata or {})}
        if content_encoding:
            fields["ContentEncoding"] = content_encoding
        if not isinstance(body, bytes):
            first = _read(body, _FILE_PART)
            following = _read(body, _FILE_PART) if len(first) == _FILE_PART else b""
            if following:
                with multipart.Upload(self._client, self._call, self.bucket, key, fields) as upload:
                    upload.part(first)
                    while following:
                        upload.part(following)
                        following = _read(body, _FILE_PART)
                    return upload.complete(only_if_absent=only_if_absent)
            body = first
        if only_if_absent:
            fields["IfNoneMatch"] = "*"
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        answer = self._call("put_object", Bucket=self.bucket, Key=key, Body=body, ChecksumSHA256=checksum, **fields)
        return _etag(answer["ETag"])

    def copy(
        self,
        source: CopyRange,
        key: str,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        source_etag: str | None = None,
        only_if_absent: bool = False,
    ) -> str:
        if source.offset or source.length is not None:
            raise ValueError("copy takes whole objects; join takes ranges")
        fields: dict[str, Any] = {"ContentType": content_type, "Metadata": dict(metadata)}
        if only_if_absent:
            fields["IfNoneMatch"] = "*"
        if source_etag:
            fields["CopySourceIfMatch"] = f'"{source_etag}"'
        bucket = source.bucket or self.bucket
        try:
            answer = self._call(
                "copy_object",
                Bucket=self.bucket,
                Key=key,
                CopySource={"Bucket": bucket, "Key": source.key},
                MetadataDirective="REPLACE",
                **fields,
            )
        except _TooLargeToCopy:
            return self._copy_in_parts(bucket, source.key, key, content_type, metadata, source_etag, only_if_absent)
        return _etag(answer["CopyObjectResult"]["ETag"])

    def _copy_in_parts(
        self,
        bucket: str,
        source: str,
        key: str,
        content_type: str,
        metadata: Mapping[str, str],
        source_etag: str | None,
        only_if_absent: bool,
    ) -> str:
        size = self._call("head_object", Bucket=bucket, Key=source)["ContentLength"]
        fields = {"ContentType": content_type, "Metadata": dict(metadata)}
        with multipart.Upload(self._client, self._call, self.bucket, key, fields) as upload:
            upload.copy(bucket, source, 0, size, etag=source_etag)
            return upload.complete(only_if_absent=only_if_absent)

    def join(self, parts: list[CopyRange | bytes], key: str, *, content_type: str, metadata: Mapping[str, str]) -> str:
        fields = {"ContentType": content_type, "Metadata": dict(metadata)}
        known = [self._known(part) for part in parts]
        steps = multipart.plan([size for _, size in known])
        if len(steps) == 1 and not steps[0].copy:
            return self.put(key, self._pieces(known, steps[0]), content_type=content_type, metadata=metadata)
        with multipart.Upload(self._client, self._call, self.bucket, key, fields) as upload:
            for step in steps:
                if step.copy:
                    source = known[step.spans[0].part][0]
                    assert isinstance(source, CopyRange)
                    span = step.spans[0]
                    upload.copy(source.bucket or self.bucket, source.key, source.offset + span.offset, span.length)
                else:
                    upload.part(self._pieces(known, step))
            return upload.complete()

    def _known(self, part: CopyRange | bytes) -> tuple[CopyRange | bytes, tuple[int, bool]]:
        """The part with its size, and whether storage can copy it."""
        if isinstance(part, bytes):
            return part, (len(part), False)
        length = part.length
        if length is None:
            head = self._call("head_object", Bucket=part.bucket or self.bucket, Key=part.key)
            length = head["ContentLength"] - part.offset
        return part, (length, True)

    def _pieces(self, known: list[tuple[CopyRange | bytes, tuple[int, bool]]], step: multipart.Step) -> bytes:
        pieces = []
        for span in step.spans:
            source = known[span.part][0]
            if isinstance(source, bytes):
                pieces.append(source[span.offset : span.offset + span.length])
            elif span.length:
                answer = self._call(
                    "get_object",
                    Bucket=source.bucket or self.bucket,
                    Key=source.key,
                    Range=_range(source.offset + span.offset, span.length),
                )
                pieces.append(answer["Body"].read())
        return b"".join(pieces)

    def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> Iterator[ObjectHead]:
        fields: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix}
        if start_after:
            fields["StartAfter"] = start_after
        left = limit
        while left is None or left > 0:
            answer = self._call("list_objects_v2", **fields, MaxKeys=1000 if left is None else min(left, 1000))
            for entry in answer.get("Contents", ()):
                yield ObjectHead(entry["Key"], entry["Size"], _etag(entry["ETag"]), entry["LastModified"])
                if left is not None:
                    left -= 1
            if not answer.get("IsTruncated"):
                return
            fields["ContinuationToken"] = answer["NextContinuationToken"]

    def delete(self, key: str) -> None:
        self._call("delete_object", Bucket=self.bucket, Key=key)

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        fields: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix}
        while True:
            answer = self._call("list_object_versions", **fields)
            for kind in ("Versions", "DeleteMarkers"):
                for entry in answer.get(kind, ()):
                    yield ObjectVersion(
                        key=entry["Key"],
                        version_id=entry.get("VersionId") or "null",
                        size=entry.get("Size", 0),
                        last_modified=entry["LastModified"],
                        is_latest=bool(entry.get("IsLatest", True)),
                        is_marker=kind == "DeleteMarkers",
                    )
            if not answer.get("IsTruncated"):
                return
            fields["KeyMarker"] = answer["NextKeyMarker"]
            if following := answer.get("NextVersionIdMarker"):
                fields["VersionIdMarker"] = following

    def delete_version(self, key: str, version_id: str) -> None:
        with suppress(ObjectNotFoundError):
            self._call("delete_object", Bucket=self.bucket, Key=key, VersionId=version_id)

    def _call(self, operation: str, **fields: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(**fields)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _NOT_FOUND:
                raise ObjectNotFoundError(f"no such object ({operation})") from None
            if code in _PRECONDITION:
                raise PreconditionFailedError(f"a condition did not hold ({operation})") from None
            if operation == "copy_object" and code in {"InvalidRequest", "EntityTooLarge"}:
                raise _TooLargeToCopy from error
            raise StorageError(f"{operation}: {code}") from error
        except BotoCoreError as error:
            raise StorageError(f"{operation}: {type(error).__name__}") from error


class _TooLargeToCopy(StorageError):
    """CopyObject refused; above 5 GiB that is its limit."""


def _read(body: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer at the end alone: a raw stream may give less at a time."""
    pieces = []
    while size > 0 and (piece := body.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _head(key: str, answer: Mapping[str, Any], size: int) -> ObjectHead:
    return ObjectHead(
        key=key,
        size=size,
        etag=_etag(answer["ETag"]),
        last_modified=answer["LastModified"],
        metadata=dict(answer.get("Metadata", {})),
        content_type=answer.get("ContentType", ""),
    )


def _head_of(key: str, answer: HttpAnswer) -> ObjectHead:
    headers, prefix = answer.headers, "x-amz-meta-"
    return ObjectHead(
        key=key,
        size=int(headers["content-length"]),
        etag=_etag(headers["etag"]),
        last_modified=parsedate_to_datetime(headers["last-modified"]),
        metadata={name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)},
        content_type=headers.get("content-type", ""),
    )


def _etag(value: str) -> str:
    return value.strip('"')


def _range(offset: int, length: int | None) -> str:
    return f"bytes={offset}-" if length is None else f"bytes={offset}-{offset + length - 1}"
