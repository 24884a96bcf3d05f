"""A request's bytes from a socket: with patience, but not with too much; by length or in chunks (RFC 9112 6, 7.1)."""

from __future__ import annotations

import io
import socket
import time
from typing import BinaryIO, Final, Protocol

from edge_forwarder.cloud.multipart import Parts
from edge_forwarder.errors import BrokenBodyError

#: Who sends less than this on average (bytes a second) is cut off, after a time of grace.
_LEAST_RATE: Final = 1000.0
#: Of a request, with what is read ahead.
_MAX_HEAD: Final = 512 * 1024
_MAX_LINE: Final = 1024
_MAX_TRAILERS: Final = 64


class Patience(io.RawIOBase):
    """A socket to read from, within a time: first all of the head, then a body at a decent pace. TimeoutError else."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._since, self._received, self._in_body = time.monotonic(), 0, False

    def readable(self) -> bool:
        return True

    def body_begins(self) -> None:
        self._since, self._received, self._in_body = time.monotonic(), 0, True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        waited = time.monotonic() - self._since
        if not self._in_body and waited >= self._seconds:
            raise TimeoutError("the request's head takes too long")
        if self._in_body and waited > self._seconds and self._received < waited * _LEAST_RATE:
            raise TimeoutError("the client is too slow")
        if not self._in_body and self._received > _MAX_HEAD:
            raise TimeoutError("the request's head is too long")
        self._connection.settimeout(self._seconds if self._in_body else self._seconds - waited)
        count = self._connection.recv_into(buffer)
        self._received += count
        return count


class Source(Protocol):
    def read(self, amt: int) -> bytes: ...


class Sized:
    """A body of a known length."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left = file, length

    def read(self, amt: int) -> bytes:
        """Empty at the end, and when the client is gone before."""
        data = self._file.read1(min(amt, self._left)) if self._left else b""  # type: ignore[attr-defined]
        self._left -= len(data)
        return bytes(data)


class Chunked:
    """A body in chunks; what is not, raises BrokenBodyError."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left, self._ended = file, 0, False

    def read(self, amt: int) -> bytes:
        if self._ended:
            return b""
        if not self._left:
            self._left = self._size()
            if not self._left:
                self._trailers()
                self._ended = True
                return b""
        data = self._file.read1(min(amt, self._left))  # type: ignore[attr-defined]
        self._left -= len(data)
        if data and not self._left and self._file.read(2) != b"\r\n":
            raise BrokenBodyError("a chunk that is longer than it says")
        return bytes(data)

    def _size(self) -> int:
        line = self._line()
        digits = line.partition(b";")[0].strip()
        # int() would take signs and underscores.
        if not digits or len(digits) > 16 or not all(c in b"0123456789abcdefABCDEF" for c in digits):
            raise BrokenBodyError("not a chunk's size")
        return int(digits, 16)

    def _trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            if self._line() in (b"\r\n", b"\n", b""):
                return
        raise BrokenBodyError("too many trailers")

    def _line(self) -> bytes:
        line = self._file.readline(_MAX_LINE)
        if len(line) >= _MAX_LINE:
            raise BrokenBodyError("a line of a chunked body that long")
        return line


class RequestParts(Parts):
    """The parts of a STOW-RS request."""

    error = BrokenBodyError
    broke_off = "the body ends before its last boundary"
