"""The console: what the dashboard and the edges call, JSON only, under /api. `ROUTES` is all of it.

Chalice leaves the matching of paths to API Gateway; here one ``/api/{proxy+}`` carries everything, so `handler` fills
in what API Gateway would have said. Chalice must not serve two requests at once in one process: hosts run one handler
thread.
"""

from __future__ import annotations

import functools
import json
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger
from chalice.app import Chalice, Response

from maypacs.access.addresses import client_address
from maypacs.console import dashboard, devices, edges, members, packs, sessions
from maypacs.console.request import Json, Request, parse_body
from maypacs.errors import NotFoundError
from maypacs.http.answers import cors_headers, merge_vary, preflight
from maypacs.http.problems import plain_problem, problem
from maypacs.http.routing import Routes
from maypacs.runtime import Runtime

UseCase = Callable[[Request], Json | None]

#: Method, path, status of success, use case.
ROUTES: tuple[tuple[str, str, int, UseCase], ...] = (
    ("POST", "/api/login", 200, sessions.log_in),
    ("POST", "/api/token", 200, sessions.refresh),
    ("POST", "/api/logout", 204, sessions.log_out),
    ("GET", "/api/me", 200, sessions.me),
    ("POST", "/api/me/password", 204, sessions.change_password),
    ("GET", "/api/archives", 200, sessions.list_archives),
    ("POST", "/api/archives", 201, sessions.add_archive),
    ("POST", "/api/archives/{archive}/search", 200, dashboard.search),
    ("GET", "/api/archives/{archive}/studies/{study}", 200, dashboard.overview),
    ("GET", "/api/archives/{archive}/studies/{study}/series/{series}/packs", 200, packs.series_packs),
    ("POST", "/api/edges/enrol", 201, edges.enrol),
    ("POST", "/api/archives/{archive}/enrolment-codes", 201, edges.add_enrolment_code),
    ("GET", "/api/archives/{archive}/edges", 200, edges.list_edges),
    ("DELETE", "/api/archives/{archive}/edges/{edge}", 204, edges.remove_edge),
    ("POST", "/api/archives/{archive}/edges/{edge}/key", 204, devices.replace_key),
    ("POST", "/api/archives/{archive}/heartbeats", 200, devices.beat),
    ("GET", "/api/archives/{archive}/devices", 200, devices.list_devices),
    ("POST", "/api/archives/{archive}/boundaries", 200, edges.boundaries),
    ("POST", "/api/archives/{archive}/uploads", 201, edges.grant_upload),
    ("GET", "/api/archives/{archive}/uploads/{arrival}", 200, edges.upload_status),
    ("POST", "/api/archives/{archive}/uploads/status", 200, edges.upload_statuses),
    ("POST", "/api/archives/{archive}/uploads/known", 200, edges.known_instances),
    ("POST", "/api/archives/{archive}/uploads/in-parts", 201, edges.begin_in_parts),
    ("POST", "/api/archives/{archive}/uploads/{arrival}/parts", 200, edges.grant_parts),
    ("POST", "/api/archives/{archive}/uploads/{arrival}/complete", 200, edges.complete_parts),
    ("GET", "/api/archives/{archive}/keys", 200, members.list_keys),
    ("POST", "/api/archives/{archive}/keys", 201, members.add_key),
    ("DELETE", "/api/archives/{archive}/keys/{key}", 204, members.revoke_key),
    ("GET", "/api/archives/{archive}/users", 200, members.list_users),
    ("POST", "/api/archives/{archive}/users", 201, members.add_user),
    ("DELETE", "/api/archives/{archive}/users/{user}", 204, members.remove_user),
    ("POST", "/api/archives/{archive}/users/{user}/password", 200, members.reset_password),
    ("GET", "/api/archives/{archive}/audit", 200, members.read_audit),
)
#: What needs no credential. Everything else answers 401 without one: a test walks all routes.
PUBLIC = frozenset({("POST", "/api/login"), ("POST", "/api/token"), ("POST", "/api/edges/enrol")})
#: What comes each minute from each edge: a line for what went well would cost more than the rest of it.
QUIET = frozenset({"/api/archives/{archive}/heartbeats"})

