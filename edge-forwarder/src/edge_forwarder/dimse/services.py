"""What an association offers beside C-STORE and C-ECHO, and how a service talks to its caller.

`association` hands a request whose command a service has registered for to it, with a `Dialogue`; everything a service
sends goes through that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge_forwarder.dimse import messages
from edge_forwarder.dimse.statuses import AbortReason, Command
from edge_forwarder.dimse.wire import Wire
from edge_forwarder.errors import WireError

#: What a service's data set may have (bytes): a commitment of 100,000 instances is ~15 MB.
MAX_DATA_SET: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Context:
    """One accepted presentation context; ``peer_is_scp``: the peer takes C-STORE by it (C-GET)."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    peer_is_scp: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end."""

    association: int
    ae_title: str
    host: str
    contexts: Mapping[int, Context]


@dataclass(slots=True)
class Dialogue:
    """One request of one association. Only the association's own thread uses it."""

    wire: Wire
    caller: Caller
    request: messages.Request
    context: Context
    data_set: bytes | None
    """None when the request came without one."""
    cancelled: bool = field(default=False)
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the edge stops: long services end early."""
    _stores: int = field(default=0)

    def respond(
        self,
        status: int,
        comment: str = "",
        *,
        data_set: bytes | None = None,
        done: messages.Suboperations | None = None,
    ) -> None:
        """Raises PeerGoneError."""
        answer = messages.encode_response(self.request, status, comment, has_data_set=data_set is not None, done=done)
        self.wire.send_message(self.context.id, answer, data_set)

    def is_cancelled(self) -> bool:
        """Whether the caller has sent C-CANCEL by now. Raises WireError, PeerGoneError."""
        while not self.cancelled and self.wire.readable(0):
            self._hear()
        return self.cancelled or self.stopping.is_set()

    def _hear(self) -> messages.Request:
        """The next message: a C-CANCEL of ours is noted, a response returned; anything else is out of turn."""
        context_id, message = self.wire.command()
        if message.has_data_set:
            self.wire.drain(context_id)
        if message.command == Command.C_CANCEL_RQ:
            self.cancelled = self.cancelled or message.responds_to == self.request.message_id
        elif not message.command & Command.RESPONSE:
            raise WireError("a request while another is being answered", AbortReason.UNEXPECTED_PDU)
        return message

    def store(self, context: Context, sop_class: str, sop_instance: str, pieces: Iterable[bytes]) -> int:
        """A C-STORE sub-operation on this association (PS3.4 C.4.3); the peer's status. Raises WireError, OSError."""
        self._stores = self._stores % 0xFFFF + 1
        message_id = self._stores
        self.wire.send_stream(context.id, messages.encode_store(message_id, sop_class, sop_instance), pieces)
        while True:
            answer = self._hear()
            if answer.command == Command.C_STORE_RQ | Command.RESPONSE and answer.responds_to == message_id:
                return answer.status


class Service(Protocol):
    """Answers one request, its last response included. May raise WireError; anything else aborts the association."""

    def __call__(self, dialogue: Dialogue) -> None: ...


class OpenAssociation(Protocol):
    """What `Reports` may do on an association between two of its messages."""

    @property
    def caller(self) -> Caller: ...

    def send_event_report(self, context_id: int, message_id: int, event_type: int, data_set: bytes) -> None: ...


class Reports(Protocol):
    """Who has something to tell a caller on its own association: asked between messages, from its thread."""

    def wanted(self, caller: Caller) -> bool:
        """Whether it is worth looking, every half second."""
        ...

    def speak(self, association: OpenAssociation) -> None: ...

    def heard(self, caller: Caller, answer: messages.Request) -> None:
        """An N-EVENT-REPORT response came."""
        ...

    def ended(self, caller: Caller) -> None: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """The services of this edge by command; empty: C-STORE and C-ECHO alone."""

    services: Mapping[int, Service] = field(default_factory=dict)
    reports: Reports | None = None


NOTHING: Final = Offer()
