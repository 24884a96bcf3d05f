"""Cold starts: what a fresh process of each function takes to import, and to answer its first request.

The first request is asked of real engines (SeaweedFS, dynalite) with the event that AWS would send. It includes what
only the first one does: reading settings and secrets, boto3's clients and their first connections, tables of codecs.
Not in it: starting the sandbox and Python itself, fetching the layers, TLS, the secret's way from Secrets Manager.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.cost.world import HOSP, World, world
from tests.bench.table import Table
from tests.support.functions import proxy_event
from tests.support.instances import slice_of
from tests.support.processes import ROOT

from maypacs import arrivals
from maypacs.archive.store import place_of
from maypacs_node.seaweed import ARCHIVE_BUCKET, INBOX_BUCKET

_TIMES = 3
_IMPORTS = """
import sys, time
start = time.process_time()
import handler
print((time.process_time() - start) * 1000)
assert not {"numpy", "pydicom"} & set(sys.modules), "loaded too early"
"""
_FIRST = """
import contextlib, io, json, sys, time
class Context:
    function_name, function_version, memory_limit_in_mb = "function", "$LATEST", 1769
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:function"
    aws_request_id = "00000000-0000-0000-0000-000000000000"
    def get_remaining_time_in_millis(self):
        return 30_000
event = json.load(sys.stdin)
found = []
with contextlib.redirect_stdout(io.StringIO()):
    start, cpu = time.perf_counter(), time.process_time()
    import handler
    for _ in range(2):
        answer = handler.handler(event, Context())
        found.append(((time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000))
        start, cpu = time.perf_counter(), time.process_time()
        assert answer.get("statusCode", 200) < 400 and not answer.get("batchItemFailures"), answer
print(json.dumps(found))
"""


def functions() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))


def imports(table: Table) -> None:
    """CPU of the imports in a fresh interpreter; what must not be there by then."""
    for function in functions():
        done = [_run(function, _IMPORTS) for _ in range(_TIMES)]
        goal = "under 500 ms" if function == "dicomweb" else ""
        row = table.row(f"cold start of `{function}`, imports (CPU)", "ms", "lower", goal)
        row.maypacs = statistics.median(map(float, done))


def first_requests(table: Table, folder: Path) -> None:
    """CPU of imports and the first request; time, and the same request a second time, in the note."""
    folder.mkdir()
    with world(folder) as place:
        for function in functions():
            what, event = _events(place)[function]
            done = [json.loads(_run(function, _FIRST, event())) for _ in range(_TIMES)]
            first, again = ([statistics.median(each[n][of] for each in done) for of in (0, 1)] for n in (0, 1))
            row = table.row(f"cold start of `{function}`, imports and first request (CPU)", "ms", "lower")
            row.maypacs = first[1]
            row.note = f"{what}; {first[0]:.0f} ms on the clock"
            if function in ("console", "dicomweb"):  # the others have done their work by then
                row.note += f", the next one {again[1]:.1f} ms of CPU"


def _events(place: World) -> dict[str, tuple[str, Callable[[], dict[str, Any]]]]:
    """What each function is asked first."""
    headers = {"Authorization": f"Bearer {place.admin}", "Accept": "application/json"}
    number = 0

    def ingested() -> dict[str, Any]:
        nonlocal number
        number += 1
        key, body = f"{HOSP}/uploads/{arrivals.new_arrival()}", slice_of(number=number, pixels=bytes(range(32)))
        place.runtime.inbox_objects.put(key, body)
        return _message(INBOX_BUCKET, key, len(body))

    def drawn() -> dict[str, Any]:
        heads = [head for head in place.runtime.archive_objects.list("meta/") if place_of(head.key)]
        for head in place.runtime.archive_objects.list("blobs/thumbs/"):
            place.runtime.archive_objects.delete(head.key)
        return _message(ARCHIVE_BUCKET, heads[0].key, heads[0].size)

    by_the_clock: tuple[str, Callable[[], dict[str, Any]]] = "called by the clock, nothing to do", dict
    return {
        "compactor": by_the_clock,
        "console": ("`/api/me`", lambda: proxy_event("GET", "/api/me", headers=headers)),
        "dicomweb": (
            "a search for studies",
            lambda: proxy_event("GET", f"/dicomweb/{HOSP}/studies", headers=headers, query={"limit": "25"}),
        ),
        "eraser": by_the_clock,
        "housekeeper": by_the_clock,
        "ingest": ("one small instance", ingested),
        "thumbnails": ("one small series", drawn),
    }


def _message(bucket: str, key: str, size: int) -> dict[str, Any]:
    """An S3 event in a message of SQS."""
    s3 = {"bucket": {"name": bucket}, "object": {"key": key, "size": size}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}
    message = {"messageId": "1", "body": json.dumps({"Records": [record]}), "receiptHandle": "1"}
    return {"Records": [message | {"eventSource": "aws:sqs", "attributes": {"ApproximateReceiveCount": "1"}}]}


def _run(function: str, code: str, event: Any = None) -> str:
    """What the code prints in a fresh interpreter. Raises RuntimeError with its complaint."""
    environment = {"AWS_REGION": "us-east-1", **os.environ, "PYTHONPATH": str(ROOT / "functions" / function)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, input=json.dumps(event), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{function}: {done.stderr[-2000:]}")
    return done.stdout
