"""`/uploads/…`: PUT to the inbox under a signed grant of one key, length, SHA-256 and type (what S3 checks on AWS).

The body is streamed to storage while it is counted and digested. The last piece is held back until both are right, so
a wrong or broken body never becomes an object. Storage has fsynced when the answer is sent.

200 stored · 400 wrong bytes, or too few · 403 no grant, or expired · 409 two at once · 412 there already · 413 too many
404 a part of an upload that is not there any more
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import aiohttp

from maypacs.archive.grants import UploadRequest, verify_upload
from maypacs.errors import MayPACSError
from maypacs_node.asgi import CORS, PREFLIGHT, ClientGoneError, Exchange, as_problem, refusal
from maypacs_node.events import HttpResponse
from maypacs_node.storage import Storage

#: Of every part: SeaweedFS compresses parts without a type, and a frame, a range of one, then costs the decompression
#: of 1 MiB around it (20 ms instead of 3).
_PART_TYPE = "application/octet-stream"
#: Larger bodies go by multipart upload (a pack is smaller): the store takes 1 GiB a PUT.
SINGLE_PUT_BYTES = 128 * 1024 * 1024
PART_BYTES = 32 * 1024 * 1024
_DRAIN_BYTES = 128 * 1024 * 1024


class _WrongBodyError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(slots=True)
class _Checked:
    """The body, checked as it passes; its last piece comes out only when all of it was right."""

    source: AsyncIterator[bytes]
    grant: UploadRequest
    error: Exception | None = None
    received: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    async def pieces(self) -> AsyncIterator[bytes]:
        held = b""
        try:
            async for piece in self.source:
                self.received += len(piece)
                if self.received > self.grant.length:
                    raise _WrongBodyError(413, "more bytes than the grant allows")
                self._digest.update(piece)
                if held:
                    yield held
                held = piece
            if self.received != self.grant.length:
                raise _WrongBodyError(400, "fewer bytes than the grant says")
            if self._digest.hexdigest() != self.grant.sha256_hex.lower():
                raise _WrongBodyError(400, "the SHA-256 of the body is not the one of the grant")
        except (_WrongBodyError, ClientGoneError) as error:
            self.error = error  # what aiohttp makes of it hides it
            raise
        yield held


class Uploads:
    def __init__(self, storage: Storage, *, bucket: str, secret: bytes, stored: Callable[[str], None]) -> None:
        """``stored`` is called with the key of each new object."""
        self._storage = storage
        self._bucket = bucket
        self._secret = secret
        self._stored = stored

    async def serve(self, exchange: Exchange) -> None:
        if exchange.method == "OPTIONS":
            await exchange.answer(HttpResponse(204, tuple({**CORS, **PREFLIGHT}.items())))
            return
        response = await self._respond(exchange)
        if response.status != 200:
            await exchange.drain(_DRAIN_BYTES)
        await exchange.answer(response)

    async def _respond(self, exchange: Exchange) -> HttpResponse:
        if exchange.method != "PUT":
            return refusal(405, "PUT is needed")
        try:
            query = dict(parse_qsl(exchange.query, keep_blank_values=True))
            grant = verify_upload(self._secret, exchange.raw_path, query, time.time())
        except (MayPACSError, ValueError) as error:
            if isinstance(error, MayPACSError):
                return as_problem(error)
            return refusal(403, "the signature of this URL does not hold")
        if (exchange.header("content-type") or "") != grant.content_type:
            return refusal(403, "the Content-Type is not the one of the grant")
        length = exchange.content_length
        if length is not None and length != grant.length:
            return refusal(413 if length > grant.length else 400, "the Content-Length is not the one of the grant")
        body = _Checked(exchange.body(), grant)
        try:
            response = await (self._put_part(grant, body) if grant.part else self._put_whole(grant, body))
        except (aiohttp.ClientError, OSError, TimeoutError, _WrongBodyError, ClientGoneError):
            if isinstance(body.error, ClientGoneError):
                raise body.error from None
            if isinstance(body.error, _WrongBodyError):
                return refusal(body.error.status, str(body.error))
            return refusal(503, "the object store does not answer")
        if response.status == 200 and not grant.part:
            self._stored(grant.key)
        return response

    async def _put_whole(self, grant: UploadRequest, body: _Checked) -> HttpResponse:
        async with self._storage.request("HEAD", self._bucket, grant.key) as head:
            if head.status == 200:
                return refusal(412, "it was uploaded before")
        put = self._put if grant.length <= SINGLE_PUT_BYTES else self._put_parts
        return await put(grant, body)

    async def _put_part(self, grant: UploadRequest, body: _Checked) -> HttpResponse:
        """One part of an upload that the console began and will complete."""
        async with self._storage.request(
            "PUT",
            self._bucket,
            grant.key,
            headers={"content-type": _PART_TYPE, "content-length": str(grant.length)},
            query={"partNumber": str(grant.part), "uploadId": grant.upload},
            data=body.pieces(),
            payload_sha256=grant.sha256_hex.lower(),
        ) as answer:
            await answer.read()
            return _result(answer)

    async def _put(self, grant: UploadRequest, body: _Checked) -> HttpResponse:
        headers = {"content-type": grant.content_type, "content-length": str(grant.length), "if-none-match": "*"}
        async with self._storage.request(
            "PUT",
            self._bucket,
            grant.key,
            headers=headers,
            data=body.pieces(),
            payload_sha256=grant.sha256_hex.lower(),
        ) as answer:
            await answer.read()
            return _result(answer)

    async def _put_parts(self, grant: UploadRequest, body: _Checked) -> HttpResponse:
        upload = {"uploadId": await self._begin(grant)}
        done = False
        try:
            tags: list[str] = []
            async for part in _parts(body.pieces()):
                query, headers = {"partNumber": str(len(tags) + 1), **upload}, {"content-type": _PART_TYPE}
                async with self._storage.request(
                    "PUT", self._bucket, grant.key, headers=headers, query=query, data=part
                ) as answer:
                    answer.raise_for_status()
                    tags.append(answer.headers["etag"])
            listed = "".join(
                f"<Part><PartNumber>{n}</PartNumber><ETag>{escape(tag)}</ETag></Part>" for n, tag in enumerate(tags, 1)
            )
            document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
            headers = {"if-none-match": "*", "content-type": "application/xml"}
            async with self._storage.request(
                "POST", self._bucket, grant.key, headers=headers, query=upload, data=document
            ) as answer:
                await answer.read()
                done = answer.status == 200
                return _result(answer)
        finally:
            if not done:
                async with self._storage.request("DELETE", self._bucket, grant.key, query=upload) as answer:
                    await answer.read()

    async def _begin(self, grant: UploadRequest) -> str:
        headers = {"content-type": grant.content_type}
        async with self._storage.request(
            "POST", self._bucket, grant.key, headers=headers, query={"uploads": ""}
        ) as answer:
            answer.raise_for_status()
            return (await answer.text()).partition("<UploadId>")[2].partition("</UploadId>")[0]


async def _parts(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    part = bytearray()
    async for piece in pieces:
        part += piece
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _result(answer: aiohttp.ClientResponse) -> HttpResponse:
    match answer.status:
        case 200:
            tag = answer.headers.get("etag", "")
            return HttpResponse(200, tuple({"etag": tag, "cache-control": "no-store", **CORS}.items()))
        case 404:
            return refusal(404, "there is no such upload any more")
        case 412:
            return refusal(412, "it was uploaded before")
        case 409:
            return refusal(409, "another upload of the same is under way: try again")
        case 400:
            return refusal(400, "the object store refused the body: it is not the one of the grant")
        case _:
            return refusal(503, "the object store does not answer")
