"""Storage Commitment Push Model SCP (PS3.4 J): N-ACTION is taken on durably, N-EVENT-REPORT tells the outcome.

An instance is committed when the cloud has the very bytes that this device sent, or their equal, and keeps them
(`evidence`). While it is spooled the request waits, however long that is; it never fails for that.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from edge_forwarder.commitment import information
from edge_forwarder.commitment.pauses import Pauses
from edge_forwarder.config import Config
from edge_forwarder.databases.ledger import Commitment, CommitmentState, Ledger, Reference
from edge_forwarder.dimse.association import COMMITMENT, COMMITMENT_INSTANCE
from edge_forwarder.dimse.messages import Request
from edge_forwarder.dimse.pdu import ProposedContext, Role
from edge_forwarder.dimse.scu import Peer, Requestor
from edge_forwarder.dimse.services import Caller, Dialogue, OpenAssociation
from edge_forwarder.dimse.statuses import EventType, FailureReason, Status
from edge_forwarder.errors import CloudError, RefusedError, UnreadableError, WireError
from edge_forwarder.logs import Log

_SYNTAXES: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
#: Nobody gives up a report before so many calls came to nothing, however late the clock says it is.
_LEAST_TRIES: Final = 10
_CLOUD: Final = 0
"""Among the pauses: where each commitment has its number and each device its AE title."""
#: While anything is open, it is looked at this often (seconds), beside whenever something was indexed.
_LOOK_SECONDS: Final = 1.0
#: A report on the association that asked is answered within this, or sent on a new one (seconds).
_ANSWER_SECONDS: Final = 60.0
_PRUNE_SECONDS: Final = 3600.0


class Judge(Protocol):
    """Decides what became of each reference; None while any of them is pending. Raises CloudError."""

    def outcome(self, ae_title: str, wanted: Iterable[Reference]) -> list[FailureReason | None] | None: ...


class _Asked:
    """Commitments that may be reported on the association that asked for them."""

    def __init__(self, context_id: int, transfer_syntax: str) -> None:
        self.context_id, self.transfer_syntax = context_id, transfer_syntax
        self.waiting: set[int] = set()
        self.told: dict[int, tuple[int, float]] = {}
        """By message id: the commitment, and when it was told."""
        self.message_id = 0


class Commitments:
    """The service (`action`), the reports on open associations, and a thread for the rest."""

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
        self._config, self._ledger, self._judge, self._peer, self._log = config, ledger, judge, peer, log
        self._clock = clock
        self._pauses = Pauses()
        self._wake = threading.Condition()
        self._woken, self._stopping = True, False
        self._asked: dict[int, _Asked] = {}
        """By association."""
        self._pruned = 0.0
        self._thread = threading.Thread(target=self._run, name="commitments", daemon=True)

    def configure(self, config: Config) -> None:
        """Other limits and devices, from now on."""
        self._config, self._pauses = config, Pauses()
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
            with self._wake:
                context = dialogue.context
                asked = self._asked.setdefault(dialogue.caller.association, _Asked(context.id, context.transfer_syntax))
                asked.waiting.add(number)
        return Status.SUCCESS, ""

    # Reports on the association that asked

    def wanted(self, caller: Caller) -> bool:
        with self._wake:
            asked = self._asked.get(caller.association)
            return asked is not None and bool(asked.waiting or asked.told)

    def speak(self, association: OpenAssociation) -> None:
        number = association.caller.association
        with self._wake:
            asked = self._asked[number]
            late = [m for m, (_, at) in asked.told.items() if at + _ANSWER_SECONDS < time.monotonic()]
            for message_id in late:
                del asked.told[message_id]
            waiting = sorted(asked.waiting)
        for commitment in filter(None, map(self._ledger.commitment, waiting)):
            if commitment.state == CommitmentState.OPEN:
                continue
            with self._wake:
                asked.waiting.discard(commitment.id)
                if commitment.state != CommitmentState.DUE or commitment.outcome is None:
                    continue
                asked.message_id += 1
                asked.told[asked.message_id] = (commitment.id, time.monotonic())
            event, data_set = self._report(commitment, asked.transfer_syntax)
            association.send_event_report(asked.context_id, asked.message_id, event, data_set)

    def heard(self, caller: Caller, answer: Request) -> None:
        with self._wake:
            asked = self._asked.get(caller.association)
            told = asked.told.pop(answer.responds_to, None) if asked else None
        if told is not None:
            self._told(told[0], caller.ae_title, answer.status)
        self._rouse()

    def ended(self, caller: Caller) -> None:
        with self._wake:
            gone = self._asked.pop(caller.association, None)
        if gone is not None:
            self._rouse()

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
        for number, _ in self._ledger.numbers(CommitmentState.OPEN):
            if self._pauses.holds(_CLOUD):
                return
            commitment = None if self._pauses.holds(number) else self._ledger.commitment(number)
            if commitment is None or commitment.state != CommitmentState.OPEN:
                continue
            try:
                outcome = self._judge.outcome(commitment.ae_title, commitment.wanted)
            except CloudError as error:
                # No answer is no failure: the request stays open. A refusal may be this one's alone.
                self._pauses.begin(commitment.id if isinstance(error, RefusedError) else _CLOUD, longest)
                self._ledger.failed(commitment, str(error))
                continue
            if outcome is not None:
                self._pauses.over(commitment.id)
                self._ledger.decided(commitment.id, outcome, self._clock())
                failed = sum(reason is not None for reason in outcome)
                self._log.info(
                    "storage commitment decided", commitment=commitment.id, instances=len(outcome), failed=failed
                )

    def _tell(self) -> None:
        for number in self._in_turn():
            with self._wake:
                if self._stopping:
                    return
                if any(
                    number in asked.waiting or number in {told for told, _ in asked.told.values()}
                    for asked in self._asked.values()
                ):
                    continue
            commitment = self._ledger.commitment(number)
            if commitment is None or commitment.state != CommitmentState.DUE:
                continue
            if self._is_given_up(commitment):
                self._log.error("a storage commitment's report was taken by nobody", commitment=commitment.id)
                self._ledger.close_commitment(commitment.id, CommitmentState.DEAD)
                continue
            try:
                status = self._call(commitment)
            except WireError as error:
                self._pauses.begin(commitment.ae_title, self._config.commitment.retry_max_seconds)
                self._try_later(commitment, str(error), all_due=True)
                # A call may have lasted long: what others are due, or became due meanwhile, is told before the next.
                self._rouse()
                return
            self._pauses.over(commitment.ae_title)
            self._told(commitment.id, commitment.ae_title, status)

    def _in_turn(self) -> list[int]:
        """Whose reports may be tried: first those of devices that answer, of one device those that failed least."""
        pauses = self._pauses
        due = self._ledger.numbers(CommitmentState.DUE)
        free = (
            (pauses.failures(ae), pauses.failures(n), n) for n, ae in due if not (pauses.holds(ae) or pauses.holds(n))
        )
        return [number for *_, number in sorted(free)]

    def _is_given_up(self, commitment: Commitment) -> bool:
        days = (self._clock() - commitment.due_at) / 86400
        return days > self._config.commitment.give_up_days and commitment.attempts >= _LEAST_TRIES

    def _call(self, commitment: Commitment) -> int:
        peer = self._peer(commitment.ae_title)
        if peer is None:
            raise WireError("no [[device]] of that AE title with a host and a port")
        contexts = [ProposedContext(1, COMMITMENT, _SYNTAXES)]
        # We call, but are the provider: PS3.4 J.3.3 wants it negotiated (PS3.7 D.3.3.4).
        with Requestor.call(peer, contexts, [Role(COMMITMENT, scu=False, scp=True)]) as association:
            context = association.contexts.get(1)
            if context is None:
                raise WireError("it does not take storage commitment reports")
            event, data_set = self._report(commitment, context.transfer_syntax)
            return association.report(context, COMMITMENT, COMMITMENT_INSTANCE, event, data_set)

    def _told(self, number: int, ae_title: str, status: int) -> None:
        commitment = self._ledger.commitment(number)
        if commitment is None or commitment.state != CommitmentState.DUE:
            return
        if status != Status.SUCCESS:
            self._try_later(commitment, f"the device answered {status:#06x}")
            return
        self._pauses.over(number)
        self._ledger.close_commitment(number, CommitmentState.DONE)
        self._log.info("storage commitment reported", commitment=number, called=ae_title)

    def _try_later(self, commitment: Commitment, why: str, *, all_due: bool = False) -> None:
        seconds = self._pauses.begin(commitment.id, self._config.commitment.retry_max_seconds)
        self._ledger.failed(commitment, why, all_due=all_due)
        self._log.warning(
            "a storage commitment's report was not taken", commitment=commitment.id, why=why, seconds=round(seconds, 1)
        )

    def _report(self, commitment: Commitment, transfer_syntax: str) -> tuple[EventType, bytes]:
        return information.report(commitment, self._config.edge.ae_title.strip(), transfer_syntax)

    def _prune(self) -> None:
        if time.monotonic() - self._pruned > _PRUNE_SECONDS or not self._pruned:
            self._pruned = time.monotonic()
            self._ledger.prune(self._clock() - self._config.commitment.keep_days * 86400)
