"""What `send` remembers of the files that it handed over, in ``imports.sqlite`` of the spool.

A file is known by its path (in a zip, its place there, too), size and time of change. It is written down before it is
handed over; whether that came to be tell the spool and the ledger, so a run that was killed is taken up again without
sending anything twice. Without the file, everything is sent once more: the cloud knows what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge_forwarder.databases.database import Database
from edge_forwarder.importing.sources import Source

_SCHEMA = """
create table files (key blob primary key, name text not null, state text not null) without rowid;
"""


class ImportState(StrEnum):
    HANDED = "handed"
    """Or about to be, when the run was killed."""
    INDEXED = "indexed"
    CONFLICT = "conflict"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Remembered:
    """``name``: the spool's name of the file."""

    name: str
    state: ImportState


class Imports(Database):
    noun = "imports"
    schema = _SCHEMA
    schema_version = 1
    #: After a power cut a file may be sent again; the cloud keeps it once.
    synced = False

    def find(self, source: Source) -> Remembered | None:
        """What became of this file; None when it was not handed over, or has changed since."""
        rows = self._rows("select name, state from files where key = ?", source.key)
        return Remembered(rows[0]["name"], ImportState(rows[0]["state"])) if rows else None

    def handing(self, source: Source, name: str) -> None:
        self._do("insert or replace into files values (?,?,?)", source.key, name, ImportState.HANDED)

    def settle(self, states: Mapping[bytes, ImportState]) -> None:
        """By key."""
        with self.transaction():
            for key, state in states.items():
                self._do("update files set state = ? where key = ?", state, key)
