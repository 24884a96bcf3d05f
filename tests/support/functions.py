"""A function's module, loaded by path as a host does, and the events that API Gateway sends it."""

from __future__ import annotations

import base64
import importlib.util
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"


def load_function(name: str) -> ModuleType:
    """A fresh copy of ``functions/<name>/handler.py``: what it remembers of its environment is this test's."""
    spec = importlib.util.spec_from_file_location(f"{name}_{uuid.uuid4().hex}", FUNCTIONS / name / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Context:
    """What Lambda passes as its second argument."""

    function_name = "function"
    function_version = "$LATEST"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:function"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]  #: names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def proxy_event(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    query: Mapping[str, str] | None = None,
    source_ip: str = "192.0.2.1",
) -> dict[str, Any]:
    """An API Gateway REST proxy event, as a ``{proxy+}`` resource with ``BinaryMediaTypes: */*`` sends it."""
    sent = {"Host": "pacs.example.org", "Accept": "*/*", **(headers or {})}
    return {
        "resource": "/" + path.split("/")[1] + "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": {"proxy": path.split("/", 2)[-1]},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/" + path.split("/")[1] + "/{proxy+}",
            "httpMethod": method,
            "path": "/prod" + path,
            "stage": "prod",
            "requestId": str(uuid.uuid4()),
            "identity": {"sourceIp": source_ip, "userAgent": "test"},
        },
        "body": None if body is None else base64.b64encode(body).decode("ascii"),
        "isBase64Encoded": body is not None,
    }


def call(function: ModuleType, event: dict[str, Any]) -> Reply:
    """Calls the handler; what it answers must be what API Gateway takes (a malformed answer is a 502 there)."""
    answer = function.handler(event, Context())
    json.dumps(answer)
    body = answer.get("body") or ""
    raw = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode("utf-8")
    headers = dict(answer.get("headers") or {})
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        headers[name] = ", ".join(values)
    assert all(isinstance(value, str) for value in headers.values())
    return Reply(answer["statusCode"], {name.lower(): value for name, value in headers.items()}, raw)
