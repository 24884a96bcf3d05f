"""The object store as the event loop sees it: signed requests to S3 through one aiohttp session, streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from maypacs.archive import signing

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class StorageSettings:
    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"


class Storage:
    """``async with``: the session lives as long."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._host = urlsplit(settings.endpoint).netloc
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No limit of connections: each belongs to a client of ours. No total time: a download may take an hour.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=20),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120),
            auto_decompress=False,
            read_bufsize=CHUNK,
            skip_auto_headers={"User-Agent", "Accept-Encoding", "Content-Type"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def request(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | bytes | None = None,
        payload_sha256: str = signing.UNSIGNED,
    ) -> aiohttp.client._RequestContextManager:
        """To be used in ``async with``: leaving it early closes the connection, which stops the store's reading."""
        if self._session is None:
            raise RuntimeError("the storage session is not open")
        path = signing.encoded_path(bucket, key) if key else f"/{bucket}"
        signed = signing.sign(
            method,
            self._host,
            path,
            access_key=self._settings.access_key,
            secret_key=self._settings.secret_key,
            region=self._settings.region,
            headers=headers,
            query=query,
            payload_sha256=payload_sha256,
        )
        signed.pop("host")
        url = URL(self._settings.endpoint + path, encoded=True)
        if query:
            url = url.with_query(dict(query))
        return self._session.request(method, url, headers=signed, data=data)

    async def is_up(self, bucket: str) -> bool:
        try:
            async with self.request("HEAD", bucket, "") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
