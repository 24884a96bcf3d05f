"""The journal: its packs, its counts, and those of other versions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_forwarder.databases.journal import InstanceRow, Journal, PackState
from edge_forwarder.dicom.peek import Identity

IDENTITY = Identity("2.25.1", "2.25.11", "2.25.111", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "CT", 1)


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
