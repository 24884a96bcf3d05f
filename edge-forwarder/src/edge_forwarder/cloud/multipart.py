"""A ``multipart/related`` message, read part by part and in pieces (RFC 2046 5.1.1, PS3.18 8.6.1.2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from typing import Final, Protocol, Self

import urllib3

from edge_forwarder.errors import CloudAwayError, EdgeError

_PIECE: Final = 256 * 1024
_MAX_HEAD: Final = 16 * 1024


def boundary_of(content_type: str) -> str | None:
    """The boundary of a multipart message, by its Content-Type; None if it has none that may be one."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    good = isinstance(boundary, str) and re.fullmatch(r"[ -~]{1,70}", boundary) is not None
    return boundary if good and isinstance(boundary, str) else None


class Source(Protocol):
    def read(self, amt: int) -> bytes: ...


class Parts:
    """Iterate over the parts; each is an iterator over its pieces, to be read before the next. Raises `error` for what
    is no such message, or ends too early.
    """

    error: type[EdgeError] = CloudAwayError
    broke_off = "the cloud broke off"

    def __init__(self, source: Source, boundary: str) -> None:
        self._source, self._buffer = source, bytearray(b"\r\n")
        self._delimiter = b"\r\n--" + boundary.encode("ascii", "replace")
        self._in_part = False

    @classmethod
    def of(cls, response: urllib3.BaseHTTPResponse) -> Self:
        boundary = boundary_of(response.headers.get("Content-Type", ""))
        if boundary is None:
            raise CloudAwayError("what answered is not the archive: no multipart message")
        return cls(response, boundary)

    def __iter__(self) -> Iterator[Iterator[bytes]]:
        for _ in self._until_delimiter():
            pass  # a preamble
        while True:
            self._fill(2)
            if self._buffer[:2] == b"--":
                return
            self._head()
            self._in_part = True
            yield self._until_delimiter()
            if self._in_part:
                for _ in self._until_delimiter():
                    pass

    def _head(self) -> None:
        """Up to the empty line; what a part is, its own bytes say."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise self.error("a part without an end of its head")
            self._more()
        del self._buffer[: end + 4]

    def _until_delimiter(self) -> Iterator[bytes]:
        keep = len(self._delimiter) - 1
        while (at := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > keep:
                piece = bytes(self._buffer[:-keep])
                del self._buffer[:-keep]
                yield piece
            self._more()
        piece = bytes(self._buffer[:at])
        del self._buffer[: at + len(self._delimiter)]
        self._in_part = False  # now: who has read all there is may never ask for more
        if piece:
            yield piece

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            self._more()

    def _more(self) -> None:
        try:
            data = self._source.read(_PIECE)
        except urllib3.exceptions.HTTPError as error:
            raise self.error(f"{self.broke_off} ({type(error).__name__})") from None
        if not data:
            raise self.error(self.broke_off)
        self._buffer += data
