"""The body of a request for a function: in memory when it is small, in a file when it is large, at a decent pace.

Anybody may send one, so it costs the node little: memory for all of them together is bounded, a large one needs a
credential that is good before it gets a file, and who sends next to nothing for long is turned away.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maypacs_node.asgi import Exchange, refusal
from maypacs_node.events import HttpResponse

#: Bodies above this are spooled to a file.
SPOOL_BYTES = 8 * 1024 * 1024
#: So much of all bodies at once is held in memory; what comes above it is spooled too, from its first byte.
MEMORY_BYTES = 256 * 1024 * 1024
#: A pause of the sender this long ends it, and so does a pace below that after this while.
PAUSE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 1024
#: The rest of a refused body is read this long, so that the client comes to read the answer.
DRAIN_SECONDS = 5.0


class BodyError(Exception):
    """It is not taken; ``status`` is the answer's."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status

    def answer(self) -> HttpResponse:
        return refusal(self.status, str(self))


@dataclass(slots=True)
class Bodies:
    """What the bodies of one event loop share."""

    spool: Path
    limit: int
    has_room: Callable[[], bool]
    is_known: Callable[[Exchange], bool]
    held: int = 0  #: bytes in memory


class Body:
    """Use `discard` at the end, however it ended."""

    def __init__(self, shared: Bodies) -> None:
        self._shared = shared
        self.length = 0
        self.memory = bytearray()
        self.file: Path | None = None

    async def read(self, exchange: Exchange) -> None:
        """Raises BodyError, ClientGoneError."""
        shared = self._shared
        if (exchange.content_length or 0) > shared.limit:
            raise BodyError(413, "the body is too large")
        started = time.monotonic()
        output = None
        chunks = exchange.body()
        try:
            while True:
                try:
                    async with asyncio.timeout(PAUSE_SECONDS):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise BodyError(408, "the body did not come") from None
                self.length += len(chunk)
                if self.length > shared.limit:
                    raise BodyError(413, "the body is too large")
                elapsed = time.monotonic() - started
                if elapsed > PAUSE_SECONDS and self.length < elapsed * SLOWEST_BYTES_PER_SECOND:
                    raise BodyError(408, "the body comes too slowly")
                if output is None and (self.length > SPOOL_BYTES or shared.held + len(chunk) > MEMORY_BYTES):
                    if not await asyncio.to_thread(shared.is_known, exchange):
                        raise BodyError(401, "a credential is needed: Authorization: Bearer …")
                    self.file = (shared.spool / uuid.uuid4().hex).absolute()
                    output = self.file.open("wb")
                    output.write(self.memory)
                    self._forget()
                if output is None:
                    self.memory += chunk
                    shared.held += len(chunk)
                elif not shared.has_room():
                    raise BodyError(503, "the disk is nearly full")
                else:
                    output.write(chunk)
        finally:
            if output is not None:
                output.close()

    def discard(self) -> None:
        self._forget()
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _forget(self) -> None:
        self._shared.held -= len(self.memory)
        self.memory = bytearray()
