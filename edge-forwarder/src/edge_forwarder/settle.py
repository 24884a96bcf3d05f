"""Letting go: what happens to a pack's files once the cloud has said what became of them.

*Indexed* (or held already, byte for byte) deletes them. A conflict, a failed instance or a quarantine is kept in the
spool's ``attention/`` with its reason: the cloud has the bytes too, but somebody here should know.

Each step can be repeated: first the ledger, then the journal's *indexed*, then the files, then the journal's rows. The
keeper finishes at the next start what a crash interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext

from ulid import ULID

from edge_forwarder import attention
from edge_forwarder.inbox import UploadStatus
from edge_forwarder.journal import InstanceRow, Journal, PackState
from edge_forwarder.ledger import Ledger, SentState
from edge_forwarder.logs import Log
from edge_forwarder.spool import Spool


class Settler:
    def __init__(self, spool: Spool, journal: Journal, log: Log, ledger: Ledger | None = None) -> None:
        self._spool, self._journal, self._log, self._ledger = spool, journal, log, ledger
        self.settled: Callable[[], None] = lambda: None
        """Told when the fate of instances is known; set by the composition."""
        self.keep: Callable[[InstanceRow], None] = lambda member: None
        """Told of each indexed file before it is deleted; set by the composition."""

    def heard(self, pack: str, answer: UploadStatus) -> None:
        """The cloud is done with an upload: *indexed*, *partial* or *quarantined*."""
        members = self._journal.members(pack)
        aside = _to_set_aside(members, answer)
        if self._ledger is not None:
            # Before the files go: a file that is not there is known not to be spooled any more.
            with self._ledger.transaction():
                indexed = (m.name for m in members if m not in aside)
                self._ledger.settle(indexed, SentState.INDEXED, arrival=answer.arrival)
                for member in aside:
                    self._ledger.settle([member.name], _fate(member, answer))
        if aside:
            self._set_aside(pack, aside, answer)
        with self._journal.transaction():
            self._journal.forget_instances(m.name for m in aside)
            self._journal.count("set_aside", len(aside))
            self._indexed(pack, len(members) - len(aside))
        self._let_go(pack, [member for member in members if member not in aside])
        self._log.info("indexed", pack=pack, arrival=answer.arrival, state=answer.state, instances=len(members))

    def known(self, pack: str, members: Sequence[InstanceRow], known: Collection[InstanceRow]) -> bool:
        """The cloud has these of its members already, which promises the same as *indexed*. True if nothing else is
        left of the pack.
        """
        with self._ledger.transaction() if self._ledger is not None else nullcontext():
            if self._ledger is not None:
                self._ledger.settle((member.name for member in known), SentState.INDEXED, known=True)
        whole = len(known) == len(members)
        with self._journal.transaction():
            done = pack if whole else str(ULID())
            if not whole:
                # What is known leaves the pack: the rest is another body.
                self._journal.split(pack, done, [member.name for member in known])
            self._indexed(done, len(known))
            self._journal.count("known", len(known))
            self._journal.count("known_bytes", sum(member.size for member in known))
        self._let_go(done, known)
        self._log.info("the cloud has it already", pack=pack, instances=len(known), of=len(members))
        return whole

    def _indexed(self, pack: str, instances: int) -> None:
        self._journal.update_pack(pack, PackState.INDEXED)
        self._journal.set_fact("last_indexed_at", time.time())
        self._journal.count("indexed", instances)

    def _let_go(self, pack: str, members: Collection[InstanceRow]) -> None:
        for member in members:
            self.keep(member)
            self._spool.remove(member.name)
        self._journal.forget_pack(pack)
        self.settled()

    def _set_aside(self, pack: str, members: list[InstanceRow], answer: UploadStatus) -> None:
        reasons = sorted({p.reason for p in answer.problems} | ({answer.reason} if answer.reason else set()))
        told = {
            "arrival": answer.arrival,
            "state": answer.state,
            "reasons": reasons,
            "instances": [{"sop_instance_uid": p.sop_instance_uid, "reason": p.reason} for p in answer.problems],
        }
        attention.write_reason(self._spool.attention / pack, told)
        for member in members:
            self._spool.set_aside(member.name, pack)
        self._log.warning(
            "an upload needs a person",
            pack=pack,
            arrival=answer.arrival,
            instances=len(members),
            why="; ".join(reasons),
        )


def _to_set_aside(members: list[InstanceRow], answer: UploadStatus) -> list[InstanceRow]:
    if answer.state == "quarantined" or answer.unlisted or any(p.sop_instance_uid is None for p in answer.problems):
        return members
    named = {p.sop_instance_uid for p in answer.problems}
    found = [m for m in members if m.identity is not None and m.identity.sop_instance_uid in named]
    # A problem with an instance that is not ours by name: keep everything rather than guess.
    return members if named and not found else found


def _fate(member: InstanceRow, answer: UploadStatus) -> SentState:
    uid = member.identity.sop_instance_uid if member.identity else None
    mine = [p for p in answer.problems if p.sop_instance_uid == uid]
    return SentState.CONFLICT if mine and all(p.is_conflict for p in mine) else SentState.REFUSED
