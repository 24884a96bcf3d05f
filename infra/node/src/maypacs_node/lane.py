"""Requests from the event loops to the handler processes, over Unix sockets that the supervisor binds.

A handler process takes one request at a time, as a Lambda does: the frameworks are not thread-safe. All of them accept
from the same two sockets, so a request waits only while every process is busy:

- `light`: every handler process accepts from it, and prefers it;
- `heavy` (rendering, thumbnails, STOW bodies, conversions): all but one accept from it, so that a search or a
  picture as it is stored never waits behind the last renderer.

A message is the length of a JSON header (4 bytes), the header, then the body, whose length the header says.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from maypacs_node.events import Body, HttpResponse

Lane = Literal["light", "heavy"]
LANES: tuple[Lane, ...] = ("light", "heavy")
BACKLOG = 1024
_LENGTH = struct.Struct(">I")
_MAX_HEADER = 1024 * 1024
#: Of an answer: its header and, of most, all of it.
_FIRST_READ = 64 * 1024
#: The kernel gives what it allows; fewer pieces wake both sides up less often.
_SEND_BUFFER = 1024 * 1024


class LaneError(Exception):
    """The handler process went away without an answer (it crashed, or took longer than its time)."""


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    resource: str
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    client: str
    scheme: str
    behind_proxy: bool
    body_length: int
    body_file: str | None = None  #: a spooled body; the handler process reads and removes it

    def encode(self) -> bytes:
        header = orjson.dumps({name: getattr(self, name) for name in self.__slots__})
        return _LENGTH.pack(len(header)) + header

    @classmethod
    def decode(cls, header: bytes) -> Call:
        values: dict[str, Any] = orjson.loads(header)
        values["headers"] = tuple((name, value) for name, value in values["headers"])
        return cls(**values)


def lane_of(method: str, path: str, query: str) -> Lane:
    """What is known to take long. A wrong guess costs time, never correctness."""
    name = path.rstrip("/").rpartition("/")[2]
    if name in {"rendered", "thumbnail"} or (method in {"POST", "DELETE"} and path.startswith("/dicomweb/")):
        return "heavy"
    if name == "wado":  # a picture, unless DICOM is asked for
        return "light" if re.search(r"contentType=application(/|%2[Ff])dicom", query) else "heavy"
    return "light"


@contextmanager
def listeners(folder: Path) -> Iterator[dict[Lane, socket.socket]]:
    """Both sockets, bound in ``folder`` by relative names: a socket's path may have 107 bytes, a folder's more."""
    bound: dict[Lane, socket.socket] = {}
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for lane in LANES:
            Path(f"{lane}.sock").unlink(missing_ok=True)
            bound[lane] = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            bound[lane].bind(f"{lane}.sock")
            bound[lane].listen(BACKLOG)
            bound[lane].setblocking(False)
    finally:
        os.fchdir(here)
        os.close(here)
    try:
        yield bound
    finally:
        for listener in bound.values():
            listener.close()


async def call(lane: Lane, request: Call, body: bytes) -> HttpResponse:
    """Asks a handler process. Cancelling gives the request up; one that no process has begun is then never run."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, f"{lane}.sock")
        try:
            await loop.sock_sendall(connection, request.encode() + body)
            header, data = await _Answer(loop, connection).whole()
        except ConnectionError as error:
            raise LaneError("the handler process went away") from error
    return HttpResponse(header["status"], tuple((name, value) for name, value in header["headers"]), data)


class _Answer:
    """The answer on a connection, read straight into a buffer of its size: streams would copy a frame three times."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        self._loop, self._connection = loop, connection
        self._done: asyncio.Future[tuple[dict[str, Any], bytearray]] = loop.create_future()
        self._header: dict[str, Any] = {}
        self._head = bytearray()
        self._body = bytearray()
        self._room = memoryview(b"")  #: of the body, what has not come yet

    async def whole(self) -> tuple[dict[str, Any], bytearray]:
        self._loop.add_reader(self._connection, self._readable)
        try:
            return await self._done
        finally:
            self._loop.remove_reader(self._connection)

    def _readable(self) -> None:
        try:
            if self._header:
                count = self._connection.recv_into(self._room)
                self._room = self._room[count:]
            else:
                piece = self._connection.recv(_FIRST_READ)
                count = len(piece)
                self._head += piece
                self._parse()
        except (BlockingIOError, InterruptedError):
            return
        except Exception as error:
            self._fail(error)
            return
        if count == 0:
            self._fail(LaneError("the handler process went away"))
        elif self._header and not self._room and not self._done.done():
            self._room.release()  # the buffer is the answer's now
            self._done.set_result((self._header, self._body))

    def _parse(self) -> None:
        if len(self._head) < 4 or len(self._head) < 4 + _LENGTH.unpack_from(self._head)[0]:
            return
        end = 4 + _LENGTH.unpack_from(self._head)[0]
        self._header = orjson.loads(memoryview(self._head)[4:end])
        begun = len(self._head) - end
        self._body = bytearray(self._header["length"])
        self._body[:begun] = memoryview(self._head)[end:]
        self._room = memoryview(self._body)[begun:]

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)


def receive(connection: socket.socket) -> tuple[Call, Body] | None:
    """In a handler process: the next request, or None when its client has gone already.

    A spooled body is mapped, not read: its file is gone at once, its room when the last of the body is let go.
    """
    data = connection.recv(_FIRST_READ)
    while len(data) < 4 or len(data) < 4 + _LENGTH.unpack_from(data)[0]:
        if len(data) >= 4 and _LENGTH.unpack_from(data)[0] > _MAX_HEADER:
            return None
        more = connection.recv(_MAX_HEADER)
        if not more:
            return None
        data += more
    end = 4 + _LENGTH.unpack_from(data)[0]
    request = Call.decode(data[4:end])
    body: Body
    if request.body_file is not None:
        path = Path(request.body_file)
        try:
            body = _mapped(path)
        except FileNotFoundError:  # the client went away, and the host tidied up
            return None
        path.unlink(missing_ok=True)
    else:
        received = bytearray(data[end:])
        while len(received) < request.body_length and (piece := connection.recv(_MAX_HEADER)):
            received += piece
        body = bytes(received)
    gone = len(body) != request.body_length or _closed(connection)
    return None if gone else (request, body)


def _mapped(path: Path) -> Body:
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:  # nothing cannot be mapped
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def reply(connection: socket.socket, response: HttpResponse) -> None:
    header = orjson.dumps({"status": response.status, "headers": response.headers, "length": len(response.body)})
    try:
        if len(response.body) > _FIRST_READ:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            connection.sendall(_LENGTH.pack(len(header)) + header)
            connection.sendall(response.body)
        else:
            connection.sendall(_LENGTH.pack(len(header)) + header + response.body)
    except (BrokenPipeError, ConnectionResetError):  # the client did not wait
        return
