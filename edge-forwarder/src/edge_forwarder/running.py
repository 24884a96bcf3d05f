"""The process: signals, systemd, and what a reload does to a running service."""

from __future__ import annotations

import select
import signal
import socket
from pathlib import Path
from typing import Final

from edge_forwarder import systemd
from edge_forwarder.config import Config, load
from edge_forwarder.errors import EdgeError
from edge_forwarder.logs import Log
from edge_forwarder.reloading import merge
from edge_forwarder.service import Service

#: How often to see whether all is well, when systemd does not want to hear of it more often.
_LOOK_SECONDS: Final = 10.0
_STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def run(path: Path, config: Config, log: Log, *, follow_level: bool) -> None:
    """Run until SIGTERM or SIGINT; prints ``ready AET@host:port`` on standard output when modalities may call. SIGHUP
    reads the file anew. ``follow_level``: the log level is the file's.
    """
    signals = _Signals()
    service = Service(config, log)
    service.start()
    assert service.listener is not None
    ports = service.listener.port or service.listener.tls_port
    # In one piece: the log may go to the same place.
    print(f"ready {config.edge.ae_title}@{service.listener.host}:{ports}\n", end="", flush=True)  # noqa: T201
    systemd.notify("READY=1")
    dead: list[str] = []
    while (heard := signals.next(min(systemd.watchdog_seconds() or _LOOK_SECONDS, _LOOK_SECONDS))) not in _STOP:
        if service.is_damaged:
            break
        if heard == signal.SIGHUP:
            systemd.reloading()
            reload(service, path, log, follow_level=follow_level)
            systemd.notify("READY=1")
        elif service.is_alive():
            systemd.notify("WATCHDOG=1")
        elif service.dead != dead:
            dead = service.dead
            log.error("a part of the edge has died: it needs a restart", why=", ".join(dead))
    systemd.notify("STOPPING=1")
    log.info("stopping")
    service.stop()
    if service.is_damaged:
        # Whoever started us starts us again (systemd, Docker): then it is put aside.
        raise EdgeError("the journal or the ledger broke: it needs a restart")


class _Signals:
    """Signals as bytes on a socket, whichever thread they meet.

    The system may give a signal to any thread, those of libraries too. Python then calls the handler when the main
    thread next runs Python, and that one, were it to wait for a queue, would not wake for it.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        for number in (*_STOP, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._writer.fileno())
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)

    def next(self, seconds: float | None) -> int | None:
        """The number of the next signal, or None after so many seconds."""
        if not self._poll.poll(None if seconds is None else seconds * 1000):
            return None
        return self._reader.recv(1)[0]


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
