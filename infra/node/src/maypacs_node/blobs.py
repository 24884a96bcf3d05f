"""`/blobs/…`: objects of the archive behind signed URLs, streamed from storage with ranges, never whole in memory.

What CloudFront does on AWS. A slow client slows its own upstream connection down and nothing else; a client that goes
away ends it. Objects never change, so ETag and a private, immutable cache are safe.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

import aiohttp

from maypacs.archive.grants import verify_blob
from maypacs.errors import ForbiddenError, MayPACSError, NotFoundError
from maypacs.http.answers import not_modified
from maypacs_node import assembling
from maypacs_node.asgi import CORS, PREFLIGHT, Exchange, as_problem, refusal
from maypacs_node.assembling import CACHE, RANGE
from maypacs_node.events import HttpResponse
from maypacs_node.storage import Storage

_FORWARDED = ("content-type", "content-length", "content-range", "content-encoding", "last-modified", "etag")


class Blobs:
    def __init__(self, storage: Storage, *, bucket: str, secret: bytes) -> None:
        self._storage = storage
        self._bucket = bucket
        self._secret = secret

    async def serve(self, exchange: Exchange) -> None:
        if exchange.method == "OPTIONS":
            await exchange.answer(HttpResponse(204, tuple({**CORS, **PREFLIGHT}.items())))
            return
        if exchange.method not in ("GET", "HEAD"):
            await exchange.answer(refusal(405, "GET or HEAD"))
            return
        try:
            query = dict(parse_qsl(exchange.query, keep_blank_values=True))
            blob = verify_blob(self._secret, exchange.raw_path, query, time.time())
            if not blob.key.startswith("blobs/"):
                raise ForbiddenError("the signature of this URL does not hold")
        except MayPACSError as error:
            await exchange.answer(as_problem(error))
            return
        wanted: dict[str, str] = {}
        if known := exchange.header("if-none-match"):
            wanted["if-none-match"] = known
        asked = exchange.header("range")
        if assembling.is_list(blob.key):
            await assembling.serve(exchange, self._storage, self._bucket, blob.key, blob.content_disposition)
            return
        # If-Range with an ETag: objects do not change, so it holds unless it names another one.
        if exchange.method == "GET" and asked and RANGE.match(asked) and exchange.header("if-range") is None:
            wanted["range"] = asked
        await self._stream(exchange, blob.key, wanted, blob.content_disposition)

    async def _stream(self, exchange: Exchange, key: str, wanted: Mapping[str, str], disposition: str | None) -> None:
        try:
            async with self._storage.request(exchange.method, self._bucket, key, headers=wanted) as upstream:
                if upstream.status == 404:
                    await exchange.answer(as_problem(NotFoundError("no such object")))
                elif upstream.status == 304:
                    await exchange.answer(_unchanged(upstream.headers))
                elif upstream.status == 416:
                    await exchange.answer(_unsatisfiable(upstream))
                elif upstream.status not in (200, 206):
                    await exchange.answer(refusal(503, "the object store does not answer"))
                else:
                    await self._copy(exchange, upstream, disposition)
        except (aiohttp.ClientError, OSError, TimeoutError):
            if exchange.status == 0:
                await exchange.answer(refusal(503, "the object store does not answer"))
            else:
                # Part of it is sent: only a broken connection tells the client that it is not all.
                raise

    async def _copy(self, exchange: Exchange, upstream: aiohttp.ClientResponse, disposition: str | None) -> None:
        headers = {name: upstream.headers[name] for name in _FORWARDED if name in upstream.headers}
        headers |= {"accept-ranges": "bytes", "cache-control": CACHE, "x-content-type-options": "nosniff", **CORS}
        if disposition:
            headers["content-disposition"] = disposition
        etag = upstream.headers.get("etag", "").strip('"')
        if etag and not_modified(exchange.header("if-none-match"), etag):
            # The store compares exactly; a cache may have made the tag weak, or marked it as compressed.
            await exchange.answer(_unchanged(upstream.headers))
            upstream.close()
            return
        await exchange.begin(upstream.status, headers)
        if exchange.method == "HEAD":
            await exchange.write(b"", more=False)
            return
        gone = exchange.watch()
        try:
            if await assembling.pour(exchange, upstream, gone):
                await exchange.write(b"", more=False)
        finally:
            gone.cancel()


def _unchanged(upstream: Mapping[str, str]) -> HttpResponse:
    headers = {"etag": upstream["etag"]} if "etag" in upstream else {}
    return HttpResponse(304, tuple({**headers, "cache-control": CACHE, **CORS}.items()))


def _unsatisfiable(upstream: aiohttp.ClientResponse) -> HttpResponse:
    answer = refusal(416, "the range is not in the object")
    size = upstream.headers.get("content-range", "bytes */*")
    return HttpResponse(416, (*answer.headers, ("content-range", size)), answer.body)
