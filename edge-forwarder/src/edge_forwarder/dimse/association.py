"""The DIMSE side of one association: a thread, C-ECHO and C-STORE (PS3.7 9.1.1, 9.1.5; PS3.4 A, B).

The receive path is lean on purpose: an image's bytes go from the socket to the spool in pieces, are never decoded and
never whole in memory, and the answer is one write on a socket without Nagle's delay. Success is said after the spool
has it durably. Every other request goes to the service that registered for it (`services`).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge_forwarder.config import Config
from edge_forwarder.dicom import part10
from edge_forwarder.dimse import messages, negotiation, pdu
from edge_forwarder.dimse.services import MAX_DATA_SET, NOTHING, Caller, Context, Dialogue, Offer
from edge_forwarder.dimse.sightings import Sightings
from edge_forwarder.dimse.statuses import (
    AbortReason,
    AbortSource,
    Command,
    RejectReason,
    RejectResult,
    RejectSource,
    Status,
    of_refusal,
)
from edge_forwarder.dimse.wire import Wire, gone
from edge_forwarder.errors import PeerGoneError, SilentError, SpoolError, TooLongError, WireError
from edge_forwarder.logs import Log
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.spool.writer import SpoolWriter

#: While something is to be told on an open association, it is looked for this often (seconds).
_LOOK_SECONDS: Final = 0.5
#: An N-EVENT-REPORT for storage commitment names the well-known instance (PS3.4 J.3.5).
COMMITMENT: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"


@dataclass(slots=True)
class Acceptor:
    """What the associations share that we accept: where images go and who is told. Callbacks must not block."""

    config: Config
    """May be replaced; an association keeps the one that it began under."""
    spool: Spool
    log: Log
    stored: Callable[[SpooledFile, int], None]
    """Told of each acknowledged instance and the number of its association, before the answer is sent."""
    ended: Callable[[int], None]
    """Told when an association is over, however it ended."""
    refused: Callable[[], None]
    """Told of each instance refused for want of space."""
    offer: Offer = NOTHING
    stopping: threading.Event = field(default_factory=threading.Event)
    sightings: Sightings = field(default_factory=Sightings)


class Association:
    """One TCP connection, from the association request to its end."""

    def __init__(
        self,
        acceptor: Acceptor,
        connection: socket.socket,
        host: str,
        number: int,
        *,
        congested: bool,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._acceptor, self._config, self._host, self.number = acceptor, acceptor.config, host, number
        self._congested, self._tls = congested, tls
        self._socket = connection
        self._wire = Wire(connection)
        self.caller = Caller(number, "", host, {})
        self._may: frozenset[str] = frozenset()
        self._linger = False
        """Whether the last word was ours, and the peer is to close first."""
        self.busy = False
        """Whether a message is being received or answered: a graceful stop waits for it."""

    def run(self) -> None:
        """Serve it to its end; never raises."""
        log = self._acceptor.log
        try:
            self._secure()
            if self._establish():
                title = self.caller.ae_title
                log.info("association opened", association=self.number, calling=title, host=self._host)
                while self._message():
                    pass
                log.info("association released", association=self.number)
        except PeerGoneError as error:
            log.warning("association lost", association=self.number, why=str(error))
            if isinstance(error, SilentError) and self.caller.contexts:  # before it is open, PS3.8 9.2 (AA-2) has none
                self._wire.abort(AbortSource.SERVICE_USER)
        except WireError as error:
            log.warning("association aborted", association=self.number, why=str(error))
            self._wire.abort(AbortSource.PROVIDER, error.reason)
        except Exception as error:  # one association must not take the others down
            log.error("association failed", association=self.number, why=type(error).__name__)
            self._wire.abort(AbortSource.SERVICE_USER)
        finally:
            self.busy = False
            self._acceptor.ended(self.number)
            if self._acceptor.offer.reports is not None:
                self._acceptor.offer.reports.ended(self.caller)
            if self._linger:
                self._wire.await_end()
            self.close()

    def close(self) -> None:
        self._wire.close()

    def hang_up(self) -> None:
        """From another thread, at a stop: wake the reader. An idle association is aborted, as PS3.8 9.2 wants it."""
        if not self.busy and self._tls is None:  # two threads must not use one TLS connection
            self._wire.abort(AbortSource.SERVICE_USER)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    # Association

    def _secure(self) -> None:
        """The TLS handshake (PS3.15 B), where this port is for TLS. Raises PeerGoneError."""
        if self._tls is None:
            return
        self._socket.settimeout(self._config.dimse.network_timeout_seconds or None)
        try:
            self._socket = self._tls.wrap_socket(self._socket, server_side=True)
        except (OSError, ValueError) as error:
            why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__
            raise PeerGoneError(f"no TLS with {self._host}: {why}") from None
        self._wire = Wire(self._socket)

    def _establish(self) -> bool:
        config, wire = self._config, self._wire
        wire.timeout(config.dimse.network_timeout_seconds)
        kind, length = wire.header()
        if kind != pdu.PduType.ASSOCIATE_RQ:
            raise WireError("no association request", AbortReason.UNEXPECTED_PDU)
        if length > pdu.MAX_ASSOCIATE_LENGTH:
            raise WireError("an association request that long", AbortReason.INVALID_PARAMETER)
        request = pdu.decode_associate_request(wire.exactly(length))
        title, wire.peer_max_pdu = request.calling_ae_title, request.max_pdu
        rejection = negotiation.admit(request, config, self._host)
        if self._congested and rejection is None:
            rejection = negotiation.Rejection(
                RejectResult.TRANSIENT,
                RejectSource.PROVIDER_PRESENTATION,
                RejectReason.PRESENTATION_LOCAL_LIMIT_EXCEEDED,
                "too many associations",
            )
        if rejection is not None:
            r = rejection
            self._acceptor.log.warning("association rejected", calling=title, host=self._host, why=r.why)
            if r.result == RejectResult.PERMANENT:
                self._acceptor.sightings.rejected(title)
            wire.send(pdu.encode_associate_reject(r.result, r.source, r.reason))
            self._linger = True
            return False
        self._acceptor.sightings.heard(title)
        self._may = config.rights(title, self._host)
        agreed = negotiation.agree(request, config.preference(title), self._may, set(self._acceptor.offer.services))
        self.caller = Caller(self.number, title, self._host, agreed.contexts)
        wire.send(pdu.encode_associate_accept(request, agreed.answers, config.dimse.max_pdu, agreed.roles))
        return True

    # Messages

    def _message(self) -> bool:
        """Receive and answer one message; False when the association was released."""
        wire, dimse_config = self._wire, self._config.dimse
        if not wire.left:
            self._report()
            wire.timeout(dimse_config.idle_timeout_seconds)
            if not wire.next_data(first=True):
                wire.send(pdu.encode_release_response())
                self._linger = True
                return False
            wire.timeout(dimse_config.network_timeout_seconds)
        self.busy = True
        try:
            context_id, request = wire.command()
            context = self.caller.contexts.get(context_id)
            if request.command == Command.C_STORE_RQ and request.has_data_set:
                status, comment = self._store(request, context_id, context)
                wire.send_message(context_id, messages.encode_response(request, status, comment))
            elif context is not None and request.command in self._acceptor.offer.services:
                self._serve(request, context)
            else:
                self._other(request, context_id, context)
        except OSError as error:
            raise gone(error) from None
        finally:
            self.busy = False
        return True

    def _store(self, request: messages.Request, context_id: int, context: Context | None) -> tuple[Status, str]:
        """Take one data set. Whatever happens to it, all of it is read, so that the association can go on."""
        acceptor, wire = self._acceptor, self._wire
        if context is None:
            wire.drain(context_id)
            return Status.SOP_CLASS_NOT_SUPPORTED, "this presentation context was not accepted"
        if negotiation.STORE not in self._may:
            wire.drain(context_id)
            return Status.NOT_AUTHORIZED, "this AE title may not store"
        writer: SpoolWriter | None = None
        try:
            writer = acceptor.spool.begin(self.caller.ae_title)
            writer.write(part10.file_meta(request.sop_class_uid, request.sop_instance_uid, context.transfer_syntax))
            wire.fragments(context_id, writer.write)
            spooled = writer.commit()
        except SpoolError as error:
            if writer is not None:
                writer.discard()
            wire.drain(context_id, resumed=writer is not None)
            acceptor.log.error("instance refused", association=self.number, why=str(error))
            acceptor.refused()
            return of_refusal(error), str(error)
        except BaseException:
            if writer is not None:
                writer.discard()
            raise
        acceptor.stored(spooled, self.number)
        acceptor.sightings.image(self.caller.ae_title)
        return Status.SUCCESS, ""

    def _serve(self, request: messages.Request, context: Context) -> None:
        try:
            data_set = self._wire.data_set(context.id, MAX_DATA_SET) if request.has_data_set else None
        except TooLongError:
            answer = messages.encode_response(request, Status.RESOURCE_LIMITATION, "the request is too long")
            self._wire.send_message(context.id, answer)
            return
        dialogue = Dialogue(self._wire, self.caller, request, context, data_set, stopping=self._acceptor.stopping)
        self._acceptor.offer.services[request.command](dialogue)

    def _other(self, request: messages.Request, context_id: int, context: Context | None) -> None:
        if request.has_data_set:
            self._wire.drain(context_id)
        reports = self._acceptor.offer.reports
        if request.command == Command.N_EVENT_REPORT_RQ | Command.RESPONSE and reports is not None:
            reports.heard(self.caller, request)
        elif not (request.command & Command.RESPONSE or request.command == Command.C_CANCEL_RQ):
            status, comment = _answer(request, context)
            self._wire.send_message(context_id, messages.encode_response(request, status, comment))

    # Reports on the same association

    def _report(self) -> None:
        """Until the peer says something: tell it what there is to tell."""
        reports, idle = self._acceptor.offer.reports, self._config.dimse.idle_timeout_seconds
        if reports is None:
            return
        waited = 0.0
        while reports.wanted(self.caller) and (not idle or waited < idle):
            reports.speak(self)
            if self._wire.readable(_LOOK_SECONDS):
                return
            waited += _LOOK_SECONDS

    def send_event_report(self, context_id: int, message_id: int, event_type: int, data_set: bytes) -> None:
        """N-EVENT-REPORT-RQ; its answer comes as any message does. Raises PeerGoneError."""
        command = messages.encode_event_report(message_id, COMMITMENT, COMMITMENT_INSTANCE, event_type)
        self._wire.send_message(context_id, command, data_set)


def _answer(request: messages.Request, context: Context | None) -> tuple[Status, str]:
    if context is None:
        return Status.SOP_CLASS_NOT_SUPPORTED, "this presentation context was not accepted"
    if request.command == Command.C_ECHO_RQ:
        return Status.SUCCESS, ""
    if request.command == Command.C_STORE_RQ:
        return Status.MISTYPED_ARGUMENT, "a C-STORE without a data set"
    return Status.UNRECOGNIZED_OPERATION, "this service is not offered"
