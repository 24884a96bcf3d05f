"""Journal and ledger on a disk that does not take them."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge_forwarder.databases.commitments import Reference
from edge_forwarder.databases.database import was_put_aside
from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.dicom import part10
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.errors import ConfigError
from edge_forwarder.logs import Log
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.spool.folder import Spool

#: No file may grow: what a full disk does to SQLite, for one process.
_ON_A_FULL_DISK = """
import resource, signal, sqlite3, sys
from pathlib import Path
from edge_forwarder.databases.{module} import {name}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    {name}.open(Path(sys.argv[1]))
except sqlite3.Error as error:
    print("cannot be opened")
"""


def open_on_a_full_disk(kind: type[Journal] | type[Ledger], path: Path) -> str:
    code = _ON_A_FULL_DISK.format(module=kind.noun, name=kind.__name__)
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout


def test_a_full_disk_is_no_damage_and_nothing_is_forgotten(tmp_path: Path) -> None:
    """A ledger cannot be rebuilt: when the disk is full at a start, the promises in it are still there at the next."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path)
    number = ledger.ask("CT1", "2.25.1", [Reference("1.2.840.10008.5.1.4.1.1.2", "2.25.9")])
    ledger.close()
    assert open_on_a_full_disk(Ledger, path).strip() == "cannot be opened"
    assert [entry.name for entry in tmp_path.iterdir() if "unreadable" in entry.name] == []
    again = Ledger.open(path)
    assert number is not None
    assert again.commitment(number) is not None
    again.close()


def test_a_journal_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """The first start on a full disk."""
    path = tmp_path / "journal.sqlite"
    assert open_on_a_full_disk(Journal, path).strip() == "cannot be opened"
    Journal.open(path).close()
    assert not list(tmp_path.glob("*.unreadable*"))


def at_version(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma user_version = {version}")


def test_a_newer_ledger_is_left_as_it_is_and_says_what_to_do(tmp_path: Path) -> None:
    """The package was set back: the older one must not throw away what cannot be rebuilt. A journal can be."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path)
    number = ledger.ask("CT1", "2.25.1", [Reference("1.2.840.10008.5.1.4.1.1.2", "2.25.9")])
    ledger.close()
    at_version(path, Ledger.schema_version + 1)
    with pytest.raises(ConfigError, match=r"ledger\.sqlite is of a newer maypacs-edge"):
        Ledger.open(path)
    assert [entry.name for entry in tmp_path.iterdir() if "unreadable" in entry.name] == []
    at_version(path, Ledger.schema_version)
    again = Ledger.open(path)
    assert number is not None
    assert again.commitment(number) is not None
    again.close()
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()
    at_version(path, Journal.schema_version + 1)
    Journal.open(path).close()
    assert (tmp_path / "journal.sqlite.unreadable").is_file()


def test_what_was_put_aside_is_told_and_kept(tmp_path: Path) -> None:
    """In the log when it happens, by its file until somebody has taken it away; a second one does not replace it."""
    path = tmp_path / "ledger.sqlite"
    stream = io.StringIO()
    for damage in (b"one" * 1000, b"two" * 1000):
        path.write_bytes(damage)
        ledger = Ledger.open(path)
        ledger.tell_of_damage(Log(stream))
        ledger.close()
    assert stream.getvalue().count("the ledger was damaged") == 2
    assert (tmp_path / "ledger.sqlite.unreadable").read_bytes() == b"one" * 1000
    assert (tmp_path / "ledger.sqlite.unreadable.2").read_bytes() == b"two" * 1000
    assert was_put_aside(path)
    whole = Ledger.open(path)
    whole.tell_of_damage(Log(stream))
    whole.close()
    assert stream.getvalue().count("the ledger was damaged") == 2
    (tmp_path / "ledger.sqlite.unreadable").unlink()
    assert not was_put_aside(path)


def test_damage_shows_while_it_runs_and_the_next_start_mends_it(tmp_path: Path) -> None:
    """The disk gives other bytes than were written: whoever runs the edge starts it again."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path)
    for n in range(2000):
        ledger.add(f"f{n}", "CT1", identity(str(n % 10)))
    ledger.close()
    ledger = Ledger.open(path)
    assert not ledger.is_damaged
    ledger._rows("pragma shrink_memory")  # what it has read already
    with path.open("r+b") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))
    with pytest.raises(sqlite3.DatabaseError):
        ledger.sent("2.25.349")
    assert ledger.is_damaged
    ledger.close()
    ledger = Ledger.open(path)
    assert ledger.put_aside is not None
    ledger.add("f1", "CT1", identity("1"))
    ledger.close()


