"""Multipart uploads: how to cut a join into S3's parts (each but the last at least 5 MiB), and one upload as a context.

`plan` is pure; `Upload` aborts what it began when anything fails, so that no unseen parts are paid for.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

MIN_PART = 5 * 1024 * 1024
#: What storage copies at once. It takes up to 5 GiB, at the speed of about one connection: several of these side by
#: side are gigabytes a second, and a request has half a minute.
COPY_PART = 256 * 1024 * 1024
_COPIES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [offset, offset + length) of the ``part``-th input."""

    part: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the upload: a copy by storage of one span, or an upload of the spans' bytes, read by us."""

    copy: bool
    spans: tuple[Span, ...]

    @property
    def length(self) -> int:
        return sum(span.length for span in self.spans)


def plan(inputs: Sequence[tuple[int, bool]]) -> list[Step]:
    """Steps that yield the inputs (their length, and whether storage can copy them) in order.

    What is small is read and uploaded together with its neighbours; what is large is copied, but for the few bytes
    that fill up a small part before it.
    """
    steps: list[Step] = []
    pending: list[Span] = []
    waiting = 0
    total = sum(length for length, _ in inputs)
    done = 0

    def flush() -> None:
        nonlocal waiting
        if pending:
            steps.append(Step(copy=False, spans=tuple(pending)))
            pending.clear()
            waiting = 0

    for number, (length, copyable) in enumerate(inputs):
        offset = 0
        if copyable and length >= MIN_PART:
            if 0 < waiting < MIN_PART:
                fill = min(MIN_PART - waiting, length)
                pending.append(Span(number, 0, fill))
                waiting += fill
                offset = fill
            left = length - offset
            last = done + length == total
            while left >= MIN_PART or (left and last and (waiting == 0 or waiting >= MIN_PART)):
                flush()
                take = _copied_at_once(left)
                steps.append(Step(copy=True, spans=(Span(number, offset, take),)))
                offset += take
                left -= take
        if offset < length:
            rest = length - offset
            pending.append(Span(number, offset, rest))
            waiting += rest
        if waiting >= 2 * MIN_PART:
            flush()
        done += length
    flush()
    return steps or [Step(copy=False, spans=())]


def _copied_at_once(left: int) -> int:
    """Never leaves a crumb below the minimum for the next part."""
    return left if left <= COPY_PART else min(COPY_PART, left - MIN_PART)


class Upload:
    """One multipart upload: ``part`` and ``copy`` in order, then ``complete``; leaving without it aborts.

    Copies go on side by side until ``complete``, which raises what went wrong with them.
    """

    def __init__(self, client: Any, call: Callable[..., Any], bucket: str, key: str, fields: Mapping[str, Any]) -> None:
        self._call = call
        self._where = {"Bucket": bucket, "Key": key}
        self._fields = fields
        self._parts: list[Callable[[], dict[str, Any]]] = []
        self._copies = ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="copy")
        self._done = False

    def __enter__(self) -> Upload:
        answer = self._call("create_multipart_upload", **self._where, **self._fields)
        self._where["UploadId"] = answer["UploadId"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._copies.shutdown(cancel_futures=True)  # a part that arrives after the abort would stay, unseen
        if not self._done:
            self._call("abort_multipart_upload", **self._where)

    def part(self, body: bytes) -> None:
        number = len(self._parts) + 1
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        answer = self._call("upload_part", **self._where, PartNumber=number, Body=body, ContentMD5=digest)
        part = {"ETag": answer["ETag"], "PartNumber": number}
        self._parts.append(lambda: part)

    def copy(self, bucket: str, key: str, offset: int, length: int, *, etag: str | None = None) -> None:
        fields: dict[str, Any] = {"CopySource": {"Bucket": bucket, "Key": key}}
        if etag:
            fields["CopySourceIfMatch"] = f'"{etag}"'
        while length:
            take = _copied_at_once(length)
            copied = f"bytes={offset}-{offset + take - 1}"
            self._parts.append(self._copies.submit(self._copy, len(self._parts) + 1, copied, fields).result)
            offset += take
            length -= take

    def _copy(self, number: int, copied: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._call("upload_part_copy", **self._where, PartNumber=number, CopySourceRange=copied, **fields)
        return {"ETag": answer["CopyPartResult"]["ETag"], "PartNumber": number}

    def complete(self, *, only_if_absent: bool = False) -> str:
        extra = {"IfNoneMatch": "*"} if only_if_absent else {}
        parts = [part() for part in self._parts]
        answer = self._call("complete_multipart_upload", **self._where, MultipartUpload={"Parts": parts}, **extra)
        self._done = True
        return str(answer["ETag"]).strip('"')
