"""Bodies that come slowly, in masses, or not at all, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from maypacs_node import bodies
from maypacs_node.asgi import Exchange
from maypacs_node.bodies import Bodies, Body, BodyError


def shared(tmp_path: Path, *, limit: int = 10**9, room: bool = True, known: bool = True) -> Bodies:
    return Bodies(tmp_path, limit, lambda: room, lambda _: known)


def exchange(chunks: AsyncIterator[bytes]) -> Exchange:
    async def receive() -> dict[str, Any]:
        try:
            return {"type": "http.request", "body": await anext(chunks), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"method": "POST", "path": "/", "query_string": b"", "headers": []}
    return Exchange(scope, receive, send)


async def of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def never() -> AsyncIterator[bytes]:
    yield b"x"
    await asyncio.Event().wait()


async def trickle() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0)
        yield b"x"


def read(body: Body, chunks: AsyncIterator[bytes]) -> Body:
    asyncio.run(body.read(exchange(chunks)))
    return body


def test_small_bodies_stay_in_memory_and_are_counted(tmp_path: Path) -> None:
    """Until they are discarded."""
    together = shared(tmp_path)
    body = read(Body(together), of(b"abc", b"de"))
    assert (bytes(body.memory), body.length, body.file, together.held) == (b"abcde", 5, None, 5)
    body.discard()
    assert together.held == 0


def test_many_bodies_at_once_are_spooled_when_memory_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small each of them is."""
    monkeypatch.setattr(bodies, "MEMORY_BYTES", 10)
    together = shared(tmp_path)
    first, second = read(Body(together), of(b"12345678")), read(Body(together), of(b"abc", b"def"))
    assert first.file is None
    assert second.file is not None
    assert (second.file.read_bytes(), together.held) == (b"abcdef", 8)
    second.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "status"),
    [({"known": False}, 401), ({"room": False}, 503), ({"limit": 20}, 413)],
    ids=["a stranger", "a full disk", "too long"],
)
def test_a_large_body_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], status: int
) -> None:
    """No file, no memory."""
    monkeypatch.setattr(bodies, "SPOOL_BYTES", 10)
    together = shared(tmp_path, **values)
    body = Body(together)
    with pytest.raises(BodyError) as refused:
        read(body, of(b"12345678", b"12345678", b"12345678"))
    body.discard()
    assert (refused.value.status, together.held, list(tmp_path.iterdir())) == (status, 0, [])


@pytest.mark.parametrize("sender", [never, trickle])
def test_who_sends_next_to_nothing_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sender: Any) -> None:
    """One that stops, and one that drips."""
    monkeypatch.setattr(bodies, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(bodies, "SLOWEST_BYTES_PER_SECOND", 10**9)
    with pytest.raises(BodyError) as refused:
        read(Body(shared(tmp_path)), sender())
    assert refused.value.status == 408
