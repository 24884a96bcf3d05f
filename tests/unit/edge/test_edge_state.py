"""Spool, journal, keeper: what survives what."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.stub_edge import write_ct

from edge_forwarder.databases.commitments import CommitmentState
from edge_forwarder.databases.journal import InstanceRow, Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.errors import ConfigError, SpoolError, SpoolFullError
from edge_forwarder.logs import Log
from edge_forwarder.packing import keeper as keeper_module
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.lock import is_locked
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.spool.writer import SpoolWriter

IDENTITY = Identity("2.25.1", "2.25.11", "2.25.111", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "CT", 1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def put(spool: Spool, data: bytes, title: str = "THU-CT1") -> SpooledFile:
    writer = spool.begin(title)
    writer.write(data)
    return writer.commit()


@pytest.mark.parametrize("title", ["CT1", "CT/1", "a~b", "ĐẶC", "..", "", " x "])
def test_any_calling_title_makes_a_file_name_and_comes_back(spool: Spool, title: str) -> None:
    """The AE title is in the name, so that it survives the loss of the journal; it cannot leave the folder."""
    file = put(spool, b"abc", title)
    assert file.calling_ae_title == title
    assert spool.path(file.name).parent == spool.received
    assert [found.calling_ae_title for found in spool.files()] == [title]


def test_a_crash_between_writing_and_renaming_leaves_nothing(tmp_path: Path) -> None:
    """What is in incoming/ at the next start was never acknowledged."""
    first = Spool(tmp_path / "spool")
    first.open()
    first.begin("X").write(b"half")
    kept = put(first, b"whole")
    first.close()
    second = Spool(tmp_path / "spool")
    second.open()
    assert list(second.incoming.iterdir()) == []
    assert [file.name for file in second.files()] == [kept.name]
    assert second.held_bytes == 5
    second.close()


def test_a_folder_that_somebody_left_among_what_arrives_stops_nothing(tmp_path: Path) -> None:
    """It stays as it is, and is told of; a link to one is only a name."""
    first = Spool(tmp_path / "spool")
    first.open()
    first.close()
    (first.incoming / "backup").mkdir()
    (first.incoming / "backup" / "1.dcm").write_bytes(b"somebody's")
    (first.incoming / "link").symlink_to(tmp_path)
    second = Spool(tmp_path / "spool")
    second.open()
    assert second.strange_folders == ["backup"]
    assert [path.name for path in second.incoming.iterdir()] == ["backup"]
    assert put(second, b"whole").size == 5
    second.close()
    assert (second.incoming / "backup" / "1.dcm").read_bytes() == b"somebody's"


def test_one_process_at_a_time(spool: Spool) -> None:
    """The lock goes with the process, however it ends."""
    assert is_locked(spool.folder)
    with pytest.raises(ConfigError, match="another process"):
        Spool(spool.folder).open()
    spool.close()
    assert not is_locked(spool.folder)


@pytest.mark.parametrize("operation", ["fsync", "rename", "write"])
@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, SpoolFullError), (errno.EIO, SpoolError)])
def test_a_disk_that_fails_is_never_a_success(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, operation: str, number: int, kind: type[SpoolError]
) -> None:
    """Wherever the disk gives up, the instance is refused and gone, and its bytes are given back."""
    writer = spool.begin("X")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(kind):
        _write_and_commit(writer)
    monkeypatch.undo()
    writer.discard()
    assert (list(spool.files()), list(spool.incoming.iterdir()), spool.held_bytes) == ([], [], 0)


def _write_and_commit(writer: SpoolWriter) -> None:
    writer.write(b"abc")
    writer.commit()


def test_room_is_looked_for_before_it_is_needed(tmp_path: Path) -> None:
    """Below the free space that must stay, and above the allowance, nothing is begun."""
    free = [1000]
    spool = Spool(tmp_path / "spool", min_free_bytes=1000, max_bytes=10, free=lambda _: free[0])
    spool.open()
    kept = put(spool, b"0123456789")
    with pytest.raises(SpoolFullError):
        spool.begin("X")
    spool.remove(kept.name)
    free[0] = 999
    with pytest.raises(SpoolFullError):
        spool.begin("X")
    free[0] = 1000
    spool.begin("X").discard()
    spool.close()


def test_a_transaction_that_fails_leaves_the_journal_as_it_was(journal: Journal) -> None:
    """All or nothing."""

    with pytest.raises(sqlite3.IntegrityError), journal.transaction():
        _add_twice(journal)
    assert journal.names() == set()
    assert journal.pack("p") is None


def _add_twice(journal: Journal) -> None:
    journal.add_instance("a", 1, IDENTITY)
    journal.add_pack("p", ["a"])
    journal.add_pack("p", ["a"])


def test_only_one_claims_a_pack(journal: Journal) -> None:
    """Two uploaders that want the same pack: the second gets nothing."""
    journal.add_instance("a", 1, IDENTITY)
    journal.add_pack("p", ["a"])
    claimed = journal.claim("p")
    assert claimed is not None
    assert claimed.state == PackState.PACKED
    assert journal.claim("p") is None
    journal.reopen()
    assert journal.claim("p") is not None


def test_queues_count_by_state(journal: Journal) -> None:
    """What status shows: instances without a pack are *received*."""
    for name in ("a", "b", "c"):
        journal.add_instance(name, 10, IDENTITY)
    journal.add_pack("p", ["b", "c"])
    journal.update_pack("p", PackState.SENT, arrival="x")
    queues = journal.queues()
    assert (queues["received"].instances, queues["received"].packs) == (1, 0)
    assert (queues["sent"].instances, queues["sent"].bytes, queues["sent"].packs) == (2, 20, 1)


def test_a_journal_of_another_version_is_put_aside(tmp_path: Path) -> None:
    """After a downgrade the files are taken up anew; the old journal is kept beside."""
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    connection.close()
    journal = Journal.open(path)
    assert journal.names() == set()
    assert (tmp_path / "journal.sqlite.unreadable").exists()
    journal.close()


def test_a_journal_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    """An upgrade keeps what is known: counters, packs, and what was uploaded but not yet indexed."""
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
create table instances (name text primary key, size integer not null, pack text, study text, series text, sop text,
  sop_class text, syntax text, modality text, number integer) without rowid;
create table packs (id text primary key, state text not null, created_at real not null, boundary text,
  arrival text, length integer, sha256 text, sent_at real, attempts integer not null default 0, error text
) without rowid;
create table boundaries (study text primary key, boundary text not null) without rowid;
create table facts (name text primary key, value) without rowid;
insert into instances values ('a', 1, 'p', '2.25.1', '2.25.11', '2.25.111', '1.2', '1.2.840.10008.1.2.1', 'CT', 1);
insert into packs (id, state, created_at, arrival) values ('p', 'sent', 1.5, 'x');
insert into facts values ('received', 7);
pragma user_version = 1;
"""
        )
    connection.close()
    journal = Journal.open(path)
    (pack,) = journal.packs(PackState.SENT)
    assert (pack.arrival, pack.stat) == ("x", False)
    (member,) = journal.members("p")
    assert (member.name, member.stat) == ("a", False)
    assert journal.facts() == {"received": 7}
    journal.add_instance("b", 1, IDENTITY, stat=True)
    assert journal.instance("b") == InstanceRow("b", 1, IDENTITY, None, True)
    journal.close()


