"""The cloud's console API and the upload itself, over urllib3. Every failure is one of errors.CloudError.

What answers may be a captive portal, a proxy or a half-open connection: an answer counts only if it is the JSON that
was asked for, and no redirect is followed.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

import urllib3

from edge_forwarder import __version__
from edge_forwarder.cloud.retry import retry_after
from edge_forwarder.config import CloudConfig, Credentials, RetrieveConfig
from edge_forwarder.errors import (
    CloudAwayError,
    CloudBusyError,
    CloudError,
    ConfigError,
    RefusedError,
    UnauthorizedError,
)

_BUSY: Final = frozenset({429, 503})
STORED: Final = frozenset({200, 201, 204})
#: The first that fits.
_TROUBLES: Final = (
    (urllib3.exceptions.NameResolutionError, "no such name"),
    (urllib3.exceptions.NewConnectionError, "no connection"),
    (urllib3.exceptions.ConnectTimeoutError, "no connection in time"),
    (urllib3.exceptions.ReadTimeoutError, "no answer in time"),
    (urllib3.exceptions.ProtocolError, "the connection broke"),
)


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


class Keys(Protocol):
    """Whose archive it is, and the secrets to try: `config.Credentials`, or `keys.KeyRing` while the service runs."""

    @property
    def archive(self) -> str: ...

    def secrets(self) -> tuple[str, ...]: ...


def with_secrets(keys: Keys | None, ask: Callable[[str | None], urllib3.BaseHTTPResponse]) -> urllib3.BaseHTTPResponse:
    """Ask with one secret after the other, until one is not answered 401: a key may be replaced at this moment."""
    if keys is None:
        return ask(None)
    refused: list[str] = []
    response: urllib3.BaseHTTPResponse | None = None
    while (secret := next((each for each in keys.secrets() if each not in refused), None)) is not None:
        if response is not None:
            response.drain_conn()
        response = ask(secret)
        if response.status != 401:
            break
        refused.append(secret)
    assert response is not None
    return response


def authorization(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {"Authorization": f"Bearer {secret}"}


class Cloud:
    """A connection pool to one cloud. Threads may share it."""

    def __init__(
        self,
        config: CloudConfig,
        keys: Keys | None,
        *,
        connections: int | None = None,
        patience: RetrieveConfig | None = None,
    ) -> None:
        """``keys`` is None for who is not enrolled yet; ``patience``: whose timeouts, if not those of the cloud."""
        self.base = config.url.rstrip("/")
        self._keys = keys
        of = patience or config
        timeout = urllib3.Timeout(connect=of.connect_timeout_seconds, read=of.read_timeout_seconds)
        self._pool = pool(config, timeout, connections=connections or config.parallel_uploads + 2)

    def close(self) -> None:
        self._pool.clear()

    def enrol(self, code: str, name: str) -> Enrolment:
        """Trade a one-time code for a key. Raises CloudError; UnauthorizedError for a code that is wrong, used
        or old.
        """
        try:
            answer = self.post("/api/edges/enrol", {"code": code, "name": name, "version": __version__})
        except UnauthorizedError:
            why = "it is wrong, used, or older than ten minutes. Get a new one in the console"
            raise UnauthorizedError(f"the cloud does not accept this code: {why}") from None
        credentials = Credentials(text(answer, "archive"), text(answer, "edge"), text(answer, "key"))
        return Enrolment(credentials, str(answer.get("archive_name") or credentials.archive))

    def boundaries(self, studies: Sequence[str]) -> dict[str, str]:
        """The boundary that the archive's key makes of each study. Raises CloudError."""
        answer = self.post(self.archive("boundaries"), {"study_instance_uids": list(studies)})
        boundaries = answer.get("boundaries")
        if not isinstance(boundaries, dict):
            raise CloudAwayError("the answer has no boundaries")
        return {str(study): str(boundary) for study, boundary in boundaries.items()}

    def archive(self, route: str) -> str:
        if self._keys is None:
            raise ConfigError("this edge is not enrolled")
        return f"/api/archives/{quote(self._keys.archive, safe='')}/{route}"

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that is answered; empty for an answer without content. Raises CloudError."""
        plain = {"Content-Type": "application/json", "Accept": "application/json"}
        data = json.dumps(body).encode()
        response = with_secrets(
            self._keys, lambda secret: self.request("POST", self.base + path, plain | authorization(secret), data)
        )
        if response.status in (401, 403):
            raise UnauthorizedError(f"the cloud does not accept our credential (HTTP {response.status})")
        if response.status not in STORED:
            raise refusal(response, path.rpartition("/")[2])
        if response.status == 204:
            return {}
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise CloudAwayError("what answered is not the cloud: no JSON")
        return answer

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes] | None
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(method, url, headers=dict(headers), body=body, redirect=False)
        except urllib3.exceptions.SSLError as error:
            raise CloudAwayError(f"TLS with {urlsplit(url).hostname} failed: {_reason(error)}") from None
        except urllib3.exceptions.HTTPError as error:
            why = next((words for kind, words in _TROUBLES if isinstance(error, kind)), type(error).__name__)
            raise CloudAwayError(f"{urlsplit(url).hostname} cannot be reached ({why})") from None


def _reason(error: Exception) -> str:
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or type(inner).__name__)


def refusal(response: urllib3.BaseHTTPResponse, what: str) -> CloudError:
    if response.status in _BUSY:
        return CloudBusyError(
            f"the cloud asks for patience (HTTP {response.status})", retry_after(response.headers.get("Retry-After"))
        )
    if 300 <= response.status < 400:
        return CloudAwayError(f"what answered is not the cloud: a redirect (HTTP {response.status})")
    return RefusedError(f"{what}: HTTP {response.status}", response.status)


def text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise CloudAwayError(f"the answer has no {name}")
    return value
