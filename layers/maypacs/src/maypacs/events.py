"""Storage events: S3 notifications, as an SQS message carries them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_plus

BULK_BYTES = 256 * 1024 * 1024
BULK_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz")


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


def is_bulk(created: Created) -> bool:
    """Work for minutes: objects over 256 MiB, and bundles by their names (others are small, or found out later)."""
    return (created.size or 0) > BULK_BYTES or created.key.lower().endswith(BULK_SUFFIXES)


def created_message(created: Created) -> str:
    """The body of a message about one created object, as S3 would send it."""
    described = {"key": quote_plus(created.key, safe="/"), "size": created.size or 0}
    where = {"bucket": {"name": created.bucket}, "object": described}
    return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": where}]})
