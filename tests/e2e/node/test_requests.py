"""Requests of many clients at once, slow functions, dying functions, limits: on functions made for it."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from tests.support.processes import Child, free_port, wait_until

from maypacs_node import admin
from maypacs_node.home import Home

pytestmark = pytest.mark.e2e

#: As the frameworks are: the current request is an attribute of one app object.
ECHO = """
import base64, json, os, time
from pathlib import Path
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

app = APIGatewayRestResolver()
FLAGS = Path(os.environ["MAYPACS_SECRETS"]).parent

def wait_for(name):
    deadline = time.monotonic() + 60
    while not (FLAGS / name).exists() and time.monotonic() < deadline:
        time.sleep(0.005)

@app.get("/dicomweb/echo/<word>")
def echo(word):
    seen = [app.current_event.path, app.current_event.headers.get("x-word", "")]
    time.sleep(0.001)
    seen += [app.current_event.path, app.current_event.headers.get("x-word", ""), word]
    return Response(200, "application/json", json.dumps(seen))

@app.get("/dicomweb/slow/<word>/rendered")
def slow(word):
    (FLAGS / f"began-{word}").touch()
    wait_for("release")
    return Response(200, "text/plain", word)

@app.get("/dicomweb/dies")
def dies():
    os._exit(9)

@app.get("/dicomweb/fails")
def fails():
    raise ValueError("CANARY patient text")

@app.get("/dicomweb/large/<size>")
def large(size):
    return Response(200, "application/octet-stream", bytes(int(size)))

@app.post("/dicomweb/length")
def length():
    event = app.current_event.raw_event
    body = event.get("largeBody") or base64.b64decode(event["body"] or "")
    return Response(200, "application/json", json.dumps([len(body), sum(body[:1000])]))

@app.get("/dicomweb/ping")
def ping():
    return Response(200, "text/plain", "pong")

def handler(event, context):
    assert context.get_remaining_time_in_millis() > 0
    return app.resolve(event, context)
"""
ANSWERS = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}
"""
UP = """
import sys
from pathlib import Path
from maypacs_node.home import Home
from maypacs_node.supervisor import Supervisor, UpOptions
data, functions, dashboard, port, limits = sys.argv[1:]
options = UpOptions(port=int(port), workers=2, limits=limits, functions=Path(functions), dashboard=Path(dashboard))
sys.exit(Supervisor(Home(Path(data)), options).run())
"""


class Made:
    def __init__(self, folder: Path, limits: str) -> None:
        self.data = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        functions = folder / "functions"
        for name in ("dicomweb", "console", "ingest", "thumbnails", "housekeeper"):
            (functions / name).mkdir(parents=True)
            (functions / name / "handler.py").write_text(ECHO if name == "dicomweb" else ANSWERS)
        self.dist = folder / "dist"
        (self.dist / "assets").mkdir(parents=True)
        (self.dist / "index.html").write_text("<!doctype html><title>dashboard</title>")
        (self.dist / "assets" / "app-0a1b.js").write_text("export const x = 1;\n" * 500)
        (self.dist / "assets" / "codec-0a1b.wasm").write_bytes(b"\0asm" + bytes(range(256)))
        (self.dist / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        self.child = Child(
            [sys.executable, "-c", UP, self.data, functions, self.dist, str(self.port), limits], log=folder / "node.log"
        )

    def key(self) -> str:
        """A good credential."""
        home = Home(self.data)
        admin.add_archive(home, "hosp1")
        return admin.add_key(home, "hosp1", "technician")


@contextmanager
def made(folder: Path, limits: str) -> Iterator[Made]:
    host = Made(folder, limits)
    host.child.start(r"^ready http://")
    try:
        yield host
    finally:
        host.child.stop()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made(tmp_path_factory.mktemp("none"), "none") as started:
        yield started


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made(tmp_path_factory.mktemp("gateway"), "gateway") as started:
        yield started


def test_no_request_ever_sees_another_ones(host: Made) -> None:
    """Eight threads of clients, 100 requests each: the frameworks are not thread-safe, so a mix is a leak."""
    wrong: list[object] = []

    def client(number: int) -> None:
        with requests.Session() as session:
            for n in range(100):
                word = f"{number}-{n}"
                path = f"/dicomweb/echo/{word}"
                seen = session.get(host.url + path, headers={"X-Word": word}, timeout=60).json()
                if seen != [path, word, path, word, word]:
                    wrong.append((word, seen))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_slow_renderings_do_not_hold_up_what_is_quick(host: Made) -> None:
    """With every heavy process busy, and more renderings waiting, a search is still answered."""
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda n=n: answers.append(requests.get(f"{host.url}/dicomweb/slow/{n}/rendered", timeout=90).text)
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: list(host.data.glob("began-*")), what="a rendering has begun")
        for _ in range(20):
            assert requests.get(f"{host.url}/dicomweb/ping", timeout=20).text == "pong"
        assert answers == []
    finally:
        (host.data / "release").touch()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["0", "1", "2", "3"]


