"""One association over a socket pair: what a peer may send, well-formed or not, and what it is answered."""

from __future__ import annotations

import io
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_forwarder import config as configuration
from edge_forwarder.dicom import part10
from edge_forwarder.dimse import messages, negotiation, pdu
from edge_forwarder.dimse.association import Acceptor, Association
from edge_forwarder.dimse.services import NOTHING, Dialogue, Offer
from edge_forwarder.dimse.statuses import Status
from edge_forwarder.errors import WireError
from edge_forwarder.logs import Log
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


@dataclass
class Peer:
    """The other end, and what the edge told the rest of the program."""

    socket: socket.socket
    thread: threading.Thread
    spool: Spool
    stored: list[SpooledFile] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    refused: list[int] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """The next PDU; (0, b"") at the end."""
        head = self._exactly(6)
        if not head:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return kind, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self.socket.recv(size - len(data))):
            data += more
        return data

    def associate(self, *contexts: tuple[int, str, tuple[str, ...]], called: str = "MAYPACS") -> tuple[int, bytes]:
        self.send(associate_request(contexts or ((1, CT, (EXPLICIT,)), (3, VERIFICATION, (EXPLICIT,))), called=called))
        return self.read()

    def status(self) -> int:
        kind, body = self.read()
        assert kind == 4
        at = 6
        while at < len(body):
            _, element, length = struct.unpack_from("<HHI", body, at)
            if element == 0x0900:
                return int(struct.unpack_from("<H", body, at + 8)[0])
            at += 8 + length
        raise AssertionError("no status")


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def associate_request(
    contexts: tuple[tuple[int, str, tuple[str, ...]], ...],
    *,
    called: str = "MAYPACS",
    version: int = 1,
    application: bytes = b"1.2.840.10008.3.1.1.1",
) -> bytes:
    proposed = b"".join(
        item(
            0x20,
            bytes((number, 0, 0, 0))
            + item(0x30, abstract.encode())
            + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes),
        )
        for number, abstract, syntaxes in contexts
    )
    body = (
        struct.pack(">H2x16s16s32x", version, called.ljust(16).encode(), b"THU-CT1".ljust(16))
        + item(0x10, application)
        + proposed
        + item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x77, b"unknown items are skipped"))
    )
    return struct.pack(">BxI", 1, len(body)) + body


def command(field_: int, *, sop: str = "2.25.1", data_set: bool = True, sop_class: str = CT) -> bytes:
    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    body = (
        element(0x0002, sop_class.encode())
        + element(0x0100, struct.pack("<H", field_))
        + element(0x0110, struct.pack("<H", 77))
        + element(0x0800, struct.pack("<H", 1 if data_set else 0x0101))
        + element(0x1000, sop.encode())
    )
    return element(0x0000, struct.pack("<I", len(body))) + body


def pdata(*values: tuple[int, int, bytes]) -> bytes:
    """One P-DATA-TF with presentation data values (context, control, fragment)."""
    body = b"".join(struct.pack(">IBB", len(data) + 2, context, control) + data for context, control, data in values)
    return struct.pack(">BxI", 4, len(body)) + body


RELEASE = struct.pack(">BxI4x", 5, 4)


def start(
    tmp_path: Path,
    free: int = 10**9,
    offer: Offer = NOTHING,
    devices: Sequence[dict[str, object]] = (),
    **dimse_settings: object,
) -> Peer:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    raw = {"cloud": {"url": "https://x"}, "dimse": dimse_settings, "device": list(devices)}
    config = configuration.parse(raw, tmp_path)
    spool = Spool(tmp_path / "spool", min_free_bytes=1000, free=lambda _: free)
    spool.open()
    peer = Peer(theirs, threading.Thread(), spool)
    acceptor = Acceptor(
        config,
        spool,
        Log(io.StringIO()),
        lambda file, _: peer.stored.append(file),
        lambda _: peer.ended.set(),
        lambda: peer.refused.append(1),
        offer,
    )
    peer.thread = threading.Thread(target=Association(acceptor, ours, "127.0.0.1", 1, congested=False).run)
    peer.thread.start()
    return peer


def finish(peer: Peer) -> None:
    peer.socket.close()
    peer.thread.join(10)
    assert not peer.thread.is_alive()
    assert peer.ended.is_set()
    assert not list(peer.spool.incoming.iterdir()), "a half-received instance is left"
    peer.spool.close()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    peer = start(tmp_path)
    yield peer
    finish(peer)


