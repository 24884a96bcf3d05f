"""One process at a time: a file that is locked (flock(2)) for as long as its process lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from edge_forwarder.spool.layout import Layout


def lock(path: Path, mode: int = 0o640) -> int | None:
    """Its descriptor, which holds the lock until it is closed; None: another has it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(folder: Path) -> bool:
    """Whether a process works on this spool now."""
    try:
        descriptor = os.open(Layout(folder).lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
