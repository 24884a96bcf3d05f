"""The dashboard: files of `frontend/dist`, compressed once, with the cache and security headers they need.

Only files that are there are served, by exact name: no path ever reaches the file system. What is no file is a route of
the dashboard and gets its page; a path that ends like an asset gets 404 (UIDs have dots: `/study/1.2.840` is no asset).
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import zlib
from dataclasses import dataclass
from pathlib import Path

from maypacs.http.answers import accepts_gzip, not_modified
from maypacs_node.asgi import Exchange, refusal
from maypacs_node.events import HttpResponse

CSP = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'none'"
)
_ASSETS = "/assets/"
_CODE = {".css", ".html", ".js", ".json", ".map", ".mjs", ".txt", ".wasm", ".webmanifest"}
_MEDIA = {".gif", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".webp", ".woff", ".woff2"}
_SUFFIXES = frozenset(_CODE | _MEDIA)
_TYPES = {".wasm": "application/wasm", ".js": "text/javascript", ".webmanifest": "application/manifest+json"}
_SECURITY = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>MayPACS</title>
<body><h1>The dashboard is not built</h1>
<p>The node runs; its DICOMweb and API answer. To build the dashboard: <code>make setup</code>.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    content_type: str
    body: bytes
    compressed: bytes | None  #: gzip, when it is smaller
    etag: str


class Dashboard:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._loaded: dict[str, _File] = {}
        self._built = 0

    async def serve(self, exchange: Exchange) -> None:
        if exchange.method not in ("GET", "HEAD"):
            await exchange.answer(refusal(405, "GET or HEAD"))
            return
        name = self._name(exchange.path)
        if name is None:
            if self._files:
                await exchange.answer(refusal(404, "no such file"))
            else:
                headers = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store", **_SECURITY}
                await exchange.answer(HttpResponse(503, tuple(headers.items()), _MISSING.encode()))
            return
        file = self._loaded.get(name)
        if file is None:
            # Compressing the viewer takes a while: not in the event loop.
            file = self._loaded[name] = await asyncio.to_thread(_load, self._files[name])
        await exchange.answer(_response(name, file, exchange))

    def _name(self, path: str) -> str | None:
        self._scan()
        if path in self._files:
            return path
        suffix = Path(path).suffix.lower()
        if path.startswith(_ASSETS) or suffix in _SUFFIXES:
            return None
        return "/index.html" if "/index.html" in self._files else None

    def _scan(self) -> None:
        """Anew after each build: the page names assets that were not there before."""
        try:
            built = (self._folder / "index.html").stat().st_mtime_ns
        except OSError:
            built = 0
        if built != self._built:
            self._built = built
            self._loaded = {}
            self._files = {
                "/" + path.relative_to(self._folder).as_posix(): path
                for path in self._folder.rglob("*")
                if built and path.is_file() and not path.name.startswith(".") and path.suffix != ".gz"
            }


def _load(path: Path) -> _File:
    body = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind in ("application/json", "application/manifest+json", "image/svg+xml"):
        kind += "; charset=utf-8"
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    compressed = compressor.compress(body) + compressor.flush()
    etag = hashlib.sha256(body).hexdigest()[:24]
    return _File(kind, body, compressed if len(compressed) < len(body) * 0.9 else None, etag)


def _response(name: str, file: _File, exchange: Exchange) -> HttpResponse:
    headers = {"content-type": file.content_type, "etag": f'"{file.etag}"', "vary": "Accept-Encoding", **_SECURITY}
    # Assets have a digest in their name; the page that names them must be asked for each time.
    headers["cache-control"] = "public, max-age=31536000, immutable" if name.startswith(_ASSETS) else "no-cache"
    if not_modified(exchange.header("if-none-match"), file.etag):
        return HttpResponse(304, tuple(headers.items()))
    if file.compressed is not None and accepts_gzip(exchange.header("accept-encoding")):
        return HttpResponse(200, (*headers.items(), ("content-encoding", "gzip")), file.compressed)
    return HttpResponse(200, tuple(headers.items()), file.body)
