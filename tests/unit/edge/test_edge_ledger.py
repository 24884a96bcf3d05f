"""The ledger of an earlier version is taken over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_forwarder.databases.commitments import CommitmentState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import Identity

IDENTITY = Identity("2.25.1", "2.25.11", "2.25.111", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "CT", 1)


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