def test_a_function_that_ends_its_process_is_502_and_the_next_request_works(host: Made) -> None:
    """A crash in a decoder's C code looks like that."""
    answer = requests.get(f"{host.url}/dicomweb/dies", timeout=60)
    assert answer.status_code == 502
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert requests.get(f"{host.url}/dicomweb/ping", timeout=60).text == "pong"


def test_a_function_that_raises_is_502_and_its_text_goes_nowhere(host: Made) -> None:
    """An exception's message may quote what it choked on; the log has the place and the support id."""
    answer = requests.get(f"{host.url}/dicomweb/fails", timeout=60)
    assert answer.status_code == 502
    document = answer.json()
    logs = "".join(log.read_text() for log in (host.data / "log").glob("*.log"))
    assert document["support_id"] in logs
    assert "CANARY" not in logs + answer.text


@pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1, 40_000_000])
def test_a_node_takes_and_gives_any_size(host: Made, size: int) -> None:
    """Small bodies in memory, large ones by a file that is gone afterwards; those from people with a credential."""
    body = b"\x07" * size
    headers = {"Authorization": f"Bearer {host.key()}"}
    answer = requests.post(f"{host.url}/dicomweb/length", data=body, headers=headers, timeout=60)
    assert answer.json() == [size, 7 * min(size, 1000)]
    assert len(requests.get(f"{host.url}/dicomweb/large/{size}", timeout=60).content) == size
    assert list((host.data / "run" / "spool").iterdir()) == []


@pytest.mark.parametrize("credential", [{}, {"Authorization": "Bearer mpk_" + "x" * 43}], ids=["none", "wrong"])
def test_a_large_body_of_a_stranger_gets_no_file(host: Made, credential: dict[str, str]) -> None:
    """It would fill the disk before any function had looked at its credential."""
    answer = requests.post(f"{host.url}/dicomweb/length", data=bytes(9_000_000), headers=credential, timeout=60)
    assert answer.status_code == 401
    assert list((host.data / "run" / "spool").iterdir()) == []


def test_senders_that_never_end_their_bodies_take_nobodys_place(host: Made) -> None:
    """More of them than may wait for a handler, none with a credential: everybody else is served."""
    slow = []
    try:
        for _ in range(600):
            client = socket.create_connection(("127.0.0.1", host.port), timeout=30)
            client.sendall(b"POST /dicomweb/length HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx")
            slow.append(client)
        for _ in range(20):
            assert requests.get(f"{host.url}/dicomweb/ping", timeout=30).status_code == 200
        assert requests.post(f"{host.url}/dicomweb/length", data=b"12345", timeout=30).json()[0] == 5
    finally:
        for client in slow:
            client.close()