def stored_data(peer: Peer) -> bytes:
    data = peer.spool.path(peer.stored[-1].name).read_bytes()
    return data[part10.dataset_offset(data) :]


def test_fragments_are_joined_however_they_are_cut(peer: Peer) -> None:
    """Command and data in one PDU, empty fragments, single bytes: the data set is the sum."""
    assert peer.associate()[0] == 2
    rq = command(1)
    peer.send(pdata((1, 1, rq[:10]), (1, 3, rq[10:]), (1, 0, b"abc"), (1, 0, b"")))
    peer.send(pdata((1, 0, b"d")))
    peer.send(pdata((1, 0, b"ef"), (1, 2, b"g")))
    assert peer.status() == 0
    assert stored_data(peer) == b"abcdefg"
    assert peer.stored[0].calling_ae_title == "THU-CT1"


def test_an_empty_last_fragment_ends_a_data_set(peer: Peer) -> None:
    """Some senders know only afterwards that they are done."""
    peer.associate()
    peer.send(pdata((1, 3, command(1)), (1, 0, b"abcd"), (1, 2, b"")))
    assert peer.status() == 0
    assert stored_data(peer) == b"abcd"


def test_two_messages_in_one_pdu_are_both_answered(peer: Peer) -> None:
    """The next command may begin in the PDU that ends a data set."""
    peer.associate()
    peer.send(pdata((1, 3, command(1)), (1, 2, b"ab"), (3, 3, command(0x30, data_set=False))))
    assert peer.status() == 0
    assert peer.status() == 0


def test_success_is_said_after_the_file_is_in_its_place(peer: Peer) -> None:
    """When the answer is here, so is the file, under its last name, readable by its owner and group alone."""
    peer.associate()
    peer.send(pdata((1, 3, command(1)), (1, 2, b"abcd")))
    assert peer.status() == 0
    (file,) = peer.spool.received.iterdir()
    assert file.name == peer.stored[0].name
    assert file.stat().st_mode & 0o007 == 0


def test_release_is_answered_and_the_end_is_told_at_once(peer: Peer) -> None:
    """The packs of an association close with it, and not when TCP is done."""
    peer.associate()
    peer.send(RELEASE)
    assert peer.read()[0] == 6
    assert peer.ended.wait(5)


def test_a_service_that_is_not_offered_is_answered_so(peer: Peer) -> None:
    """0x0211, and the association goes on."""
    peer.associate()
    peer.send(pdata((3, 3, command(0x20)), (3, 2, b"a query")))
    assert peer.status() == 0x0211
    peer.send(pdata((3, 3, command(0x30, data_set=False))))
    assert peer.status() == 0


def test_a_context_that_was_not_accepted_is_not_used(peer: Peer) -> None:
    """0x0122, the data set is read and forgotten."""
    peer.associate()
    peer.send(pdata((9, 3, command(1)), (9, 2, b"abcd")))
    assert peer.status() == 0x0122
    assert peer.stored == []


def test_who_may_not_store_stores_by_no_other_context(tmp_path: Path) -> None:
    """0x0124: C-ECHO needs no right, so its context is accepted; the data set is read and forgotten."""
    peer = start(tmp_path, rights=["query"])
    peer.associate((3, VERIFICATION, (EXPLICIT,)))
    peer.send(pdata((3, 3, command(1, sop_class=VERIFICATION)), (3, 2, b"x" * 5000)))
    assert peer.status() == 0x0124
    peer.send(pdata((3, 3, command(0x30, data_set=False, sop_class=VERIFICATION))))
    assert peer.status() == 0
    assert not list(peer.spool.files())
    finish(peer)


def test_a_store_without_a_data_set_is_refused(peer: Peer) -> None:
    """0x0212: there is nothing to keep."""
    peer.associate()
    peer.send(pdata((1, 3, command(1, data_set=False))))
    assert peer.status() == 0x0212


