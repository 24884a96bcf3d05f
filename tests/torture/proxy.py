"""The uplink: a TCP proxy between edge and cloud that passes on, stalls, resets, throttles, or answers itself."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from enum import StrEnum

_PIECE = 16 * 1024
_PORTAL = b"<html><title>Wi-Fi</title><form action=/login>Sign in to the network</form></html>"


class Weather(StrEnum):
    FAIR = "fair"
    CUT = "cut"
    """Nobody listens: connections are refused, open ones are gone."""
    SILENT = "silent"
    """Connections are taken, and nothing comes back: a half-open line."""
    RESETS = "resets"
    """Each connection is reset after some bytes, in either direction."""
    SLOW = "slow"
    """A narrow line with stalls: 256 KiB/s, now and then nothing for a while, now and then a broken connection."""
    ERRORS = "errors"
    """500, 502, 503 with and without Retry-After, 429, answers that break off."""
    PORTAL = "portal"
    """A captive portal answers everything, with 200 and HTML, or sends elsewhere."""
    ANSWERS_LOST = "answers lost"
    """Requests arrive; their answers do not."""


class Proxy:
    """Listens on a port of its own; `weather` may change at any time and holds for open connections, too."""

    def __init__(self, target: int, seed: int) -> None:
        self._target, self._dice = target, random.Random(seed)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.passed = 0
        """Bytes towards the cloud."""
        self._weather = Weather.FAIR
        self._closed = False
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, name="uplink", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def weather(self) -> Weather:
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        if weather is Weather.CUT:
            self._break_all()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._break_all()

    def _break_all(self) -> None:
        with self._lock:
            for connection in self._open:
                _reset(connection)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self._weather is Weather.CUT:
                _reset(client)
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), name="uplink connection", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, self._kept(client):
            if self._weather in (Weather.ERRORS, Weather.PORTAL) and self._dice.random() < 0.9:
                self._answer(client)
                return
            try:
                cloud = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                _reset(client)
                return
            with cloud, self._kept(cloud):
                cloud.settimeout(None)
                back = threading.Thread(target=self._pump, args=(cloud, client, False), daemon=True)
                back.start()
                self._pump(client, cloud, True)
                back.join()

    @contextlib.contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def _pump(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        left = self._dice.randrange(200, 400_000)
        try:
            while piece := source.recv(_PIECE):
                weather = self._weather
                while self._weather is Weather.SILENT or (not up and self._weather is Weather.ANSWERS_LOST):
                    time.sleep(0.05)
                if weather is Weather.SLOW:
                    time.sleep(len(piece) / 262_144 if self._dice.random() > 0.01 else 2.0)
                    if self._dice.random() < 0.002:
                        raise ConnectionError
                if weather is Weather.RESETS:
                    left -= len(piece)
                    if left < 0:
                        raise ConnectionError
                if weather in (Weather.ERRORS, Weather.PORTAL) and up:
                    raise ConnectionError  # a kept connection: its next one is answered by us
                target.sendall(piece)
                if up:
                    self.passed += len(piece)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            _reset(target)

    def _answer(self, client: socket.socket) -> None:
        """Read what comes for a moment, then say something that is not the cloud's."""
        client.settimeout(0.2)
        with contextlib.suppress(OSError):
            while client.recv(_PIECE):
                pass
        with contextlib.suppress(OSError):
            client.settimeout(2)
            client.sendall(self._words())

    def _words(self) -> bytes:
        if self._weather is Weather.PORTAL:
            if self._dice.random() < 0.5:
                return _response("302 Found", _PORTAL, f"Location: {self.url}/login\r\n")
            return _response("200 OK", _PORTAL, "Content-Type: text/html\r\n")
        status = self._dice.choice(
            ("500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "429 Too Many Requests")
        )
        after = "Retry-After: 1\r\n" if self._dice.random() < 0.5 else ""
        whole = _response(status, b'{"title": "no"}', f"Content-Type: application/json\r\n{after}")
        return whole if self._dice.random() < 0.8 else whole[: self._dice.randrange(len(whole))]


def _response(status: str, body: bytes, headers: str) -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _reset(connection: socket.socket) -> None:
    """RST: as a router does that has forgotten the connection."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
