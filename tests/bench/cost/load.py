"""`python -m tests.bench.cost.load`: studies pushed at once, by several edges, into the template deployed on ministack.

Every request of the functions passes a proxy that counts it, so that the counts of `counts.json`, made one call at a
time in one process, are compared with those of queues, events and functions that run at the same time. Times are an
emulator's on this machine; what is looked at is that everything is indexed, once, and what it asked for.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bench.cost.activities import packs
from tests.bench.cost.studies import KINDS, Image
from tests.deploy.conftest import ORIGIN, ORIGIN_KEY, eventually, send
from tests.support.deployer import ROOT, deploy, package, read_template, without_tls_only
from tests.support.emulator import ministack

from maypacs.access.accounts import add_archive
from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.access.secrets import new_secrets
from maypacs.index.dynamodb_table import DynamoDBTable
from maypacs.pack.grammar import Instance, write_pack
from maypacs.uids import ArchiveId
from maypacs_node.cost.counts import load

_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-length"}


def operation(method: str, path: str, headers: Any) -> str:
    """The name that botocore gives a request to S3 or DynamoDB."""
    target = headers.get("x-amz-target")
    if target:
        return f"dynamodb.{target.rpartition('.')[2]}"
    url = urlsplit(path)
    query, key = parse_qs(url.query, keep_blank_values=True), url.path.strip("/").partition("/")[2]
    if not key:
        return "s3.ListObjectsV2"
    if method == "POST":
        return "s3.CreateMultipartUpload" if "uploads" in query else "s3.CompleteMultipartUpload"
    if method == "PUT":
        copied = "x-amz-copy-source" in headers
        if "partNumber" in query:
            return "s3.UploadPartCopy" if copied else "s3.UploadPart"
        return "s3.CopyObject" if copied else "s3.PutObject"
    return {"GET": "s3.GetObject", "HEAD": "s3.HeadObject", "DELETE": "s3.DeleteObject"}[method]


@contextmanager
def counting(endpoint: str) -> Iterator[tuple[str, Counter[str]]]:
    """A proxy before an emulator: its address, and what passed."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    upstream = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def _pass(self) -> None:
            with lock:
                counts[operation(self.command, self.path, self.headers)] += 1
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            # Of an answer to HEAD the length is the object's.
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(data)
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away: it asks again, and that is counted too."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", counts
        finally:
            server.shutdown()
            thread.join()


class Deployment:
    def __init__(self, base: str, edge: str, session: Any, data: dict[str, str], pack_key: bytes) -> None:
        self.base, self.edge, self.session, self.data, self.pack_key = base, edge, session, data, pack_key
        self._s3 = session.client("s3")  # past the proxy

    def ask(self, path: str, document: Any) -> Any:
        headers = {"x-api-key": ORIGIN_KEY, "Authorization": f"Bearer {self.edge}", "Content-Type": "application/json"}
        reply = send("POST", self.base + path, headers=headers, body=json.dumps(document).encode())
        assert reply.status in {200, 201}, reply.body
        return reply.json()

    def push(self, pack: list[Image]) -> str:
        """One pack as an edge sends it; its arrival id."""
        study = pack[0].study
        self.ask("/api/archives/hosp1/boundaries", {"study_instance_uids": [study]})
        members = [Instance(i.data, "1.2.840.10008.1.2.1", i.study, i.series, i.instance) for i in pack]
        body = write_pack(members, archive_id=ArchiveId("hosp1"), secret=self.pack_key)
        wanted = {
            "length": len(body.data),
            "sha256": hashlib.sha256(body.data).hexdigest(),
            "content_type": body.content_type,
        }
        grant = self.ask("/api/archives/hosp1/uploads", wanted)
        put = send(grant["method"], grant["url"], headers=grant["headers"], body=body.data)
        assert put.status == 200, put.body
        return str(grant["arrival"])

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.data[bucket], Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def settle(self, thumbnails: int) -> float:
        """Until nothing waits in the inbox and so many thumbnails are there; when the inbox was empty."""
        eventually(lambda: not self.keys("InboxBucket"), seconds=900)
        indexed = time.monotonic()
        eventually(lambda: len(self.keys("ArchiveBucket", "blobs/thumbs/")) >= thumbnails, seconds=900)
        return indexed

    def check_indexed(self, arrivals: list[str]) -> None:
        for start in range(0, len(arrivals), 100):
            found = self.ask("/api/archives/hosp1/uploads/status", {"arrivals": arrivals[start : start + 100]})
            assert {each["state"] for each in found["uploads"]} == {"indexed"}, found