def test_no_room_is_a700_with_the_data_set_read_to_its_end(tmp_path: Path) -> None:
    """Refused before anything is written; the next message is understood."""
    peer = start(tmp_path, free=999)
    peer.associate()
    peer.send(pdata((1, 3, command(1)), (1, 0, b"abcd")))
    peer.send(pdata((1, 2, b"efgh")))
    assert peer.status() == 0xA700
    peer.send(pdata((3, 3, command(0x30, data_set=False))))
    assert peer.status() == 0
    assert (peer.stored, peer.refused) == ([], [1])
    finish(peer)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(struct.pack(">BxI", 99, 4) + b"\0" * 4, 1, id="an unknown PDU"),
        pytest.param(associate_request(((1, CT, (EXPLICIT,)),)), 2, id="a second association request"),
        pytest.param(pdata((1, 2, b"data")), 5, id="data before a command"),
        pytest.param(pdata((1, 3, command(1)), (1, 3, command(1))), 5, id="a command within a data set"),
        pytest.param(pdata((1, 3, command(1)), (3, 2, b"x")), 5, id="a fragment of another context"),
        pytest.param(struct.pack(">BxI", 4, 8) + struct.pack(">IBB", 99, 1, 3) + b"ab", 6, id="a value beyond its PDU"),
        pytest.param(struct.pack(">BxI", 4, 6) + struct.pack(">IBB", 1, 1, 3), 6, id="a value shorter than its head"),
        pytest.param(pdata((1, 3, b"not a command set")), 0, id="a command that is none"),
        pytest.param(pdata((1, 3, command(1))) + RELEASE, 2, id="a release within a message"),
    ],
)
def test_a_broken_protocol_is_aborted_with_its_reason(peer: Peer, data: bytes, reason: int) -> None:
    """A-ABORT by the provider (PS3.8 table 9-26); nothing is kept."""
    peer.associate()
    peer.send(data)
    kind, body = peer.read()
    assert kind == 7
    assert (body[2], body[3]) == (2, reason)
    assert peer.stored == []


def test_a_connection_that_breaks_within_a_data_set_leaves_nothing(peer: Peer) -> None:
    """It was not acknowledged, so it does not exist."""
    peer.associate()
    peer.send(pdata((1, 3, command(1)), (1, 0, b"abcd")))
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.ended.wait(5)
    assert list(peer.spool.received.iterdir()) == []


@pytest.mark.parametrize("half", [b"", pdata((1, 3, command(1)), (1, 0, b"abcd"))], ids=["between", "within"])
def test_a_silent_peer_is_let_go(tmp_path: Path, half: bytes) -> None:
    """Within a message the network timeout counts, between two the other; its association is aborted."""
    limits = (0.2, 3600.0) if half else (3600.0, 0.2)
    peer = start(tmp_path, network_timeout_seconds=limits[0], idle_timeout_seconds=limits[1])
    peer.associate()
    peer.send(half)
    assert peer.read() == (7, b"\0\0\0\0")
    assert peer.ended.wait(5)
    finish(peer)


def test_who_connects_and_says_nothing_is_let_go_without_a_word(tmp_path: Path) -> None:
    """There is no association to abort (PS3.8 9.2, ARTIM timer)."""
    peer = start(tmp_path, network_timeout_seconds=0.2)
    assert peer.socket.recv(1) == b""
    finish(peer)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        pytest.param(associate_request((), called="OTHER"), (1, 1, 7), id="called AE title"),
        pytest.param(associate_request((), version=2), (1, 2, 2), id="protocol version"),
        pytest.param(associate_request((), application=b"1.2.3"), (1, 1, 2), id="application context"),
    ],
)
def test_a_rejection_names_its_reason(peer: Peer, request_: bytes, answer: tuple[int, int, int]) -> None:
    """Result, source and reason of PS3.8 table 9-21."""
    peer.send(request_)
    kind, body = peer.read()
    assert (kind, tuple(body[1:])) == (3, answer)


def test_the_accept_gives_back_titles_and_a_result_for_each_context(peer: Peer) -> None:
    """PS3.8 9.3.3: reserved bytes as they came, one syntax a context."""
    kind, body = peer.associate(
        (1, CT, ("1.2.840.10008.1.2", EXPLICIT)),
        (3, "1.2.840.10008.5.1.4.31", (EXPLICIT,)),  # worklist: not offered
        (5, "1.3.12.2.1107.5.9.1", ("1.2.840.10008.1.2",)),  # private
    )
    assert kind == 2
    assert body[4:20].strip() == b"MAYPACS"
    answered = results(body)
    assert answered[1] == (0, EXPLICIT)
    assert answered[3][0] == 3
    assert answered[5] == (0, "1.2.840.10008.1.2")


