"""The little of ASGI that the host needs: a request, answers, and whether the client is still there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

import orjson

from maypacs.errors import MayPACSError
from maypacs.http.answers import problem_answer
from maypacs_node.events import HttpResponse

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: CORS for what the host answers itself; the handlers answer theirs. Never cookies, so `*` leaks nothing.
EXPOSED = "Location, Content-Location, Warning, ETag, Content-Range, Content-Length, Retry-After, Allow, Accept-Ranges"
CORS = {"access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED}
PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD, PUT, OPTIONS",
    "access-control-allow-headers": "Authorization, Accept, Content-Type, If-None-Match, Range",
    "access-control-max-age": "7200",
}

#: So long nobody looks whether a client still waits for its answer.
_PATIENCE_SECONDS = 0.05


def refusal(status: int, detail: str, **members: Any) -> HttpResponse:
    """Problem details (RFC 9457) of the host itself, readable for viewers of other origins."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    headers = {"content-type": "application/problem+json", "cache-control": "no-store", **CORS}
    return HttpResponse(status, tuple(headers.items()), orjson.dumps(document))


def as_problem(error: MayPACSError) -> HttpResponse:
    answer = problem_answer(error)
    return HttpResponse(answer.status, tuple({**answer.headers, **CORS}.items()), answer.body)


class ClientGoneError(Exception):
    """The client closed its connection."""


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        raw: bytes | None = scope.get("raw_path")
        self.raw_path: str = raw.decode("latin-1").partition("?")[0] if raw else scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: tuple[tuple[str, str], ...] = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        )
        self._header_map: dict[str, str] | None = None
        client = scope.get("client")
        self.client: str = client[0] if client else ""
        self.scheme: str = scope.get("scheme", "http")
        self._receive = receive
        self._send = send
        self._body_read = False
        self.status = 0  #: of the answer, once it has begun
        self.sent = 0  #: bytes of its body

    def header(self, name: str) -> str | None:
        if self._header_map is None:
            self._header_map = dict(self.headers)
        return self._header_map.get(name)

    @property
    def content_length(self) -> int | None:
        value = self.header("content-length")
        return int(value) if value is not None and value.isdigit() else None

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body as it comes. Raises ClientGoneError when it ends before its end."""
        more = not self._body_read
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]
        self._body_read = True

    async def gone(self) -> None:
        """Returns when the client has closed its connection. The body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def begin(self, status: int, headers: Mapping[str, str] | tuple[tuple[str, str], ...]) -> None:
        self.status = status
        pairs = tuple(headers.items()) if isinstance(headers, Mapping) else headers
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, data: bytes | bytearray, *, more: bool) -> None:
        """Waits while the client reads slowly."""
        self.sent += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, response: HttpResponse) -> None:
        has_body = self.method != "HEAD" and response.status not in (204, 304)
        headers = tuple(response.headers)
        if response.status not in (204, 304):
            # A HEAD answer says the length that GET's body has.
            headers = (*headers, ("content-length", str(len(response.body))))
        await self.begin(response.status, headers)
        await self.write(response.body if has_body else b"", more=False)

    def watch(self) -> asyncio.Future[None]:
        """Done when the client has closed its connection; to be cancelled when the answer is sent."""
        return asyncio.ensure_future(self.gone())

    async def drain(self, most: int, *, seconds: float = 60.0) -> None:
        """Reads a refused body away, so that the client comes to read the answer; gives up above ``most`` bytes."""
        read = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for chunk in self.body():
                    read += len(chunk)
                    if read > most:
                        return

    async def unless_gone(self, work: Awaitable[HttpResponse]) -> HttpResponse:
        """The work's result; when the client goes first, the work is cancelled and ClientGoneError raised."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        watching: asyncio.Future[None] | None = None
        left = False

        def watch() -> None:
            nonlocal watching
            watching = self.watch()
            watching.add_done_callback(leave)

        def leave(gone: asyncio.Future[None]) -> None:
            nonlocal left
            if not gone.cancelled():
                left = True
                task.cancel()

        # What is answered at once is not worth a second task.
        timer = loop.call_later(_PATIENCE_SECONDS, watch)
        try:
            return await work
        except asyncio.CancelledError:
            if left and task.uncancel() == 0:
                raise ClientGoneError from None
            raise
        finally:
            timer.cancel()
            if watching is not None:
                watching.remove_done_callback(leave)
                watching.cancel()
