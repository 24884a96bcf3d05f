"""Uploads whose parts come from outside, by storage's own multipart upload: AWS S3, SeaweedFS.

Nothing of one is an object before `complete`. Storage keeps the parts of one that nobody ends until a lifecycle rule
(a node's upkeep) aborts it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maypacs.archive.objects import ObjectHead, Objects
from maypacs.archive.s3_objects import S3Objects
from maypacs.errors import ObjectNotFoundError

#: Metadata of an object that came in parts: the SHA-256 that was granted for the whole of it.
_WHOLE = "sha256"


@dataclass(frozen=True, slots=True)
class HeldPart:
    number: int  #: 1 the first
    size: int
    etag: str
    checksum: str  #: SHA-256 in base64 where storage keeps it, else ""


class PartUploads:
    """One bucket. ``checksums``: whether storage shall check and keep the SHA-256 of each part (AWS: what a presigned
    part signs; a node's host checks them itself). Raises StorageError.
    """

    def __init__(self, bucket: str, endpoint: str | None = None, *, checksums: bool) -> None:
        self._bucket, self._checksums = bucket, checksums
        self._call = S3Objects(bucket, endpoint)._call

    def begin(self, key: str, *, content_type: str, sha256_hex: str) -> str:
        """The upload's id. The object will carry the SHA-256 of the whole, which ingest compares."""
        extra = {"ChecksumAlgorithm": "SHA256"} if self._checksums else {}
        answer = self._call(
            "create_multipart_upload",
            Bucket=self._bucket,
            Key=key,
            ContentType=content_type,
            Metadata={_WHOLE: sha256_hex},
            **extra,
        )
        return str(answer["UploadId"])

    def held(self, key: str, upload: str) -> list[HeldPart]:
        """What storage has of it. Raises ObjectNotFoundError: no such upload (any more)."""
        found: list[HeldPart] = []
        after: dict[str, Any] = {}
        while True:
            answer = self._call("list_parts", Bucket=self._bucket, Key=key, UploadId=upload, **after)
            for part in answer.get("Parts", ()):
                checksum = part.get("ChecksumSHA256", "")
                found.append(HeldPart(part["PartNumber"], part["Size"], part["ETag"], checksum))
            if not answer.get("IsTruncated"):
                return found
            after = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def complete(self, key: str, upload: str, parts: Sequence[HeldPart]) -> None:
        """Makes the object of these parts. Raises ObjectNotFoundError (no such upload), PreconditionFailedError (the
        object is there already).
        """
        listed = [
            {
                "PartNumber": part.number,
                "ETag": part.etag,
                **({"ChecksumSHA256": part.checksum} if part.checksum else {}),
            }
            for part in parts
        ]
        self._call(
            "complete_multipart_upload",
            Bucket=self._bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": listed},
            IfNoneMatch="*",
        )

    def abort(self, key: str, upload: str) -> None:
        """One that is not there is no error."""
        try:
            self._call("abort_multipart_upload", Bucket=self._bucket, Key=key, UploadId=upload)
        except ObjectNotFoundError:
            return


def is_whole(objects: Objects, head: ObjectHead, body: bytes | None) -> bool:
    """Of an upload in parts: has it the SHA-256 that was granted? Storage checked each part, nobody their order.

    ``body``: the object, where it is in memory already. What came as one is whole.
    """
    granted = head.metadata.get(_WHOLE)
    if not granted:
        return True
    digest = hashlib.sha256()
    for chunk in objects.stream(head.key) if body is None else (body,):
        digest.update(chunk)
    return hmac.compare_digest(digest.hexdigest(), granted)
