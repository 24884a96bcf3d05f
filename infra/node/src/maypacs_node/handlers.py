"""A handler process: `python -m maypacs_node.handlers`. One request at a time, in one thread, as a Lambda runs.

Functions are loaded by file path from the repository's `functions/`, once, when they are first called. A call that
takes longer than its time ends the process, as Lambda does; the supervisor starts another.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import select
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from maypacs_node import events, lane, notifications
from maypacs_node.logs import log, log_fault

Handler = Callable[[dict[str, Any], Any], Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What Lambda passes as its second argument."""

    function_name: str
    deadline: float  #: time.monotonic()
    memory_limit_in_mb: int = 1769
    function_version: str = "$LATEST"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class Functions:
    """The functions of a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded: dict[str, Handler] = {}

    def get(self, name: str) -> Handler:
        """Its handler. Raises whatever the import of the module raises."""
        if name not in self._loaded:
            path = self.folder / name / "handler.py"
            spec = importlib.util.spec_from_file_location(f"maypacs_function_{name}", path)
            if spec is None or spec.loader is None:
                raise FileNotFoundError(path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            self._loaded[name] = module.handler
        return self._loaded[name]

    def call(self, name: str, event: dict[str, Any], *, seconds: float) -> Any:
        """Calls it with its time as a real limit: a hung decoder ends this process, not the service."""
        handler = self.get(name)
        # The alarm needs neither the interpreter nor a thread a call: it writes where the code was (no values), then
        # does what an alarm does, which is to end the process.
        faulthandler.register(signal.SIGALRM, file=2, all_threads=True, chain=True)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return handler(event, Context(name, time.monotonic() + seconds))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def fault(status: int, title: str, support_id: str | None = None) -> events.HttpResponse:
    """What the gateway itself answers when a function fails: problem details, readable for viewers of other origins."""
    document = {"type": "about:blank", "title": title, "status": status}
    if support_id:
        document["support_id"] = support_id
    headers = (
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
    )
    return events.HttpResponse(status, headers, orjson.dumps(document))


def answer(
    functions: Functions, request: lane.Call, body: events.Body, *, limits: str, seconds: float, port: int | None = None
) -> events.HttpResponse:
    http = events.HttpRequest(
        request.method,
        request.path,
        request.query,
        request.headers,
        request.client,
        request.scheme,
        request.behind_proxy,
        body,
        port,
    )
    try:
        result = functions.call(request.function, events.proxy_event(http, request.resource), seconds=seconds)
        return events.http_response(result, largest=events.LAMBDA_PAYLOAD_BYTES if limits == "gateway" else None)
    except events.BadAnswerError as error:
        log("malformed answer", function=request.function, why=str(error))
        return fault(502, "Bad gateway")
    except Exception as error:
        support_id = uuid.uuid4().hex[:12]
        log_fault(error, function=request.function, support_id=support_id)
        return fault(502, "Fault in the server", support_id)


def serve(functions: Functions, sockets: list[socket.socket], *, limits: str, seconds: float, port: int | None) -> None:
    """Accepts for ever. ``sockets`` in order of preference, shared with the other handler processes."""
    by_fd = {listener.fileno(): listener for listener in sockets}
    while True:
        ready, _, _ = select.select(list(by_fd), [], [])
        for listener in sorted(ready, key=list(by_fd).index)[:1]:
            try:
                connection, _ = by_fd[listener].accept()
            except BlockingIOError:  # another process was faster
                continue
            with connection:
                connection.setblocking(True)
                _serve_one(functions, connection, limits=limits, seconds=seconds, port=port)


def _serve_one(
    functions: Functions, connection: socket.socket, *, limits: str, seconds: float, port: int | None
) -> None:
    """A function of its own, so that nothing of a large request is held while the next one is waited for."""
    received = lane.receive(connection)
    if received is not None:
        lane.reply(connection, answer(functions, *received, limits=limits, seconds=seconds, port=port))


def _warm_up() -> None:
    """The S3 client's model is parsed once a process: at the start, not in somebody's first request."""
    from maypacs.archive.s3_client import s3_client

    s3_client(os.environ.get("MAYPACS_S3_ENDPOINT"))


def main() -> None:
    """Environment: the settings of the functions, and
    MAYPACS_NODE_LISTENERS (file descriptors, in order of preference), MAYPACS_NODE_FUNCTIONS (the folder),
    MAYPACS_NODE_SECONDS (the time of one call), MAYPACS_NODE_PORT (the public port),
    MAYPACS_NODE_PRELOAD (names of functions to import at the start).
    """
    functions = Functions(Path(os.environ["MAYPACS_NODE_FUNCTIONS"]))
    notifications.hook_boto(Path(os.environ["MAYPACS_NODE_THUMBNAILS"]))
    for name in os.environ.get("MAYPACS_NODE_PRELOAD", "").split():
        try:
            functions.get(name)
        except Exception as error:  # answered as a fault when it is called; the others work
            log_fault(error, function=name)
    _warm_up()
    sockets = [socket.socket(fileno=int(fd)) for fd in os.environ["MAYPACS_NODE_LISTENERS"].split(",")]
    serve(
        functions,
        sockets,
        limits=os.environ.get("MAYPACS_LIMITS", "gateway"),
        seconds=float(os.environ.get("MAYPACS_NODE_SECONDS", "29")),
        port=int(os.environ.get("MAYPACS_NODE_PORT", "0")) or None,
    )


if __name__ == "__main__":
    main()
