"""This edge's key while the service runs, and how it is replaced without a moment in which no key works.

The new secret is made here and written down, beside the old one, before the cloud hears of it (as its SHA-256 alone);
the cloud swaps the two in one step; then the old one is forgotten here. Whenever the power goes, the file holds the
secret that works, and whoever asks the cloud tries both. The file is looked at whenever it changes: a running service
goes on with the key of a new enrolment by itself.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.config import CloudConfig, load_credentials, save_credentials
from edge_forwarder.errors import ConfigError, RefusedError
from edge_forwarder.spool.lock import lock

#: What the console's API keys look like.
_PREFIX: Final = "mpk_"
_SECRET_BYTES: Final = 32
#: The cloud knows no replacement of keys, or not this edge: nothing was changed there.
_NOT_DONE: Final = frozenset({400, 404, 405})
_DAY: Final = 86400.0


class KeyRing:
    """The credentials file, read again when it has changed. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._credentials = load_credentials(path)

    @property
    def archive(self) -> str:
        return self._credentials.archive

    def secrets(self) -> tuple[str, ...]:
        """What to try, in order. A file of another archive is not taken while we run: images wait for this one."""
        with self._lock:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                with suppress(ConfigError):
                    read = load_credentials(self._path)
                    if read.archive == self._credentials.archive:
                        self._credentials = read
            return self._credentials.secrets()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def age_days(path: Path, now: float | None = None) -> float:
    """How long the key has been in use. Raises ConfigError."""
    since = load_credentials(path).since or path.stat().st_mtime
    return ((time.time() if now is None else now) - since) / _DAY


def rotate(config: CloudConfig, path: Path) -> None:
    """Replace the key; what an earlier call began is finished. Raises ConfigError, CloudError, OSError: then both
    secrets are written down, and one of them works.
    """
    with _alone(path):
        credentials = load_credentials(path)
        if not credentials.next:
            credentials = replace(credentials, next=_PREFIX + secrets.token_urlsafe(_SECRET_BYTES))
            save_credentials(path, credentials)
        digest = hashlib.sha256(credentials.next.encode()).hexdigest()
        cloud = Cloud(config, credentials, connections=1)
        try:
            route = cloud.archive(f"edges/{quote(credentials.edge, safe='')}/key")
            cloud.post(route, {"sha256": digest})
        except RefusedError as error:
            if error.status in _NOT_DONE:
                save_credentials(path, replace(credentials, next=""))
            raise
        finally:
            cloud.close()
        save_credentials(path, replace(credentials, key=credentials.next, next="", since=time.time()))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """The service and the command must not both replace the key. Raises ConfigError."""
    descriptor = lock(path.with_name(f".{path.name}.lock"), mode=0o600)
    if descriptor is None:
        raise ConfigError("the key is being replaced at this moment")
    try:
        yield
    finally:
        os.close(descriptor)
