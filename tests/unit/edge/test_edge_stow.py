"""The STOW-RS endpoint in this process: what it refuses, and what each instance is told."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from tests.support.processes import wait_until
from tests.support.stub_edge import write_ct

from edge_forwarder.config import StowConfig
from edge_forwarder.logs import Log
from edge_forwarder.packing.intake import ASSOCIATION
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.stow.server import StowServer
from edge_forwarder.stow.store import Store

KEY = "thu-nghiem-0123456789abcdef0123456789"
B = "ranh-gioi"
TYPE = f'multipart/related; type="application/dicom"; boundary={B}'
HEAD = f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {TYPE}\r\n"


class Door:
    """A server over a spool of its own."""

    def __init__(self, folder: Path, **config: float) -> None:
        self.stored: list[SpooledFile] = []
        self.refused = 0
        self.spool = Spool(folder)
        self.spool.open()
        settings = StowConfig(port=0, api_keys=(KEY,), **config)  # type: ignore[arg-type]
        store = Store(self.spool, self._stored, lambda number: None, self._refused, settings.max_instances)
        self.server = StowServer(settings, store, "https://pacs.example.org/dicomweb/hosp1", Log(io.StringIO()))
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.server.start()

    def _stored(self, file: SpooledFile, number: int) -> None:
        assert number < ASSOCIATION, "no association has it, nor what is handed over"
        self.stored.append(file)

    def _refused(self) -> None:
        self.refused += 1

    def close(self) -> None:
        self.server.stop(1.0)
        self.spool.close()

    def post(self, body: bytes, path: str = "/studies", *, key: str | None = KEY, **headers: str) -> requests.Response:
        sent = {"Content-Type": TYPE, **({"Authorization": f"Bearer {key}"} if key else {})}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(f"{self.url}{path}", data=body, headers=sent, timeout=60)

    def raw(self, data: bytes) -> bytes:
        """What is answered to these bytes, after which nothing comes."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := s.recv(65536):
                    answer += piece
            return answer


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    made: list[Door] = []

    def make(**config: float) -> Door:
        made.append(Door(tmp_path / f"spool{len(made)}", **config))
        return made[-1]

    yield make
    for door in made:
        door.close()


@pytest.fixture
def edge(make: Callable[..., Door]) -> Door:
    return make()


def multipart(*instances: bytes) -> bytes:
    parts = (f"--{B}\r\nContent-Type: application/dicom\r\n\r\n".encode() + data + b"\r\n" for data in instances)
    return b"".join(parts) + f"--{B}--\r\n".encode()


def reasons(answer: requests.Response) -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.json().get("00081198", {}).get("Value", [])]


def stored(answer: requests.Response) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get("00081199", {}).get("Value", [])]


def test_each_instance_has_its_own_result(edge: Door, tmp_path: Path) -> None:
    """Good ones are stored beside bad ones, and each bad one has its reason."""
    good = write_ct(tmp_path / "a.dcm", sop="2.25.1.1").read_bytes()
    other = write_ct(tmp_path / "b.dcm", study="2.25.2", sop="2.25.1.2").read_bytes()
    answer = edge.post(multipart(good, b"not DICOM", other, b""), "/studies/2.25.1")
    assert answer.status_code == 202
    assert stored(answer) == ["2.25.1.1"]
    assert reasons(answer) == [0xC000, 0xA901, 0xC000]
    answer = edge.post(multipart(b"not DICOM"))
    assert (answer.status_code, reasons(answer)) == (409, [0xC000])
    answer = edge.post(multipart(good[:200]))
    assert (answer.status_code, reasons(answer)) == (409, [0xC000])
    assert len(edge.stored) == 1
    assert list(edge.spool.incoming.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Content_Type": "application/dicom"}, 415),
        ({"Content_Type": 'multipart/related; type="application/dicom+json"; boundary=x'}, 415),
        ({"Content_Type": 'multipart/related; type="application/dicom"'}, 415),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Accept": "application/dicom+xml"}, 406),
    ],
)
def test_what_is_not_taken_is_refused_before_its_body(edge: Door, headers: dict[str, str], status: int) -> None:
    """In words, as a problem document."""
    answer = edge.post(multipart(b"x"), **headers)
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_routes_and_methods(edge: Door) -> None:
    """Only what it is for."""
    key = {"Authorization": f"Bearer {KEY}"}
    assert edge.post(multipart(b"x"), "/studies/../etc").status_code == 404
    assert edge.post(multipart(b"x"), "/studies/abc").status_code == 404
    assert requests.get(f"{edge.url}/studies", headers=key, timeout=30).status_code == 405
    assert edge.post(multipart(b"x"), "/studies", key=None).status_code == 401
    assert requests.post(f"{edge.url}/studies", timeout=30).status_code == 401, "no key, no word more"


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Content-Length: -5",
        "Content-Length: 5_0",
        "X: y",
    ],
)
def test_ambiguous_lengths_are_refused(edge: Door, framing: str) -> None:
    """RFC 9112 6.3: what two readers read differently is an attack."""
    answer = edge.raw(f"{HEAD}{framing}\r\n\r\nhello".encode())
    assert re.match(rb"HTTP/1.1 (400|411) ", answer), answer[:60]


@pytest.mark.parametrize("size", ["zz", "-1", "1_0", "", "ffffffffffffffffff"])
def test_nonsense_in_chunks_is_refused(edge: Door, size: str) -> None:
    """Python's int() would take some of these."""
    answer = edge.raw(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{size}\r\nhello\r\n0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:60]


