"""What many tests of the edge's parts begin with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.logs import Log
from edge_forwarder.packing import keeper as keeper_module
from edge_forwarder.packing import strays
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.spool import naming
from edge_forwarder.spool.folder import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    spool.open()
    yield spool
    spool.close()


@pytest.fixture
def ledger(spool: Spool) -> Iterator[Ledger]:
    ledger = Ledger.open(spool.layout.ledger)
    yield ledger
    ledger.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


@pytest.fixture
def keeper(spool: Spool, journal: Journal, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """One that tries again at once, and closes each pack at once; not started."""
    monkeypatch.setattr(strays, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(keeper_module, "_RETRY_SECONDS", 0.02)
    keeper = Keeper(spool, journal, Planner(Limits(quiet=0.0)), lambda pack: None, Log(io.StringIO()), ledger)
    yield keeper
    if keeper.is_alive:
        keeper.stop()
