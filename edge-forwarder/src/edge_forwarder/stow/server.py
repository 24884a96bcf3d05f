"""The HTTP side: a thread a request, so many at once, POST /studies and POST /studies/{study} alone."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import re
import socket
import ssl
import threading
import time
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, Final, cast

from edge_forwarder import ports
from edge_forwarder.cloud.multipart import boundary_of
from edge_forwarder.config import StowConfig
from edge_forwarder.errors import SpoolFullError, StowError
from edge_forwarder.logs import Log
from edge_forwarder.stow.answer import NO_ROOM, document, status_of
from edge_forwarder.stow.body import Chunked, Patience, RequestParts, Sized, Source
from edge_forwarder.stow.store import Store

_ROUTE: Final = re.compile(r"(?:/dicomweb)?/studies(?:/([0-9.]{1,64}))?/?")
_DICOM_JSON: Final = "application/dicom+json"
_RETRY_SECONDS: Final = 60
#: After an answer that came before the end of the body, it is read on for so long: a client that is still sending
#: would see its connection reset instead of the answer.
_LINGER_SECONDS: Final = 2.0
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class StowServer:
    """Raises ConfigError when the port is taken."""

    def __init__(
        self, config: StowConfig, store: Store, root: str, log: Log, tls: ssl.SSLContext | None = None
    ) -> None:
        """``root``: where the archive's DICOMweb is, for RetrieveURL."""
        with ports.told_of("stow", config.bind, config.port):
            self._server = _Server(config, store, root, log, tls)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="stow", daemon=True)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 6.0) -> None:
        """Take no more; requests under way get so long to end. What they brought whole is stored, answered or not."""
        deadline = time.monotonic() + seconds
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.socket.close()
        while self._server.open_requests and time.monotonic() < deadline:
            time.sleep(0.05)
        self._server.cut()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, config: StowConfig, store: Store, root: str, log: Log, tls: ssl.SSLContext | None) -> None:
        self.config, self.store, self.root, self.log, self.tls = config, store, root, log, tls
        self.digests = [hashlib.sha256(key.encode()).digest() for key in config.api_keys]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        if ":" in config.bind:
            self.address_family = socket.AF_INET6
        super().__init__((config.bind, config.port), _Handler)

    def server_bind(self) -> None:
        """Without looking up our own name, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def open_requests(self) -> int:
        return len(self._open)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more; else it is told so at once, without a thread."""
        with self._lock:
            if len(self._open) < self.config.max_requests:
                self._open.add(request)
                return True
        if self.tls is None:
            with contextlib.suppress(OSError):
                request.settimeout(1.0)
                request.sendall(_BUSY)
        return False

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away, or speaks no TLS, is no news."""

    def cut(self) -> None:
        with self._lock:
            for request in self._open:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "maypacs-edge", ""

    def setup(self) -> None:
        self.connection = self.request
        self.connection.settimeout(self.server.config.timeout_seconds)
        if self.server.tls is not None:
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self._patience = Patience(self.connection, self.server.config.timeout_seconds)
        self.rfile = cast("BinaryIO", io.BufferedReader(self._patience, 256 * 1024))  # type: ignore[assignment]
        self.wfile = cast("Any", self.connection.makefile("wb", 0))
        self._body: Source | None = None

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self._linger()
            if isinstance(self.connection, ssl.SSLSocket):
                self.connection.unwrap()
        self.wfile.close()
        self.connection.close()

    def handle_expect_100(self) -> bool:
        """Before a large body is sent for nothing (RFC 9110 10.1.1)."""
        return self._admitted() and super().handle_expect_100()

    def do_POST(self) -> None:
        self.close_connection = True  # one request a connection: nobody holds a place without using it
        if not self._admitted():
            return
        match = _ROUTE.fullmatch(self.path.partition("?")[0])
        assert match is not None
        started = time.monotonic()
        try:
            boundary = self._boundary()
            self._body = self._open_body()
            self._patience.body_begins()
            outcomes = self.server.store.take(RequestParts(self._body, boundary), match[1])
        except StowError as error:
            self._refuse(HTTPStatus(error.status), str(error))
        except TimeoutError as error:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, str(error))
        except OSError as error:
            self.server.log.warning("STOW broke off", host=self.client_address[0], why=type(error).__name__)
        else:
            failed = sum(1 for outcome in outcomes if outcome.reason is not None)
            self.server.log.info(
                "stored by STOW",
                host=self.client_address[0],
                instances=len(outcomes) - failed,
                failed=failed,
                seconds=round(time.monotonic() - started, 3),
            )
            self._answer(status_of(outcomes), document(outcomes, self.server.root), _DICOM_JSON)

    def _admitted(self) -> bool:
        """Whether the body is wanted: who asks, for what, in which words, and is there room? If not, it is answered."""
        self.close_connection = True
        try:
            self._check()
        except StowError as error:
            self._refuse(HTTPStatus(error.status), str(error))
        except SpoolFullError as error:
            self.server.store.refused()
            self._refuse(NO_ROOM, str(error))
        else:
            return True
        return False

    def _check(self) -> None:
        """Raises StowError, SpoolFullError."""
        scheme, _, key = (self.headers.get("Authorization") or "").strip().partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "replace")).digest()
        known = [hmac.compare_digest(digest, each) for each in self.server.digests]
        if scheme.lower() != "bearer" or not any(known):
            raise StowError("a key of [stow] api_keys is needed: Authorization: Bearer KEY", 401)
        if _ROUTE.fullmatch(self.path.partition("?")[0]) is None:
            raise StowError("taken here: POST /studies, POST /studies/{study}", 404)
        if self.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise StowError("a compressed body is not taken (Content-Encoding)", 415)
        self._boundary()
        accept = self.headers.get("Accept", "*/*")
        if not any(word in accept for word in ("*/*", "application/*", "json")):
            raise StowError(f"answered in {_DICOM_JSON} alone", 406)
        self.server.store.check_room(self._length() or 0)

    def _boundary(self) -> str:
        content_type = self.headers.get("Content-Type", "")
        message = Message()
        message["Content-Type"] = content_type
        root = str(message.get_param("type") or "application/dicom").partition(";")[0].strip().lower()
        boundary = boundary_of(content_type)
        if message.get_content_type() != "multipart/related" or root != "application/dicom" or boundary is None:
            raise StowError('taken here: multipart/related; type="application/dicom"; boundary=…', 415)
        return boundary

    def _length(self) -> int | None:
        """None for a body in chunks. Raises StowError (RFC 9112 6.3: both, or nonsense, may be an attack)."""
        lengths, coding = self.headers.get_all("Content-Length") or [], self.headers.get("Transfer-Encoding")
        if coding is not None:
            if coding.strip().lower() != "chunked" or lengths:
                raise StowError("Transfer-Encoding: chunked, or a Content-Length", 400)
            return None
        if not lengths:
            raise StowError("a Content-Length is needed", 411)
        text = lengths[0].strip()
        if len(lengths) > 1 or not text.isascii() or not text.isdigit() or len(text) > 15:
            raise StowError("not a Content-Length", 400)
        return int(text)

    def _open_body(self) -> Source:
        length, file = self._length(), cast("BinaryIO", self.rfile)
        return Chunked(file) if length is None else Sized(file, length)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.server.log.warning("STOW refused", host=self.client_address[0], why=why)
        problem = {"title": status.phrase, "status": int(status), "detail": why}
        self._answer(status, problem, "application/problem+json")

    def _answer(self, status: HTTPStatus, value: dict[str, Any], kind: str) -> None:
        body = json.dumps(value).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            if status == NO_ROOM:
                self.send_header("Retry-After", str(_RETRY_SECONDS))
            if status == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", "Bearer")
            self.end_headers()
            self.wfile.write(body)

    def _linger(self) -> None:
        """Say that nothing more comes, and hear the client out for a moment."""
        if isinstance(self.connection, ssl.SSLSocket):
            return
        self.connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER_SECONDS
        self.connection.settimeout(_LINGER_SECONDS)
        while time.monotonic() < deadline and self.connection.recv(65536):
            pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request, in our words."""
        self.close_connection = True
        phrase = {501: "taken here: POST /studies, POST /studies/{study}"}.get(code, message or HTTPStatus(code).phrase)
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED if code == 501 else HTTPStatus(code), phrase)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Our log says what is worth it."""
