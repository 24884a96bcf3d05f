"""Reports of what was decided, told to devices that are called (PS3.4 J.3.3): whom, in which order, how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge_forwarder.commitment import information
from edge_forwarder.commitment.pauses import Pauses
from edge_forwarder.config import Config
from edge_forwarder.databases.commitments import Commitment, CommitmentState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dimse.association import COMMITMENT, COMMITMENT_INSTANCE
from edge_forwarder.dimse.negotiation import PLAIN
from edge_forwarder.dimse.pdu import ProposedContext, Role
from edge_forwarder.dimse.scu import Peer, Requestor
from edge_forwarder.dimse.statuses import EventType, Status
from edge_forwarder.errors import WireError
from edge_forwarder.logs import Log

#: Nobody gives up a report before so many calls came to nothing, however late the clock says it is.
_LEAST_TRIES: Final = 10


class Reporting:
    """One thread calls (`tell`); any may say how a report was taken (`told`)."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        peer: Callable[[str], Peer | None],
        pauses: Pauses,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        """``pauses``: of devices by AE title, of commitments by number."""
        self.config = config
        """May be replaced."""
        self._ledger, self._peer, self._pauses, self._log, self._clock = ledger, peer, pauses, log, clock

    def tell(self, is_held: Callable[[int], bool], is_over: Callable[[], bool]) -> bool:
        """Report what is due, but for what is told elsewhere (``is_held``). True: there is more, to be told at once."""
        for number in self._in_turn():
            if is_over():
                return False
            if is_held(number):
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
                self._pauses.begin(commitment.ae_title, self.config.commitment.retry_max_seconds)
                self._try_later(commitment, str(error), all_due=True)
                # A call may have lasted long: what others are due, or became due meanwhile, is told before the next.
                return True
            self._pauses.over(commitment.ae_title)
            self.told(commitment.id, commitment.ae_title, status)
        return False

    def told(self, number: int, ae_title: str, status: int) -> None:
        """What a device answered to a report."""
        commitment = self._ledger.commitment(number)
        if commitment is None or commitment.state != CommitmentState.DUE:
            return
        if status != Status.SUCCESS:
            self._try_later(commitment, f"the device answered {status:#06x}")
            return
        self._pauses.over(number)
        self._ledger.close_commitment(number, CommitmentState.DONE)
        self._log.info("storage commitment reported", commitment=number, called=ae_title)

    def report(self, commitment: Commitment, transfer_syntax: str) -> tuple[EventType, bytes]:
        return information.report(commitment, self.config.edge.ae_title.strip(), transfer_syntax)

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
        return days > self.config.commitment.give_up_days and commitment.attempts >= _LEAST_TRIES

    def _call(self, commitment: Commitment) -> int:
        peer = self._peer(commitment.ae_title)
        if peer is None:
            raise WireError("no [[device]] of that AE title with a host and a port")
        contexts = [ProposedContext(1, COMMITMENT, PLAIN)]
        # We call, but are the provider: PS3.4 J.3.3 wants it negotiated (PS3.7 D.3.3.4).
        with Requestor.call(peer, contexts, [Role(COMMITMENT, scu=False, scp=True)]) as association:
            context = association.contexts.get(1)
            if context is None:
                raise WireError("it does not take storage commitment reports")
            event, data_set = self.report(commitment, context.transfer_syntax)
            return association.report(context, COMMITMENT, COMMITMENT_INSTANCE, event, data_set)

    def _try_later(self, commitment: Commitment, why: str, *, all_due: bool = False) -> None:
        seconds = self._pauses.begin(commitment.id, self.config.commitment.retry_max_seconds)
        self._ledger.failed(commitment, why, all_due=all_due)
        self._log.warning(
            "a storage commitment's report was not taken", commitment=commitment.id, why=why, seconds=round(seconds, 1)
        )
