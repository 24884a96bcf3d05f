"""Who uploads what `send` hands over: the edge that runs, or one for as long as the command lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edge_forwarder.config import Config
from edge_forwarder.logs import Log
from edge_forwarder.service import Service
from edge_forwarder.spool.lock import is_locked


@contextmanager
def company(config: Config) -> Iterator[bool]:
    """An edge that uploads what is handed over: the one that runs, or, if none does, one in this process that listens
    to nobody (True). Raises EdgeError.
    """
    if is_locked(config.spool_folder):
        yield False
        return
    service = Service(config, Log(level="error"), listen=False)
    service.start()
    try:
        yield True
    finally:
        service.stop()
