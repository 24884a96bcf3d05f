"""boto3's client of S3, with the environment's credentials and region."""

from __future__ import annotations

import threading
from typing import Any


class S3Client:
    """One that is made when it is first asked for: a search asks storage nothing, and should not wait for it.

    Of threads, one makes it."""

    def __init__(self, endpoint: str | None = None) -> None:
        self.endpoint = endpoint
        self._lock = threading.Lock()
        self._client: Any = None

    def get(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = s3_client(self.endpoint)
        return self._client


def s3_client(endpoint: str | None = None) -> Any:
    """Path addressing for an endpoint of our own."""
    import boto3
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        retries={"mode": "standard", "max_attempts": 4},
        s3={"addressing_style": "path"} if endpoint else {},
        max_pool_connections=16,
        # The checksums that matter are ours (SHA-256 of every body); the SDK's extra CRCs break S3 clones.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client("s3", endpoint_url=endpoint, config=config)
