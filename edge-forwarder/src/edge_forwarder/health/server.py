"""``/health`` and ``/metrics`` on loopback: one thread, one request at a time, GET and HEAD alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

from edge_forwarder import ports
from edge_forwarder.health import metrics
from edge_forwarder.health.findings import Finding, level_of

_HOST: Final = "127.0.0.1"
#: A caller has so long (seconds) to say what it wants: the next one waits for it.
_PATIENCE: Final = 3.0
#: Who asks more often gets the same answer.
_REMEMBER: Final = 1.0

Look = Callable[[], tuple[dict[str, Any], list[Finding]]]


class HealthServer:
    def __init__(self, port: int, look: Look) -> None:
        """0 takes a free port. Raises ConfigError when it is taken."""
        with ports.told_of("health", _HOST, port):
            self._server = _Server((_HOST, port), look)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.5,), name="health", daemon=True)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        if self._thread.is_alive():
            threading.Thread(target=self._server.shutdown, daemon=True).start()
            self._thread.join(seconds)
        self._server.server_close()


class _Server(HTTPServer):
    def __init__(self, address: tuple[str, int], look: Look) -> None:
        self._look, self._seen_at = look, -_REMEMBER
        super().__init__(address, _Handler)

    def look(self) -> tuple[dict[str, Any], list[Finding]]:
        if time.monotonic() - self._seen_at >= _REMEMBER:
            self._seen, self._seen_at = self._look(), time.monotonic()
        return self._seen

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    protocol_version = "HTTP/1.0"  # one request a connection: nobody keeps the thread
    server_version, sys_version = "maypacs-edge", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path not in ("/health", "/metrics"):
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "/health, /metrics\n")
            return
        try:
            vitals, findings = self.server.look()
        except Exception as error:  # the journal, the disk: then this edge is not well
            why = f"how the edge is cannot be told ({type(error).__name__})"
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "application/json", as_health("red", [why]))
            return
        if path == "/metrics":
            self._answer(HTTPStatus.OK, metrics.CONTENT_TYPE, metrics.render(vitals, findings))
            return
        level = level_of(findings)
        status = HTTPStatus.SERVICE_UNAVAILABLE if level == "red" else HTTPStatus.OK
        self._answer(status, "application/json", as_health(level, [finding.words for finding in findings]))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """A line a scrape would drown the others."""


def as_health(level: str, words: list[str]) -> str:
    return json.dumps({"status": level, "findings": words}, ensure_ascii=False, indent=2) + "\n"
