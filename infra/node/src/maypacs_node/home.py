"""The data folder of a node: where everything is, its lock, its secrets, and the settings the functions run with.

DATA/objects/      SeaweedFS           DATA/secrets.json   keys (0600)         DATA/run/   sockets, pid files
DATA/index.sqlite  the image index     DATA/node.json      port, repository    DATA/log/   logs
DATA/accounts.sqlite                   DATA/queue/         thumbnails to make
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from maypacs_node.seaweed import ARCHIVE_BUCKET, INBOX_BUCKET, write_private

Limits = Literal["gateway", "none"]

#: infra/node/src/maypacs_node/home.py → the repository
REPOSITORY = Path(__file__).resolve().parents[4]
_LOG_BYTES = 32 * 1024 * 1024


class NodeError(Exception):
    """What a person at the command line has to know; shown without a traceback."""


class Home:
    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.objects = self.folder / "objects"
        self.accounts = self.folder / "accounts.sqlite"
        self.run = self.folder / "run"
        self.logs = self.folder / "log"
        self.thumbnail_queue = self.folder / "queue" / "thumbnails"
        self.secrets_file = self.folder / "secrets.json"

    def create(self) -> None:
        """Makes what is missing; safe to do at once in several processes."""
        for place in (self.folder, self.objects, self.run, self.logs, self.thumbnail_queue):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The folder may have been made by somebody else, for all to read: patients' names are in these.
        for table in self.folder.glob("*.sqlite*"):
            with suppress(OSError):
                table.chmod(0o600)
        if self.secrets_file.exists():
            return
        from maypacs.access.secrets import new_secrets

        # Two commands may be first at once: one file wins, and both then read that one.
        draft = self.folder / f"secrets.{os.getpid()}.json"
        write_private(draft, json.dumps(new_secrets(), indent=1))
        with suppress(FileExistsError):
            os.link(draft, self.secrets_file)
        draft.unlink()

    @property
    def secrets(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = json.loads(self.secrets_file.read_text(encoding="utf-8"))
        return document

    def memory(self) -> dict[str, Any]:
        """What the last `up` chose: port, host, limits."""
        with suppress(OSError, ValueError):
            document: dict[str, Any] = json.loads((self.folder / "node.json").read_text(encoding="utf-8"))
            return document
        return {}

    def remember(self, **values: Any) -> None:
        write_private(self.folder / "node.json", json.dumps({**self.memory(), **values}))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One `up` (or `reindex`) at a time; the kernel lets go when the process dies, however it dies."""
        with (self.run / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                who = file.read().strip() or "?"
                raise NodeError(f"{self.folder} is in use by another MayPACS process (pid {who})") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def is_locked(self) -> bool:
        try:
            with self.lock():
                return False
        except NodeError:
            return True

    def log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def trim_logs(self) -> None:
        """Logs above 32 MiB begin anew; the one before is kept. Their writers append, so they need not be told."""
        for path in [*self.logs.glob("*.log"), *self.run.glob("*.log")]:
            with suppress(OSError):
                if path.stat().st_size > _LOG_BYTES:
                    shutil.copyfile(path, path.with_suffix(".log.1"))
                    os.truncate(path, 0)

    def settings(self, limits: Limits = "none") -> dict[str, str]:
        """The settings of the functions (maypacs.settings), as an environment; the object store's are its own."""
        return {
            "MAYPACS_INDEX_TABLE": f"sqlite:{self.folder / 'index.sqlite'}",
            "MAYPACS_ACCOUNTS_TABLE": f"sqlite:{self.accounts}",
            "MAYPACS_ARCHIVE_BUCKET": ARCHIVE_BUCKET,
            "MAYPACS_INBOX_BUCKET": INBOX_BUCKET,
            "MAYPACS_SECRETS": str(self.secrets_file),
            "MAYPACS_LIMITS": limits,
            "MAYPACS_SWEEP": "off",  # the poller goes by the inbox's listing, counts its deliveries, minds the disk
            "MAYPACS_BLOBS": "hmac",
            "MAYPACS_ASSEMBLES": "1",
            "MAYPACS_UPLOADS": "hmac",
            # The host in front of the functions writes the X-Forwarded-* headers itself, as API Gateway does.
            "MAYPACS_TRUST_FORWARDED": "1",
            "MAYPACS_TRASH_DAYS": os.environ.get("MAYPACS_TRASH_DAYS", "30"),
            # Thumbnails wait while a run of it goes on.
            "MAYPACS_COMPACT_SECONDS": os.environ.get("MAYPACS_COMPACT_SECONDS", "20"),
            "POWERTOOLS_METRICS_NAMESPACE": "MayPACS",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": os.environ.get("MAYPACS_LOG_LEVEL", "INFO"),
        }
