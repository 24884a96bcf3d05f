"""The DIMSE side: one thread an association, C-ECHO and C-STORE (PS3.7 9.1.1, 9.1.5; PS3.4 A, B).

The receive path is lean on purpose: an image's bytes go from the socket to the spool in pieces, are never decoded and
never whole in memory, and the answer is one write on a socket without Nagle's delay. Success is said after the spool
has it durably.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge_forwarder import dimse, negotiation, part10, pdu
from edge_forwarder.config import Config
from edge_forwarder.errors import PeerGoneError, SpoolError, SpoolFullError, WireError
from edge_forwarder.logs import Log
from edge_forwarder.spool import Spool, SpooledFile, SpoolWriter
from edge_forwarder.statuses import AbortReason, AbortSource, Command, RejectReason, RejectResult, RejectSource, Status

#: The most of one fragment that is in memory at once (bytes).
_PIECE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Receiver:
    """What the associations share: where images go and who is told. Callbacks must not block."""

    config: Config
    spool: Spool
    log: Log
    stored: Callable[[SpooledFile, int], None]
    """Told of each acknowledged instance and the number of its association, before the answer is sent."""
    ended: Callable[[int], None]
    """Told when an association is over, however it ended."""
    refused: Callable[[], None]
    """Told of each instance refused for want of space."""


class Association:
    """One TCP connection, from the association request to its end."""

    def __init__(
        self, receiver: Receiver, connection: socket.socket, host: str, number: int, *, congested: bool
    ) -> None:
        self._receiver, self._socket, self._host, self.number = receiver, connection, host, number
        self._congested = congested
        self._reader = io.BufferedReader(socket.SocketIO(connection, "rb"), 64 * 1024)
        self._left = 0
        """Bytes of the current P-DATA PDU that are not read yet."""
        self._syntaxes: dict[int, tuple[str, str]] = {}
        """Accepted contexts: (abstract syntax, transfer syntax)."""
        self._peer_max_pdu = 0
        self._title = ""
        self._linger = False
        """Whether the last word was ours, and the peer is to close first."""
        self._fragment_left, self._last_fragment = 0, False
        """Where `_fragments` is, should it be interrupted: bytes left of the fragment, and whether it is the last."""
        self.busy = False
        """Whether a message is being received or answered: a graceful stop waits for it."""

    def run(self) -> None:
        """Serve it to its end; never raises."""
        log = self._receiver.log
        try:
            if self._establish():
                log.info("association opened", association=self.number, calling=self._title, host=self._host)
                while self._message():
                    pass
                log.info("association released", association=self.number)
        except PeerGoneError as error:
            log.warning("association lost", association=self.number, why=str(error))
        except WireError as error:
            log.warning("association aborted", association=self.number, why=str(error))
            with contextlib.suppress(OSError):
                self._socket.sendall(pdu.encode_abort(AbortSource.PROVIDER, error.reason))
        except Exception as error:  # one association must not take the others down
            log.error("association failed", association=self.number, why=type(error).__name__)
            with contextlib.suppress(OSError):
                self._socket.sendall(pdu.encode_abort(AbortSource.SERVICE_USER))
        finally:
            self.busy = False
            self._receiver.ended(self.number)
            if self._linger:
                self._await_end()
            self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()

    def hang_up(self) -> None:
        """From another thread, at a stop: wake the reader. An idle association is aborted, as PS3.8 9.2 wants it."""
        if not self.busy:
            with contextlib.suppress(OSError):
                self._socket.sendall(pdu.encode_abort(AbortSource.SERVICE_USER))
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    # Association

    def _establish(self) -> bool:
        config = self._receiver.config
        self._socket.settimeout(config.dimse.network_timeout_seconds or None)
        kind, length = self._header()
        if kind != pdu.PduType.ASSOCIATE_RQ:
            raise WireError("no association request", AbortReason.UNEXPECTED_PDU)
        if length > pdu.MAX_ASSOCIATE_LENGTH:
            raise WireError("an association request that long", AbortReason.INVALID_PARAMETER)
        request = pdu.decode_associate_request(self._exactly(length))
        self._title, self._peer_max_pdu = request.calling_ae_title, request.max_pdu
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
            self._receiver.log.warning("association rejected", calling=self._title, host=self._host, why=r.why)
            self._socket.sendall(pdu.encode_associate_reject(r.result, r.source, r.reason))
            self._linger = True
            return False
        answers = negotiation.answer(request.contexts, config.preference(self._title))
        abstract = {context.id: context.abstract_syntax for context in request.contexts}
        self._syntaxes = {a.id: (abstract[a.id], a.transfer_syntax) for a in answers if a.result == 0}
        self._socket.sendall(pdu.encode_associate_accept(request, answers, config.dimse.max_pdu))
        return True

    def _await_end(self) -> None:
        """Let the peer read our last PDU and close first, as PS3.8 9.2 (Sta13) wants it; not for long."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(2)
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(4096):
                pass

    # Messages

    def _message(self) -> bool:
        """Receive and answer one message; False when the association was released."""
        dimse_config = self._receiver.config.dimse
        if not self._left:
            self._socket.settimeout(dimse_config.idle_timeout_seconds or None)
            if not self._next_pdu(first=True):
                return False
            self._socket.settimeout(dimse_config.network_timeout_seconds or None)
        self.busy = True
        try:
            context_id, command = self._command()
            request = dimse.decode(command)
            syntaxes = self._syntaxes.get(context_id)
            if request.command == Command.C_STORE_RQ and request.has_data_set:
                status, comment = self._store(request, context_id, syntaxes)
            else:
                if request.has_data_set:
                    self._drain(context_id)
                if request.command & Command.RESPONSE or request.command == Command.C_CANCEL_RQ:
                    return True
                status, comment = _other(request, syntaxes)
            answer = dimse.encode_response(request, status, comment)
            self._socket.sendall(pdu.encode_command(context_id, answer, self._peer_max_pdu))
        except OSError as error:
            raise PeerGoneError(_gone(error)) from None
        finally:
            self.busy = False
        return True

    def _command(self) -> tuple[int, bytes]:
        pieces: list[bytes] = []
        size = 0
        while True:
            length, context_id, control = self._pdv()
            if not control & 1:
                raise WireError("a data set without a command", AbortReason.UNEXPECTED_PARAMETER)
            size += length
            if size > dimse.MAX_LENGTH:
                raise WireError("a command set that long", AbortReason.INVALID_PARAMETER)
            pieces.append(self._exactly(length))
            if control & 2:
                return context_id, b"".join(pieces)

    def _store(self, request: dimse.Request, context_id: int, syntaxes: tuple[str, str] | None) -> tuple[Status, str]:
        """Take one data set. Whatever happens to it, all of it is read, so that the association can go on."""
        receiver = self._receiver
        if syntaxes is None:
            self._drain(context_id)
            return Status.SOP_CLASS_NOT_SUPPORTED, "this presentation context was not accepted"
        writer: SpoolWriter | None = None
        try:
            writer = receiver.spool.begin(self._title)
            writer.write(part10.file_meta(request.sop_class_uid, request.sop_instance_uid, syntaxes[1]))
            self._fragments(context_id, writer.write)
            spooled = writer.commit()
        except SpoolError as error:
            if writer is not None:
                writer.discard()
            self._drain(context_id, resumed=writer is not None)
            full = isinstance(error, SpoolFullError)
            receiver.log.error("instance refused", association=self.number, why=str(error))
            receiver.refused()
            return (Status.OUT_OF_RESOURCES if full else Status.PROCESSING_FAILURE), str(error)
        except BaseException:
            if writer is not None:
                writer.discard()
            raise
        receiver.stored(spooled, self.number)
        return Status.SUCCESS, ""

    def _fragments(self, context_id: int, write: Callable[[bytes], None]) -> None:
        """Pass the fragments of one data set on, in pieces."""
        self._fragment_left, self._last_fragment = 0, False
        while not self._last_fragment or self._fragment_left:
            if not self._fragment_left:
                self._fragment_left, its_context, control = self._pdv()
                if control & 1 or its_context != context_id:
                    raise WireError("a fragment of another message", AbortReason.UNEXPECTED_PARAMETER)
                self._last_fragment = bool(control & 2)
                if not self._fragment_left:
                    continue
            size = min(self._fragment_left, _PIECE)
            piece = self._exactly(size)
            self._fragment_left -= size
            write(piece)

    def _drain(self, context_id: int, *, resumed: bool = False) -> None:
        """Read a data set and forget it: from its start, or on from where `_fragments` was interrupted."""
        if resumed and self._fragment_left:
            while self._fragment_left:
                size = min(self._fragment_left, _PIECE)
                self._exactly(size)
                self._fragment_left -= size
        if not (resumed and self._last_fragment):
            self._fragments(context_id, lambda _: None)

    # PDUs

    def _pdv(self) -> tuple[int, int, int]:
        """The header of the next presentation data value: bytes of its fragment, context id, control header."""
        while not self._left:
            if not self._next_pdu(first=False):
                raise WireError("a release within a message", AbortReason.UNEXPECTED_PDU)
        if self._left < pdu.PDV_HEADER.size:
            raise WireError("a truncated presentation data value", AbortReason.INVALID_PARAMETER)
        length, context_id, control = pdu.PDV_HEADER.unpack(self._exactly(pdu.PDV_HEADER.size))
        self._left -= length + 4
        if length < 2 or self._left < 0:
            raise WireError("a presentation data value longer than its PDU", AbortReason.INVALID_PARAMETER)
        return length - 2, context_id, control

    def _next_pdu(self, *, first: bool) -> bool:
        """Read the header of the next P-DATA-TF; False after a release was asked for and answered."""
        kind, length = self._header()
        if kind == pdu.PduType.P_DATA_TF:
            self._left = length
            return True
        if kind == pdu.PduType.ABORT:
            self._exactly(length if length <= 64 else 4)
            raise PeerGoneError("aborted by the peer")
        if kind == pdu.PduType.RELEASE_RQ and first:
            self._exactly(min(length, 64))
            self._socket.sendall(pdu.encode_release_response())
            self._linger = True
            return False
        known = kind in set(pdu.PduType)
        raise WireError("an unexpected PDU", AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU)

    def _header(self) -> tuple[int, int]:
        kind, length = pdu.HEADER.unpack(self._exactly(pdu.HEADER.size))
        return kind, length

    def _exactly(self, size: int) -> bytes:
        try:
            data = self._reader.read(size)
        except (OSError, ValueError) as error:
            raise PeerGoneError(_gone(error)) from None
        if len(data) != size:
            raise PeerGoneError("the peer closed the connection")
        return data


