"""Structured logs: one JSON object a line on standard error, with an allow-list of keys, so that no patient
data gets in.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from datetime import UTC, datetime
from typing import Final, TextIO

#: What a log line may carry besides time, level and message: technical names, numbers, reasons of our own wording.
ALLOWED: Final = frozenset(
    {
        "arrival",
        "association",
        "attempts",
        "bytes",
        "called",
        "calling",
        "commitment",
        "failed",
        "files",
        "held",
        "host",
        "instances",
        "limit",
        "matches",
        "modality",
        "of",
        "pack",
        "parts",
        "port",
        "seconds",
        "signal",
        "spool",
        "state",
        "url",
        "version",
        "why",
    }
)
#: What may be asked for, and what is above what.
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Threads may share it."""

    def __init__(self, stream: TextIO | None = None, level: str = "info") -> None:
        self._stream, self._from = stream or sys.stderr, LEVELS[level]
        self._lock = threading.Lock()

    def set_level(self, level: str) -> None:
        self._from = LEVELS[level]

    def debug(self, message: str, **values: object) -> None:
        self._write("debug", message, values)

    def info(self, message: str, **values: object) -> None:
        self._write("info", message, values)

    def warning(self, message: str, **values: object) -> None:
        self._write("warning", message, values)

    def error(self, message: str, **values: object) -> None:
        self._write("error", message, values)

    def _write(self, level: str, message: str, values: dict[str, object]) -> None:
        if LEVELS[level] < self._from:
            return
        if unknown := values.keys() - ALLOWED:
            raise ValueError(f"not a key of our logs: {sorted(unknown)}")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "level": level, "message": message, **values}, ensure_ascii=False, default=str)
        # A full disk, a terminal that is gone: no reason to take no more images.
        with self._lock, contextlib.suppress(OSError):
            self._stream.write(line + "\n")
            self._stream.flush()
