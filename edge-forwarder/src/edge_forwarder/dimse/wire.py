"""One connection after it is accepted or made: PDUs, presentation data values and messages, read in pieces (PS3.8 9.3).

Both sides of DIMSE use it: the acceptor in `association`, the requestor in `scu`. One thread reads and writes; nothing
of a message is kept but what its caller keeps.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from edge_forwarder.dimse import messages, pdu
from edge_forwarder.dimse.statuses import AbortReason, AbortSource
from edge_forwarder.errors import AbortedError, PeerGoneError, SilentError, TooLongError, WireError

#: The most of one fragment that is in memory at once (bytes).
PIECE: Final = 256 * 1024
#: A peer that does not even take an abort for so long is left without (seconds).
_ABORT_SECONDS: Final = 1.0
#: What a peer that says "no limit" gets in one P-DATA-TF (bytes).
_UNLIMITED: Final = 1024 * 1024


class Wire:
    """Reads raise PeerGoneError at the end of the connection or a timeout, WireError for what is no Upper Layer."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._reader = io.BufferedReader(socket.SocketIO(connection, "rb"), 64 * 1024)
        self.left = 0
        """Bytes of the current P-DATA PDU that are not read yet."""
        self._fragment_left, self._last_fragment = 0, False
        """Where `fragments` is, should it be interrupted: bytes left of the fragment, and whether it is the last."""
        self.peer_max_pdu = 0
        """The longest P-DATA the peer takes, 0 for no limit (bytes)."""

    def timeout(self, seconds: float) -> None:
        """0: none."""
        with contextlib.suppress(OSError):
            self.socket.settimeout(seconds or None)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.socket.close()

    def abort(self, source: AbortSource, reason: int = 0) -> None:
        with contextlib.suppress(OSError):
            self.socket.settimeout(_ABORT_SECONDS)
            self.socket.sendall(pdu.encode_abort(source, reason))

    def await_end(self) -> None:
        """Let the peer read our last PDU and close first, as PS3.8 9.2 (Sta13) wants it; not for long."""
        with contextlib.suppress(OSError, ValueError):
            self.socket.settimeout(2)
            if not isinstance(self.socket, ssl.SSLSocket):  # there it would cut TLS off beneath itself
                self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(4096):
                pass

    # Reading

    def exactly(self, size: int) -> bytes:
        try:
            data = self._reader.read(size)
        except (OSError, ValueError) as error:
            raise gone(error) from None
        if len(data) != size:
            raise PeerGoneError("the peer closed the connection")
        return data

    def header(self) -> tuple[int, int]:
        kind, length = pdu.HEADER.unpack(self.exactly(pdu.HEADER.size))
        return kind, length

    def readable(self, seconds: float) -> bool:
        """Whether something (the end included) can be read now, or comes within so long."""
        if self.left:
            return True
        before = self.socket.gettimeout()
        try:
            self.socket.settimeout(0)
            with contextlib.suppress(ssl.SSLWantReadError):
                if self._reader.peek(1):
                    return True
        except (OSError, ValueError):
            return True  # whoever reads now is told what is wrong
        finally:
            with contextlib.suppress(OSError):
                self.socket.settimeout(before)
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def next_data(self, *, first: bool) -> bool:
        """Read the header of the next P-DATA-TF; False when a release was asked for (``first``: between messages)."""
        kind, length = self.header()
        if kind == pdu.PduType.P_DATA_TF:
            self.left = length
            return True
        if kind == pdu.PduType.ABORT:
            self.exactly(length if length <= 64 else 4)
            raise AbortedError("aborted by the peer")
        if kind == pdu.PduType.RELEASE_RQ and first:
            self.exactly(min(length, 64))
            return False
        known = kind in set(pdu.PduType)
        raise WireError("an unexpected PDU", AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU)

    def _pdv(self) -> tuple[int, int, int]:
        """The header of the next presentation data value: bytes of its fragment, context id, control header."""
        while not self.left:
            if not self.next_data(first=False):
                raise WireError("a release within a message", AbortReason.UNEXPECTED_PDU)
        if self.left < pdu.PDV_HEADER.size:
            raise WireError("a truncated presentation data value", AbortReason.INVALID_PARAMETER)
        length, context_id, control = pdu.PDV_HEADER.unpack(self.exactly(pdu.PDV_HEADER.size))
        self.left -= length + 4
        if length < 2 or self.left < 0:
            raise WireError("a presentation data value longer than its PDU", AbortReason.INVALID_PARAMETER)
        return length - 2, context_id, control

    def command(self) -> tuple[int, messages.Request]:
        """The next command set and its presentation context."""
        pieces: list[bytes] = []
        size = 0
        while True:
            length, context_id, control = self._pdv()
            if not control & 1:
                raise WireError("a data set without a command", AbortReason.UNEXPECTED_PARAMETER)
            size += length
            if size > messages.MAX_LENGTH:
                raise WireError("a command set that long", AbortReason.INVALID_PARAMETER)
            pieces.append(self.exactly(length))
            if control & 2:
                return context_id, messages.decode(b"".join(pieces))

    def fragments(self, context_id: int, write: Callable[[bytes], None]) -> None:
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
            size = min(self._fragment_left, PIECE)
            piece = self.exactly(size)
            self._fragment_left -= size
            write(piece)

    def drain(self, context_id: int, *, resumed: bool = False) -> None:
        """Read a data set and forget it: from its start, or on from where `fragments` was interrupted."""
        if resumed and self._fragment_left:
            while self._fragment_left:
                size = min(self._fragment_left, PIECE)
                self.exactly(size)
                self._fragment_left -= size
        if not (resumed and self._last_fragment):
            self.fragments(context_id, lambda _: None)

    def data_set(self, context_id: int, limit: int) -> bytes:
        """A whole data set of at most ``limit`` bytes; a longer one is read to its end, and is a TooLongError."""
        pieces: list[bytes] = []
        size = 0

        def keep(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size <= limit:
                pieces.append(piece)

        self.fragments(context_id, keep)
        if size > limit:
            raise TooLongError("a data set that long")
        return b"".join(pieces)

    # Writing: raises PeerGoneError

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise gone(error) from None

    def send_message(self, context_id: int, command: bytes, data_set: bytes | None = None) -> None:
        """A command and, when there is one, its data set, in one write."""
        message = pdu.encode_values(context_id, command, self.peer_max_pdu, command=True)
        if data_set is not None:
            message += pdu.encode_values(context_id, data_set, self.peer_max_pdu or _UNLIMITED, command=False)
        self.send(message)

    def send_stream(self, context_id: int, command: bytes, pieces: Iterable[bytes]) -> None:
        """A command and a data set of any size; one piece is held back, for only the last fragment is marked so. What
        the first piece raises is raised before anything is sent; later it is a WireError, for half is sent.
        """
        rest = iter(pieces)
        held = next(rest, b"")
        self.send(pdu.encode_values(context_id, command, self.peer_max_pdu, command=True))
        most = self.peer_max_pdu or _UNLIMITED
        try:
            for piece in rest:
                self.send(pdu.encode_values(context_id, held, most, command=False, last=False))
                held = piece
        except WireError:
            raise
        except Exception as error:
            raise WireError(f"a data set that broke off ({type(error).__name__})") from None
        self.send(pdu.encode_values(context_id, held, most, command=False))


def gone(error: Exception) -> PeerGoneError:
    if isinstance(error, TimeoutError):
        return SilentError("the peer is silent")
    return PeerGoneError(f"the connection broke ({type(error).__name__})")
