"""Calling others: an association we ask for, C-STORE, C-ECHO and N-EVENT-REPORT over it (PS3.8 7.1, PS3.7 9.1.1, 9.1.5,
10.1.1).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from edge_forwarder.dimse import messages, pdu
from edge_forwarder.dimse.pdu import ProposedContext, Role
from edge_forwarder.dimse.services import Context
from edge_forwarder.dimse.statuses import AbortReason, AbortSource, Command, ContextResult
from edge_forwarder.dimse.wire import Wire
from edge_forwarder.errors import NotAssociatedError, PeerGoneError, WireError

#: For the end of an association.
_LEAVE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call, as whom, how patiently (seconds); ``tls`` is None for a plain connection."""

    host: str
    port: int
    called: str
    calling: str
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0
    connect_timeout: float = 10.0
    max_pdu: int = 131072


class Requestor:
    """One association, from `call` to its release; a context manager. Raises WireError."""

    def __init__(self, wire: Wire, contexts: dict[int, Context]) -> None:
        self._wire, self.contexts = wire, contexts
        self._message_id = 0

    @classmethod
    def call(cls, peer: Peer, contexts: Sequence[ProposedContext], roles: Sequence[Role] = ()) -> Self:
        """Raises NotAssociatedError when it rejects, PeerGoneError when it cannot be reached."""
        try:
            connection = socket.create_connection((peer.host, peer.port), timeout=peer.connect_timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if peer.tls is not None:
                connection = peer.tls.wrap_socket(connection, server_hostname=peer.host)
        except (OSError, ValueError) as error:
            why = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or type(error).__name__
            raise PeerGoneError(f"{peer.called} cannot be reached: {why}") from None
        wire = Wire(connection)
        wire.timeout(peer.timeout)
        try:
            wire.send(pdu.encode_associate_request(peer.called, peer.calling, contexts, peer.max_pdu, roles))
            kind, length = wire.header()
            body = wire.exactly(min(length, pdu.MAX_ASSOCIATE_LENGTH))
            if kind == pdu.PduType.ASSOCIATE_RJ and len(body) >= 4:
                why = f"{peer.called} rejects: result {body[1]}, source {body[2]}, reason {body[3]}"
                raise NotAssociatedError(why, (body[2], body[3]))
            if kind != pdu.PduType.ASSOCIATE_AC:
                raise NotAssociatedError(f"{peer.called} does not associate")
            answer = pdu.decode_associate_accept(body)
        except WireError:
            wire.close()
            raise
        wire.peer_max_pdu = answer.max_pdu
        proposed = {context.id: context.abstract_syntax for context in contexts}
        accepted = {
            a.id: Context(a.id, proposed[a.id], a.transfer_syntax)
            for a in answer.contexts
            if a.result == ContextResult.ACCEPTED and a.id in proposed
        }
        return cls(wire, accepted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Release, or abort when something went wrong: who is silent may take neither."""
        self._wire.timeout(_LEAVE_SECONDS)
        if kind is None:
            with contextlib.suppress(WireError):
                self._wire.send(pdu.encode_release_request())
                self._wire.header()
        else:
            self._wire.abort(AbortSource.SERVICE_USER)
        self._wire.close()

    def _next_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _answer(self, command: Command, message_id: int) -> int:
        context_id, answer = self._wire.command()
        if answer.has_data_set:
            self._wire.drain(context_id)
        if answer.command != command | Command.RESPONSE or answer.responds_to != message_id:
            raise WireError("an answer to another question", AbortReason.UNEXPECTED_PDU)
        return answer.status

    def store(
        self,
        context: Context,
        sop_class: str,
        sop_instance: str,
        pieces: Iterable[bytes],
        originator: tuple[str, int] | None = None,
    ) -> int:
        """The peer's status. Raises WireError, and what reading the pieces raises."""
        message_id = self._next_id()
        command = messages.encode_store(message_id, sop_class, sop_instance, originator)
        self._wire.send_stream(context.id, command, pieces)
        return self._answer(Command.C_STORE_RQ, message_id)

    def echo(self, context: Context) -> int:
        """C-ECHO (PS3.7 9.1.5); the peer's status."""
        message_id = self._next_id()
        self._wire.send_message(context.id, messages.encode_echo(message_id))
        return self._answer(Command.C_ECHO_RQ, message_id)

    def report(self, context: Context, sop_class: str, sop_instance: str, event_type: int, data_set: bytes) -> int:
        """N-EVENT-REPORT; the peer's status."""
        message_id = self._next_id()
        command = messages.encode_event_report(message_id, sop_class, sop_instance, event_type)
        self._wire.send_message(context.id, command, data_set)
        return self._answer(Command.N_EVENT_REPORT_RQ, message_id)
