"""One byte range of a value (RFC 9110 14.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from maypacs.errors import BadRequestError
from maypacs.http.answers import Answer

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


def span(text: str, total: int, limit: int) -> tuple[int, int] | None:
    """[start, end) of one range of `total` bytes, at most `limit` of them; None when it cannot be satisfied.

    Raises BadRequestError for several ranges.
    """
    found = _RANGE.match(text.strip())
    if not found or not any(found.groups()):
        raise BadRequestError("a Range of one part, bytes=first-last, is taken")
    first, last = found.groups()
    start = int(first) if first else max(0, total - int(last))
    end = min(total, int(last) + 1) if first and last else total
    return (start, min(end, start + limit)) if start < end else None


def ranged(value: bytes, text: str, headers: Mapping[str, str], limit: int) -> Answer:
    """206 or 416; the range is cut to what the gateway carries. Raises BadRequestError for several ranges."""
    found = span(text, len(value), limit)
    return unsatisfied(len(value)) if found is None else partial(value[slice(*found)], found[0], len(value), headers)


def unsatisfied(total: int) -> Answer:
    return Answer(416, {"Content-Range": f"bytes */{total}"})


def partial(content: bytes, start: int, total: int, headers: Mapping[str, str]) -> Answer:
    """The bytes from `start` of a value of `total` bytes."""
    return Answer(206, {**headers, "Content-Range": f"bytes {start}-{start + len(content) - 1}/{total}"}, content)
