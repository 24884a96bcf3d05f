"""The process around the service."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from edge_forwarder import config as configuration
from edge_forwarder import running
from edge_forwarder.errors import EdgeError
from edge_forwarder.logs import Log


class _NoSignals:
    """Nobody says anything."""

    def next(self, seconds: float | None) -> None:
        assert seconds is not None, "it would not look by itself"


class _Damaged:
    """A service whose ledger breaks at once."""

    is_damaged = True

    def __init__(self, *_: Any) -> None:
        self.listener = type("Listener", (), {"port": 11112, "tls_port": 0, "host": "127.0.0.1"})
        self.done: list[str] = []
        _made.append(self)

    def start(self) -> None:
        self.done.append("start")

    def stop(self) -> None:
        self.done.append("stop")


_made: list[_Damaged] = []


def test_what_broke_on_the_disk_ends_the_process_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody's signal, with or without systemd's watchdog, as a failure: so it is started again."""
    monkeypatch.setattr(running, "Service", _Damaged)
    monkeypatch.setattr(running, "_Signals", _NoSignals)
    config = configuration.parse({"cloud": {"url": "https://pacs.example.org"}}, Path("/etc/edge"))
    with pytest.raises(EdgeError, match="needs a restart"):
        running.run(Path("edge.toml"), config, Log(io.StringIO()), follow_level=True)
    assert _made.pop().done == ["start", "stop"]
