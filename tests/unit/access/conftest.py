"""A clock that a test moves, a table of accounts, and what stands on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clock import Clock

from maypacs.access.accounts import add_archive
from maypacs.access.gatekeeper import Gatekeeper
from maypacs.access.secrets import new_secrets
from maypacs.access.sessions import Sessions
from maypacs.archive.store import ArchiveStore
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Table
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Table]:
    table = SqliteTable(tmp_path / "accounts.db")
    add_archive(table, "hosp1", name="Bệnh viện Một")
    add_archive(table, "hosp10", name="Bệnh viện Mười")
    yield table
    table.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Table]:
    table = SqliteTable(tmp_path / "index.db")
    yield table
    table.close()


@pytest.fixture
def gatekeeper(accounts: Table, index: Table, clock: Clock) -> Gatekeeper:
    class NoObjects:
        bucket = "none"

    def open_workspace(archive: ArchiveId) -> Workspace:
        objects = NoObjects()
        return Workspace(archive, index, ArchiveStore(archive, objects=objects, inbox=objects, pack_key=b"k" * 32))

    return Gatekeeper(accounts, new_secrets()["token_keys"], open_workspace, clock=clock)


@pytest.fixture
def sessions(accounts: Table, gatekeeper: Gatekeeper, clock: Clock) -> Sessions:
    return Sessions(accounts, gatekeeper.tokens, clock)