def without_entries(path: Path, index: str, definition: str) -> None:
    """An index that has no entry of any row, as a write that the disk lost may leave it: a quick check is content."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"drop index if exists {index}")
        connection.execute(f"{definition} where 0")
        connection.execute("pragma writable_schema = on")
        connection.execute("update sqlite_master set sql = ? where name = ?", (definition, index))


def test_an_index_that_lacks_a_row_ends_one_process_and_not_each_one_after_it(tmp_path: Path) -> None:
    """The journal is begun anew, once; of the ledger nothing is lost."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.open(path)
    journal.add_instance("a.dcm", 1, identity("1"))
    journal.close()
    without_entries(path, "instances_by_pack", "create index instances_by_pack on instances (pack)")
    journal = Journal.open(path)
    with pytest.raises(sqlite3.DatabaseError):
        journal.forget_instances(["a.dcm"])
    assert journal.is_damaged
    journal.close()
    journal = Journal.open(path)
    assert journal.put_aside is not None
    journal.add_instance("a.dcm", 1, identity("1"))
    journal.forget_instances(["a.dcm"])
    journal.close()

    path, stream = tmp_path / "ledger.sqlite", io.StringIO()
    ledger = Ledger.open(path)
    ledger.add("a.dcm", "CT1", identity("1"))
    number = ledger.ask("CT1", "2.25.1", [Reference("1.2.840.10008.5.1.4.1.1.2", "2.25.9")])
    assert number is not None
    ledger.close()
    without_entries(path, "commitments_by_state", "create index commitments_by_state on commitments (state, due_at)")
    ledger = Ledger.open(path)
    with pytest.raises(sqlite3.DatabaseError):
        ledger.decided(number, [None], 1.0)
    assert ledger.is_damaged
    ledger.close()
    ledger = Ledger.open(path)
    ledger.tell_of_damage(Log(stream))
    assert "the ledger was damaged and is mended" in stream.getvalue()
    ledger.decided(number, [None], 1.0)
    assert ledger.states(["a.dcm"])
    ledger.close()
    assert not was_put_aside(path)
    for name, aside in (("journal", True), ("ledger", False)):  # it was once
        again = (Journal if name == "journal" else Ledger).open(tmp_path / f"{name}.sqlite")
        assert (again.put_aside, again.is_mended) == (None, False)
        again.close()
        assert was_put_aside(tmp_path / f"{name}.sqlite") is aside


def test_a_ledger_whose_index_cannot_be_made_anew_is_put_aside(tmp_path: Path) -> None:
    """Its rows contradict it: two where there may be one."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path)
    for name in ("a.dcm", "b.dcm"):
        ledger.add(name, "CT1", identity("1"))
    ledger.close()
    without_entries(path, "sent_by_sop", "create unique index sent_by_sop on sent (sop)")
    ledger = Ledger.open(path)
    with pytest.raises(sqlite3.DatabaseError):
        ledger._do("delete from sent where name = 'a.dcm'")
    ledger.close()
    ledger = Ledger.open(path)
    assert ledger.put_aside is not None
    ledger.add("a.dcm", "CT1", identity("1"))
    ledger.close()


def test_a_transaction_that_cannot_be_ended_is_over(tmp_path: Path) -> None:
    """Its commit fails: the next one does not join it."""
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    ledger._connection.executescript(
        "pragma foreign_keys = on; create table parent (id integer primary key);"
        "create table child (id integer references parent (id) deferrable initially deferred);"
    )
    with pytest.raises(sqlite3.IntegrityError):  # at the commit: one that fails can be had in no simpler way
        ledger._do("insert into child values (7)")
    ledger.add("f1", "CT1", identity("1"))
    ledger.close()
    again = Ledger.open(tmp_path / "ledger.sqlite")
    assert again.states(["f1"])
    again.close()


def test_a_journal_older_than_the_ledger_makes_no_loss_of_what_the_cloud_has(tmp_path: Path) -> None:
    """A power cut may take the journal's last pages and leave the deletions: the fate in the ledger stands."""
    spool = Spool(tmp_path)
    spool.open()
    journal, ledger = Journal.open(tmp_path / "journal.sqlite"), Ledger.open(tmp_path / "ledger.sqlite")
    for name in ("a~CT1.dcm", "b~CT1.dcm"):  # both are gone; of one it is known that the cloud has it
        journal.add_instance(name, 1, identity(name[0]))
        ledger.add(name, "CT1", identity(name[0]))
    ledger.settle(["a~CT1.dcm"], SentState.INDEXED)
    keeper = Keeper(spool, journal, Planner(Limits()), lambda pack: None, Log(io.StringIO()), ledger)
    keeper.start()
    keeper.stop()
    assert ledger.states(["a~CT1.dcm", "b~CT1.dcm"]) == {
        "a~CT1.dcm": SentState.INDEXED,
        "b~CT1.dcm": SentState.REFUSED,
    }
    assert journal.names() == set()
    assert journal.facts()["missing"] == 1
    for each in (journal, ledger, spool):
        each.close()


def test_what_cannot_be_read_is_in_the_ledger_by_what_its_command_said(tmp_path: Path) -> None:
    """So a storage commitment waits for it; also when the ledger was lost and the journal was not. A file without any
    UID is nobody's.
    """
    spool = Spool(tmp_path)
    spool.open()
    ct = "1.2.840.10008.5.1.4.1.1.2"
    for meta in (part10.file_meta(ct, "2.25.9", "1.2.840.10008.1.2.1"), part10.file_meta(ct, "", ""), b""):
        writer = spool.begin("CT1")
        writer.write(meta + b"\xffnoise" * 100)
        writer.commit()
    for _ in range(2):
        journal, ledger = Journal.open(tmp_path / "journal.sqlite"), Ledger.open(tmp_path / "ledger.sqlite")
        keeper = Keeper(spool, journal, Planner(Limits()), lambda pack: None, Log(io.StringIO()), ledger)
        keeper.start()
        keeper.stop()
        (sent,) = ledger.sent("2.25.9")
        assert (sent.ae_title, sent.sop_class_uid, sent.state) == ("CT1", ct, SentState.SPOOLED)
        assert len(journal.names()) == 3
        journal.close()
        ledger.close()
        (tmp_path / "ledger.sqlite").unlink()
    spool.close()


def identity(number: str) -> Identity:
    return Identity(
        "2.25.1", "2.25.2", f"2.25.3{ord(number)}", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "CT", 1
    )
