"""The ASGI application of an event-loop process: routes, bodies, limits, the access log.

Everything a function answers goes through `lane` to a handler process; everything large goes straight to storage.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from maypacs_node import events, lane
from maypacs_node.asgi import ClientGoneError, Exchange, Receive, Scope, Send, refusal
from maypacs_node.blobs import Blobs
from maypacs_node.bodies import DRAIN_SECONDS, Bodies, Body, BodyError
from maypacs_node.events import HttpResponse
from maypacs_node.logs import log_fault
from maypacs_node.room import RETRY_SECONDS
from maypacs_node.static import Dashboard
from maypacs_node.storage import Storage
from maypacs_node.uploads import Uploads

#: A handler sees a body as base64 in its event: about 2.4 times this much memory in one process.
LARGEST_BODY = 1024 * 1024 * 1024
#: Requests that may wait for a handler process; more are told to come again.
_WAITING = 512
_DRAIN_BYTES = 64 * 1024 * 1024
#: Lambda's 6 MB of event, less headers, of which base64 takes a third.
_GATEWAY_BODY = (events.LAMBDA_PAYLOAD_BYTES - 16 * 1024) * 3 // 4

FUNCTIONS = {"/dicomweb/": ("dicomweb", "/dicomweb/{proxy+}"), "/api/": ("console", "/api/{proxy+}")}


@dataclass(frozen=True, slots=True)
class HostSettings:
    limits: str = "none"
    behind_proxy: bool = False
    spool: Path = Path("spool")
    largest_body: int = LARGEST_BODY


class Host:
    def __init__(
        self,
        settings: HostSettings,
        *,
        storage: Storage,
        blobs: Blobs,
        uploads: Uploads,
        dashboard: Dashboard,
        table_is_up: Callable[[], bool],
        archive_bucket: str,
        has_room: Callable[[], bool] = lambda: True,
        is_known: Callable[[Exchange], bool] = lambda _: True,
    ) -> None:
        """``is_known``: whether the credential of a request is good; asked before a large body is taken."""
        self._settings = settings
        self._storage = storage
        self._blobs = blobs
        self._uploads = uploads
        self._dashboard = dashboard
        self._table_is_up = table_is_up
        self._archive_bucket = archive_bucket
        self._has_room = has_room
        self._waiting = 0
        gateway = settings.limits == "gateway"
        limit = _GATEWAY_BODY if gateway else settings.largest_body
        self._bodies = Bodies(settings.spool, limit, has_room, is_known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        started = time.monotonic()
        try:
            await self._route(exchange)
        except ClientGoneError:
            pass
        except Exception as error:
            support_id = uuid.uuid4().hex[:12]
            log_fault(error, support_id=support_id)
            if exchange.status:
                raise  # breaks the connection off: the answer is not whole
            await exchange.answer(refusal(500, "fault in the server", support_id=support_id))
        finally:
            self._log(exchange, time.monotonic() - started)

    async def _route(self, exchange: Exchange) -> None:
        path = exchange.path
        if path.startswith("/blobs/"):
            await self._blobs.serve(exchange)
        elif _stores(exchange) and not self._has_room():
            await exchange.drain(_DRAIN_BYTES, seconds=DRAIN_SECONDS)
            await exchange.answer(_FULL)
        elif path.startswith("/uploads/"):
            await self._uploads.serve(exchange)
        elif path == "/health":
            await exchange.answer(await self._health())
        else:
            for prefix, (function, resource) in FUNCTIONS.items():
                if path.startswith(prefix):
                    await self._call(exchange, function, resource)
                    return
            await self._dashboard.serve(exchange)

    async def _health(self) -> HttpResponse:
        storage, table = await asyncio.gather(
            self._storage.is_up(self._archive_bucket), asyncio.to_thread(self._table_is_up)
        )
        parts = {"storage": "ok" if storage else "down", "table": "ok" if table else "down"}
        room = self._has_room()
        parts["disk"] = "ok" if room else "nearly full"
        document = {"status": "ok" if storage and table and room else "degraded", **parts}
        headers = (("content-type", "application/json"), ("cache-control", "no-store"))
        return HttpResponse(200 if storage and table else 503, headers, orjson.dumps(document))

    async def _call(self, exchange: Exchange, function: str, resource: str) -> None:
        if self._waiting >= _WAITING:
            busy = refusal(503, "too many requests wait: try again")
            await exchange.answer(HttpResponse(503, (*busy.headers, ("retry-after", "2")), busy.body))
            return
        # Bodies are read before anything is asked for: who sends slowly takes nobody's place.
        body = Body(self._bodies)
        try:
            await body.read(exchange)
        except BodyError as error:
            body.discard()
            await exchange.drain(_DRAIN_BYTES, seconds=DRAIN_SECONDS)
            await exchange.answer(self._too_large(exchange.path) if error.status == 413 else error.answer())
            return
        except BaseException:
            body.discard()
            raise
        self._waiting += 1
        try:
            request = lane.Call(
                function,
                resource,
                exchange.method,
                exchange.path,
                exchange.query,
                exchange.headers,
                exchange.client,
                exchange.scheme,
                self._settings.behind_proxy,
                body.length,
                None if body.file is None else str(body.file),
            )
            chosen = lane.lane_of(exchange.method, exchange.path, exchange.query)
            try:
                response = await exchange.unless_gone(lane.call(chosen, request, bytes(body.memory)))
            except (lane.LaneError, OSError):
                response = refusal(502, "the function ended without an answer")
        finally:
            self._waiting -= 1
            body.discard()
        await exchange.answer(response)

    def _too_large(self, path: str) -> HttpResponse:
        parts = path.split("/")
        archive = parts[2] if path.startswith("/dicomweb/") and len(parts) > 2 else "{archive}"
        route = f"/api/archives/{archive}/uploads"
        detail = f"the body is larger than this route takes: POST {route} gives an upload grant without that limit"
        return refusal(413, detail, upload=route)

    @staticmethod
    def _log(exchange: Exchange, seconds: float) -> None:
        """No query (searches have names in it), no header, no address of a patient's: what, how it went, how long."""
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "method": exchange.method,
            "path": exchange.path,
            "status": exchange.status,
            "bytes": exchange.sent,
            "ms": round(seconds * 1000, 1),
            "client": exchange.client,
        }
        with suppress(OSError):  # a full disk is no reason to fail
            sys.stdout.write(orjson.dumps(line).decode() + "\n")


def _stores(exchange: Exchange) -> bool:
    return (exchange.method, exchange.path.split("/")[1]) in {("PUT", "uploads"), ("POST", "dicomweb")}


def _full() -> HttpResponse:
    answer = refusal(503, "the disk of the archive is nearly full: nothing is stored until there is room again")
    return HttpResponse(503, (*answer.headers, ("retry-after", str(RETRY_SECONDS))), answer.body)


_FULL = _full()
