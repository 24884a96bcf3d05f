"""The watcher: one thread that asks what became of each upload, and only then lets go of the files.

*Indexed* deletes them. A conflict, a failed instance or a quarantine is kept in the spool's ``attention/`` with its
reason: the cloud has the bytes too, but somebody here should know. An upload the cloud has never seen is uploaded
again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge_forwarder.cloud import BATCH, Cloud, UploadStatus
from edge_forwarder.errors import CloudError
from edge_forwarder.journal import InstanceRow, Journal, PackState
from edge_forwarder.ledger import Ledger, SentState
from edge_forwarder.line import Line
from edge_forwarder.logs import Log
from edge_forwarder.spool import Spool

_FIRST_LOOK: Final = 0.2
#: An object that is in no inbox and has no receipt is looked for so often and so long (seconds) before it is sent
#: again.
_LOST_LOOKS: Final = 3
_LOST_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Watched:
    pack: str
    since: float
    due: float
    pause: float = _FIRST_LOOK
    lost: int = 0


class Watcher:
    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        cloud: Cloud,
        line: Line,
        log: Log,
        *,
        longest_pause: float = 15.0,
        ledger: Ledger | None = None,
    ) -> None:
        self._ledger = ledger
        self._spool, self._journal, self._cloud, self._line, self._log = spool, journal, cloud, line, log
        self._longest_pause = longest_pause
        self._wake = threading.Condition()
        self._watched: dict[str, _Watched] = {}
        """By arrival id."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.settled: Callable[[], None] = lambda: None
        """Told when the fate of instances is known; set by the composition."""
        self.keep: Callable[[InstanceRow], None] = lambda member: None
        """Told of each indexed file before it is deleted; set by the composition."""
        self.upload_again: Callable[[str], None] = lambda pack: None
        """Told of a pack that has to be uploaded again; set by the composition."""

    def start(self) -> None:
        for pack in self._journal.packs(PackState.SENT):
            if pack.arrival:
                self.watch(pack.id, pack.arrival)
            else:
                self._repeat(pack.id, keep_arrival=False)
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(seconds)

    def watch(self, pack: str, arrival: str) -> None:
        now = time.monotonic()
        with self._wake:
            self._watched[arrival] = _Watched(pack, now, now + _FIRST_LOOK)
            self._wake.notify()

    def _run(self) -> None:
        while arrivals := self._next():
            try:
                answers = self._cloud.status(arrivals)
                self._line.worked()
                for answer in answers:
                    self._hear(answer)
                self._later(arrivals)
            except CloudError as error:
                self._line.failed(error)
                self._later(arrivals)
            except Exception as error:  # the disk or the journal: nothing is lost, ask again later
                self._log.error("the watcher could not do its work", why=f"{type(error).__name__}: {error}")
                self._later(arrivals)

    def _next(self) -> list[str]:
        """Arrivals that are due, at most a batch; empty at a stop."""
        with self._wake:
            while not self._stopping:
                if not self._watched:
                    self._wake.wait()
                    continue
                now = time.monotonic()
                wait = max(min(w.due for w in self._watched.values()) - now, self._line.pause_left())
                if wait <= 0:
                    due = sorted((w.due, arrival) for arrival, w in self._watched.items() if w.due <= now)
                    return [arrival for _, arrival in due[:BATCH]]
                self._wake.wait(wait)
        return []

    def _later(self, arrivals: list[str]) -> None:
        """Those that are still open: look again after twice the pause."""
        with self._wake:
            for arrival in arrivals:
                if (watched := self._watched.get(arrival)) is not None:
                    watched.pause = min(watched.pause * 2, self._longest_pause)
                    watched.due = time.monotonic() + watched.pause

    def _hear(self, answer: UploadStatus) -> None:
        with self._wake:
            watched = self._watched.get(answer.arrival)
        if watched is None:
            return
        if answer.state in ("indexed", "partial", "quarantined"):
            self._let_go(watched.pack, answer)
        elif answer.state == "pending":
            watched.lost = 0 if answer.in_inbox else watched.lost + 1
            if watched.lost < _LOST_LOOKS or time.monotonic() - watched.since < _LOST_SECONDS:
                return
            self._log.warning("an upload is in no inbox and has no receipt: sent again", pack=watched.pack)
            self._repeat(watched.pack, keep_arrival=True)
        else:
            self._log.warning("the cloud does not know an upload: sent again", pack=watched.pack)
            self._repeat(watched.pack, keep_arrival=False)
        with self._wake:
            self._watched.pop(answer.arrival, None)

    def _repeat(self, pack: str, *, keep_arrival: bool) -> None:
        values = {} if keep_arrival else {"arrival": None}
        self._journal.update_pack(pack, PackState.PACKED, sent_at=None, **values)
        self.upload_again(pack)

    def _let_go(self, pack: str, answer: UploadStatus) -> None:
        members = self._journal.members(pack)
        aside = self._to_set_aside(members, answer)
        if self._ledger is not None:
            # Before the files go: a file that is not there is known not to be spooled any more.
            with self._ledger.transaction():
                self._ledger.settle((m.name for m in members if m not in aside), SentState.INDEXED)
                for member in aside:
                    self._ledger.settle([member.name], _fate(member, answer))
        if aside:
            self._set_aside(pack, aside, answer)
        with self._journal.transaction():
            # First the state, then the files, then the rows: a stop between any two is finished at the next start.
            self._journal.forget_instances(m.name for m in aside)
            self._journal.update_pack(pack, PackState.INDEXED)
            self._journal.set_fact("last_indexed_at", time.time())
            self._journal.count("indexed", len(members) - len(aside))
            if aside:
                self._journal.count("set_aside", len(aside))
        for member in members:
            if member not in aside:
                self.keep(member)
                self._spool.remove(member.name)
        self._journal.forget_pack(pack)
        self.settled()
        self._log.info("indexed", pack=pack, arrival=answer.arrival, state=answer.state, instances=len(members))

    @staticmethod
    def _to_set_aside(members: list[InstanceRow], answer: UploadStatus) -> list[InstanceRow]:
        if answer.state == "quarantined" or answer.unlisted or any(p.sop_instance_uid is None for p in answer.problems):
            return members
        named = {p.sop_instance_uid for p in answer.problems}
        found = [m for m in members if m.identity is not None and m.identity.sop_instance_uid in named]
        # A problem with an instance that is not ours by name: keep everything rather than guess.
        return members if named and not found else found

    def _set_aside(self, pack: str, members: list[InstanceRow], answer: UploadStatus) -> None:
        reasons = sorted({p.reason for p in answer.problems} | ({answer.reason} if answer.reason else set()))
        folder = self._spool.attention / pack
        folder.mkdir(exist_ok=True)
        text = json.dumps(
            {
                "arrival": answer.arrival,
                "state": answer.state,
                "reasons": reasons,
                "instances": [{"sop_instance_uid": p.sop_instance_uid, "reason": p.reason} for p in answer.problems],
                "at": time.time(),
            },
            indent=2,
        )
        (folder / "reason.json").write_text(text + "\n", encoding="utf-8")
        for member in members:
            self._spool.set_aside(member.name, pack)
        self._log.warning(
            "an upload needs a person",
            pack=pack,
            arrival=answer.arrival,
            instances=len(members),
            why="; ".join(reasons),
        )


def _fate(member: InstanceRow, answer: UploadStatus) -> SentState:
    uid = member.identity.sop_instance_uid if member.identity else None
    mine = [p for p in answer.problems if p.sop_instance_uid == uid]
    return SentState.CONFLICT if mine and all(p.is_conflict for p in mine) else SentState.REFUSED
