"""The node's stand-in for S3 notifications: events as SQS would deliver them, a queue of files, and nudges.

The truth about uploads is the listing of the inbox; a nudge only makes the next look come at once. Thumbnails to make
are files in a folder, one a sidecar written: they survive a kill -9, and writing one twice is the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

REGION = "us-east-1"


def s3_event(bucket: str, key: str, *, size: int = 0, etag: str = "", now: float | None = None) -> dict[str, Any]:
    """An S3 notification of one created object (event version 2.1); the key is URL-encoded, as there."""
    seconds = time.time() if now is None else now
    when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": when,
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "node"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "node",
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "node"}, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": size,
                "eTag": etag,
                "sequencer": f"{int(seconds * 1e6):016X}",
            },
        },
    }
    return {"Records": [record]}


def sqs_event(
    body: Mapping[str, Any], *, queue: str, receive_count: int = 1, now: float | None = None
) -> dict[str, Any]:
    """One SQS message (BatchSize 1), as Lambda's event source mapping hands it over."""
    milliseconds = str(int((time.time() if now is None else now) * 1000))
    text = json.dumps(body)
    message = {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "node",
        "body": text,
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": milliseconds,
            "SenderId": "node",
            "ApproximateFirstReceiveTimestamp": milliseconds,
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:{queue}",
        "awsRegion": REGION,
    }
    return {"Records": [message]}


def schedule_event(rule: str, *, now: float | None = None) -> dict[str, Any]:
    """What an EventBridge schedule sends."""
    when = time.gmtime(time.time() if now is None else now)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", when),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:000000000000:rule/{rule}"],
        "detail": {},
    }


def failed(answer: Any) -> bool:
    """Whether a function reported its one message as failed (ReportBatchItemFailures)."""
    return isinstance(answer, Mapping) and bool(answer.get("batchItemFailures"))


class FileQueue:
    """Names to work on, as files. Any process adds; one takes, oldest first; a name taken and not done comes back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str) -> None:
        final = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.key"
        draft = final.with_suffix(f".{os.getpid()}")
        draft.write_text(name)
        draft.replace(final)

    def restore(self) -> None:
        """What a predecessor had taken when it died waits again."""
        for taken in self.folder.glob("*.taken"):
            taken.replace(taken.with_suffix(".key"))

    def waiting(self) -> list[Path]:
        files = []
        for path in self.folder.glob("*.key"):
            with suppress(OSError):
                files.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(files)]

    def take(self, path: Path) -> str:
        """The name. The same name added from now on is work of its own."""
        return path.replace(path.with_suffix(".taken")).read_text()

    def done(self, path: Path) -> None:
        path.with_suffix(".taken").unlink(missing_ok=True)

    def put_back(self, path: Path) -> None:
        path.with_suffix(".taken").replace(path)


class Nudges:
    """A datagram socket that wakes one process up; what is lost, the next look at the truth finds."""

    def __init__(self, name: str) -> None:
        """Binds `name` in the working directory (a short, relative path)."""
        Path(name).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self._socket.setblocking(False)

    def wait(self, seconds: float) -> None:
        """Until there is a nudge (which stays to be taken), or the time is over."""
        select.select([self._socket], [], [], max(0.0, seconds))

    def take(self) -> Iterator[str]:
        with suppress(BlockingIOError):
            while True:
                yield self._socket.recv(4096).decode("utf-8", "replace")


def nudge(name: str, text: str = "") -> None:
    """Never waits and never fails: nobody there, or too many waiting, is what polling is for."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(text.encode(), name)


#: S3 operations that make an object, where a notification `s3:ObjectCreated:*` would be sent.
_CREATING: Sequence[str] = ("PutObject", "CopyObject", "CompleteMultipartUpload")


def hook_boto(thumbnail_queue: Path, *, bucket: str = "archive", wake: str = "chores.sock") -> None:
    """From now on every sidecar that boto3's default session writes is queued for its thumbnail."""
    import boto3

    boto3.setup_default_session()
    session = boto3.DEFAULT_SESSION
    assert session is not None
    queue = FileQueue(thumbnail_queue)

    def remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["maypacs_created"] = (params.get("Bucket"), params.get("Key"))

    def created(http_response: Any, context: Mapping[str, Any], **_: Any) -> None:
        where, key = context.get("maypacs_created", (None, ""))
        if http_response.status_code == 200 and where == bucket and key.startswith("meta/") and key.endswith(".gz"):
            queue.add(key)
            nudge(wake)

    for operation in _CREATING:
        session.events.register(f"provide-client-params.s3.{operation}", remember)
        session.events.register(f"after-call.s3.{operation}", created)