def results(body: bytes) -> dict[int, tuple[int, str]]:
    """Result and transfer syntax of each context of an A-ASSOCIATE-AC."""
    found, at = {}, 68
    while at < len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        if kind == 0x21:
            found[body[at + 4]] = (body[at + 6], body[at + 12 : at + 4 + length].decode())
        at += 4 + length
    return found


@pytest.mark.parametrize(("title", "chosen"), [(" THU-CT1 ", IMPLICIT), ("THU-CT2", EXPLICIT)], ids=["its own", "all"])
def test_a_device_has_the_order_of_transfer_syntaxes_of_its_entry(tmp_path: Path, title: str, chosen: str) -> None:
    """Spaces around an AE title mean nothing (PS3.5 6.2); another device's order is none of its."""
    peer = start(tmp_path, devices=[{"ae_title": title, "transfer_syntaxes": [IMPLICIT, EXPLICIT]}])
    kind, body = peer.associate((1, CT, (EXPLICIT, IMPLICIT)))
    finish(peer)
    assert (kind, results(body)) == (2, {1: (0, chosen)})


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_ends_an_association_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever bytes come after the association, the thread ends in order and nothing is kept unless it was whole."""
    peer = start(tmp_path_factory.mktemp("garbage"))
    peer.associate()
    try:
        peer.send(data)
        peer.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    assert peer.ended.wait(10)
    finish(peer)


@given(st.binary(max_size=400))
def test_decoding_garbage_raises_wire_errors_alone(data: bytes) -> None:
    """Both decoders are bounds-checked."""
    for decode in (pdu.decode_associate_request, pdu.decode_associate_accept, messages.decode):
        try:
            decode(data)
        except WireError:
            pass


@pytest.mark.parametrize("max_pdu", [0, 7, 30, 16384])
def test_a_response_is_cut_to_what_the_peer_takes(max_pdu: int) -> None:
    """PS3.8 D.1: no P-DATA-TF longer than the peer's maximum."""
    request = messages.Request(1, 7, True, CT, "2.25.1")
    whole = messages.encode_response(request, Status.SUCCESS)
    wire, pieces = pdu.encode_values(1, whole, max_pdu, command=True), b""
    while wire:
        _, length = struct.unpack_from(">BxI", wire)
        assert not max_pdu or length <= max(max_pdu, 8)
        size, context, control = struct.unpack_from(">IBB", wire, 6)
        pieces += wire[12 : 12 + size - 2]
        assert context == 1
        wire = wire[6 + length :]
        assert control == (1 if wire else 3)
    assert pieces == whole


class Slow:
    """A service that answers until it is cancelled, and notes what it was given."""

    def __init__(self) -> None:
        self.data_sets: list[bytes | None] = []

    def __call__(self, dialogue: Dialogue) -> None:
        self.data_sets.append(dialogue.data_set)
        if dialogue.data_set == b"break":
            raise RuntimeError("a service that breaks")
        dialogue.respond(Status.PENDING, data_set=b"ab")
        while not dialogue.is_cancelled():
            threading.Event().wait(0.01)
        dialogue.respond(Status.CANCEL)


FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Peer, Slow]]:
    service = Slow()
    peer = start(tmp_path, offer=Offer({0x0020: service}), rights=["store", "query"])
    yield peer, service
    finish(peer)


def cancel(message_id: int) -> bytes:
    body = b"".join(
        struct.pack("<HHIH", 0, e, 2, v) for e, v in ((0x0100, 0x0FFF), (0x0120, message_id), (0x0800, 0x0101))
    )
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def test_a_service_has_the_data_set_and_ends_when_it_is_cancelled(served: tuple[Peer, Slow]) -> None:
    """C-CANCEL of another message does not count (PS3.7 9.3.2.3); afterwards the association goes on."""
    peer, service = served
    assert peer.associate((1, FIND, (EXPLICIT,)), (3, VERIFICATION, (EXPLICIT,)))[0] == 2
    peer.send(pdata((1, 3, command(0x20, sop_class=FIND)), (1, 0, b"key"), (1, 2, b"s!")))
    assert peer.status() == Status.PENDING
    assert peer.read()[1][6:] == b"ab"
    peer.send(pdata((1, 3, cancel(1))))
    peer.send(pdata((1, 3, cancel(77))))
    assert peer.status() == Status.CANCEL
    assert service.data_sets == [b"keys!"]
    peer.send(pdata((3, 3, command(0x30, data_set=False, sop_class=VERIFICATION))))
    assert peer.status() == 0


