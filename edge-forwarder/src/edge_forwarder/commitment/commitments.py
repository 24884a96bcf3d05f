"""Storage Commitment Push Model SCP (PS3.4 J): N-ACTION is taken on durably, N-EVENT-REPORT tells the outcome.

An instance is committed when the cloud has the very bytes that this device sent, or their equal, and keeps them
(`evidence`). While it is spooled the request waits, however long that is; it never fails for that.

Requests are taken on by the threads of associations; one thread of its own decides them, and reports what the
association that asked does not hear itself (`same_association`, `reporting`).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from edge_forwarder.commitment import information
from edge_forwarder.commitment.evidence import Pending
from edge_forwarder.commitment.pauses import Pauses
from edge_forwarder.commitment.reporting import Reporting
from edge_forwarder.commitment.same_association import SameAssociation
from edge_forwarder.config import Config
from edge_forwarder.databases.commitments import CommitmentState, Reference
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dimse.association import COMMITMENT_INSTANCE
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.services import Dialogue
from edge_forwarder.dimse.statuses import FailureReason, Status
from edge_forwarder.errors import CloudError, RefusedError, UnreadableError
from edge_forwarder.logs import Log

_CLOUD: Final = 0
"""Among the pauses: where each commitment has its number and each device its AE title."""
#: While anything is open, it is looked at this often (seconds), beside whenever something was indexed.
_LOOK_SECONDS: Final = 1.0
#: One that waits for a file of the spool is left alone while that is there, but not for longer: a later version of the
#: image may have gone up before it.
_WAIT_SECONDS: Final = 30.0
_PRUNE_SECONDS: Final = 3600.0


class Judge(Protocol):
    """Decides what became of each reference, once none of them is pending. Raises CloudError."""

    def outcome(self, ae_title: str, wanted: Iterable[Reference]) -> list[FailureReason | None] | Pending: ...

    def is_spooled(self, file: str) -> bool: ...


class Commitments:
    """The service (`action`), what it says on open associations (`reports`), and a thread for the rest."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        judge: Judge,
        peer: Callable[[str], Peer | None],
        log: Log,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._ledger, self._judge, self._log = config, ledger, judge, log
        self._clock = clock
        self._pauses = Pauses()
        self._wake = threading.Condition()
        self._woken, self._stopping = True, False
        self._pruned = 0.0
        self._waiting: dict[int, tuple[str, float]] = {}
        """What open commitments wait for, by number: a file of the spool, and until when that is believed. With the
        uplink down for days there are many, each of many images.
        """
        self._reporting = Reporting(config, ledger, peer, self._pauses, log, clock)
        self.reports = SameAssociation(ledger, self._reporting.report, self._reporting.told, self._rouse)
        self._thread = threading.Thread(target=self._run, name="commitments", daemon=True)

    def configure(self, config: Config) -> None:
        """Other limits and devices, from now on."""
        self._config = self._reporting.config = config
        self._pauses.clear()
        self._rouse()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(seconds)

    def wake(self) -> None:
        """Something was indexed: so the cloud is there."""
        self._pauses.over(_CLOUD)
        self._rouse()

    def _rouse(self) -> None:
        with self._wake:
            self._woken = True
            self._wake.notify_all()

    # The request

    def action(self, dialogue: Dialogue) -> None:
        """N-ACTION (PS3.4 J.3.2)."""
        status, comment = self._take(dialogue)
        dialogue.respond(status, comment)
        self._rouse()

    def _take(self, dialogue: Dialogue) -> tuple[Status, str]:
        request = dialogue.request
        if request.action_type != 1:
            return Status.NO_SUCH_ACTION, "action type 1 is Request Storage Commitment"
        if request.sop_instance_uid != COMMITMENT_INSTANCE:
            return Status.NO_SUCH_SOP_INSTANCE, "not the well-known instance"
        if dialogue.data_set is None:
            return Status.INVALID_ARGUMENT_VALUE, "no action information"
        try:
            uid, wanted = information.read(dialogue.data_set, dialogue.context.transfer_syntax)
        except UnreadableError as error:
            return Status.INVALID_ARGUMENT_VALUE, str(error)
        if len(wanted) > self._config.commitment.max_instances:
            return Status.RESOURCE_LIMITATION, "too many instances in one request"
        title = dialogue.caller.ae_title
        try:
            number = self._ledger.ask(title, uid, wanted)
        except sqlite3.Error as error:
            self._log.error("a storage commitment cannot be written down", why=type(error).__name__)
            return Status.PROCESSING_FAILURE, "the request cannot be kept"
        if number is None:
            return Status.PROCESSING_FAILURE, "another request of that transaction UID is open"
        self._log.info("storage commitment asked for", calling=title, commitment=number, instances=len(wanted))
        if self._config.commitment.same_association:
            self.reports.asked(dialogue, number)
        return Status.SUCCESS, ""

    # The thread

    def _run(self) -> None:
        while self._next():
            try:
                self._decide()
                self._tell()
                self._prune()
            except Exception as error:  # the disk: nothing is lost, look again later
                self._log.error("storage commitment could not do its work", why=f"{type(error).__name__}: {error}")

    def _next(self) -> bool:
        with self._wake:
            if not self._woken and not self._stopping:
                self._wake.wait(_LOOK_SECONDS)
            self._woken = False
            return not self._stopping

    def _decide(self) -> None:
        longest = self._config.cloud.retry_max_seconds
        if self._pauses.holds(_CLOUD):
            return
        numbers = [number for number, _ in self._ledger.numbers(CommitmentState.OPEN)]
        self._waiting = {number: self._waiting[number] for number in numbers if number in self._waiting}
        for number in numbers:
            if self._pauses.holds(_CLOUD):
                return
            is_idle = self._pauses.holds(number) or self._waits(number)
            commitment = None if is_idle else self._ledger.commitment(number)
            if commitment is None or commitment.state != CommitmentState.OPEN:
                continue
            try:
                outcome = self._judge.outcome(commitment.ae_title, commitment.wanted)
            except CloudError as error:
                # No answer is no failure: the request stays open. A refusal may be this one's alone.
                self._pauses.begin(commitment.id if isinstance(error, RefusedError) else _CLOUD, longest)
                self._ledger.failed(commitment, str(error))
                continue
            if isinstance(outcome, Pending):
                self._waiting[number] = outcome.file, time.monotonic() + _WAIT_SECONDS
                continue
            self._pauses.over(commitment.id)
            self._ledger.decided(commitment.id, outcome, self._clock())
            failed = sum(reason is not None for reason in outcome)
            self._log.info(
                "storage commitment decided", commitment=commitment.id, instances=len(outcome), failed=failed
            )

    def _waits(self, number: int) -> bool:
        """Whether there is no need to judge it now: what it waited for a moment ago is still spooled."""
        file, until = self._waiting.get(number, ("", 0.0))
        return bool(file) and time.monotonic() < until and self._judge.is_spooled(file)

    def _tell(self) -> None:
        if self._reporting.tell(self.reports.holds, lambda: self._stopping):
            self._rouse()

    def _prune(self) -> None:
        if time.monotonic() - self._pruned > _PRUNE_SECONDS or not self._pruned:
            self._pruned = time.monotonic()
            self._ledger.prune(self._clock() - self._config.commitment.keep_days * 86400)
