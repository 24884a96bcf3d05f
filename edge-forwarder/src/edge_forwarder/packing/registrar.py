"""Acknowledged files, written down: in the ledger, in the journal, among the planner's open packs.

The keeper's thread alone calls it, within a transaction of journal and ledger. What may be done only once that is
committed (duplicates go, packs are submitted) waits for `committed`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ulid import ULID

from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import Identity, claimed, identify
from edge_forwarder.errors import UnreadableError
from edge_forwarder.logs import Log
from edge_forwarder.packing.duplicate import duplicate_of
from edge_forwarder.packing.planner import ClosedPack, Planner, Received
from edge_forwarder.packing.strays import Strays
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile


class Registrar:
    def __init__(
        self, spool: Spool, journal: Journal, planner: Planner, strays: Strays, log: Log, ledger: Ledger
    ) -> None:
        self._spool, self._journal, self._planner, self._strays = spool, journal, planner, strays
        self._log, self._ledger = log, ledger
        self._to_submit: list[str] = []
        self._duplicates: list[str] = []
        """Files to delete once it is written down whose equals they are."""
        self.is_stat: Callable[[str, Identity], bool] = lambda ae_title, identity: False
        """Whether an instance of that sender goes before others; set by the composition."""
        self.noticed: Callable[[str, str], None] = lambda ae_title, modality: None
        """Told the sender and the modality of each instance; set by the composition."""

    def take(self, file: SpooledFile, association: int | None = None) -> None:
        """One that the journal knows is not taken twice; one that cannot be read now is left to `strays`."""
        journal = self._journal
        known = journal.instance(file.name)
        try:
            identity = known.identity if known is not None else self._identity(file)
            # Of a data set that cannot be read too: its device may ask what became of it.
            entry = identity or claimed(self._spool.path(file.name))
        except FileNotFoundError:
            # Taken up by a scan meanwhile, uploaded and deleted; or somebody took it away.
            self._log.warning("a file is not in the spool any more", files=1)
            return
        except OSError as error:
            self._strays.note(file.name, error)
            return
        if known is not None:
            self._enter(file, entry)
            return
        self._strays.taken(file.name)
        journal.count("received")
        journal.count("received_bytes", file.size)
        journal.set_fact("last_received_at", file.received_at)
        other = duplicate_of(self._spool, journal, file, identity) if identity is not None else None
        self._enter(file, entry, other)
        if other is not None:
            self._duplicates.append(file.name)
            journal.count("duplicates")
            return
        stat = identity is not None and self.is_stat(file.calling_ae_title, identity)
        journal.add_instance(file.name, file.size, identity, stat=stat)
        if identity is None:
            self.new_pack([file.name])
        else:
            journal.set_fact(f"last_received_at.{identity.modality or 'OT'}", file.received_at)
            self.noticed(file.calling_ae_title, identity.modality or "")
            received = Received(file.name, file.size, identity, association, stat)
            self.close(self._planner.add(received, time.monotonic()))

    def take_all(self, files: Iterable[SpooledFile]) -> None:
        """Of nobody who is still there."""
        for file in files:
            self.take(file)

    def close(self, packs: Iterable[ClosedPack]) -> None:
        """What the planner closes becomes packs of the journal."""
        for pack in packs:
            self.new_pack([member.name for member in pack.members], stat=pack.stat)
            modality = pack.modality or "OT"
            self._journal.count(f"packs.{modality}")
            self._journal.count(f"packed.{modality}", len(pack.members))
            self._journal.count(f"packed_bytes.{modality}", sum(member.size for member in pack.members))

    def new_pack(self, names: list[str], *, stat: bool = False) -> None:
        pack = str(ULID())
        self._journal.add_pack(pack, names, stat=stat)
        self._to_submit.append(pack)

    def committed(self) -> list[str]:
        """All of it is written down: duplicates go; which packs are to be uploaded."""
        for name in self._duplicates:
            self.remove(name)
        self._duplicates.clear()
        packs, self._to_submit = self._to_submit, []
        return packs

    def rolled_back(self) -> None:
        """Nothing of it is written down."""
        self._to_submit.clear()
        self._duplicates.clear()

    def remove(self, name: str) -> bool:
        """Delete a file of the spool; False: it cannot be deleted now."""
        try:
            self._spool.remove(name)
        except OSError as error:  # it will be found again
            self._log.error("a file of the spool cannot be deleted", why=error.strerror or type(error).__name__)
            return False
        return True

    def _identity(self, file: SpooledFile) -> Identity | None:
        """None: its data set has none. Raises OSError."""
        try:
            return identify(self._spool.path(file.name))
        except UnreadableError as error:
            self._log.warning("no pack can hold an instance: it goes up as a file", why=str(error))
            return None

    def _enter(self, file: SpooledFile, entry: Identity | None, other: str | None = None) -> None:
        """In the ledger."""
        if entry is not None:
            self._ledger.add(file.name, file.calling_ae_title, entry, other)
