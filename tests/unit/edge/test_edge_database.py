"""Journal and ledger on a disk that does not take them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from edge_forwarder.journal import Journal
from edge_forwarder.keeper import Keeper
from edge_forwarder.ledger import Ledger, Reference, SentState
from edge_forwarder.logs import Log
from edge_forwarder.peek import Identity
from edge_forwarder.planner import Limits, Planner
from edge_forwarder.spool import Spool

#: No file may grow: what a full disk does to SQLite, for one process.
_ON_A_FULL_DISK = """
import resource, signal, sqlite3, sys
from pathlib import Path
from edge_forwarder.{module} import {name}
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


def identity(number: str) -> Identity:
    return Identity(
        "2.25.1", "2.25.2", f"2.25.3{ord(number)}", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "CT", 1
    )