def test_heads_have_limits(edge: Door) -> None:
    """A line of a head that is too long, too many of them, a part's head without an end; the edge goes on."""
    assert b" 431 " in edge.raw(b"POST /studies HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n")[:20]
    many = b"".join(b"X%d: y\r\n" % n for n in range(200))
    assert b" 431 " in edge.raw(b"POST /studies HTTP/1.1\r\n" + many + b"\r\n")[:20]
    assert edge.post(f"--{B}\r\nX: ".encode() + b"x" * 1_000_000).status_code == 400
    assert edge.post(multipart()).status_code == 400
    assert edge.post(b"").status_code == 400


def test_too_many_at_once_are_told_to_come_back(make: Callable[..., Door], tmp_path: Path) -> None:
    """And slow ones hold their places no longer than allowed, however busily they trickle."""
    edge = make(max_requests=2, timeout_seconds=2.0)
    slow = [socket.create_connection(("127.0.0.1", edge.server.port)) for _ in range(2)]
    for s in slow:
        s.sendall(b"POST /studies HTTP/1.1\r\nX: ")

    def told(answer: Callable[[], bool]) -> bool:
        """Who still sends when it is hung up on may see no answer (RFC 9112 9.6), and comes back, too."""
        with contextlib.suppress(OSError):
            return answer()
        return False

    wait_until(lambda: told(lambda: edge.raw(b"x").startswith(b"HTTP/1.1 503 ")), what="a full house")
    stopped = threading.Event()

    def trickle() -> None:
        while not stopped.wait(0.2):
            for s in slow:
                with contextlib.suppress(OSError):
                    s.send(b"x", socket.MSG_NOSIGNAL)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        good = multipart(write_ct(tmp_path / "b.dcm", sop="2.25.1.2").read_bytes())
        wait_until(lambda: told(lambda: edge.post(good).status_code == 200), what="a free place")
    finally:
        stopped.set()
        thread.join()
        for s in slow:
            s.close()


def test_a_body_that_trickles_is_cut_off(make: Callable[..., Door]) -> None:
    """Each byte is in time, all of them are not."""
    edge = make(timeout_seconds=1.0)
    with socket.create_connection(("127.0.0.1", edge.server.port), timeout=30) as s:
        s.sendall(f"{HEAD}Content-Length: 100000\r\n\r\n--{B}\r\n\r\n".encode())
        s.settimeout(0.2)
        answer = b""
        for _ in range(100):
            try:
                answer = s.recv(64)
                break
            except TimeoutError:
                s.send(b"x")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert list(edge.spool.incoming.iterdir()) == []


def test_a_request_of_too_many_instances_is_cut_off(make: Callable[..., Door], tmp_path: Path) -> None:
    """413 that says that the first ones are stored."""
    edge = make(max_instances=2)
    files = [write_ct(tmp_path / f"{n}.dcm", sop=f"2.25.1.{n}").read_bytes() for n in range(3)]
    answer = edge.post(multipart(*files))
    assert answer.status_code == 413
    assert len(edge.stored) == 2


def test_a_disk_that_fails_is_the_instance_s_failure(
    edge: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0110, nothing said to be stored, nothing left behind; the next one is taken."""
    file = write_ct(tmp_path / "a.dcm", sop="2.25.1.1").read_bytes()
    with monkeypatch.context() as patched:

        def fails(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        patched.setattr("os.fsync", fails)
        answer = edge.post(multipart(file))
        assert (answer.status_code, reasons(answer), edge.refused) == (409, [0x0110], 1)
    assert edge.stored == []
    assert list(edge.spool.received.iterdir()) + list(edge.spool.incoming.iterdir()) == []
    assert edge.post(multipart(file)).status_code == 200


def test_an_instance_larger_than_one_may_be_is_refused_for_good(edge: Door, tmp_path: Path) -> None:
    """C000, which nobody tries again; the others of the request are stored."""
    edge.spool.max_instance_bytes = 100_000
    large = write_ct(tmp_path / "a.dcm", sop="2.25.1.1", size=100_000).read_bytes()
    small = write_ct(tmp_path / "b.dcm", sop="2.25.1.2", size=90_000).read_bytes()
    answer = edge.post(multipart(large, small))
    assert (answer.status_code, reasons(answer)) == (202, [0xC000])
    assert len(edge.stored) == 1
    assert not list(edge.spool.incoming.iterdir())


@pytest.mark.parametrize("piece", [1, 3, 7])
def test_a_boundary_may_be_cut_anywhere(edge: Door, tmp_path: Path, piece: int) -> None:
    """However the network cuts the bytes, the instances are the same."""
    data = write_ct(tmp_path / "a.dcm", sop="2.25.1.1").read_bytes()
    near = data + f"\r\n--{B[:-1]}x".encode()  # a line that is nearly the boundary
    body = multipart(near, data)
    chunks = (body[at : at + piece] for at in range(0, len(body), piece))
    answer = requests.post(
        f"{edge.url}/studies",
        data=chunks,
        headers={"Content-Type": TYPE, "Authorization": f"Bearer {KEY}"},
        timeout=60,
    )
    assert stored(answer) == ["2.25.1.1", "2.25.1.1"]
    assert [edge.spool.path(file.name).read_bytes() for file in edge.stored] == [near, data]
