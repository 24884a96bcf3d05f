"""A small static server on a port of its own: another origin than the node's, as a third party's viewer has."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_TYPES = {
    **SimpleHTTPRequestHandler.extensions_map,
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder, some documents from memory; what has no dot in its last step is index.html (a single page)."""

    protocol_version = "HTTP/1.1"
    extensions_map = _TYPES

    def __init__(self, *args: object, documents: Mapping[str, tuple[str, bytes]], **kwargs: object) -> None:
        self.documents = documents
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in self.documents:
            content_type, body = self.documents[path]
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if "." not in path.rpartition("/")[2]:
            self.path = "/index.html"
        super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Browsers break connections off all the time."""


@contextmanager
def serve(folder: Path, documents: Mapping[str, tuple[str, bytes]] | None = None) -> Iterator[str]:
    """Serves it for the length of a block; yields the origin, which is never the node's."""
    handler = partial(_Handler, directory=str(folder), documents=documents or {})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
