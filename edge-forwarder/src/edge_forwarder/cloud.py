"""The cloud's console API and the upload itself, over urllib3. Every failure is one of errors.CloudError.

What answers may be a captive portal, a proxy or a half-open connection: an answer counts only if it is the JSON that
was asked for, and no redirect is followed.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import urllib3

from edge_forwarder import __version__
from edge_forwarder.config import CloudConfig, Credentials
from edge_forwarder.errors import (
    CloudAwayError,
    CloudBusyError,
    CloudError,
    ConfigError,
    GrantExpiredError,
    RefusedError,
    UnauthorizedError,
)
from edge_forwarder.packs import Body, Digest
from edge_forwarder.retry import retry_after

_BUSY: Final = frozenset({429, 503})
_STORED: Final = frozenset({200, 201, 204})
#: If-None-Match did not hold: an earlier try had arrived, and only its answer was lost.
_THERE_ALREADY: Final = 412
#: A status request names at most so many arrivals, a boundary request so many studies.
BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to PUT one body. ``url`` is absolute; ``headers`` must be sent exactly."""

    arrival: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One instance that the cloud did not take as it is; no SOPInstanceUID: not known which."""

    sop_instance_uid: str | None
    reason: str
    is_conflict: bool = False


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """What became of one upload. ``state`` is pending, indexed, partial, quarantined or unknown."""

    arrival: str
    state: str
    in_inbox: bool
    reason: str | None
    problems: tuple[Problem, ...]
    unlisted: bool = False
    """Whether there are more problems than these: the cloud lists the first ones only."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    credentials: Credentials
    archive_name: str


