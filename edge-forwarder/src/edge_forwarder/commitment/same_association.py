"""Reports on the association that asked (PS3.4 J.3.3 leaves that to both sides), while it is open.

Each association's own thread asks, between two of its messages, whether there is something to tell it; the thread of
`commitments` asks which commitments are not its to report.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from edge_forwarder.databases.commitments import Commitment, CommitmentState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dimse.messages import Request
from edge_forwarder.dimse.services import Caller, Dialogue, OpenAssociation
from edge_forwarder.dimse.statuses import EventType

#: A report is answered within this, or sent on a new association (seconds).
_ANSWER_SECONDS: Final = 60.0


class _Asked:
    """What one association asked for, and in which presentation context."""

    def __init__(self, context_id: int, transfer_syntax: str) -> None:
        self.context_id, self.transfer_syntax = context_id, transfer_syntax
        self.waiting: set[int] = set()
        self.told: dict[int, tuple[int, float]] = {}
        """By message id: the commitment, and when it was told."""
        self.message_id = 0


class SameAssociation:
    """`dimse.services.Reports` of storage commitment. Threads share it."""

    def __init__(
        self,
        ledger: Ledger,
        report: Callable[[Commitment, str], tuple[EventType, bytes]],
        told: Callable[[int, str, int], None],
        changed: Callable[[], None],
    ) -> None:
        """``report``: the event of one in a transfer syntax; ``told``: hears the number, the device and its answer;
        ``changed``: hears that somebody else may report now.
        """
        self._ledger, self._report, self._told, self._changed = ledger, report, told, changed
        self._lock = threading.Lock()
        self._asked: dict[int, _Asked] = {}
        """By association."""

    def asked(self, dialogue: Dialogue, number: int) -> None:
        """A commitment was asked for, and is to be reported there."""
        context = dialogue.context
        with self._lock:
            asked = self._asked.setdefault(dialogue.caller.association, _Asked(context.id, context.transfer_syntax))
            asked.waiting.add(number)

    def holds(self, number: int) -> bool:
        """Whether a commitment is reported, or is to be, on an association that is open."""
        with self._lock:
            return any(
                number in asked.waiting or number in {told for told, _ in asked.told.values()}
                for asked in self._asked.values()
            )

    def wanted(self, caller: Caller) -> bool:
        with self._lock:
            asked = self._asked.get(caller.association)
            return asked is not None and bool(asked.waiting or asked.told)

    def speak(self, association: OpenAssociation) -> None:
        number = association.caller.association
        with self._lock:
            asked = self._asked[number]
            late = [m for m, (_, at) in asked.told.items() if at + _ANSWER_SECONDS < time.monotonic()]
            for message_id in late:
                del asked.told[message_id]
            waiting = sorted(asked.waiting)
        for commitment in filter(None, map(self._ledger.commitment, waiting)):
            if commitment.state == CommitmentState.OPEN:
                continue
            with self._lock:
                asked.waiting.discard(commitment.id)
                if commitment.state != CommitmentState.DUE or commitment.outcome is None:
                    continue
                asked.message_id += 1
                asked.told[asked.message_id] = (commitment.id, time.monotonic())
            event, data_set = self._report(commitment, asked.transfer_syntax)
            association.send_event_report(asked.context_id, asked.message_id, event, data_set)

    def heard(self, caller: Caller, answer: Request) -> None:
        with self._lock:
            asked = self._asked.get(caller.association)
            told = asked.told.pop(answer.responds_to, None) if asked else None
        if told is not None:
            self._told(told[0], caller.ae_title, answer.status)
        self._changed()

    def ended(self, caller: Caller) -> None:
        with self._lock:
            gone = self._asked.pop(caller.association, None)
        if gone is not None:
            self._changed()
