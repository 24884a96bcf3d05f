"""Letting go: what happens to a pack's files once the cloud has said what became of them.

*Indexed* (or held already, byte for byte) deletes them. A conflict, a failed instance or a quarantine is kept in the
spool's ``attention/`` with its reason: the cloud has the bytes too, but somebody here should know.

Each step can be repeated: first the ledger, then the journal's *indexed*, then the files, then the journal's rows. The
keeper finishes at the next start what a crash interrupted.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from ulid import ULID

from edge_forwarder.cloud.inbox import Inbox, UploadStatus
from edge_forwarder.databases.journal import InstanceRow, Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.logs import Log
from edge_forwarder.spool import attention
from edge_forwarder.spool.folder import Spool
from edge_forwarder.upload.held import held

#: What could not be set aside is tried again so much later (seconds).
_AGAIN_SECONDS: Final = 60.0


class Settler:
    """Threads share it (the watcher and the uploaders), each with a pack of its own."""

    def __init__(self, spool: Spool, journal: Journal, log: Log, ledger: Ledger, inbox: Inbox | None = None) -> None:
        self._spool, self._journal, self._log, self._ledger, self._inbox = spool, journal, log, ledger, inbox
        self.settled: Callable[[], None] = lambda: None
        """Told when the fate of instances is known; set by the composition."""
        self.keep: Callable[[InstanceRow], None] = lambda member: None
        """Told of each indexed file before it is deleted; set by the composition."""
        self.doubted: Callable[[str], None] = lambda pack: None
        self.upload_again: Callable[[str, float], None] = lambda pack, delay: None
        """Told of a pack of spoilt files that could not be set aside now; set by the composition."""

    def heard(self, pack: str, answer: UploadStatus) -> None:
        """The cloud is done with an upload: *indexed*, *partial* or *quarantined*. Raises CloudError, OSError."""
        members = self._journal.members(pack)
        aside = self._to_set_aside(members, answer)
        # Before the files go: a file that is not there is known not to be spooled any more.
        with self._ledger.transaction():
            indexed = (m.name for m in members if m not in aside)
            self._ledger.settle(indexed, SentState.INDEXED, arrival=answer.arrival)
            for member in aside:
                self._ledger.settle([member.name], _fate(member, answer))
        if aside:
            self._set_aside(pack, aside, _told(answer))
        with self._journal.transaction():
            self._journal.forget_instances(m.name for m in aside)
            self._journal.count("set_aside", len(aside))
            self._indexed(pack, len(members) - len(aside))
        self._let_go(pack, [member for member in members if member not in aside])
        self._log.info("indexed", pack=pack, arrival=answer.arrival, state=answer.state, instances=len(members))

    def known(self, pack: str, members: Sequence[InstanceRow], known: Mapping[InstanceRow, str | None]) -> bool:
        """The cloud has these of its members already, in the transfer syntax that it says, which promises the same as
        *indexed*. True if nothing else is left of the pack.
        """
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
        # What it has in another encoding it will not give out in this one: no file for the cache.
        self._let_go(done, known, other={m for m, syntax in known.items() if syntax not in (None, _syntax(m))})
        self._log.info("the cloud has it already", pack=pack, instances=len(known), of=len(members))
        return whole

    def spoilt(self, pack: str, bad: Mapping[InstanceRow, str]) -> None:
        """Members that cannot go up as they came, and why: they leave the pack, so that the others go, whether or not
        the disk lets them be set aside now. Raises OSError, sqlite3.Error if there are no others: it is still to do.
        """
        whole = len(bad) == len(self._journal.members(pack))
        if whole:
            self._aside_spoilt(pack, bad)
            return
        other = str(ULID())
        with self._journal.transaction():
            self._journal.split(pack, other, [member.name for member in bad])
            self._journal.update_pack(other, PackState.FAILED, attempts=1, error="; ".join(sorted(set(bad.values()))))
        try:
            self._aside_spoilt(other, bad)
        except (OSError, sqlite3.Error) as error:
            self._log.error("what is spoilt cannot be set aside", pack=other, why=f"{type(error).__name__}: {error}")
            self.doubted(other)
            self.upload_again(other, _AGAIN_SECONDS)

    def _aside_spoilt(self, pack: str, bad: Mapping[InstanceRow, str]) -> None:
        """All that the pack has."""
        reasons = sorted(set(bad.values()))
        self._ledger.settle([member.name for member in bad], SentState.REFUSED)
        uids = {member: member.identity.sop_instance_uid if member.identity else None for member in bad}
        told = {
            "state": "unreadable",
            "reasons": reasons,
            "instances": [{"sop_instance_uid": uids[member], "reason": reason} for member, reason in bad.items()],
        }
        self._set_aside(pack, bad, told)
        with self._journal.transaction():
            self._journal.count("set_aside", len(bad))
            self._journal.forget_pack(pack)
        self.settled()

    def _indexed(self, pack: str, instances: int) -> None:
        self._journal.update_pack(pack, PackState.INDEXED)
        self._journal.set_fact("last_indexed_at", time.time())
        self._journal.count("indexed", instances)

    def _let_go(
        self, pack: str, members: Collection[InstanceRow], *, other: Collection[InstanceRow] = frozenset()
    ) -> None:
        for member in members:
            if member not in other:
                self.keep(member)
            self._spool.remove(member.name)
        self._journal.forget_pack(pack)
        self.settled()

    def _to_set_aside(self, members: list[InstanceRow], answer: UploadStatus) -> list[InstanceRow]:
        """Raises CloudError."""
        if answer.state == "quarantined":
            return members
        named = {p.sop_instance_uid for p in answer.problems}
        found = [m for m in members if m.identity is not None and m.identity.sop_instance_uid in named]
        if not answer.unlisted and None not in named and (found or not named):
            return found
        # The answer does not name each of them. What the cloud has, byte for byte, is indexed; the rest is kept.
        rest = [member for member in members if member not in found]
        known = held(self._inbox, self._ledger, rest) if self._inbox is not None else []
        return [member for member in members if member not in known]

    def _set_aside(self, folder: str, members: Collection[InstanceRow], told: Mapping[str, Any]) -> None:
        attention.write_reason(self._spool.attention / folder, told)
        for member in members:
            self._spool.set_aside(member.name, folder)
        why = "; ".join(told["reasons"])
        arrival = told.get("arrival")
        self._log.warning("an upload needs a person", pack=folder, arrival=arrival, instances=len(members), why=why)


def _syntax(member: InstanceRow) -> str | None:
    return member.identity.transfer_syntax_uid if member.identity is not None else None


def _told(answer: UploadStatus) -> dict[str, Any]:
    reasons = {problem.reason for problem in answer.problems}
    # The reason of the whole is mostly that of its one instance: once is enough.
    if answer.reason and not any(answer.reason in reason for reason in reasons):
        reasons.add(answer.reason)
    return {
        "arrival": answer.arrival,
        "state": answer.state,
        "reasons": sorted(reasons),
        "instances": [{"sop_instance_uid": p.sop_instance_uid, "reason": p.reason} for p in answer.problems],
    }


def _fate(member: InstanceRow, answer: UploadStatus) -> SentState:
    uid = member.identity.sop_instance_uid if member.identity else None
    mine = [p for p in answer.problems if p.sop_instance_uid == uid]
    if mine:
        return SentState.CONFLICT if all(p.is_conflict for p in mine) else SentState.REFUSED
    # Not listed: where every failure is, it must be a conflict.
    return SentState.CONFLICT if answer.unlisted and not answer.unlisted_failures else SentState.REFUSED
