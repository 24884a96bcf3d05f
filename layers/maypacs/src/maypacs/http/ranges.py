"""One byte range of a value in memory (RFC 9110 14.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from maypacs.errors import BadRequestError
from maypacs.http.answers import Answer

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


def ranged(value: bytes, text: str, headers: Mapping[str, str], limit: int) -> Answer:
    """206 or 416; the range is cut to what the gateway carries. Raises BadRequestError for several ranges."""
    found = _RANGE.match(text.strip())
    if not found or not any(found.groups()):
        raise BadRequestError("a Range of one part, bytes=first-last, is taken")
    first, last = found.groups()
    start = int(first) if first else max(0, len(value) - int(last))
    end = min(len(value), int(last) + 1) if first and last else len(value)
    if start >= end:
        return Answer(416, {"Content-Range": f"bytes */{len(value)}"})
    end = min(end, start + limit)
    return Answer(206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(value)}"}, value[start:end])
