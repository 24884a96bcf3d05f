"""Exports that are lists of ranges (`maypacs.archive.assembled`): streamed one after the other, as one object."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import aiohttp

from maypacs.archive import assembled
from maypacs.archive.assembled import Assembled
from maypacs.archive.objects import CopyRange
from maypacs.errors import NotFoundError, StorageError
from maypacs.http.answers import not_modified
from maypacs_node.asgi import CORS, Exchange, as_problem, refusal
from maypacs_node.events import HttpResponse
from maypacs_node.storage import CHUNK, Storage

#: As long as a signed URL lives: the URL is the key, and the object behind it does not change.
CACHE = "private, max-age=900, immutable"
#: One range. Several in one request are legal to ignore (RFC 9110 14.2), and then the whole object is the answer.
RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\Z")
_AWAY = refusal(503, "the object store does not answer")


def is_list(key: str) -> bool:
    return key.startswith("blobs/exports/") and key.rpartition("/")[2].startswith(f"{assembled.KIND}-")


async def serve(exchange: Exchange, storage: Storage, bucket: str, key: str, disposition: str | None) -> None:
    etag = key.rpartition("-")[2]
    shared = {"etag": f'"{etag}"', "cache-control": CACHE, **CORS}
    try:
        listed = await _read(storage, bucket, key)
        if not_modified(exchange.header("if-none-match"), etag):
            await exchange.answer(HttpResponse(304, tuple(shared.items())))
            return
        window = _window(exchange, listed.size)
        if window is None:
            answer = refusal(416, "the range is not in the object")
            await exchange.answer(
                HttpResponse(416, (*answer.headers, ("content-range", f"bytes */{listed.size}")), answer.body)
            )
            return
        start, end, status = window
        headers = {
            **shared,
            "content-type": listed.content_type,
            "content-length": str(end - start),
            "accept-ranges": "bytes",
            "x-content-type-options": "nosniff",
        }
        if status == 206:
            headers["content-range"] = f"bytes {start}-{end - 1}/{listed.size}"
        if disposition:
            headers["content-disposition"] = disposition
        if exchange.method == "HEAD":
            await exchange.begin(status, headers)
            await exchange.write(b"", more=False)
            return
        await _stream(exchange, storage, bucket, listed, start, end, lambda: exchange.begin(status, headers))
    except NotFoundError as error:
        await exchange.answer(as_problem(error))
    except (StorageError, aiohttp.ClientError, OSError, TimeoutError):
        if exchange.status:
            raise  # part of it is sent: only a broken connection tells the client that it is not all
        await exchange.answer(_AWAY)


async def _read(storage: Storage, bucket: str, key: str) -> Assembled:
    async with storage.request("GET", bucket, key) as upstream:
        if upstream.status == 404:
            raise NotFoundError("no such object")
        if upstream.status != 200:
            raise StorageError("the object store refuses")
        return Assembled.decode(await upstream.read(), key.split("/")[2])


def _window(exchange: Exchange, size: int) -> tuple[int, int, int] | None:
    """First byte, the one after the last, and the status; None when the range is not in the object."""
    asked = exchange.header("range") if exchange.method == "GET" else None
    found = RANGE.match(asked) if asked and exchange.header("if-range") is None else None
    if not found:
        return 0, size, 200
    first, last, suffix = found.groups()
    if suffix:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < int(first):
        return 0, size, 200  # no range at all (RFC 9110 14.1.1)
    return (start, end, 206) if start < end else None


async def _stream(
    exchange: Exchange,
    storage: Storage,
    bucket: str,
    listed: Assembled,
    start: int,
    end: int,
    begin: Callable[[], Awaitable[None]],
) -> None:
    gone = exchange.watch()
    try:
        for piece in listed.between(start, end):
            if isinstance(piece, CopyRange):
                assert piece.length is not None
                wanted = {"range": f"bytes={piece.offset}-{piece.offset + piece.length - 1}"}
                async with storage.request("GET", bucket, piece.key, headers=wanted) as upstream:
                    if upstream.status == 404:
                        raise NotFoundError("no such object") if not exchange.status else StorageError("it is gone")
                    if upstream.status != 206 or upstream.content_length != piece.length:
                        raise StorageError("the object store gives another range")
                    if not exchange.status:
                        await begin()
                    if not await pour(exchange, upstream, gone):
                        return
            else:
                if not exchange.status:
                    await begin()
                await exchange.write(piece, more=True)
        await exchange.write(b"", more=False)
    finally:
        gone.cancel()


async def pour(exchange: Exchange, upstream: aiohttp.ClientResponse, gone: asyncio.Future[None]) -> bool:
    """The body of an answer of the store to the client; False when that has gone, and the reading is ended."""
    try:
        async for chunk in upstream.content.iter_chunked(CHUNK):
            await exchange.write(chunk, more=True)
            if gone.done():
                return False
        return True
    finally:
        if not upstream.content.at_eof():
            upstream.close()
