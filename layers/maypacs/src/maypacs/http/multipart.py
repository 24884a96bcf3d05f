"""multipart/related, read from hostile clients and written as everything else expects it.

Sources: RFC 2387, RFC 2046 5.1; PS3.18 8.6.1.2; protocols §2 (exact spelling of what we write).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from maypacs.errors import BadRequestError

#: Parts of one STOW request; and the bytes of one part's headers.
MAX_PARTS = 10_000
MAX_PART_HEADERS = 16_384


@dataclass(frozen=True, slots=True)
class BodyPart:
    headers: Mapping[str, str]  #: names in lower case
    content: memoryview


def read_multipart(body: bytes | memoryview, boundary: str) -> Iterator[BodyPart]:
    """The parts of a body. Raises BadRequestError: no boundary, no closing delimiter, bad headers, too many parts.

    Bare LF line ends are taken where CRLF is meant; a preamble and an epilogue are ignored (RFC 2046 5.1.1). Content is
    never searched for a Content-Length: the boundary alone says where a part ends. Nothing of the body is copied but
    headers: it may be a file that is mapped into memory, and the parts are windows of it.
    """
    if not boundary or len(boundary) > 200 or not boundary.isascii():
        raise BadRequestError("a multipart body needs a boundary parameter of at most 200 ASCII characters")
    data = _Bytes(body)
    delimiter = b"--" + boundary.encode("ascii")
    position = _next_delimiter(data, delimiter, 0)
    if position < 0:
        raise BadRequestError("the body does not hold its boundary")
    count = 0
    while True:
        after = position + len(delimiter)
        if data.at(after, 2) == b"--":
            return
        start = _line_end(data, after)
        following = _next_delimiter(data, delimiter, start - 1)
        if following < 0:
            raise BadRequestError("the last part is not closed by its boundary: the body is cut short")
        count += 1
        if count > MAX_PARTS:
            raise BadRequestError(f"more than {MAX_PARTS} parts")
        headers, content_start = _headers(data, start, following)
        end = following - (2 if data.at(following - 2, 2) == b"\r\n" else 1)
        yield BodyPart(headers, data.view[content_start : max(content_start, end)])
        position = following


class _Bytes:
    """What is looked for in bytes, and in a memoryview, which has no `find` and is not copied whole."""

    _WINDOW = 1 << 20

    def __init__(self, body: bytes | memoryview) -> None:
        self._bytes = body if isinstance(body, bytes) else None
        self.view = memoryview(body)

    def at(self, start: int, length: int) -> bytes:
        """The bytes from ``start`` on, fewer at the end; none before the beginning."""
        return bytes(self.view[start : start + length]) if start >= 0 else b""

    def find(self, needle: bytes, start: int, end: int | None = None) -> int:
        """The first place at ``start`` or behind it, ending before ``end``; -1 when there is none."""
        end = len(self.view) if end is None else min(end, len(self.view))
        if self._bytes is not None:
            return self._bytes.find(needle, start, end)
        for low in range(start, end, self._WINDOW):
            found = bytes(self.view[low : min(end, low + self._WINDOW + len(needle) - 1)]).find(needle)
            if found >= 0:
                return low + found
        return -1


def _next_delimiter(data: _Bytes, delimiter: bytes, start: int) -> int:
    """The next delimiter at the start of a line and followed by a line end, blanks or `--`; -1 when there is none."""
    position = max(start, 0)
    while True:
        position = data.find(delimiter, position)
        if position < 0:
            return -1
        after = data.at(position + len(delimiter), 2)
        at_line_start = position == 0 or data.at(position - 1, 1) == b"\n"
        if at_line_start and (after == b"--" or after[:1] in {b"\r", b"\n", b" ", b"\t", b""}):
            return position
        position += len(delimiter)


def _line_end(data: _Bytes, position: int) -> int:
    end = data.find(b"\n", position, position + 256)
    if end < 0 or data.at(position, end - position).strip():
        raise BadRequestError("a boundary line is malformed")
    return end + 1


def _headers(data: _Bytes, start: int, limit: int) -> tuple[dict[str, str], int]:
    """Header fields of a part, and where its content starts. A part may have none (RFC 2046 5.1): then a blank line."""
    headers: dict[str, str] = {}
    position = start
    while True:
        end = data.find(b"\n", position, min(limit, start + MAX_PART_HEADERS))
        if end < 0:
            raise BadRequestError("the headers of a part do not end")
        line = data.at(position, end - position).rstrip(b"\r")
        position = end + 1
        if not line:
            return headers, position
        name, separator, value = line.partition(b":")
        if not separator:
            raise BadRequestError("a header line of a part has no colon")
        headers.setdefault(name.strip().lower().decode("latin-1"), value.strip().decode("latin-1"))


# -- writing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutPart:
    content_type: str
    content: bytes | memoryview
    location: str = ""


def part_head(boundary: str, content_type: str, length: int, location: str = "") -> bytes:
    lines = [f"--{boundary}", f"Content-Type: {content_type}", f"Content-Length: {length}"]
    if location:
        lines.append(f"Content-Location: {location}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def part_close(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode("ascii")


def write_multipart(parts: Iterable[OutPart], part_type: str) -> tuple[bytes, str]:
    """(body, Content-Type). The boundary is random: 128 bits that no content can be made to hold beforehand."""
    boundary = new_boundary()
    return b"".join(write_parts(parts, boundary)), content_type(part_type, boundary)


def write_parts(parts: Iterable[OutPart], boundary: str) -> Iterator[bytes | memoryview]:
    """The pieces of a whole multipart body."""
    for part in parts:
        yield part_head(boundary, part.content_type, len(part.content), part.location)
        yield part.content
        yield b"\r\n"
    yield part_close(boundary)


def new_boundary() -> str:
    return secrets.token_hex(16)


def content_type(part_type: str, boundary: str) -> str:
    return f'multipart/related; type="{part_type}"; boundary={boundary}'