def work(spool: Spool, journal: Journal, feed: Callable[[Keeper], None] = lambda keeper: None) -> list[str]:
    """A keeper's whole life: what it finds, what it is told, and the packs it hands on."""
    submitted: list[str] = []
    keeper = Keeper(spool, journal, Planner(Limits()), submitted.append, Log(io.StringIO()))
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


def test_what_is_stat_is_so_after_a_restart(spool: Spool, journal: Journal, tmp_path: Path) -> None:
    """By whoever sent it; the pack's row says it to the uploader."""
    keeper = Keeper(spool, journal, Planner(Limits()), lambda pack: None, Log(io.StringIO()))
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
    spool: Spool, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    keeper = Keeper(spool, journal, Planner(Limits()), submit, Log(io.StringIO()))
    keeper.start()
    keeper.stored(put(spool, data[0]), 1)
    keeper.stored(put(spool, data[1]), 1)
    assert failed.wait(5)
    monkeypatch.setattr(journal, "add_instance", add)
    assert packed.wait(5)
    keeper.stop()
    assert sum(len(journal.members(pack)) for pack in submitted) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_a_ledger_of_an_earlier_version_is_taken_over(tmp_path: Path, version: int) -> None:
    """It cannot be rebuilt: what was sent and promised before an upgrade holds after it."""
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            f"""
create table sent (name text primary key, file text not null, ae text not null, sop text not null,
  sop_class text not null, study text not null, series text not null, digest text, state text not null,
  at real not null) without rowid;
create index sent_by_sop on sent (sop);
create index sent_by_file on sent (file);
{"create index sent_by_study on sent (study);" if version > 1 else ""}
create table commitments (id integer primary key, ae text not null, uid text not null, wanted text not null,
  state text not null, outcome text, created_at real not null, next_at real not null,
  attempts integer not null default 0, error text, unique (ae, uid));
create index commitments_by_state on commitments (state, next_at);
insert into sent values ('a', 'a', 'CT1', '2.25.111', '1.2', '2.25.1', '2.25.11', 'd', 'indexed', 1.5);
insert into commitments values (7, 'CT1', '2.25.7', '[["1.2", "2.25.111"]]', 'due', '[null]', 1.5, 20.5, 3, 'no');
pragma user_version = {version};
"""
        )
    connection.close()
    ledger = Ledger.open(path)
    (sent,) = ledger.sent("2.25.111")
    assert (sent.digest, sent.state) == ("d", "indexed")
    assert ledger.digests_of({"a": "1.2.840.10008.1.2.1"}) == {"a": "d"}
    (due,) = ledger.commitments(CommitmentState.DUE)
    assert (due.id, due.created_at, due.due_at, due.attempts) == (7, 1.5, 20.5, 3)
    ledger.add("b", "CT1", IDENTITY)
    ledger.digests({"b": "x"})
    ledger.add("0", "CT1", IDENTITY)
    assert [each.name for each in ledger.sent("2.25.111")] == ["a", "b", "0"]
    assert not (tmp_path / "ledger.sqlite.unreadable").exists()
    ledger.close()


def test_what_an_edge_before_rules_compressed_went_up_in_jpeg_ls(tmp_path: Path) -> None:
    """Version 5 knew one codec, and wrote no syntax down."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path)
    for name in ("a", "b"):
        ledger.add(name, "CT1", IDENTITY)
        ledger.digests({name: "raw"})
    ledger.digests({"b": "compressed"})
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.executescript("alter table sent drop column sent_syntax; pragma user_version = 5;")
    connection.close()
    ledger = Ledger.open(path)
    assert [each.sent_syntax for each in ledger.sent("2.25.111")] == [None, "1.2.840.10008.1.2.4.80"]
    ledger.close()
