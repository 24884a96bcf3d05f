"""Whose images the spool holds: an edge that gets the key of another archive must not send it what waits here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge_forwarder.config import write_private
from edge_forwarder.errors import ConfigError
from edge_forwarder.intake import FOLDER as HANDED

_FILE: Final = "archive"


def check_tenant(spool: Path, archive: str) -> None:
    """Raises ConfigError when images of another archive wait in this spool."""
    try:
        known = (spool / _FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return
    if known in ("", archive):
        return
    waiting = sum(1 for folder in ("received", HANDED) for _ in (spool / folder).glob("*.dcm"))
    if waiting:
        raise ConfigError(
            f"{waiting} images in {spool} wait for archive {known}, and the key is of archive {archive}:"
            f" enrol with a code of {known}, or use another spool"
        )


def note_tenant(spool: Path, archive: str) -> None:
    """Raises ConfigError as `check_tenant` does, OSError."""
    check_tenant(spool, archive)
    path = spool / _FILE
    if not path.is_file() or path.read_text(encoding="ascii", errors="replace").strip() != archive:
        write_private(path, archive + "\n")