app = Chalice(app_name="console", configure_logs=False)
logger = Logger(service="console")
_paths = Routes({path for _, path, _, _ in ROUTES})


@functools.cache
def runtime() -> Runtime:
    return Runtime.from_environment()


def _view(status: int, use_case: UseCase) -> Callable[..., Response]:
    """A Chalice view. It maps errors itself: Chalice's middleware sees them when they are a 500 already."""

    def view(**parameters: str) -> Response:
        try:
            document = use_case(_request(parameters))
        except Exception as error:
            return _problem(error)
        body = "" if document is None else document
        return Response(body=body, status_code=status, headers={"Content-Type": "application/json"})

    return view


def _request(parameters: Mapping[str, str]) -> Request:
    request = app.current_request
    assert request is not None
    source_ip = request.context.get("identity", {}).get("sourceIp", "")
    raw = request.raw_body
    return Request(
        runtime=runtime(),
        headers=request.headers,
        address=client_address(request.headers, source_ip, trust_forwarded=runtime().settings.trust_forwarded),
        parameters=parameters,
        query=dict(request.query_params or {}),
        body=parse_body(raw if isinstance(raw, bytes) else raw.encode("utf-8")),
    )


def _problem(error: Exception) -> Response:
    status, headers, document = problem(error)
    if "support_id" in document:
        # Where it happened, not what it said: a message may quote the data that it choked on.
        frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        logger.error("fault", extra={"support_id": document["support_id"], "fault": type(error).__name__, "at": frames})
    return Response(body=json.dumps(document), status_code=status, headers={**headers})


for _method, _path, _status, _use_case in ROUTES:
    # No content types: Chalice would refuse others than JSON in its own words, before anybody asked who it is.
    app.route(_path, methods=[_method], name=_use_case.__name__, content_types=[])(_view(_status, _use_case))


def handler(event: Json, context: Any) -> Json:
    """The Lambda handler, of API Gateway's proxy events (REST, version 1)."""
    started = time.perf_counter()
    method = event["httpMethod"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    match = _paths.match(event["path"])
    methods = [*app.routes[match.template], "OPTIONS"] if match else []
    if match is None:
        answer = _gateway(*problem(NotFoundError("no such route")))
    elif method == "OPTIONS":
        allowed = preflight(methods)
        answer = _gateway(allowed.status, allowed.headers, None)
    elif method not in methods:
        status, problem_headers, document = plain_problem(405, f"allowed here: {', '.join(methods)}")
        answer = _gateway(status, {**problem_headers, "Allow": ", ".join(methods)}, document)
    else:
        filled = {
            "multiValueQueryStringParameters": None,
            "stageVariables": None,
            "body": None,
            **event,
            "headers": headers,
            "pathParameters": dict(match.parameters),
            "requestContext": {
                **event.get("requestContext", {}),
                "resourcePath": match.template,
                "httpMethod": method,
            },
        }
        answer = app(filled, context)
    # The template, not the path; no body, no query, no name.
    route, status = match.template if match else "none", answer["statusCode"]
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    if status >= 400 or route not in QUIET:
        logger.info("request", extra={"method": method, "route": route, "status": status, "ms": milliseconds})
    own = {"Cache-Control": "no-store", **answer["headers"]}
    return {**answer, "headers": merge_vary(own, cors_headers(runtime().settings.cors_origins, headers.get("origin")))}


def _gateway(status: int, headers: Mapping[str, str], document: Any) -> Json:
    body = "" if document is None else json.dumps(document)
    return {"statusCode": status, "headers": dict(headers), "body": body, "isBase64Encoded": False}
