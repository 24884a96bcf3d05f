"""What many tests of the edge's parts begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_forwarder.databases.ledger import Ledger
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
