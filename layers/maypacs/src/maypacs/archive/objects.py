"""The object-store port: the short list of S3 features used (contract suite: tests/contract/test_objects.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class ObjectHead:
    key: str
    size: int
    etag: str  #: without quotes
    last_modified: datetime  #: aware, UTC
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class CopyRange:
    """Bytes [offset, offset + length) of an object, or all of it (length None), of ``bucket`` or the same bucket."""

    key: str
    offset: int = 0
    length: int | None = None
    bucket: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object, or the mark that it was deleted. A bucket that keeps no versions has one each."""

    key: str
    version_id: str
    size: int  #: 0 of a mark
    last_modified: datetime
    is_latest: bool
    is_marker: bool = False


class Objects(Protocol):
    """One bucket. Raises ObjectNotFoundError, PreconditionFailedError, StorageError."""

    bucket: str

    def head(self, key: str) -> ObjectHead: ...

    def get(self, key: str, *, offset: int = 0, length: int | None = None, if_match: str | None = None) -> bytes: ...

    def get_with_head(self, key: str) -> tuple[bytes, ObjectHead]: ...

    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, version_id: str | None = None
    ) -> Iterator[bytes]: ...

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
        """Stores, durably, with a SHA-256 checksum; returns the ETag. ``only_if_absent`` is If-None-Match: *."""
        ...

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
        """Server-side copy of a whole object; returns the ETag of the copy."""
        ...

    def join(self, parts: list[CopyRange | bytes], key: str, *, content_type: str, metadata: Mapping[str, str]) -> str:
        """One object out of ranges of others and literal bytes: by part copy where S3's 5 MiB rule allows it."""
        ...

    def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> Iterator[ObjectHead]:
        """In key order; heads have no metadata and no content type."""
        ...

    def delete(self, key: str) -> None:
        """A bucket that keeps versions keeps what was there; `delete_version` does not."""
        ...

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """Every version there is below a prefix, and every mark of a deletion, in key order."""
        ...

    def delete_version(self, key: str, version_id: str) -> None:
        """For good; what is gone is a success."""
        ...
