"""Backups of the accounts table: whole while others write, thinned out, checked before they are put back."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.memory_objects import MemoryBuckets, MemoryObjects

from maypacs.access import accounts
from maypacs.access.principals import Role
from maypacs.index.sqlite_table import SqliteTable
from maypacs_node import backups
from maypacs_node.home import NodeError

NOON = 1_767_355_200.0  # 2026-01-02T12:00:00Z
HOUR = 3600.0


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryBuckets().bucket("archive")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.sqlite"
    held = SqliteTable(path)
    accounts.add_archive(held, "hosp1", name="Bệnh viện")
    accounts.add_user(held, "bs.thu", archive="hosp1", role=Role.RADIOLOGIST, name="", password=None)
    return path


def users(path: Path) -> list[str]:
    return [archive.archive_id for archive in accounts.list_archives(SqliteTable(path))]


def test_what_was_backed_up_comes_back(table: Path, objects: MemoryObjects) -> None:
    """Rows that were added later are gone, and kept beside it."""
    name = backups.take(table, objects, clock=lambda: NOON)
    assert name == "20260102T120000Z"
    accounts.add_archive(SqliteTable(table), "hosp2", name="")
    before = backups.restore(table, objects, name, clock=lambda: NOON + HOUR)
    assert users(table) == ["hosp1"]
    assert before is not None
    assert users(before) == ["hosp1", "hosp2"]
    assert table.stat().st_mode & 0o077 == 0


def test_a_table_that_is_broken_or_gone_is_replaced_all_the_same(table: Path, objects: MemoryObjects) -> None:
    """That is what backups are for."""
    name = backups.take(table, objects)
    for damage in ("broken", "gone"):
        for path in table.parent.glob("accounts.sqlite*"):
            path.unlink()
        if damage == "broken":
            table.write_bytes(b"not a database at all" * 1000)
        backups.restore(table, objects, name)
        assert users(table) == ["hosp1"], damage


def test_it_is_whole_while_others_write(table: Path, objects: MemoryObjects) -> None:
    """A transaction that is under way, and what still lies in the journal."""
    with closing(sqlite3.connect(table)) as writer:
        writer.execute("INSERT INTO rows (pk, sk, size, body) VALUES ('a', 'committed', 1, x'00')")
        writer.commit()
        writer.execute("INSERT INTO rows (pk, sk, size, body) VALUES ('a', 'under way', 1, x'00')")
        name = backups.take(table, objects)
        writer.rollback()
    backups.restore(table, objects, name)
    with closing(sqlite3.connect(table)) as restored:
        assert restored.execute("SELECT sk FROM rows WHERE pk = 'a'").fetchall() == [("committed",)]


@pytest.mark.parametrize("damage", ["cut", "zeroes", "no gzip"])
def test_a_damaged_backup_changes_nothing(table: Path, objects: MemoryObjects, damage: str) -> None:
    """It is found out before the table is touched."""
    name = backups.take(table, objects)
    key = f"{backups.PREFIX}{name}.sqlite.gz"
    held = objects.get(key)
    plain = gzip.decompress(held)
    broken = {"cut": held[: len(held) // 2], "zeroes": gzip.compress(bytes(len(plain))), "no gzip": b"x" * 100}[damage]
    objects.put(key, broken)
    with pytest.raises(NodeError, match="damaged"):
        backups.restore(table, objects, name)
    assert users(table) == ["hosp1"]
    assert not list(table.parent.glob("*restored*"))


@pytest.mark.parametrize("name", ["20260102T120000Z", "../secrets", "", "20260102T120000Z/../x"])
def test_a_backup_that_is_not_there_is_said_so(table: Path, objects: MemoryObjects, name: str) -> None:
    """Names are not paths."""
    with pytest.raises(NodeError, match="maypacs backup list"):
        backups.restore(table, objects, name)


def test_two_days_and_the_last_of_thirty_days_are_kept(table: Path, objects: MemoryObjects) -> None:
    """One an hour for fifty days."""
    held = [f"2026{1 + day // 28:02}{1 + day % 28:02}T{hour:02}0000Z" for day in range(50) for hour in range(24)]
    gone = backups.superfluous(held)
    kept = [name for name in held if name not in gone]
    assert kept[-48:] == held[-48:]
    assert len(kept) == 48 + 28
    assert all(name.endswith("T230000Z") for name in kept[:-48])
    for number in range(60):
        backups.take(table, objects, clock=lambda number=number: NOON + number * HOUR)  # type: ignore[misc]
    assert len(backups.names(objects)) == 49


def test_one_is_due_an_hour_after_the_last(table: Path, objects: MemoryObjects) -> None:
    """At once when there is none; one of a clock that was ahead does not put the next off."""
    assert backups.due(objects, clock=lambda: NOON) == 0
    backups.take(table, objects, clock=lambda: NOON)
    assert backups.due(objects, clock=lambda: NOON + 600) == 3000
    assert backups.due(objects, clock=lambda: NOON + HOUR) == 0
    assert backups.due(objects, clock=lambda: NOON - 90 * HOUR) == 0