@contextmanager
def deployment() -> Iterator[tuple[Deployment, Counter[str]]]:
    sys.path.insert(0, str(ROOT / "infra" / "deploy"))
    import layers

    layers.build(from_venv=True)
    with ministack(enforce_iam=False) as session, counting(os.environ["AWS_ENDPOINT_URL"]) as (proxy, counts):
        s3 = session.client("s3")
        s3.create_bucket(Bucket="deploy", CreateBucketConfiguration={"LocationConstraint": session.region_name})
        data = deploy(
            session, "maypacs-data", without_tls_only(read_template(ROOT / "infra" / "data.yaml")), {}, bucket="deploy"
        )
        signer = {"cloudfront_key_id": "K", "cloudfront_private_key": "none", "cloudfront_origin": ORIGIN}
        secrets = {**new_secrets(), **signer}
        manager = session.client("secretsmanager")
        manager.put_secret_value(SecretId=data["SecretsArn"], SecretString=json.dumps(secrets))
        template = package(session, read_template(ROOT / "template.yaml"), "deploy")
        parameters = {"OriginKey": ORIGIN_KEY, "S3Endpoint": proxy, "DynamoDBEndpoint": proxy}
        outputs = deploy(session, "maypacs", template, parameters, bucket="deploy")
        accounts = DynamoDBTable(data["AccountsTable"], client=session.client("dynamodb"))
        add_archive(accounts, "hosp1", name="Bệnh viện Một")
        key = add_key(accounts, "hosp1", Role.ADMIN).key
        base = f"{os.environ['AWS_ENDPOINT_URL']}/restapis/{outputs['ApiId']}/prod/_user_request_"
        yield Deployment(base, key, session, data, bytes.fromhex(str(secrets["pack_key"]))), counts


def run(studies: int, kind: str, edges: int) -> None:
    made = [list(packs(KINDS[kind], number)) for number in range(studies + 1)]
    series = KINDS[kind].series
    with deployment() as (place, counts):
        for pack in made[0]:  # the first of everything
            place.push(pack)
        place.settle(series)
        counts.clear()
        start = time.monotonic()
        with ThreadPoolExecutor(edges) as pool:  # packs of one study at once, too
            arrivals = list(pool.map(place.push, [pack for study in made[1:] for pack in study]))
        pushed = time.monotonic() - start
        indexed = place.settle(series * (studies + 1)) - start
        time.sleep(2)
        found = Counter(counts)
        place.check_indexed(arrivals)
    print(f"{studies} studies {kind} by {edges} edges: pushed in {pushed:.1f} s, all indexed after {indexed:.1f} s.")
    print("Requests of a study; the edge's questions about its uploads are not among them:")
    known = load().studies[kind].ingest
    print(f"  {'':28} {'here':>8} one by one, with the questions")
    for name in sorted({*found, *(n for n in known if n.startswith(("s3.", "dynamodb.")))}):
        print(f"  {name:28} {found[name] / studies:8.2f} {known.get(name, 0):8g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--kind", choices=list(KINDS), default="CR")
    parser.add_argument("--edges", type=int, default=8)
    arguments = parser.parse_args()
    run(arguments.studies, arguments.kind, arguments.edges)