def test_under_the_gateways_limits_a_large_body_is_413_that_names_the_upload_route(gateway: Made) -> None:
    """As the gateway's own answer does on AWS; the function is not called. A body below them passes."""
    for data in (bytes(10_000_001), bytes(5_000_000), iter([bytes(3_000_000), bytes(3_000_000)])):
        answer = requests.post(f"{gateway.url}/dicomweb/hosp1/studies", data=data, timeout=60)
        assert answer.status_code == 413
        assert answer.json()["upload"] == "/api/archives/hosp1/uploads"
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    answer = requests.post(f"{gateway.url}/dicomweb/length", data=bytes(4_400_000), timeout=60)
    assert answer.json() == [4_400_000, 0]


def test_under_the_gateways_limits_a_large_answer_is_502(gateway: Made) -> None:
    """Lambda would not carry it: a function that answers it has a bug, and tests under these limits show it."""
    assert requests.get(f"{gateway.url}/dicomweb/large/4400000", timeout=60).status_code == 200
    assert requests.get(f"{gateway.url}/dicomweb/large/4800000", timeout=60).status_code == 502


def test_head_says_the_length_that_get_has(host: Made) -> None:
    """RFC 9110 9.3.2. (The function answers 404 to what it has no route for; a body must not follow.)"""
    answer = requests.head(f"{host.url}/dicomweb/ping", timeout=60)
    assert answer.content == b""
    assert requests.get(f"{host.url}/dicomweb/ping", timeout=60).text == "pong"


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/", 200, "text/html; charset=utf-8"),
        ("/login", 200, "text/html; charset=utf-8"),
        ("/study/1.2.840.10008.1", 200, "text/html; charset=utf-8"),
        ("/icon.svg", 200, "image/svg+xml; charset=utf-8"),
        ("/assets/app-0a1b.js", 200, "text/javascript; charset=utf-8"),
        ("/assets/codec-0a1b.wasm", 200, "application/wasm"),
        ("/assets/gone-ffff.js", 404, "application/problem+json"),
        ("/assets/1.2.3", 404, "application/problem+json"),
        ("/favicon.ico", 404, "application/problem+json"),
        ("/..%2f..%2fdata%2fsecrets.json", 404, "application/problem+json"),
        ("/%2e%2e/data/secrets.json", 404, "application/problem+json"),
    ],
)
def test_the_dashboard_is_served_by_exact_names(host: Made, path: str, status: int, expected: str) -> None:
    """A page for every route of it, UIDs with dots included; 404 for an asset that is not there."""
    with requests.Session() as session:
        request = requests.Request("GET", host.url).prepare()
        request.url = host.url + path
        answer = session.send(request, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, expected)
    assert "blob_key" not in answer.text


def test_the_dashboard_has_its_security_and_cache_headers(host: Made) -> None:
    """The page is asked for each time; assets, whose names have a digest, never again."""
    page = requests.get(f"{host.url}/", timeout=60)
    assert "script-src 'self' 'wasm-unsafe-eval'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-cache"
    again = requests.get(f"{host.url}/", headers={"If-None-Match": page.headers["ETag"]}, timeout=60)
    assert again.status_code == 304
    asset = requests.get(f"{host.url}/assets/app-0a1b.js", headers={"Accept-Encoding": "gzip"}, stream=True, timeout=60)
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert asset.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(asset.raw.read()) == (host.dist / "assets" / "app-0a1b.js").read_bytes()
    plain = requests.get(f"{host.url}/assets/app-0a1b.js", headers={"Accept-Encoding": "identity"}, timeout=60)
    assert "Content-Encoding" not in plain.headers


def test_without_a_build_the_page_says_what_to_do(host: Made) -> None:
    """And after a build it is there, without a restart."""
    page = host.dist / "index.html"
    text = page.read_text()
    page.unlink()
    answer = requests.get(f"{host.url}/", timeout=60)
    assert answer.status_code == 503
    assert "make setup" in answer.text
    page.write_text(text)
    assert requests.get(f"{host.url}/", timeout=60).text == text
