"""Storage events: S3 notifications, as an SQS message carries them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_plus


@dataclass(frozen=True, slots=True)
class Created:
    """An object that came into being."""

    bucket: str
    key: str
    size: int | None


def created_objects(body: str) -> Iterator[Created]:
    """The created objects of a message's body (S3 event structure 2.x: keys are URL-encoded); a test event has none."""
    for record in json.loads(body).get("Records", ()):
        if record.get("eventName", "").startswith("ObjectCreated:"):
            described = record["s3"]["object"]
            yield Created(record["s3"]["bucket"]["name"], unquote_plus(described["key"]), described.get("size"))


def created_message(bucket: str, key: str, size: int) -> str:
    """The body of a message about one created object, as S3 would send it."""
    described = {"key": quote_plus(key, safe="/"), "size": size}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": described},
    }
    return json.dumps({"Records": [record]})
