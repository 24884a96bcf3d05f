"""What `enroll` got: written by it, read by whoever asks the cloud."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `enroll` got. The key never appears in a log or a repr."""

    archive: str
    edge: str
    key: str = field(repr=False)


def load_credentials(path: Path) -> Credentials:
    """Read what `enroll` wrote. Raises ConfigError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Credentials(archive=str(raw["archive"]), edge=str(raw.get("edge", "")), key=str(raw["key"]))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: enrol this edge first (maypacs-edge enroll)") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is not a credentials file: enrol this edge again") from None


def save_credentials(path: Path, credentials: Credentials) -> None:
    """Write the credentials, readable by their owner alone, whole or not at all."""
    text = (
        json.dumps({"archive": credentials.archive, "edge": credentials.edge, "key": credentials.key}, indent=2) + "\n"
    )
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
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
