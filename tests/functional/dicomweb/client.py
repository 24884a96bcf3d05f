"""A client of the DICOMweb handler in this process: proxy events in, answers out, redirects followed into storage."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from maypacs.archive.grants import verify_blob
from maypacs.runtime import Runtime

HOST = "pacs.example"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def parts(self) -> list[tuple[str, bytes]]:
        """(Content-Type, content) of a multipart, read by the standard library's parser: not by ours."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + _armoured(self))
        out = []
        for part in message.get_payload():
            content = part.get_payload(decode=True)
            out.append((part["Content-Type"], content))
        return out


def _armoured(reply: Reply) -> bytes:
    """The standard parser turns line ends around in binary parts: carry them as base64 instead."""
    from maypacs.http.media_types import parse_media_type

    boundary = parse_media_type(reply.headers["content-type"]).parameters["boundary"].encode()
    out = []
    position = 0
    while reply.body[position : position + len(boundary) + 4] == b"--" + boundary + b"\r\n":
        head, _, rest = reply.body[position:].partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        content = rest[:length]
        assert rest[length : length + 4 + len(boundary)] == b"\r\n--" + boundary, "a part is as long as it says"
        out.append(head + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(content) + b"\r\n")
        position += len(head) + 4 + length + 2
    assert reply.body[position:] == b"--" + boundary + b"--\r\n", "nothing but the closing line follows"
    return b"".join(out) + reply.body[position:]


@dataclass
class Client:
    handler: ModuleType
    runtime: Runtime
    archive: str
    key: str

    def event(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, Any]:
        url = urlsplit(target)
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(url.query, keep_blank_values=True):
            query.setdefault(name, []).append(value)
        sent = {"Host": HOST, **({"Authorization": f"Bearer {self.key}"} if self.key else {}), **(headers or {})}
        return {
            "httpMethod": method,
            "path": url.path,
            "headers": sent,
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "requestId": "r"},
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        follow: bool = True,
    ) -> Reply:
        """`path` below the archive's root, or a whole URL of ours."""
        if path.startswith("https://"):
            assert urlsplit(path).netloc == HOST, "URLs stay on our origin"
            target = path.removeprefix(f"https://{HOST}")
        else:
            target = f"/dicomweb/{self.archive}{path}"
        answer = self.handler.handler(self.event(method, target, headers, body), None)
        raw = answer["body"] or ""
        content = base64.b64decode(raw) if answer["isBase64Encoded"] else raw.encode()
        reply = Reply(answer["statusCode"], {k.lower(): v for k, v in answer["headers"].items()}, content)
        return self.blob(reply) if follow and reply.status == 307 else reply

    def blob(self, redirect: Reply) -> Reply:
        """What storage answers to the signed URL of a redirect."""
        url = urlsplit(redirect.headers["location"])
        assert not url.netloc, "the redirect stays on the origin"
        secret = bytes.fromhex(self.runtime.secrets["blob_key"])
        import time

        request = verify_blob(secret, url.path, dict(parse_qsl(url.query)), time.time())
        body, head = self.runtime.archive_objects.get_with_head(request.key)
        return Reply(200, {"content-type": head.content_type}, body)

    def get(self, path: str, accept: str | None = None, **headers: str) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("GET", path, sent | ({"Accept": accept} if accept else {}))

    def metadata(self, path: str) -> Any:
        reply = self.get(f"{path}/metadata", "application/dicom+json", Accept_Encoding="gzip")
        assert reply.status == 200, reply.body
        return json.loads(gzip.decompress(reply.body))

    def stow(self, *instances: bytes, study: str = "", part_type: str = "application/dicom") -> Reply:
        boundary = "stow-boundary-3f9a"
        body = b"".join(
            b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n" % (boundary.encode(), part_type.encode(), data)
            for data in instances
        )
        content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        target = f"/studies/{study}" if study else "/studies"
        return self.send("POST", target, {"Content-Type": content_type}, body + f"--{boundary}--\r\n".encode())
