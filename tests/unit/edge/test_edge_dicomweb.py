"""Reading the archive over HTTP: pages, redirects, patience, and what is not the archive."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from edge_forwarder import config as configuration
from edge_forwarder.cloud.dicomweb import DicomWeb, value
from edge_forwarder.config import Credentials
from edge_forwarder.errors import CloudAwayError, CloudError, RefusedError, UnauthorizedError

Reply = tuple[int, dict[str, str], bytes]


class Server:
    """Answers from a list, then with pages of ``total`` studies; remembers (path, Authorization)."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.total = 0
        self.seen: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                outer.seen.append((self.path, self.headers["Authorization"]))
                status, headers, body = outer.replies.pop(0) if outer.replies else outer.page(self.path)
                self.send_response(status)
                for name, text in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def page(self, path: str) -> Reply:
        query = parse_qs(urlsplit(path).query)
        first, size = int(query["offset"][0]), int(query["limit"][0])
        items = [{"0020000D": {"vr": "UI", "Value": [f"1.{n}"]}} for n in range(first, min(first + size, self.total))]
        left = self.total - first - len(items)
        warning = {"Warning": f"299 x: There are {left} additional results that can be requested"} if left > 0 else {}
        return (200, warning, json.dumps(items).encode()) if items else (204, {}, b"")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def archive(server: Server, tmp_path: Path) -> Iterator[DicomWeb]:
    config = configuration.parse({"cloud": {"url": server.url}, "retrieve": {"read_timeout_seconds": 5.0}}, tmp_path)
    archive = DicomWeb(config.cloud, Credentials("hosp1", "e1", "mpk_key"), config.retrieve)
    yield archive
    archive.close()


@pytest.mark.parametrize(
    ("total", "limit", "found", "more"),
    [(0, 10, 0, False), (10, 10, 10, False), (11, 10, 10, True), (1500, 2000, 1500, False), (2500, 2000, 2000, True)],
)
def test_pages_are_read_up_to_the_limit_and_one_more_is_looked_for(
    server: Server, archive: DicomWeb, total: int, limit: int, found: int, more: bool
) -> None:
    """`more` is known, not guessed; nothing is listed twice."""
    server.total = total
    answer = archive.search("/studies", [("PatientName", "NGUYỄN*")], limit=limit)
    assert (len({value(item, "0020000D") for item in answer.items}), answer.more) == (found, more)
    path, authorization = server.seen[0]
    assert path.startswith("/dicomweb/hosp1/studies?PatientName=NGUY%E1%BB%84N%2A&")
    assert authorization == "Bearer mpk_key"


def test_a_search_that_was_cut_short_is_not_taken_for_all(server: Server, archive: DicomWeb) -> None:
    """The archive looks at so many rows and says so (PS3.18 8.3.4.4): a page that is not full is not the end."""
    study = json.dumps([{"0020000D": {"vr": "UI", "Value": ["1.1"]}}]).encode()
    for headers, more in (({"Warning": "299 x: only the newest 5000 rows were examined"}, True), ({}, False)):
        server.replies = [(200, headers, study)]
        answer = archive.search("/studies", limit=10)
        assert (len(answer.items), answer.more) == (1, more)


def test_our_key_follows_a_redirect_at_home_and_nowhere_else(server: Server, archive: DicomWeb) -> None:
    """A signed address elsewhere needs no key, and must not learn it."""
    other = Server()
    message = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B'}
    body = b"--B\r\nContent-Type: application/dicom\r\n\r\nabc\r\n--B--\r\n"
    server.replies = [(307, {"Location": "/dicomweb/x"}, b""), (307, {"Location": f"{other.url}/signed"}, b"moved")]
    other.replies = [(200, message, body)]
    with archive.retrieve("/studies/1.2", as_stored=True) as parts:
        assert [b"".join(pieces) for pieces in parts] == [b"abc"]
    assert [key for _, key in server.seen] == ["Bearer mpk_key"] * 2
    assert other.seen == [("/signed", None)]
    other.close()


def test_an_archive_that_asks_for_a_moment_gets_it(server: Server, archive: DicomWeb) -> None:
    """503 with Retry-After: a conversion is being made."""
    server.replies = [(503, {"Retry-After": "0"}, b"")]
    assert archive.search("/studies", limit=5).items == []
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((401, {}, b""), UnauthorizedError),
        ((404, {}, b""), RefusedError),
        ((500, {}, b""), RefusedError),
        ((200, {"Content-Type": "text/html"}, b"<html>log in</html>"), CloudAwayError),
        ((200, {}, b'{"a": 1}'), CloudAwayError),
    ],
)
def test_what_is_no_answer_is_an_error_of_its_kind(
    server: Server, archive: DicomWeb, reply: Any, error: type[CloudError]
) -> None:
    """Captive portals included; and the next question is answered."""
    server.replies = [reply]
    with pytest.raises(error):
        archive.search("/studies", limit=5)
    assert archive.search("/studies", limit=5).items == []


def test_a_message_that_is_left_half_read_spoils_no_connection(server: Server, archive: DicomWeb) -> None:
    """Whoever has what it wants may go."""
    message = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B'}
    parts = b"".join(b"--B\r\n\r\n\r\n" + bytes(100_000) + b"\r\n" for _ in range(20))
    server.replies = [(200, message, parts + b"--B--\r\n")]
    with archive.retrieve("/studies/1.2", as_stored=False) as found:
        next(iter(found))
    assert archive.search("/studies", limit=5).items == []


def test_a_cloud_that_is_not_there_is_away(tmp_path: Path) -> None:
    """At once."""
    config = configuration.parse({"cloud": {"url": "http://127.0.0.1:1"}}, tmp_path)
    archive = DicomWeb(config.cloud, Credentials("hosp1", "e1", "k"), config.retrieve)
    with pytest.raises(CloudAwayError):
        archive.search("/studies", limit=5)
    archive.close()