def pool(config: CloudConfig, timeout: urllib3.Timeout, *, connections: int) -> urllib3.PoolManager:
    """Connections to the cloud, without retries of their own. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"[cloud] ca_file cannot be used: {error}") from None
    return urllib3.PoolManager(
        num_pools=4,
        maxsize=connections,
        retries=False,
        ssl_context=context,
        timeout=timeout,
        headers={"User-Agent": f"maypacs-edge/{__version__}"},
    )


class Cloud:
    """A connection pool to one cloud. Threads may share it."""

    def __init__(self, config: CloudConfig, credentials: Credentials | None, *, connections: int | None = None) -> None:
        self._base = config.url.rstrip("/")
        self._credentials = credentials
        timeout = urllib3.Timeout(connect=config.connect_timeout_seconds, read=config.read_timeout_seconds)
        self._pool = pool(config, timeout, connections=connections or config.parallel_uploads + 2)

    def close(self) -> None:
        self._pool.clear()

    def enrol(self, code: str, name: str) -> Enrolment:
        """Trade a one-time code for a key. Raises CloudError; UnauthorizedError for a code that is wrong, used
        or old.
        """
        answer = self._post("/api/edges/enrol", {"code": code, "name": name, "version": __version__})
        credentials = Credentials(_text(answer, "archive"), _text(answer, "edge"), _text(answer, "key"))
        return Enrolment(credentials, str(answer.get("archive_name") or credentials.archive))

    def boundaries(self, studies: Sequence[str]) -> dict[str, str]:
        """The boundary that the archive's key makes of each study. Raises CloudError."""
        answer = self._post(self._archive("boundaries"), {"study_instance_uids": list(studies)})
        boundaries = answer.get("boundaries")
        if not isinstance(boundaries, dict):
            raise CloudAwayError("the answer has no boundaries")
        return {str(study): str(boundary) for study, boundary in boundaries.items()}

    def grant(self, digest: Digest, content_type: str, arrival: str | None) -> Grant:
        """Leave to upload one body; with the arrival id of an earlier try, for the same object. Raises CloudError."""
        wanted: dict[str, Any] = {"length": digest.length, "sha256": digest.sha256, "content_type": content_type}
        if arrival:
            wanted["arrival"] = arrival
        answer = self._post(self._archive("uploads"), wanted)
        headers = answer.get("headers")
        if not isinstance(headers, dict) or answer.get("method", "PUT") != "PUT":
            raise CloudAwayError("the answer is not an upload grant")
        return Grant(
            _text(answer, "arrival"),
            urljoin(self._base + "/", _text(answer, "url")),
            {str(name): str(value) for name, value in headers.items()},
        )

    def put(self, grant: Grant, body: Body) -> None:
        """Stream one body to where the grant says. Success too if it is there already. Raises CloudError, OSError."""
        headers = {**grant.headers, "Content-Length": str(body.length)}
        response = self._request("PUT", grant.url, headers, body.chunks())
        if response.status in _STORED or response.status == _THERE_ALREADY:
            return
        if response.status == 403:
            raise GrantExpiredError("the upload grant is not accepted")
        raise _refusal(response, "the upload")

    def status(self, arrivals: Sequence[str]) -> list[UploadStatus]:
        """What became of at most `BATCH` uploads. Raises CloudError."""
        answer = self._post(self._archive("uploads/status"), {"arrivals": list(arrivals)})
        uploads = answer.get("uploads")
        if not isinstance(uploads, list):
            raise CloudAwayError("the answer has no uploads")
        return [_status(item) for item in uploads if isinstance(item, dict)]

    def health(self) -> None:
        """Whether the cloud is there. Raises CloudError."""
        response = self._request("GET", self._base + "/health", {}, None)
        if response.status != 200:
            raise _refusal(response, "the health check")

    def _archive(self, route: str) -> str:
        if self._credentials is None:
            raise ConfigError("this edge is not enrolled")
        return f"/api/archives/{quote(self._credentials.archive, safe='')}/{route}"

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._credentials is not None:
            headers["Authorization"] = f"Bearer {self._credentials.key}"
        response = self._request("POST", self._base + path, headers, json.dumps(body).encode())
        if response.status in (401, 403):
            raise UnauthorizedError(f"the cloud does not accept our credential (HTTP {response.status})")
        if response.status not in _STORED:
            raise _refusal(response, path.rpartition("/")[2])
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise CloudAwayError("what answered is not the cloud: no JSON")
        return answer

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes] | None
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(method, url, headers=dict(headers), body=body, redirect=False)
        except urllib3.exceptions.SSLError as error:
            raise CloudAwayError(f"TLS with {urlsplit(url).hostname} failed: {_reason(error)}") from None
        except urllib3.exceptions.HTTPError as error:
            raise CloudAwayError(f"{urlsplit(url).hostname} cannot be reached ({type(error).__name__})") from None


def _reason(error: Exception) -> str:
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or type(inner).__name__)


def _refusal(response: urllib3.BaseHTTPResponse, what: str) -> CloudError:
    if response.status in _BUSY:
        return CloudBusyError(
            f"the cloud asks for patience (HTTP {response.status})", retry_after(response.headers.get("Retry-After"))
        )
    if 300 <= response.status < 400:
        return CloudAwayError(f"what answered is not the cloud: a redirect (HTTP {response.status})")
    return RefusedError(f"{what}: HTTP {response.status}", response.status)


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise CloudAwayError(f"the answer has no {name}")
    return value


def _status(item: Mapping[str, Any]) -> UploadStatus:
    problems = tuple(
        Problem(
            entry.get("sop_instance_uid"), f"{kind}: {entry.get('reason') or 'no reason given'}", kind == "conflict"
        )
        for kind, member in (("conflict", "conflicts"), ("failed", "failures"))
        for entry in item.get(member) or ()
        if isinstance(entry, dict)
    )
    counts = item.get("counts")
    counted = [counts.get(name) for name in ("conflict", "failed")] if isinstance(counts, dict) else []
    return UploadStatus(
        unlisted=sum(n for n in counted if isinstance(n, int)) > len(problems),
        arrival=str(item.get("arrival", "")),
        state=str(item.get("state", "unknown")),
        in_inbox=bool(item.get("in_inbox", True)),
        reason=item.get("reason"),
        problems=problems,
    )
