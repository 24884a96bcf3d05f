"""The front door on AWS, as a double: CloudFront with the API and the archive bucket behind it (infra/edge.yaml).

What it does is what the services do there: the host, the policies and the custom headers come from the templates' text.
- `/dicomweb/*`: a REST API of Lambda proxies. The function sees the API's own Host; answers and requests above
  Lambda's payload are refused as the gateway refuses them.
- `/blobs/*`: GET, HEAD and OPTIONS, behind CloudFront's own check of the RSA signature; Expires, Signature and
  Key-Pair-Id end here; the origin is asked with credentials of our own (origin access control, "always"), whatever
  Authorization the client sent; preflights are the bucket's to answer; the response-headers policy writes CORS.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import boto3
import pytest
import urllib3
from botocore.client import Config
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.support.deployer import ROOT, read_template
from tests.support.functions import Context, load_function

from maypacs.access.secrets import new_secrets
from maypacs.runtime import Runtime
from maypacs_node.events import GATEWAY_REQUEST_BYTES, LAMBDA_PAYLOAD_BYTES, HttpRequest, http_response, proxy_event
from maypacs_node.seaweed import ARCHIVE_BUCKET, INBOX_BUCKET, SeaweedFS

API_HOST = "abcdef1234.execute-api.eu-central-1.amazonaws.com"
KEY_ID = "KPUBLICKEYA"
_OWN = {"Expires", "Signature", "Key-Pair-Id", "Policy"}


def _properties(template: Mapping[str, Any], name: str) -> Any:
    return template["Resources"][name]["Properties"]


@dataclass(frozen=True)
class Policies:
    """What infra/edge.yaml and infra/data.yaml say about these two paths."""

    cors: Mapping[str, Any]  #: of the response-headers policy of /blobs/*
    custom: Mapping[str, str]
    forwarded_queries: frozenset[str]
    origin_headers: Mapping[str, str]  #: of the API, with the references filled in
    methods: Mapping[str, frozenset[str]]  #: by path pattern
    bucket_cors: Any  #: of the archive bucket; None = it has none

    @classmethod
    def read(cls, domain: str) -> Policies:
        edge, data = read_template(ROOT / "infra" / "edge.yaml"), read_template(ROOT / "infra" / "data.yaml")
        headers = _properties(edge, "BlobHeaders")["ResponseHeadersPolicyConfig"]
        requests = _properties(edge, "BlobRequests")["OriginRequestPolicyConfig"]
        distribution = _properties(edge, "Distribution")["DistributionConfig"]
        api = next(origin for origin in distribution["Origins"] if origin["Id"] == "api")
        known = {"DomainName": domain, "OriginKey": "the-origin-key"}
        assert _properties(edge, "StorageAccess")["OriginAccessControlConfig"]["SigningBehavior"] == "always"
        return cls(
            cors=headers["CorsConfig"],
            custom={item["Header"]: item["Value"] for item in headers["CustomHeadersConfig"]["Items"]},
            forwarded_queries=frozenset(requests["QueryStringsConfig"]["QueryStrings"]),
            origin_headers={h["HeaderName"]: known[h["HeaderValue"]["Ref"]] for h in api["OriginCustomHeaders"]},
            methods={each["PathPattern"]: frozenset(each["AllowedMethods"]) for each in distribution["CacheBehaviors"]},
            bucket_cors=_properties(data, "ArchiveBucket").get("CorsConfiguration"),
        )


@dataclass
class FrontDoor:
    """Where it is, and what it saw."""

    port: int
    policies: Policies
    public_key: rsa.RSAPublicKey
    s3: Any
    endpoint: str
    function: Any
    runtime: Runtime
    #: One call at a time: a Lambda is never called by two at once, and its router is not thread-safe.
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: list[tuple[str, str, int]] = field(default_factory=list)  #: method, path, status

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refused_signature(self, path: str, query: list[tuple[str, str]]) -> str | None:
        """Why CloudFront would answer 403; None when the canned policy's signature holds."""
        own = {name: value for name, value in query if name in _OWN}
        rest = [(name, value) for name, value in query if name not in _OWN]
        if not {"Expires", "Signature", "Key-Pair-Id"} <= set(own):
            return "MissingKey"
        if own["Key-Pair-Id"] != KEY_ID:
            return "InvalidKey"
        resource = self.origin + path + ("?" + urlencode(rest, quote_via=quote) if rest else "")
        policy = (
            f'{{"Statement":[{{"Resource":"{resource}","Condition":'
            f'{{"DateLessThan":{{"AWS:EpochTime":{own["Expires"]}}}}}}}]}}'
        )
        signature = own["Signature"].translate(str.maketrans("-_~", "+=/"))
        try:
            self.public_key.verify(base64.b64decode(signature), policy.encode(), padding.PKCS1v15(), hashes.SHA1())
        except (InvalidSignature, ValueError):
            return "AccessDenied"
        return "AccessDenied" if int(own["Expires"]) < time.time() else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    door: FrontDoor

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _serve(self) -> None:
        url = urlsplit(self.path)
        pattern = "/" + url.path.split("/")[1] + "/*"
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        if self.command not in self.door.policies.methods.get(pattern, ()):
            self._refuse(403, "the distribution does not allow this method")
        elif pattern == "/blobs/*":
            self._blob(url.path, parse_qsl(url.query, keep_blank_values=True))
        elif pattern == "/dicomweb/*":
            self._api(url.path, url.query, body)
        else:
            self._refuse(404, "not of this double")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _serve  # noqa: N815

    def _api(self, path: str, query: str, body: bytes) -> None:
        """Everything of the viewer but its Host (the managed policy of that name), and the origin's own headers."""
        if len(body) > GATEWAY_REQUEST_BYTES:
            self._refuse(413, "REQUEST_TOO_LARGE", {"Access-Control-Allow-Origin": "*"})
            return
        own = self.door.policies.origin_headers
        theirs = [(n, v) for n, v in self.headers.items() if n.lower() not in {"host", *(h.lower() for h in own)}]
        request = HttpRequest(
            self.command,
            unquote(path),
            query,
            [("Host", API_HOST), *theirs, *own.items()],
            client="198.51.100.7",
            scheme="http",
            behind_proxy=True,
            body=body,
        )
        event = proxy_event(request, "/dicomweb/{proxy+}")
        if len(json.dumps(event)) > LAMBDA_PAYLOAD_BYTES:
            self._refuse(413, "REQUEST_TOO_LARGE", {"Access-Control-Allow-Origin": "*"})
            return
        with self.door.lock:
            answer = self.door.function.handler(event, Context())
        response = http_response(answer, largest=LAMBDA_PAYLOAD_BYTES)
        self._answer(response.status, dict(response.headers), bytes(response.body))

    def _blob(self, path: str, query: list[tuple[str, str]]) -> None:
        why = self.door.refused_signature(path, query)
        if why:
            self._refuse(403, why, self._policy_headers())
        elif self.command == "OPTIONS":
            self._preflight(path)
        else:
            self._object(path, {n: v for n, v in query if n in self.door.policies.forwarded_queries})

    def _preflight(self, path: str) -> None:
        """The bucket's CORS rules answer it; without any, S3 refuses (where SeaweedFS would not mind)."""
        if self.door.policies.bucket_cors is None:
            self._refuse(403, "CORSResponse: CORS is not enabled for this bucket", self._policy_headers())
            return
        asked = {n: v for n, v in self.headers.items() if n.lower().startswith(("origin", "access-control-"))}
        reply = urllib3.request("OPTIONS", f"{self.door.endpoint}/{ARCHIVE_BUCKET}{path}", headers=asked, timeout=10)
        self._answer(reply.status, self._policy_headers(), b"" if reply.status < 300 else b"AccessForbidden")

    def _object(self, path: str, query: Mapping[str, str]) -> None:
        wanted: dict[str, Any] = {"Bucket": ARCHIVE_BUCKET, "Key": unquote(path[1:])}
        for header, name in (("Range", "Range"), ("If-None-Match", "IfNoneMatch")):
            if header in self.headers:
                wanted[name] = self.headers[header]
        if "response-content-disposition" in query:
            wanted["ResponseContentDisposition"] = query["response-content-disposition"]
        try:
            found = self.door.s3.get_object(**wanted)
        except ClientError as error:
            self._refuse(error.response["ResponseMetadata"]["HTTPStatusCode"], "S3", self._policy_headers())
            return
        passed = ("content-type", "etag", "accept-ranges", "content-range", "content-disposition", "last-modified")
        theirs = found["ResponseMetadata"]["HTTPHeaders"]
        headers = {name: theirs[name] for name in passed if name in theirs}
        status = found["ResponseMetadata"]["HTTPStatusCode"]
        self._answer(status, {**headers, **self._policy_headers()}, found["Body"].read())

    def _policy_headers(self) -> dict[str, str]:
        """CloudFront writes CORS when a request has an Origin, and the preflight's part of it on a preflight."""
        headers = dict(self.door.policies.custom)
        if "Origin" not in self.headers:
            return headers
        cors = self.door.policies.cors
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Access-Control-Expose-Headers"] = ", ".join(cors["AccessControlExposeHeaders"]["Items"])
        if "Access-Control-Request-Method" in self.headers:
            headers["Access-Control-Allow-Methods"] = ", ".join(cors["AccessControlAllowMethods"]["Items"])
            headers["Access-Control-Allow-Headers"] = ", ".join(cors["AccessControlAllowHeaders"]["Items"])
        return headers

    def _refuse(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        self._answer(status, {"Content-Type": "text/plain", **(headers or {})}, why.encode())

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.door.seen.append((self.command, urlsplit(self.path).path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in {204, 304}:
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def front_door(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FrontDoor]:
    """The double over SeaweedFS and SQLite; the DICOMweb function runs in this process, whose environment is set."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    handler = type("Handler", (_Handler,), {})
    with SeaweedFS(folder / "objects") as store, _Server(("127.0.0.1", 0), handler) as server:
        port = server.server_address[1]
        origin = f"http://127.0.0.1:{port}"
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        secrets = folder / "secrets.json"
        signer = {"cloudfront_key_id": KEY_ID, "cloudfront_private_key": pem.decode(), "cloudfront_origin": origin}
        secrets.write_text(json.dumps({**new_secrets(), **signer}))
        environment = {
            **store.environment,
            "MAYPACS_INDEX_TABLE": f"sqlite:{folder / 'index.sqlite'}",
            "MAYPACS_ACCOUNTS_TABLE": f"sqlite:{folder / 'accounts.sqlite'}",
            "MAYPACS_ARCHIVE_BUCKET": ARCHIVE_BUCKET,
            "MAYPACS_INBOX_BUCKET": INBOX_BUCKET,
            "MAYPACS_SECRETS": str(secrets),
            "MAYPACS_LIMITS": "gateway",
            "MAYPACS_BLOBS": "cloudfront",
            "MAYPACS_UPLOADS": "presigned",
            "MAYPACS_TRUST_FORWARDED": "1",
            "POWERTOOLS_LOG_LEVEL": "ERROR",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it may remember another test's credentials
        s3 = boto3.client("s3", endpoint_url=store.endpoint, config=Config(s3={"addressing_style": "path"}))
        door = FrontDoor(
            port=port,
            policies=Policies.read(f"127.0.0.1:{port}"),
            public_key=private.public_key(),
            s3=s3,
            endpoint=store.endpoint,
            function=load_function("dicomweb"),
            runtime=Runtime.from_environment(),
        )
        if door.policies.bucket_cors is not None:
            rules = [_bucket_rule(rule) for rule in door.policies.bucket_cors["CorsRules"]]
            s3.put_bucket_cors(Bucket=ARCHIVE_BUCKET, CORSConfiguration={"CORSRules": rules})
        handler.door = door  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield door
        finally:
            server.shutdown()
            thread.join()


def _bucket_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of the template in the words of the S3 API; a parameter is the template's default, every origin."""
    names = {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds"}
    origins = ["*" if isinstance(each, Mapping) else each for each in rule["AllowedOrigins"]]
    return {names.get(name, name): value for name, value in {**rule, "AllowedOrigins": origins}.items() if name != "Id"}