def test_a_service_that_breaks_aborts_its_association_alone(served: tuple[Peer, Slow]) -> None:
    """A-ABORT by the service user; nothing hangs."""
    peer, _ = served
    peer.associate((1, FIND, (EXPLICIT,)))
    peer.send(pdata((1, 3, command(0x20, sop_class=FIND)), (1, 2, b"break")))
    assert peer.read() == (7, b"\0\0\0\0")


def test_a_request_in_the_midst_of_another_is_an_abort(served: tuple[Peer, Slow]) -> None:
    """Asynchronous operations were not negotiated (PS3.7 D.3.3.3)."""
    peer, _ = served
    peer.associate((1, FIND, (EXPLICIT,)))
    peer.send(pdata((1, 3, command(0x20, sop_class=FIND)), (1, 2, b"keys")))
    assert peer.status() == Status.PENDING
    peer.read()
    peer.send(pdata((1, 3, command(0x20, sop_class=FIND, data_set=False))))
    assert peer.read()[0] == 7


@pytest.mark.parametrize(
    ("rights", "results"),
    [
        pytest.param(["store"], [0, 1, 0], id="store alone"),
        pytest.param(["query"], [1, 0, 0], id="query alone"),
        pytest.param(["query", "store"], [0, 0, 0], id="both"),
    ],
)
def test_contexts_are_accepted_by_right(tmp_path: Path, rights: list[str], results: list[int]) -> None:
    """A service without the right is a user rejection (PS3.8 table 9-18); C-ECHO is everybody's."""
    peer = start(tmp_path, offer=Offer({0x0020: Slow()}), rights=rights)
    _, body = peer.associate((1, CT, (EXPLICIT,)), (3, FIND, (EXPLICIT,)), (5, VERIFICATION, (EXPLICIT,)))
    assert [c.result for c in pdu.decode_associate_accept(body).contexts] == results
    finish(peer)


def test_who_may_retrieve_takes_images_uncompressed_and_who_may_not_does_not() -> None:
    """Role selection (PS3.7 D.3.3.4): granted with the right and the service, else as if it had not been asked for."""
    request = pdu.AssociateRequest(
        1, "X", "Y", "", (pdu.ProposedContext(1, CT, ("1.2.840.10008.1.2.4.70", EXPLICIT)),), 0, b"",
        (pdu.Role(CT, scu=False, scp=True),),
    )  # fmt: skip
    wishes = ("lossless", EXPLICIT)
    may = negotiation.agree(request, wishes, frozenset({"retrieve"}), {0x0010})
    assert may.roles == (pdu.Role(CT, scu=False, scp=True),)
    assert (may.contexts[1].transfer_syntax, may.contexts[1].peer_is_scp) == (EXPLICIT, True)
    may_not = negotiation.agree(request, wishes, frozenset({"store"}), {0x0010})
    assert (may_not.roles, may_not.contexts[1].peer_is_scp) == ((), False)


@given(
    titles=st.lists(st.text("ABC1", min_size=1, max_size=16), min_size=2, max_size=2),
    contexts=st.lists(
        st.tuples(st.sampled_from([CT, FIND]), st.sampled_from([EXPLICIT, "1.2.840.10008.1.2"])), max_size=5
    ),
    max_pdu=st.integers(0, 2**32 - 1),
    scp=st.booleans(),
)
def test_a_request_is_read_as_it_was_written(
    titles: list[str], contexts: list[tuple[str, str]], max_pdu: int, scp: bool
) -> None:
    """Both sides of A-ASSOCIATE-RQ are ours: they agree."""
    proposed = [pdu.ProposedContext(2 * n + 1, a, (s,)) for n, (a, s) in enumerate(contexts)]
    roles = (pdu.Role(CT, scu=not scp, scp=scp),)
    sent = pdu.encode_associate_request(titles[0], titles[1], proposed, max_pdu, roles)
    found = pdu.decode_associate_request(sent[6:])
    assert (found.called_ae_title, found.calling_ae_title) == tuple(titles)
    assert (found.contexts, found.max_pdu, found.roles) == (tuple(proposed), max_pdu, roles)
