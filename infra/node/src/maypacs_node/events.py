"""HTTP to the events of Amazon API Gateway (REST API, Lambda proxy, payload version 1) and back. Pure.

What the gateway does is done here too: names of headers in the usual case, the last of several values in the single
maps, bodies as base64 (BinaryMediaTypes is `*/*`), X-Forwarded-* written by the front door.
"""

from __future__ import annotations

import mmap
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pybase64

STAGE = "node"
#: API Gateway refuses larger requests; Lambda takes 6 MB of event, a third of it lost to base64.
GATEWAY_REQUEST_BYTES = 10_000_000
LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024
#: Of an event, a body above that limit: bytes. Base64 of 265 MB costs a second and three times its memory.
LARGE_BODY = "largeBody"

#: A large one is its spooled file, mapped into memory.
Body = bytes | mmap.mmap
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    path: str  #: percent-decoded
    query: str = ""  #: as on the wire
    headers: Headers = ()  #: in order, names in any case
    client: str = "127.0.0.1"
    scheme: str = "http"
    behind_proxy: bool = False  #: a proxy of ours is in front: what it says in X-Forwarded-* stands
    body: Body = b""
    port: int | None = None  #: where we listen


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: Headers = field(default=())
    body: bytes | bytearray = b""


class BadAnswerError(ValueError):
    """A handler answered what API Gateway would call a malformed Lambda proxy response (502 there)."""


def proxy_event(request: HttpRequest, resource: str, *, now: float | None = None) -> dict[str, Any]:
    """The event of a request to a route like `/dicomweb/{proxy+}`."""
    now = time.time() if now is None else now
    multi_headers = _headers(request)
    multi_query: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        multi_query.setdefault(name, []).append(value)
    prefix = resource.partition("{")[0]
    request_id = str(uuid.uuid4())
    agent = multi_headers.get("User-Agent", [None])[-1]
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in multi_headers.items()},
        "multiValueHeaders": multi_headers,
        "queryStringParameters": {name: values[-1] for name, values in multi_query.items()} or None,
        "multiValueQueryStringParameters": multi_query or None,
        "pathParameters": {"proxy": request.path.removeprefix(prefix)},
        "stageVariables": None,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "node",
            "domainName": multi_headers.get("Host", ["localhost"])[-1],
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity": {"sourceIp": request.client, "userAgent": agent},
            "path": f"/{STAGE}{request.path}",
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": "node",
            "resourcePath": resource,
            "stage": STAGE,
        },
        **_body(request.body),
    }


def _body(body: Body) -> dict[str, Any]:
    """What no gateway would have let through has no form there to keep to: it is handed over as it came."""
    if len(body) > GATEWAY_REQUEST_BYTES:
        return {"body": None, "isBase64Encoded": False, LARGE_BODY: body}
    return {"body": pybase64.b64encode_as_string(bytes(body)) if body else None, "isBase64Encoded": bool(body)}


def _headers(request: HttpRequest) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        usual = "-".join(part.capitalize() for part in name.split("-"))
        if request.behind_proxy or not (usual.startswith("X-Forwarded-") or usual == "Forwarded"):
            headers.setdefault(usual, []).append(value)
    chain = ", ".join([*headers.get("X-Forwarded-For", []), request.client])
    headers["X-Forwarded-For"] = [chain]
    headers.setdefault("X-Forwarded-Proto", [request.scheme])
    if request.port and not request.behind_proxy:
        # dicomweb-client sends Host without the port: absolute URLs would lead elsewhere.
        headers["X-Forwarded-Port"] = [str(request.port)]
    return headers


def http_response(answer: Any, *, largest: int | None = None) -> HttpResponse:
    """A handler's answer as HTTP. ``largest``: bytes of the JSON that Lambda would carry. Raises BadAnswerError."""
    if not isinstance(answer, Mapping) or not isinstance(answer.get("statusCode"), int):
        raise BadAnswerError("an answer needs a statusCode")
    body = answer.get("body") or ""
    if not isinstance(body, str):
        raise BadAnswerError("the body of an answer is a string, base64 when it is binary")
    if largest is not None and len(body) > largest - 4096:
        raise BadAnswerError(f"an answer of {len(body)} bytes is more than Lambda carries ({largest})")
    try:
        data = pybase64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode("utf-8")
    except ValueError as error:
        raise BadAnswerError("the body of an answer is not base64") from error
    return HttpResponse(answer["statusCode"], tuple(_answer_headers(answer)), data)


def _answer_headers(answer: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    # The gateway merges both maps; the same pair in both is sent once.
    seen: set[tuple[str, str]] = set()
    multi: Mapping[str, Sequence[Any]] = answer.get("multiValueHeaders") or {}
    several = {name.lower() for name in multi}
    pairs = [(name, value) for name, values in multi.items() for value in values]
    pairs += [(name, value) for name, value in (answer.get("headers") or {}).items() if name.lower() not in several]
    for name, value in pairs:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        pair = (name.lower(), text)
        if "\r" in text or "\n" in text:
            raise BadAnswerError(f"the header {name} has a line break")
        # Connection-level headers and the length are the server's own.
        if pair not in seen and pair[0] not in {"content-length", "connection", "transfer-encoding"}:
            seen.add(pair)
            yield pair
