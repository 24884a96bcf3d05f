"""The functions on real engines (SeaweedFS, dynalite), called with the events that AWS would send, and what each
activity of theirs costs, counted at the client."""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import boto3
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.bench.cost.meter import Meter
from tests.support.functions import FUNCTIONS, Context, Reply, call, load_function, proxy_event
from tests.support.tables import dynalite, dynamodb_client

from maypacs.access import edges
from maypacs.access.accounts import add_archive
from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.access.secrets import new_secrets
from maypacs.compaction import compact
from maypacs.index import costs
from maypacs.index.cascade import Effects
from maypacs.index.dynamodb_table import create_table_request, decode_item
from maypacs.runtime import Runtime
from maypacs.uids import ArchiveId
from maypacs_node.seaweed import ARCHIVE_BUCKET, INBOX_BUCKET, SeaweedFS

HOSP = ArchiveId("hosp1")
ORIGIN = "https://pacs.example.org"
#: What DynamoDB stores a row in, beside the row (developer guide, "item sizes and formats"), in table and index.
ROW_OVERHEAD = 100


class World:
    """Everything that is done goes into `counts`, until `taken` takes it away."""

    def __init__(
        self, runtime: Runtime, meter: Meter, functions: Mapping[str, Any], log: io.StringIO, sidecars: list[str]
    ) -> None:
        self.runtime, self.meter, self._functions, self._log = runtime, meter, functions, log
        self.own: Counter[str] = Counter()
        self._sidecars = sidecars  #: keys of sidecars whose event nobody has had yet
        self.metrics: set[tuple[str, ...]] = set()
        self.admin = add_key(runtime.accounts, "hosp1", Role.ADMIN, name="a program").key
        self.edge = edges.enrol(runtime.accounts, edges.add_enrolment_code(runtime.accounts, "hosp1").code).key.key
        self.pack_secret = bytes.fromhex(runtime.secrets["pack_key"])
        self._http = urllib3.PoolManager(retries=False)

    def taken(self) -> dict[str, float]:
        """What was counted since the last time."""
        counts = self.meter.counts + self.own
        self.meter.counts.clear()
        self.own.clear()
        return {name: round(value, 2) for name, value in sorted(counts.items()) if value}

    def _call(self, name: str, run: Callable[[], Any]) -> Any:
        """A call of a function: its CPU, its requests and its log."""
        before, own = Counter(self.meter.counts), self.meter.seconds
        self._log.seek(0)
        self._log.truncate()
        start = time.process_time()
        with redirect_stdout(self._log):
            result = run()
        spent = time.process_time() - start - (self.meter.seconds - own)
        done = self.meter.counts - before
        lines = self._log.getvalue()
        self._look_for_metrics(lines)
        self.own[f"function.{name}.calls"] += 1
        self.own[f"function.{name}.cpu_ms"] += spent * 1000  # type: ignore[assignment]
        self.own[f"function.{name}.s3_requests"] += sum(n for key, n in done.items() if key.startswith("s3."))
        tables = sum(n for key, n in done.items() if key.startswith("dynamodb."))
        self.own[f"function.{name}.table_requests"] += tables
        self.own[f"function.{name}.log_bytes"] += len(lines.encode())
        self.own[f"function.{name}.log_lines"] += lines.count("\n")
        return result

    def _look_for_metrics(self, lines: str) -> None:
        """Each name with its dimensions is a custom metric of its own."""
        for line in lines.splitlines():
            if not line.startswith('{"_aws"'):
                continue
            document = json.loads(line)
            for block in document["_aws"]["CloudWatchMetrics"]:
                for dimensions in block["Dimensions"]:
                    values = tuple(str(document[name]) for name in dimensions)
                    self.metrics |= {(block["Namespace"], *values, metric["Name"]) for metric in block["Metrics"]}

    def ask(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        key: str | None = None,
        accept: str = "*/*",
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request through the front door to the API; a redirect to /blobs/ is followed, as clients do."""
        headers = {"Authorization": f"Bearer {key or self.admin}", "Accept": accept}
        body = None if document is None else json.dumps(document).encode()
        event = proxy_event(method, path, headers=headers, body=body, query=query)
        name = "dicomweb" if path.startswith("/dicomweb/") else "console"
        reply: Reply = self._call(name, lambda: call(self._functions[name], event))
        if reply.status >= 400:
            raise AssertionError(f"{method} {path}: {reply.status} {reply.body[:200]!r}")
        self.own["api.requests"] += 1
        self.own["api.bytes_in"] += len(body or b"")
        self.own["api.bytes_out"] += len(reply.body)
        if reply.status == 307:
            self.blob(reply.headers["location"])
        return reply

    def blob(self, location: str) -> int:
        """CloudFront fetches what a signed URL names from the bucket: one GET there, its bytes to the client."""
        key = urlsplit(location).path.lstrip("/")
        size = self.runtime.archive_objects.head(key).size
        self.meter.counts["s3.HeadObject"] -= 1  # ours, to know the size
        self.own["s3.GetObject"] += 1
        self.own["blob.requests"] += 1
        self.own["blob.bytes"] += size
        return size

    def put(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """The edge's upload: straight to S3, by a presigned URL (or, where a host would take it, into the bucket)."""
        self.own["upload.bytes"] += len(body)
        if url.startswith("/uploads/"):
            self.runtime.inbox_objects.put(unquote(urlsplit(url).path).removeprefix("/uploads/"), body)
            return
        answer = self._http.request("PUT", url, headers=dict(headers), body=body)
        assert answer.status == 200, answer.data
        self.own["s3.PutObject"] += 1

    def deliver(self, key: str, size: int) -> None:
        """The event of an object in the inbox, by the queue to ingest; then those of the sidecars, to thumbnails."""
        self._message("ingest", INBOX_BUCKET, key, size)
        self.own["function.ingest.s3_bytes"] += size
        while self._sidecars:
            self._message("thumbnails", ARCHIVE_BUCKET, self._sidecars.pop(), 1000)

    def _message(self, function: str, bucket: str, key: str, size: int) -> None:
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": size}},
        }
        message = {"messageId": "1", "body": json.dumps({"Records": [record]}), "attributes": {}, "receiptHandle": "1"}
        message |= {"eventSource": "aws:sqs", "attributes": {"ApproximateReceiveCount": "1"}}
        event = {"Records": [message]}
        answer = self._call(function, lambda: self._functions[function].handler(event, Context()))
        assert answer == {"batchItemFailures": []}, answer
        self.own["queue.messages"] += 1

    def scheduled(self, name: str) -> None:
        """What EventBridge calls by the clock."""
        self._call(name, lambda: self._functions[name].handler({}, Context()))

    def compact(self, hours: float) -> None:
        """What the compactor does so many hours from now, when nothing has come since."""
        later = Effects(clock=lambda: time.time() + hours * 3600)
        workspace = self.runtime.unscoped_workspace(HOSP)
        self._call("compactor", lambda: compact(workspace, quiet_hours=24, effects=later))

    def held(self) -> dict[str, float]:
        """What lies there: bytes and objects by kind (first part of the key), rows and bytes of the tables."""
        found: Counter[str] = Counter()
        for head in self.runtime.archive_objects.list(""):
            kind = "/".join(head.key.split("/")[: 2 if head.key.startswith("blobs/") else 1])
            found[f"held.{kind}.objects"] += 1
            found[f"held.{kind}.bytes"] += head.size
        client = self.meter.aside
        for table, name in self.meter.tables.items():
            for page in client.get_paginator("scan").paginate(TableName=table):
                for item in map(decode_item, page["Items"]):
                    size = costs.item_size(item) + ROW_OVERHEAD
                    found[f"held.{name}.rows"] += 1
                    found[f"held.{name}.bytes"] += size * (2 if "gpk" in item else 1)
        self.meter.counts.clear()
        return dict(found)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    secrets = folder / "secrets.json"
    signer = {"cloudfront_key_id": "K", "cloudfront_private_key": pem, "cloudfront_origin": ORIGIN}
    secrets.write_text(json.dumps({**new_secrets(), **signer}))
    with ExitStack() as stack:
        store = stack.enter_context(SeaweedFS(folder / "objects", fsync=False))
        table = stack.enter_context(dynalite(folder / "table"))
        environment = {
            **store.environment,
            "MAYPACS_INDEX_TABLE": "cost-index",
            "MAYPACS_ACCOUNTS_TABLE": "cost-accounts",
            "MAYPACS_ARCHIVE_BUCKET": ARCHIVE_BUCKET,
            "MAYPACS_INBOX_BUCKET": INBOX_BUCKET,
            "MAYPACS_SECRETS": str(secrets),
            "MAYPACS_DYNAMODB_ENDPOINT": table.endpoint,
            "MAYPACS_LIMITS": "gateway",
            "MAYPACS_BLOBS": "cloudfront",
            "MAYPACS_UPLOADS": "presigned",
            "POWERTOOLS_METRICS_NAMESPACE": "MayPACS",
        }
        stack.enter_context(patch.dict(os.environ, environment))
        aside = dynamodb_client(table.endpoint)
        for name in ("cost-index", "cost-accounts"):
            aside.create_table(**create_table_request(name))
        yield stack.enter_context(counted(aside))


@contextmanager
def counted(aside: Any) -> Iterator[World]:
    """A session of boto3 that is counted, and the functions loaded with it: environment and engines are there."""
    sidecars: list[str] = []

    def on_object(path: str) -> None:
        at = path.find("meta/")
        if at >= 0 and path.endswith(".json.gz"):
            sidecars.append(path[at:])

    tables = {os.environ["MAYPACS_INDEX_TABLE"]: "index", os.environ["MAYPACS_ACCOUNTS_TABLE"]: "accounts"}
    meter = Meter(tables, aside, on_object)
    session = boto3.Session()
    meter.watch(session)
    log = io.StringIO()
    with patch.object(boto3, "DEFAULT_SESSION", session):
        with redirect_stdout(log):
            functions = {path.parent.name: load_function(path.parent.name) for path in FUNCTIONS.glob("*/handler.py")}
        runtime = Runtime.from_environment()
        add_archive(runtime.accounts, "hosp1", name="Bệnh viện Một")
        world = World(runtime, meter, functions, log, sidecars)
        meter.counts.clear()
        yield world
