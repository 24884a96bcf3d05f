"""One byte range of a value (RFC 9110 14.2, 13.1.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from maypacs.http.answers import Answer, conditional, quoted

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """``first`` to ``last``, both included; without ``last`` to the end, without ``first`` the ``last`` bytes."""

    first: int | None
    last: int | None


def asked(headers: Mapping[str, str], etag: str) -> ByteRange | None:
    """The range that a GET asks for; None: answer as if it asked for none.

    So it is with an unknown unit, several ranges, and what is no range (14.2), and when If-Range does not name this
    very ETag (13.1.5: compared strongly; a date never holds, since our answers have no Last-Modified).
    """
    found = _RANGE.match(headers.get("range", "").strip())
    if not found or not any(found.groups()) or headers.get("if-range", quoted(etag)).strip() != quoted(etag):
        return None
    first, last = (int(text) if text else None for text in found.groups())
    return None if first is not None and last is not None and last < first else ByteRange(first, last)


def span(wanted: ByteRange, total: int, limit: int) -> tuple[int, int] | None:
    """[start, end) of the range in `total` bytes, at most `limit` of them; None when it cannot be satisfied."""
    if wanted.first is None:
        start, end = max(0, total - (wanted.last or 0)), total
    else:
        start, end = wanted.first, total if wanted.last is None else min(total, wanted.last + 1)
    return (start, min(end, start + limit)) if start < end else None


def ranged(value: bytes, wanted: ByteRange, headers: Mapping[str, str], limit: int, etag: str) -> Answer:
    """206 or 416; the range is cut to what the gateway carries."""
    found = span(wanted, len(value), limit)
    if found is None:
        return unsatisfied(len(value))
    return partial(value[slice(*found)], found[0], len(value), headers, etag)


def unsatisfied(total: int) -> Answer:
    return Answer(416, {"Content-Range": f"bytes */{total}"})


def partial(content: bytes, start: int, total: int, headers: Mapping[str, str], etag: str) -> Answer:
    """The bytes from `start` of a value of `total` bytes; with the ETag that If-Range names (15.3.7)."""
    where = {"Content-Range": f"bytes {start}-{start + len(content) - 1}/{total}"}
    return conditional(Answer(206, {**headers, **where}, content), etag, None)
