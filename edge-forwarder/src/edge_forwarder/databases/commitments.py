"""The ledger's table of the storage commitments that devices asked for.

One is *open* until its outcome is known, *due* until the device has taken the report, then *done*; *dead* when the
device took none for too long.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge_forwarder.databases.database import Database
from edge_forwarder.dimse.statuses import FailureReason


class CommitmentState(StrEnum):
    OPEN = "open"
    DUE = "due"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that a commitment is asked for."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """``outcome``: for each reference, in order, None (committed) or why not; None as a whole while it is open.
    Times in seconds since the epoch; ``due_at``: when it was decided, and when it was asked for while it is open.
    """

    id: int
    ae_title: str
    uid: str
    wanted: tuple[Reference, ...]
    state: CommitmentState
    outcome: tuple[FailureReason | None, ...] | None
    created_at: float
    due_at: float
    attempts: int


class CommitmentTable(Database):
    """Of `ledger.Ledger`."""

    def ask(self, ae_title: str, uid: str, wanted: Sequence[Reference]) -> int | None:
        """Take a request on, durably: its number. The same again is taken up again; None for another one under the
        same UID that is not over yet.
        """
        text = json.dumps([[r.sop_class_uid, r.sop_instance_uid] for r in wanted])
        with self.transaction():
            rows = self._rows("select * from commitments where ae = ? and uid = ?", ae_title, uid)
            if rows and rows[0]["wanted"] != text and rows[0]["state"] in (CommitmentState.OPEN, CommitmentState.DUE):
                return None
            now = time.time()
            self._do("delete from commitments where ae = ? and uid = ?", ae_title, uid)
            self._do(
                "insert into commitments (ae, uid, wanted, state, created_at, due_at) values (?,?,?,?,?,?)",
                ae_title,
                uid,
                text,
                CommitmentState.OPEN,
                now,
                now,
            )
            return int(self._rows("select last_insert_rowid() as id")[0]["id"])

    def commitments(self, state: CommitmentState) -> list[Commitment]:
        """Oldest first."""
        return [_commitment(row) for row in self._rows("select * from commitments where state = ? order by id", state)]

    def numbers(self, state: CommitmentState) -> list[tuple[int, str]]:
        """Of commitments, and whose they are, oldest first: without what each names, which may be much."""
        rows = self._rows("select id, ae from commitments where state = ? order by id", state)
        return [(row["id"], row["ae"]) for row in rows]

    def commitment(self, number: int) -> Commitment | None:
        rows = self._rows("select * from commitments where id = ?", number)
        return _commitment(rows[0]) if rows else None

    def decided(self, number: int, outcome: Sequence[FailureReason | None], at: float) -> None:
        """At that moment (seconds since the epoch)."""
        text = json.dumps([None if o is None else int(o) for o in outcome])
        self._do(
            "update commitments set state = ?, outcome = ?, due_at = ?, attempts = 0 where id = ? and state = ?",
            CommitmentState.DUE,
            text,
            at,
            number,
            CommitmentState.OPEN,
        )

    def failed(self, commitment: Commitment, error: str, *, all_due: bool = False) -> None:
        """A try that came to nothing; ``all_due``: for each report that is due to the same device."""
        which = "ae = ? and state = 'due'" if all_due else "id = ?"
        self._do(
            f"update commitments set attempts = attempts + 1, error = ? where {which}",  # noqa: S608
            error,
            commitment.ae_title if all_due else commitment.id,
        )

    def close_commitment(self, number: int, state: CommitmentState) -> None:
        self._do("update commitments set state = ? where id = ?", state, number)

    def commitment_counts(self) -> dict[str, int]:
        rows = self._rows("select state, count(*) as n from commitments group by 1")
        return {row["state"]: row["n"] for row in rows}


def _commitment(row: sqlite3.Row) -> Commitment:
    outcome = None
    if row["outcome"] is not None:
        outcome = tuple(None if o is None else FailureReason(o) for o in json.loads(row["outcome"]))
    return Commitment(
        id=row["id"],
        ae_title=row["ae"],
        uid=row["uid"],
        wanted=tuple(Reference(*pair) for pair in json.loads(row["wanted"])),
        state=CommitmentState(row["state"]),
        outcome=outcome,
        created_at=row["created_at"],
        due_at=row["due_at"],
        attempts=row["attempts"],
    )
