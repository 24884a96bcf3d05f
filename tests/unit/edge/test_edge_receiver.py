"""The receiver of a C-MOVE that hangs: it accepts, and never answers."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from edge_forwarder.dimse import messages, pdu
from edge_forwarder.dimse.pdu import ProposedContext
from edge_forwarder.dimse.scu import Peer, Requestor
from edge_forwarder.dimse.statuses import ContextResult
from edge_forwarder.dimse.wire import Wire
from edge_forwarder.errors import WireError
from edge_forwarder.query_retrieve import receiver as receiver_module
from edge_forwarder.query_retrieve.receiver import Receiver, ReceiverGoneError

CT, EXPLICIT = str(CTImageStorage), str(ExplicitVRLittleEndian)
DATA_SET = b"\x08\x00\x18\x00UI\x04\x001.2\x00"
SECONDS = 1.0


class Hanging:
    """An acceptor that answers C-STORE success, but for images on which its association hangs until the other side ends
    it.
    """

    def __init__(self) -> None:
        self.hangs_on: set[str] = set()
        self.came: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Peer:
        self._threads[0].start()
        return Peer("127.0.0.1", self._server.getsockname()[1], "DEST", "EDGE", timeout=SECONDS)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        wire = Wire(connection)
        with connection, suppress(WireError):
            request = pdu.decode_associate_request(wire.exactly(wire.header()[1]))
            accepted = [
                pdu.AnsweredContext(c.id, ContextResult.ACCEPTED, c.transfer_syntaxes[0]) for c in request.contexts
            ]
            wire.send(pdu.encode_associate_accept(request, accepted, 16384))
            while wire.next_data(first=True):
                context, message = wire.command()
                wire.drain(context)
                if message.sop_instance_uid in self.hangs_on:
                    connection.recv(1)
                    return
                self.came.append(message.sop_instance_uid)
                wire.send_message(context, messages.encode_response(message, 0))
            wire.send(pdu.encode_release_response())


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time limit of each association that is asked for."""
    found: list[float] = []
    call = Requestor.call

    def recorded(peer: Peer, contexts: list[ProposedContext]) -> Requestor:
        found.append(peer.timeout)
        return call(peer, contexts)

    monkeypatch.setattr(Requestor, "call", recorded)
    return found


def send(receiver: Receiver, *numbers: int) -> list[int]:
    """As a retrieve does: the status of each, until the receiver is given up."""
    statuses = []
    with suppress(ReceiverGoneError):
        for number in numbers:
            context = receiver.contexts(CT, EXPLICIT)[EXPLICIT]
            statuses.append(receiver.store(context, CT, f"1.2.{number}", iter([DATA_SET])))
    return statuses


def test_one_that_hangs_on_everything_is_waited_for_no_two_time_limits(limits: list[float]) -> None:
    """Six associations, each silent until its limit: the first has the whole, the others a tenth."""
    hanging = Hanging()
    hanging.hangs_on = {f"1.2.{n}" for n in range(20)}
    with hanging as peer, Receiver(peer, [CT], ("WS", 1)) as receiver:
        statuses = send(receiver, *range(20))
    assert 0 not in statuses
    assert len(statuses) == 5
    assert limits[0] == SECONDS
    assert sum(limits) <= 1.5 * SECONDS + 1e-6


def test_one_that_hangs_on_one_image_gets_the_others(limits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "_LESS_PATIENCE", 10)  # this machine may be slow
    hanging = Hanging()
    hanging.hangs_on = {"1.2.1"}
    with hanging as peer, Receiver(peer, [CT], ("WS", 1)) as receiver:
        statuses = send(receiver, *range(6))
        assert hanging.came == [f"1.2.{n}" for n in (0, 2, 3, 4, 5)]
    assert [status == 0 for status in statuses] == [True, False, True, True, True, True]
    assert len(limits) == 2


def test_one_that_reads_nothing_does_not_hold_up_the_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers are full: the A-ABORT may wait as little as a release."""
    waited: list[float] = []
    hanging = Hanging()
    with hanging as peer:
        requestor = Requestor.call(peer, [ProposedContext(1, CT, (EXPLICIT,))])
        monkeypatch.setattr(requestor._wire, "abort", lambda *_: waited.append(requestor._wire.socket.gettimeout()))
        requestor._wire.timeout(3600)
        requestor.__exit__(WireError, WireError("silent"), None)
    assert waited == [5.0]
