"""DICOMweb: QIDO-RS, WADO-RS, STOW-RS and deletion, below /dicomweb/{archive}.

Thin on purpose: parse the event, ask the gatekeeper, call what `maypacs.dicomweb.routes` names, present the answer. The
resolver is not thread-safe: hosts run one handler thread a process.
"""

from __future__ import annotations

import functools
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pybase64
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from maypacs.access.addresses import client_address
from maypacs.dicomweb.capabilities import capabilities
from maypacs.dicomweb.request import Request
from maypacs.dicomweb.routes import ROUTES, methods
from maypacs.dicomweb.steady import steady
from maypacs.errors import NotFoundError, NotSupportedError
from maypacs.http.answers import Answer, cors_headers, merge_vary, plain_problem_answer, preflight, problem_answer
from maypacs.http.urls import archive_root, base_url
from maypacs.runtime import Runtime
from maypacs.uids import archive_id, uid

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]

app = APIGatewayRestResolver()
logger = Logger(service="dicomweb")


@functools.cache
def runtime() -> Runtime:
    return Runtime.from_environment()


def _serve(template: str, parameters: dict[str, str]) -> Answer:
    """One request to a resource that exists; raises what the use case raises."""
    event = app.current_event.raw_event
    method = event["httpMethod"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if method == "OPTIONS":
        if "access-control-request-method" in headers:
            return preflight(methods(template))
        here = base_url(headers, trust_forwarded=runtime().settings.trust_forwarded)
        root = archive_root(here, archive_id(parameters["archive"]))
        return capabilities(template, root, headers.get("accept"), methods(template))
    operation = ROUTES[template].get("GET" if method == "HEAD" else method)
    if operation is None:
        allowed = ", ".join(methods(template))
        return plain_problem_answer(405, f"allowed here: {allowed}", {"Allow": allowed})
    if "path" in parameters:
        parameters["path"] = event["path"].partition("/bulkdata/")[2]
    if method == "HEAD":
        headers.pop("range", None)  # RFC 9110 14.2: of GET alone
    settings, gatekeeper = runtime().settings, runtime().gatekeeper
    context = event.get("requestContext") or {}
    address = (context.get("identity") or {}).get("sourceIp", "")
    principal = gatekeeper.authenticate(
        headers, client_address(headers, address, trust_forwarded=settings.trust_forwarded)
    )
    query = event.get("multiValueQueryStringParameters") or {
        name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
    }
    # WADO-URI names the study in the query: access is decided, and recorded, by it all the same.
    named = parameters.get("study") or (query.get("studyUID") or [""])[0] * (template == "/wado")
    study = uid(named) if named else None
    workspace = gatekeeper.workspace(principal, operation.action, parameters["archive"], study)
    base = base_url(headers, trust_forwarded=settings.trust_forwarded, scheme=context.get("scheme") or "https")
    request = Request(
        workspace=workspace,
        settings=settings,
        sign=runtime().blob_signer.sign,
        root=archive_root(base, workspace.archive_id),
        principal=str(principal),
        path=parameters,
        query=query,
        headers=headers,
        body=_body(event),
    )
    if operation.acts:
        gatekeeper.audit.record(principal, operation.action, workspace.archive_id, study)
    answer = steady(operation.answer, request)
    gatekeeper.audit.record(principal, operation.action, workspace.archive_id, study)
    return answer


def _body(event: dict[str, Any]) -> bytes | memoryview:
    if large := event.get("largeBody"):  # of a node: more than a gateway lets through, mapped into memory
        return memoryview(large)
    body = event.get("body") or ""
    return pybase64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8")


def _present(answer: Answer) -> Response[str]:
    """JSON as text, everything else as base64; nothing after HEAD."""
    response: Response[str] = Response(status_code=answer.status, headers=dict(answer.headers), body="")
    body = b"" if app.current_event.raw_event["httpMethod"] == "HEAD" else answer.body
    if "json" in answer.headers.get("Content-Type", "") and "Content-Encoding" not in answer.headers:
        response.body = body.decode("utf-8")
    else:
        response.body, response.base64_encoded = pybase64.b64encode(body).decode("ascii"), bool(body)
    return response


def _answered(template: str, serve: Callable[[], Answer]) -> Response[str]:
    started = time.perf_counter()
    try:
        answer = serve()
    except Exception as error:
        answer = replace(problem_answer(error), figures=getattr(error, "figures", {}))
        if answer.status >= 500 and not isinstance(error, NotSupportedError):
            # Where it happened, not what it said: a message may quote the data that it choked on.
            frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            support = re.search(rb'"support_id":"(\w+)"', answer.body)
            known = support[1].decode() if support else ""
            logger.error("fault", extra={"support_id": known, "fault": type(error).__name__, "at": frames})
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    method = app.current_event.raw_event["httpMethod"]
    logger.info(
        "request",
        extra={
            "method": method,
            "route": template,
            "status": answer.status,
            "bytes": len(answer.body),
            "ms": milliseconds,
            **answer.figures,
        },
    )
    return _present(answer)


def _view(template: str) -> Callable[..., Response[str]]:
    return lambda **parameters: _answered(template, lambda: _serve(template, parameters))


for _template in ROUTES:
    # A bulk data path has slashes, which a parameter of the resolver cannot hold: `_serve` takes it from the event.
    _rule = re.sub(r"\{(\w+)\}", r"<\1>", _template).replace("{path+}", "<path>(?:/.+)?")
    app.route(f"/dicomweb/<archive>{_rule}", method=METHODS)(_view(_template))


@app.not_found
def _no_route(_: Exception) -> Response[str]:
    return _answered("none", lambda: problem_answer(NotFoundError("no such resource")))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The Lambda handler, of API Gateway's proxy events (REST, version 1)."""
    # A method that nobody here has heard of is one that the resource does not allow (405), not an unknown resource.
    method = event["httpMethod"] if event["httpMethod"] in METHODS else "TRACE"
    event = {**event, "path": event["path"].rstrip("/"), "httpMethod": method}
    try:
        result = app.resolve(event, context)
    finally:
        event.pop("largeBody", None)  # the resolver remembers the event until the next: not a gigabyte of it
    sent = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    headers = {name: ", ".join(values) for name, values in result.pop("multiValueHeaders", {}).items()}
    headers = merge_vary(headers, cors_headers(runtime().settings.cors_origins, sent.get("origin")))
    return {**result, "headers": headers}
