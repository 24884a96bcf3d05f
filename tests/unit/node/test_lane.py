"""The way from an event loop to a handler process."""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from maypacs_node import lane
from maypacs_node.events import LARGE_BODY, HttpRequest, HttpResponse, proxy_event

CALL = lane.Call(
    function="dicomweb",
    resource="/dicomweb/{proxy+}",
    method="POST",
    path="/dicomweb/hosp1/studies",
    query="PatientName=Nguy%E1%BB%85n",
    headers=(("accept", "*/*"), ("accept", "x")),
    client="127.0.0.1",
    scheme="http",
    behind_proxy=False,
    body_length=5,
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/dicomweb/a/studies", "", "light"),
        ("GET", "/dicomweb/a/studies/1/series/2/metadata", "", "light"),
        ("GET", "/dicomweb/a/studies/1/series/2/instances/3/frames/1", "", "light"),
        ("GET", "/dicomweb/a/studies/1/series/2/instances/3/rendered", "", "heavy"),
        ("GET", "/dicomweb/a/studies/1/thumbnail", "", "heavy"),
        ("GET", "/dicomweb/a/wado", "requestType=WADO&contentType=image/jpeg", "heavy"),
        ("GET", "/dicomweb/a/wado", "requestType=WADO", "heavy"),
        ("GET", "/dicomweb/a/wado", "requestType=WADO&contentType=application%2Fdicom", "light"),
        ("POST", "/dicomweb/a/studies", "", "heavy"),
        ("DELETE", "/dicomweb/a/studies/1", "", "heavy"),
        ("POST", "/api/login", "", "light"),
    ],
)
def test_what_takes_long_has_a_lane_of_its_own(method: str, path: str, query: str, expected: str) -> None:
    """Rendering and storing; searches and pictures as they are stored never stand behind them."""
    assert lane.lane_of(method, path, query) == expected


def test_a_request_and_its_answer_arrive_whole(here: Path) -> None:
    """Header by header and byte by byte."""
    answer = HttpResponse(207, (("content-type", "x/y"), ("vary", "a"), ("vary", "b")), b"\0" * 300_000)
    received: list[object] = []

    def handler_process(listener: socket.socket) -> None:
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            received.append(lane.receive(connection))
            lane.reply(connection, answer)

    with lane.listeners(here) as bound:
        thread = threading.Thread(target=handler_process, args=(bound["heavy"],))
        thread.start()
        response = asyncio.run(lane.call("heavy", CALL, b"12345"))
        thread.join()
    assert response == answer
    assert received == [(CALL, b"12345")]


def test_a_request_whose_client_has_gone_is_not_run(here: Path) -> None:
    """It waited in the queue while every process was busy; running it would be work for nobody."""

    async def impatient() -> None:
        task = asyncio.ensure_future(lane.call("light", CALL, b"12345"))
        await asyncio.wait({task}, timeout=0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with lane.listeners(here) as bound:
        asyncio.run(impatient())
        bound["light"].setblocking(True)
        connection, _ = bound["light"].accept()
        with connection:
            assert lane.receive(connection) is None


def test_a_handler_process_that_dies_is_a_lane_error(here: Path) -> None:
    """The client gets an answer, not a wait."""

    def dies(listener: socket.socket) -> None:
        listener.setblocking(True)
        listener.accept()[0].close()

    with lane.listeners(here) as bound:
        thread = threading.Thread(target=dies, args=(bound["light"],))
        thread.start()
        with pytest.raises(lane.LaneError):
            asyncio.run(lane.call("light", CALL, b"12345"))
        thread.join()


def test_a_spooled_body_is_read_and_removed(tmp_path: Path) -> None:
    """Large bodies travel as files."""
    spooled = tmp_path / "body"
    spooled.write_bytes(b"large")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        request = lane.Call(**{**{n: getattr(CALL, n) for n in CALL.__slots__}, "body_file": str(spooled)})
        ours.sendall(request.encode())
        received = lane.receive(theirs)
    assert received is not None
    assert (received[0], bytes(received[1])) == (request, b"large")
    assert not spooled.exists()


def test_a_large_body_is_mapped_and_not_read(tmp_path: Path) -> None:
    """A gigabyte of a STOW is no gigabyte of a process: the system takes its pages back when it wants them."""
    spooled = tmp_path / "body"
    with spooled.open("wb") as file:
        file.truncate(1 << 30)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        values = {n: getattr(CALL, n) for n in CALL.__slots__}
        ours.sendall(lane.Call(**{**values, "body_file": str(spooled), "body_length": 1 << 30}).encode())
        received = lane.receive(theirs)
    assert received is not None
    body = received[1]
    assert isinstance(body, mmap.mmap)
    assert proxy_event(HttpRequest("POST", "/x", body=body), "/{proxy+}")[LARGE_BODY] is body
    assert not spooled.exists()


def test_an_empty_spooled_body_is_no_body(tmp_path: Path) -> None:
    """Nothing cannot be mapped."""
    (tmp_path / "body").touch()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        values = {n: getattr(CALL, n) for n in CALL.__slots__}
        request = lane.Call(**{**values, "body_file": str(tmp_path / "body"), "body_length": 0})
        ours.sendall(request.encode())
        assert lane.receive(theirs) == (request, b"")
