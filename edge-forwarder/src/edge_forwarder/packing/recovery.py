"""Beginning from the disk: at the start, and after the journal could not be written. The spool's files are the truth.

What the journal lacks is taken anew; what it knows but the spool has not is gone; what an earlier process began is
finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.logs import Log
from edge_forwarder.packing.planner import Planner, Received
from edge_forwarder.packing.registrar import Registrar
from edge_forwarder.spool.naming import SpooledFile

#: So many files share one transaction at most.
BATCH: Final = 256


def batches(files: Sequence[SpooledFile]) -> Iterator[Sequence[SpooledFile]]:
    for at in range(0, len(files), BATCH):
        yield files[at : at + BATCH]


class Recovery:
    """Called by the keeper's thread alone."""

    def __init__(self, journal: Journal, planner: Planner, registrar: Registrar, log: Log, ledger: Ledger) -> None:
        self._journal, self._planner, self._registrar = journal, planner, registrar
        self._log, self._ledger = log, ledger

    def steps(self, found: Sequence[SpooledFile]) -> Iterator[Callable[[], None]]:
        """What is to be done, each in a transaction of its own; ``found``: all that the spool holds. The planner
        is empty by now.
        """
        yield partial(self._compare, {file.name for file in found})
        for some in batches(found):
            yield partial(self._registrar.take_all, some)
        # Whoever sent these is gone: nothing more is coming that would be worth waiting for.
        yield lambda: self._registrar.close(self._planner.close_all())

    def _compare(self, here: set[str]) -> None:
        """Finish the deletions that an earlier process began, and pack what it had received but not packed."""
        journal, registrar = self._journal, self._registrar
        for pack in journal.packs(PackState.INDEXED):
            if all(registrar.remove(member.name) for member in journal.members(pack.id)):
                journal.forget_pack(pack.id)
        waiting = journal.waiting_for_pack()
        gone = [row.name for row in waiting if row.name not in here]
        journal.forget_instances(gone)
        if lost := self._ledger.lost(gone):
            self._log.error("files are gone from the spool", files=len(lost))
            journal.count("missing", len(lost))
        for row in waiting:
            if row.name not in here:
                continue
            if row.identity is None:
                registrar.new_pack([row.name])
            else:
                waiting_still = Received(row.name, row.size, row.identity, stat=row.stat)
                registrar.close(self._planner.add(waiting_still, time.monotonic()))
