"""What `enroll` got: written by it, read by whoever asks the cloud."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge_forwarder.durable import sync_folder
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `enroll` got. No secret appears in a log or a repr."""

    archive: str
    edge: str
    key: str = field(repr=False)
    next: str = field(default="", repr=False)
    """The key's successor, while it is being replaced: one of the two works."""
    since: float | None = None
    """When the key was got, in seconds since the epoch."""

    def secrets(self) -> tuple[str, ...]:
        """What to try, in order."""
        return (self.key, self.next) if self.next else (self.key,)


def load_credentials(path: Path) -> Credentials:
    """Read what `enroll` wrote. Raises ConfigError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        since = raw.get("since")
        return Credentials(
            archive=str(raw["archive"]),
            edge=str(raw.get("edge", "")),
            key=str(raw["key"]),
            next=str(raw.get("next", "")),
            since=None if since is None else float(since),
        )
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: enrol this edge first (maypacs-edge enroll)") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is not a credentials file: enrol this edge again") from None


def save_credentials(path: Path, credentials: Credentials) -> None:
    """Write the credentials, readable by their owner alone, whole or not at all."""
    members = {name: value for name, value in asdict(credentials).items() if value not in ("", None)}
    text = json.dumps(members, indent=2) + "\n"
    write_private(path, text)


def write_private(path: Path, text: str) -> None:
    """Replace a file by way of a temporary one (mode 0600), durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
