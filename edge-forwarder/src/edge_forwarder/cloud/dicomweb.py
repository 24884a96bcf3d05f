"""Reading the cloud's archive: QIDO-RS and WADO-RS with the edge's key (PS3.18 10.4, 10.6).

Every failure is one of errors.CloudError. Redirects to signed addresses are followed, without our key when they lead to
another host.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode, urljoin, urlsplit

import urllib3

from edge_forwarder import __version__
from edge_forwarder.cloud.client import Keys, authorization, pool, with_secrets
from edge_forwarder.cloud.multipart import Parts
from edge_forwarder.cloud.retry import retry_after
from edge_forwarder.config import CloudConfig, RetrieveConfig
from edge_forwarder.errors import CloudAwayError, CloudBusyError, RefusedError, UnauthorizedError

#: The most that one answer of the cloud lists (PS3.18 10.6.1.1.2 lets it choose).
PAGE: Final = 1000
#: Its last page begins here.
_LAST_OFFSET: Final = 10_000
_REDIRECTS: Final = 4
#: A cloud that is busy is asked again for so long (seconds): who searches waits, and a conversion takes time.
_SEARCH_PATIENCE: Final = 5.0
_RETRIEVE_PATIENCE: Final = 60.0
#: An answer to a search is no longer (bytes).
_MAX_JSON: Final = 64 * 1024 * 1024

Item = dict[str, Any]
"""One match in the DICOM JSON model (PS3.18 F)."""


@dataclass(frozen=True, slots=True)
class Found:
    """``more``: there are others, or may be, for the cloud has not looked at everything."""

    items: list[Item]
    more: bool = False


class DicomWeb:
    """Threads may share it."""

    def __init__(self, cloud: CloudConfig, keys: Keys, limits: RetrieveConfig) -> None:
        self._root = f"{cloud.url.rstrip('/')}/dicomweb/{quote(keys.archive, safe='')}"
        self._keys = keys
        timeout = urllib3.Timeout(connect=limits.connect_timeout_seconds, read=limits.read_timeout_seconds)
        self._pool = pool(cloud, timeout, connections=limits.parallel + 1)

    def close(self) -> None:
        self._pool.clear()

    def search(self, path: str, query: Sequence[tuple[str, str]] = (), *, limit: int) -> Found:
        """Matches below a path such as ``/studies``, at most ``limit``. Raises CloudError."""
        found: list[Item] = []
        while True:
            size = min(PAGE, limit + 1 - len(found))
            page, is_warned = self._page(path, [*query, ("limit", str(size)), ("offset", str(len(found)))])
            found += page
            if len(found) > limit:
                return Found(found[:limit], True)
            if len(page) < size or len(found) > _LAST_OFFSET:
                # Of a page that is not full, a warning says that the search was cut short; of a full one, that there
                # is another. What we ask for are attributes: none is ignored.
                return Found(found, len(page) == size or is_warned)

    def _page(self, path: str, query: Sequence[tuple[str, str]]) -> tuple[list[Item], bool]:
        url = f"{self._root}{path}?{urlencode(query, quote_via=quote)}"
        with self._get(url, "application/dicom+json", _SEARCH_PATIENCE) as response:
            warning = "Warning" in response.headers
            if response.status == 204:
                return [], warning
            data = response.read(_MAX_JSON + 1, decode_content=True)
        try:
            items = json.loads(data)
        except ValueError:
            items = None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise CloudAwayError("what answered is not the archive: no DICOM JSON")
        return items, warning

    def erasures(self, after: str, *, limit: int) -> list[Item]:
        """What was erased after the erasure of that id, in order; of a cloud that knows no erasures, nothing. Raises
        CloudError.
        """
        url = f"{self._root}/erasures?{urlencode({'after': after, 'limit': limit})}"
        try:
            with self._get(url, "application/json", _SEARCH_PATIENCE) as response:
                data = response.read(_MAX_JSON + 1, decode_content=True)
        except RefusedError:
            return []
        try:
            found = json.loads(data)["erasures"]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise CloudAwayError("what answered is not the archive: no list of erasures")
        return found

    @contextmanager
    def retrieve(self, path: str, *, as_stored: bool) -> Iterator[Parts]:
        """The instances below a path, as they are stored or in Explicit VR Little Endian. Raises CloudError."""
        accept = 'multipart/related; type="application/dicom"'
        accept += "; transfer-syntax=*" if as_stored else ""
        with self._get(self._root + path, accept, _RETRIEVE_PATIENCE) as response:
            yield Parts.of(response)

    @contextmanager
    def _get(self, url: str, accept: str, patience: float) -> Iterator[urllib3.BaseHTTPResponse]:
        deadline = time.monotonic() + patience
        here = urlsplit(url).netloc
        redirects = 0
        while True:
            headers = {"Accept": accept, "User-Agent": f"maypacs-edge/{__version__}"}
            keys = self._keys if urlsplit(url).netloc == here else None
            response = with_secrets(keys, partial(self._request, url, headers))
            try:
                if response.status in (301, 302, 303, 307, 308) and redirects < _REDIRECTS:
                    redirects += 1
                    url = urljoin(url, response.headers.get("Location", ""))
                    response.drain_conn()
                    continue
                wait = retry_after(response.headers.get("Retry-After")) or 1.0
                if response.status == 503 and time.monotonic() + wait < deadline:
                    response.drain_conn()
                    time.sleep(wait)
                    continue
                _check(response)
                yield response
                if response.read(1):  # not read to its end: the connection cannot be used again
                    response.close()
                return
            except urllib3.exceptions.HTTPError as error:
                response.close()
                raise CloudAwayError(f"the cloud broke off ({type(error).__name__})") from None
            except BaseException:
                response.close()
                raise
            finally:
                response.release_conn()

    def _request(self, url: str, headers: Mapping[str, str], secret: str | None) -> urllib3.BaseHTTPResponse:
        headers = {**headers, **authorization(secret)}
        try:
            return self._pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise CloudAwayError(f"{urlsplit(url).hostname} cannot be reached ({type(error).__name__})") from None


def _check(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status in (200, 204, 206):
        return
    if status in (401, 403):
        raise UnauthorizedError(f"the cloud does not let us read (HTTP {status})")
    if status in (429, 503):
        raise CloudBusyError(f"the cloud asks for patience (HTTP {status})")
    raise RefusedError(f"the archive answers HTTP {status}", status)


def value(item: Item, tag: str) -> str:
    """The first value of an attribute as text; empty if there is none."""
    element = item.get(tag)
    held = element.get("Value") if isinstance(element, dict) else None
    if not isinstance(held, list) or not held or held[0] is None:
        return ""
    first = held[0]
    return str(first.get("Alphabetic", "")) if isinstance(first, dict) else str(first)
