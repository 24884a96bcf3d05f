"""A multipart body of anybody's (RFC 2046 5.1), part by part, as a stream: what STOW takes, uploaded instead.

Packs of the grammar do not need it; bodies spelled otherwise, and those larger than a pack, do.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from maypacs.errors import PackError

_FIRST_LINE = re.compile(rb"--([ -~]{0,69}[!-~])[ \t]*\r\n")
#: Of the header block of one part.
MAX_HEADERS = 16 * 1024
_CHUNK = 256 * 1024


class PartReader(io.RawIOBase):
    """The bytes of one part: up to, and without, the CRLF before the next delimiter."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._parts.take(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Parts:
    """Iterates over the parts; each must be read before the next (what is left of it is skipped).

    Raises PackError when the body is not multipart, or ends before its closing delimiter.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._buffer = b""
        self._delimiter = b""
        self._ended = False  #: of the present part

    def __iter__(self) -> Iterator[PartReader]:
        self._fill(128)
        match = _FIRST_LINE.match(self._buffer)
        if match is None:
            raise PackError("the body does not begin with a boundary")
        self._delimiter = b"\r\n--" + match[1]
        # As every delimiter but the first follows a CRLF: keep the one before the headers.
        self._buffer = self._buffer[match.end() - 2 :]
        while True:
            self._skip_headers()
            self._ended = False
            part = PartReader(self)
            yield part
            while self.take(_CHUNK):
                pass
            self._fill(2)
            if self._buffer.startswith(b"--"):
                return
            line, found, _ = self._buffer.partition(b"\r\n")
            if not found or line.strip(b" \t"):
                raise PackError("a delimiter is followed by other bytes")
            self._buffer = self._buffer[len(line) :]

    def take(self, size: int) -> bytes:
        """Up to ``size`` bytes of the present part; b"" at its end."""
        if self._ended or size <= 0:
            return b""
        self._fill(len(self._delimiter) + max(1, min(size, _CHUNK)))
        at = self._buffer.find(self._delimiter)
        if at < 0:
            safe = len(self._buffer) - len(self._delimiter) + 1
            if safe <= 0:
                raise PackError("the body ends before its closing delimiter")
            data = self._buffer[: min(size, safe)]
        else:
            data = self._buffer[: min(size, at)]
            if at == 0:
                self._ended = True
                self._buffer = self._buffer[len(self._delimiter) :]
                return b""
        self._buffer = self._buffer[len(data) :]
        return data

    def _skip_headers(self) -> None:
        """From the CRLF of the delimiter line to the empty line."""
        self._fill(MAX_HEADERS)
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEADERS)
        if end < 0:
            raise PackError("the headers of a part do not end")
        # A part without a body: its delimiter follows the empty line at once, and shares its CRLF.
        after = end + 4
        self._buffer = self._buffer[after - 2 if self._buffer.startswith(self._delimiter, after - 2) else after :]

    def _fill(self, size: int) -> None:
        if len(self._buffer) >= size:
            return
        pieces = [self._buffer]
        wanted = max(size, _CHUNK) - len(self._buffer)
        while wanted > 0 and (piece := self._source.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        self._buffer = b"".join(pieces)
