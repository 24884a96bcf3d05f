"""The keeper and what it finds on the disk: at a start, and after the journal could not be written."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.spooled import put
from tests.support.stub_edge import write_ct

from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.logs import Log
from edge_forwarder.packing import keeper as keeper_module
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile

IDENTITY = Identity("2.25.1", "2.25.11", "2.25.111", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "CT", 1)


def work(spool: Spool, journal: Journal, feed: Callable[[Keeper], None] = lambda keeper: None) -> list[str]:
    """A keeper's whole life: what it finds, what it is told, and the packs it hands on."""
    submitted: list[str] = []
    with closing(Ledger.open(spool.layout.ledger)) as ledger:
        keeper = Keeper(spool, journal, Planner(Limits()), submitted.append, Log(io.StringIO()), ledger)
        keeper.start()
        feed(keeper)
        keeper.stop()
    return submitted


def test_the_keeper_takes_up_what_it_finds_once(spool: Spool, journal: Journal, tmp_path: Path) -> None:
    """A restart packs what was received; another one does not pack it again."""
    data = write_ct(tmp_path / "a.dcm", sop="2.25.1").read_bytes()
    put(spool, data)
    (pack,) = work(spool, journal)
    assert len(journal.members(pack)) == 1
    assert work(spool, journal) == []
    assert journal.facts()["received"] == 1


def test_the_keeper_counts_what_packs_hold(spool: Spool, journal: Journal, tmp_path: Path) -> None:
    """By modality: how well images travel together."""
    for n in (1, 2):
        put(spool, write_ct(tmp_path / f"{n}.dcm", sop=f"2.25.{n}", number=n).read_bytes())
    put(spool, write_ct(tmp_path / "3.dcm", series="2.25.12", sop="2.25.3").read_bytes())
    assert len(work(spool, journal)) == 2
    facts = journal.facts()
    assert (facts["packs.CT"], facts["packed.CT"]) == (2, 3)
    assert facts["packed_bytes.CT"] == sum(file.size for file in spool.files())


def test_what_is_stat_is_so_after_a_restart(spool: Spool, journal: Journal, ledger: Ledger, tmp_path: Path) -> None:
    """By whoever sent it; the pack's row says it to the uploader."""
    keeper = Keeper(spool, journal, Planner(Limits()), lambda pack: None, Log(io.StringIO()), ledger)
    keeper.registrar.is_stat = lambda ae_title, identity: ae_title == "ER"
    keeper.start()
    keeper.stored(put(spool, write_ct(tmp_path / "1.dcm", sop="2.25.1").read_bytes(), "ER"), 1)
    keeper.stored(put(spool, write_ct(tmp_path / "2.dcm", series="2.25.12", sop="2.25.2").read_bytes(), "CT1"), 2)
    keeper.stop()
    assert sorted((row.stat, len(journal.members(row.id))) for row in journal.packs(PackState.PACKED)) == [
        (False, 1),
        (True, 1),
    ]
    assert {row.stat for row in (journal.instance(file.name) for file in spool.files()) if row} == {True, False}


def test_the_keeper_finishes_a_deletion_that_was_interrupted(spool: Spool, journal: Journal, tmp_path: Path) -> None:
    """Indexed, but the files were still there when the power went."""
    put(spool, write_ct(tmp_path / "a.dcm", sop="2.25.1").read_bytes())
    (pack,) = work(spool, journal)
    journal.update_pack(pack, PackState.INDEXED)
    assert work(spool, journal) == []
    assert list(spool.files()) == []
    assert journal.names() == set()
    assert spool.held_bytes == 0


def test_the_keeper_notices_files_that_somebody_took_away(spool: Spool, journal: Journal) -> None:
    """Loudly: it is the one way to lose an image."""
    journal.add_instance("01ARZ3NDEKTSV4RRFFQ69G5FAV~X.dcm", 10, IDENTITY)
    assert work(spool, journal) == []
    assert journal.facts()["missing"] == 1
    assert journal.names() == set()


def test_a_file_that_vanished_costs_nothing_but_itself(spool: Spool, journal: Journal, tmp_path: Path) -> None:
    """The others of the same batch are packed."""
    data = write_ct(tmp_path / "a.dcm", sop="2.25.1").read_bytes()

    def feed(keeper: Keeper) -> None:
        keeper.stored(SpooledFile("01ARZ3NDEKTSV4RRFFQ69G5FAV~X.dcm", 5), 1)
        keeper.stored(put(spool, data), 1)
        keeper.ended(1)

    packs = work(spool, journal, feed)
    assert sum(len(journal.members(pack)) for pack in packs) == 1


def test_a_journal_that_cannot_be_written_for_a_while_costs_nothing(
    spool: Spool, journal: Journal, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for the journal too: what was acknowledged meanwhile is taken up from the files afterwards."""
    data = [write_ct(tmp_path / f"{n}.dcm", sop=f"2.25.{n}", number=n).read_bytes() for n in (1, 2)]
    add, failed, packed = journal.add_instance, threading.Event(), threading.Event()

    def fail(*_: object, **__: object) -> None:
        failed.set()
        raise sqlite3.OperationalError("database or disk is full")

    submitted: list[str] = []

    def submit(pack: str) -> None:
        submitted.append(pack)
        packed.set()

    monkeypatch.setattr(keeper_module, "_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(journal, "add_instance", fail)
    keeper = Keeper(spool, journal, Planner(Limits()), submit, Log(io.StringIO()), ledger)
    keeper.start()
    keeper.stored(put(spool, data[0]), 1)
    keeper.stored(put(spool, data[1]), 1)
    assert failed.wait(5)
    monkeypatch.setattr(journal, "add_instance", add)
    assert packed.wait(5)
    keeper.stop()
    assert sum(len(journal.members(pack)) for pack in submitted) == 2