def _other(request: dimse.Request, syntaxes: tuple[str, str] | None) -> tuple[Status, str]:
    if syntaxes is None:
        return Status.SOP_CLASS_NOT_SUPPORTED, "this presentation context was not accepted"
    if request.command == Command.C_ECHO_RQ:
        return Status.SUCCESS, ""
    if request.command == Command.C_STORE_RQ:
        return Status.MISTYPED_ARGUMENT, "a C-STORE without a data set"
    return Status.UNRECOGNIZED_OPERATION, "this service is not offered"


def _gone(error: Exception) -> str:
    return "the peer is silent" if isinstance(error, TimeoutError) else f"the connection broke ({type(error).__name__})"


class Listener:
    """The listening socket and its associations."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._lock = threading.Lock()
        self._open: dict[Association, threading.Thread] = {}
        self._stopping = False
        self._number = 0
        negotiation.other_classes()  # read now, so that the first caller need not wait for it
        edge = receiver.config.edge
        family = socket.AF_INET6 if ":" in edge.bind else socket.AF_INET
        self._socket = socket.create_server((edge.bind, edge.port), family=family, backlog=128)
        self.host, self.port = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name="listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def open_count(self) -> int:
        return len(self._open)

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, address = self._socket.accept()
            except OSError:
                if self._stopping:
                    return
                time.sleep(0.1)  # out of file descriptors: associations that end give some back
                continue
            _tune(connection)
            with self._lock:
                self._number += 1
                congested = len(self._open) >= self._receiver.config.dimse.max_associations
                association = Association(
                    self._receiver, connection, str(address[0]), self._number, congested=congested
                )
                name = f"association {self._number}"
                thread = threading.Thread(target=self._serve, args=(association,), name=name, daemon=True)
                self._open[association] = thread
            thread.start()

    def _serve(self, association: Association) -> None:
        try:
            association.run()
        finally:
            with self._lock:
                self._open.pop(association, None)

    def stop(self, seconds: float = 10.0) -> None:
        """Accept no more; let each association finish the message it is in, then end it."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        deadline = time.monotonic() + seconds
        while (open_now := self._snapshot()) and time.monotonic() < deadline:
            for association in open_now:
                if not association.busy:
                    association.hang_up()
            next(iter(open_now.values())).join(0.1)
        for association, thread in self._snapshot().items():
            association.close()
            thread.join(1.0)

    def _snapshot(self) -> dict[Association, threading.Thread]:
        with self._lock:
            return dict(self._open)


def _tune(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            # A half-open connection is noticed in two minutes, not in two hours.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
