"""The ledger: what each device sent and what became of it, and the storage commitments that are asked for.

It cannot be rebuilt, so it is a file of its own, ``ledger.sqlite``; promises and outcomes are synced.
"""

from __future__ import annotations

from edge_forwarder.databases import ledger_schema
from edge_forwarder.databases.commitments import CommitmentState, CommitmentTable
from edge_forwarder.databases.sent import SentState, SentTable


class Ledger(SentTable, CommitmentTable):
    noun = "ledger"
    schema = ledger_schema.SCHEMA
    schema_version = ledger_schema.VERSION
    migrations = ledger_schema.MIGRATIONS
    #: What was promised outlives a power cut; what can be had again from the spool says ``synced=False``.
    synced = True

    def prune(self, before: float) -> int:
        """Forget what was settled before that moment (seconds since the epoch) and no open request names."""
        kept = {r.sop_instance_uid for c in self.commitments(CommitmentState.OPEN) for r in c.wanted}
        with self.transaction():
            rows = self._rows("select name, sop from sent where at < ? and state <> ?", before, SentState.SPOOLED)
            gone = [row["name"] for row in rows if row["sop"] not in kept]
            for name in gone:
                self._do("delete from sent where name = ?", name)
            self._do(
                "delete from commitments where created_at < ? and state in (?, ?)",
                before,
                CommitmentState.DONE,
                CommitmentState.DEAD,
            )
        return len(gone)
