"""A line of so many Mbit/s and so much delay to a server on this machine, for a browser that a benchmark looks at.

A browser's own throttle stops after each read of a stream, which keeps a single stream below the rate. Here the bytes
of all connections go through one bucket, and the kernel's buffers keep the line full.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

_PIECE = 16 * 1024
#: Seconds that a piece may make up for: whoever sleeps wakes up late, and a line does not.
_LATE = 0.1


class _Line:
    """Down: at the rate, in the order of arrival. Up: later by the delay of both ways."""

    def __init__(self, target: int, megabits: float, delay: float) -> None:
        self._target, self._rate, self._delay = target, megabits * 1e6 / 8, delay
        self._free_at = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass(reader, to_server, down=False))
            group.create_task(self._pass(upstream, writer, down=True))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, down: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(_PIECE):
                if down:
                    self._free_at = max(self._free_at, time.monotonic() - _LATE) + len(piece) / self._rate
                    await asyncio.sleep(max(0, self._free_at - time.monotonic()))
                else:
                    await asyncio.sleep(self._delay)
                sink.write(piece)
                await sink.drain()
        sink.close()


@contextlib.contextmanager
def slow_line(target: int, *, megabits: float, delay: float) -> Iterator[int]:
    """The port of the line to ``target``; ``delay`` in seconds, there and back."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    line = _Line(target, megabits, delay)
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(line.serve, "127.0.0.1", 0), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
