"""One JSON line for each thing that happened, in the process's own log. Names and places, never values."""

from __future__ import annotations

import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import orjson


def log(what: str, **fields: object) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with suppress(OSError):  # a full disk is no reason to fail
        sys.stderr.write(orjson.dumps({"at": at, "what": what, **fields}).decode() + "\n")
        sys.stderr.flush()


def log_fault(error: BaseException, **fields: object) -> None:
    """Where it happened and what kind it is; not what it says, for a message may quote the data that it choked on."""
    frames = traceback.extract_tb(error.__traceback__)
    log("fault", kind=type(error).__name__, where=[f"{Path(f.filename).name}:{f.lineno}" for f in frames], **fields)
