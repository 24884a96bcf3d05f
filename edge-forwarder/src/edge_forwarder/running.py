"""The process: signals, systemd, and what a reload does to a running service."""

from __future__ import annotations

import queue
import signal
from pathlib import Path
from typing import Final

from edge_forwarder import systemd
from edge_forwarder.config import Config, load
from edge_forwarder.errors import EdgeError
from edge_forwarder.logs import Log
from edge_forwarder.reloading import merge
from edge_forwarder.service import Service

_STOP: Final = "stop"
_RELOAD: Final = "reload"


def run(path: Path, config: Config, log: Log, *, follow_level: bool) -> None:
    """Run until SIGTERM or SIGINT; prints ``ready AET@host:port`` on standard output when modalities may call. SIGHUP
    reads the file anew. ``follow_level``: the log level is the file's.
    """
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: orders.put(_STOP))
    signal.signal(signal.SIGHUP, lambda *_: orders.put(_RELOAD))
    service = Service(config, log)
    service.start()
    assert service.listener is not None
    ports = service.listener.port or service.listener.tls_port
    print(f"ready {config.edge.ae_title}@{service.listener.host}:{ports}", flush=True)  # noqa: T201
    systemd.notify("READY=1")
    while (order := _next(orders, service)) != _STOP:
        if order == _RELOAD:
            systemd.reloading()
            reload(service, path, log, follow_level=follow_level)
            systemd.notify("READY=1")
    systemd.notify("STOPPING=1")
    log.info("stopping")
    service.stop()


def _next(orders: queue.SimpleQueue[str], service: Service) -> str:
    """The next order; empty when the watchdog is to be fed, which happens while every part of the service lives."""
    try:
        return orders.get(timeout=systemd.watchdog_seconds())
    except queue.Empty:
        if service.is_alive():
            systemd.notify("WATCHDOG=1")
        return ""


def reload(service: Service, path: Path, log: Log, *, follow_level: bool) -> None:
    """Take what may change; say what changed, and what waits for a restart. A file that is wrong changes nothing."""
    try:
        wanted = load(path)
        config, changed, waiting = merge(service.config, wanted)
        service.configure(config)
    except (EdgeError, OSError) as error:
        log.error("the configuration is wrong: the one before stays in force", why=str(error) or type(error).__name__)
        return
    except Exception as error:  # ours to mend, but no reason to stop taking images
        log.error("the configuration could not be taken", why=f"{type(error).__name__}: {error}")
        return
    if follow_level:
        log.set_level(config.edge.log_level)
    if waiting:
        log.warning("these settings need a restart", why=", ".join(waiting))
    log.info("the configuration was read anew", why=", ".join(changed) or "nothing changed")
