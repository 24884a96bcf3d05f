"""What lies where in the spool: by these names every process finds it, the edge that runs and the commands beside it.

``incoming/``   being written; its files go at start, for nothing in it was ever acknowledged
``received/``   acknowledged: one Part 10 file an instance, written once, ``<ULID>~<calling AE title, quoted>.dcm``
``attention/``  what the cloud would not take as it is (a conflict, a quarantine), with the reason, for a person
``handed/``     what commands of this machine hand over (`handover`)
``journal.sqlite``  can be deleted: it is rebuilt from ``received/``
``ledger.sqlite``   what was sent and promised: it cannot be rebuilt
``imports.sqlite``  what `send` handed over
``lock``        held by the one process that works on this spool
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Of the spool in this folder."""

    folder: Path

    @property
    def incoming(self) -> Path:
        return self.folder / "incoming"

    @property
    def received(self) -> Path:
        return self.folder / "received"

    @property
    def attention(self) -> Path:
        return self.folder / "attention"

    @property
    def handed(self) -> Path:
        return self.folder / "handed"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.sqlite"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.sqlite"

    @property
    def imports(self) -> Path:
        return self.folder / "imports.sqlite"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"
