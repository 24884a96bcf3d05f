"""The object store in a dict: passes the same contract suite as the real ones, and can count and fail."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from maypacs.archive.objects import CopyRange, ObjectHead, ObjectVersion
from maypacs.errors import ObjectNotFoundError, PreconditionFailedError


@dataclass(frozen=True)
class _Stored:
    body: bytes
    head: ObjectHead


class MemoryBuckets:
    """Several buckets, so that copies go from one to another; one lock for all.

    In those ``versioned`` nothing is overwritten, nor deleted but by its version, as S3 keeps versions.
    """

    def __init__(self, *, versioned: Collection[str] = ()) -> None:
        self.stored: dict[tuple[str, str], _Stored] = {}
        self.versioned = versioned
        self.history: dict[tuple[str, str], list[tuple[str, _Stored | None]]] = {}  # None: deleted
        self.numbers = itertools.count(1)
        self.lock = threading.RLock()

    def write(self, place: tuple[str, str], stored: _Stored | None) -> None:
        if place[0] in self.versioned:
            self.history.setdefault(place, []).append((f"v{next(self.numbers)}", stored))
        if stored is None:
            self.stored.pop(place, None)
        else:
            self.stored[place] = stored

    def versions(self, place: tuple[str, str]) -> list[tuple[str, _Stored | None]]:
        """The oldest first."""
        if place[0] in self.versioned:
            return self.history.get(place, [])
        return [("null", self.stored[place])] if place in self.stored else []

    def bucket(self, name: str) -> MemoryObjects:
        return MemoryObjects(self, name)


class MemoryObjects:
    """One bucket. ``before`` is called with the name of each operation: a test makes it count, wait or raise."""

    def __init__(self, buckets: MemoryBuckets, bucket: str) -> None:
        self.bucket = bucket
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda operation: None
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.stream_size = 65_536
        self._buckets = buckets

    def _begin(self, operation: str) -> None:
        self.before(operation)
        self.calls[operation] += 1

    def _find(self, key: str, bucket: str | None = None) -> _Stored:
        with self._buckets.lock:
            try:
                return self._buckets.stored[bucket or self.bucket, key]
            except KeyError:
                raise ObjectNotFoundError("no such object") from None

    def _store(
        self, key: str, body: bytes, content_type: str, metadata: Mapping[str, str], *, only_if_absent: bool = False
    ) -> str:
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        head = ObjectHead(key, len(body), etag, self.clock(), dict(metadata), content_type)
        with self._buckets.lock:
            if only_if_absent and (self.bucket, key) in self._buckets.stored:
                raise PreconditionFailedError("exists")
            self._buckets.write((self.bucket, key), _Stored(body, head))
        return etag

    def head(self, key: str) -> ObjectHead:
        self._begin("head")
        return self._find(key).head

    def get(self, key: str, *, offset: int = 0, length: int | None = None, if_match: str | None = None) -> bytes:
        self._begin("get")
        found = self._find(key)
        if if_match and if_match != found.head.etag:
            raise PreconditionFailedError("changed")
        return found.body[offset : None if length is None else offset + length]

    def get_with_head(self, key: str) -> tuple[bytes, ObjectHead]:
        self._begin("get")
        found = self._find(key)
        return found.body, found.head

    def stream(
        self, key: str, *, offset: int = 0, length: int | None = None, version_id: str | None = None
    ) -> Iterator[bytes]:
        self._begin("get")
        found = dict(self._buckets.versions((self.bucket, key))).get(version_id) if version_id else self._find(key)
        if found is None:
            raise ObjectNotFoundError("no such version")
        body = found.body[offset : None if length is None else offset + length]
        for at in range(0, len(body), self.stream_size):
            yield body[at : at + self.stream_size]

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
        self._begin("put")
        data = body if isinstance(body, bytes) else body.read()
        return self._store(key, data, content_type, metadata or {}, only_if_absent=only_if_absent)

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
            raise ValueError("copy takes whole objects")
        self._begin("copy")
        found = self._find(source.key, source.bucket)
        if source_etag and source_etag != found.head.etag:
            raise PreconditionFailedError("the source changed")
        return self._store(key, found.body, content_type, metadata, only_if_absent=only_if_absent)

    def join(self, parts: list[CopyRange | bytes], key: str, *, content_type: str, metadata: Mapping[str, str]) -> str:
        self._begin("join")
        pieces = []
        for part in parts:
            if isinstance(part, bytes):
                pieces.append(part)
            else:
                stop = None if part.length is None else part.offset + part.length
                pieces.append(self._find(part.key, part.bucket).body[part.offset : stop])
        return self._store(key, b"".join(pieces), content_type, metadata)

    def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> Iterator[ObjectHead]:
        self._begin("list")
        with self._buckets.lock:
            keys = sorted(k for b, k in self._buckets.stored if b == self.bucket and k.startswith(prefix))
        for key in [key for key in keys if key > start_after][:limit]:
            try:
                head = self._find(key).head
            except ObjectNotFoundError:
                continue
            yield ObjectHead(head.key, head.size, head.etag, head.last_modified)

    def delete(self, key: str) -> None:
        self._begin("delete")
        with self._buckets.lock:
            if self.bucket in self._buckets.versioned or (self.bucket, key) in self._buckets.stored:
                self._buckets.write((self.bucket, key), None)

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        self._begin("list")
        with self._buckets.lock:
            places = sorted({*self._buckets.history, *self._buckets.stored})
            found = [
                (key, version_id, stored, (version_id, stored) == held[-1])
                for bucket, key in places
                if bucket == self.bucket and key.startswith(prefix) and (held := self._buckets.versions((bucket, key)))
                for version_id, stored in reversed(held)
            ]
        for key, version_id, stored, latest in found:
            when = stored.head.last_modified if stored else self.clock()
            yield ObjectVersion(key, version_id, len(stored.body) if stored else 0, when, latest, stored is None)

    def delete_version(self, key: str, version_id: str) -> None:
        self._begin("delete")
        place = (self.bucket, key)
        with self._buckets.lock:
            left = [each for each in self._buckets.versions(place) if each[0] != version_id]
            self._buckets.history[place] = left if self.bucket in self._buckets.versioned else []
            if not left or left[-1][1] is None:
                self._buckets.stored.pop(place, None)
            else:
                self._buckets.stored[place] = left[-1][1]
            if not self._buckets.history[place]:
                del self._buckets.history[place]
