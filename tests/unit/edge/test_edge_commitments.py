"""Storage commitment's thread: when it decides, whom it calls and in which order, and what clocks may do to it."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from tests.support.commitment_scu import CT, CommitmentSCU
from tests.support.processes import wait_until

from edge_forwarder.commitment import commitments as commitment_module
from edge_forwarder.commitment.commitments import Commitments
from edge_forwarder.commitment.evidence import Pending
from edge_forwarder.config import Config, load
from edge_forwarder.databases import commitments as commitment_table
from edge_forwarder.databases.commitments import CommitmentState, Reference
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom import values
from edge_forwarder.dicom.syntaxes import IMPLICIT_LITTLE_ENDIAN
from edge_forwarder.dimse import messages
from edge_forwarder.dimse.association import COMMITMENT, COMMITMENT_INSTANCE
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.services import Caller, Context, Dialogue
from edge_forwarder.dimse.statuses import Command, FailureReason
from edge_forwarder.dimse.wire import Wire
from edge_forwarder.errors import CloudAwayError, CloudError, RefusedError
from edge_forwarder.logs import Log

DAY = 86400.0
WANTED = [Reference(CT, "2.25.1")]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment_module, "_LOOK_SECONDS", 0.02)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def scu() -> Iterator[CommitmentSCU]:
    with CommitmentSCU(0) as scu:
        scu.listen()
        yield scu


class Cloud:
    """Everything is committed, after these errors, and once it is not in the spool any more."""

    def __init__(self, *errors: CloudError, spooled: Iterable[str] = ()) -> None:
        self.errors = list(errors)
        self.asked: list[str] = []
        self.spooled = list(spooled)
        """Files, in the order in which they go."""

    def is_spooled(self, file: str) -> bool:
        return file in self.spooled

    def outcome(self, ae_title: str, wanted: Iterable[Reference]) -> list[FailureReason | None] | Pending:
        self.asked.append(ae_title)
        if self.errors:
            raise self.errors.pop(0)
        return Pending(self.spooled[0]) if self.spooled else [None for _ in wanted]


class Wall:
    """The clock on the wall, which somebody may set."""

    off = 0.0

    def __call__(self) -> float:
        return time.time() + self.off


class Devices:
    """Whom to call, on which port (none: it cannot be called), and who was called, in order."""

    def __init__(self, **ports: int) -> None:
        self.ports, self.called = ports, list[str]()
        self.before: Callable[[], None] = lambda: None

    def __call__(self, ae_title: str) -> Peer | None:
        self.called.append(ae_title)
        self.before()
        port = self.ports.get(ae_title)
        return None if port is None else Peer("127.0.0.1", port, ae_title, "MAYEDGE", timeout=10)


def config(folder: Path, **commitment: float) -> Config:
    path = folder / "edge.toml"
    path.write_text(
        '[edge]\nae_title = "MAYEDGE"\n[cloud]\nurl = "http://127.0.0.1:9"\nretry_max_seconds = 0.01\n[commitment]\n'
        + "".join(f"{name} = {value}\n" for name, value in ({"retry_max_seconds": 0.01} | commitment).items())
    )
    return load(path)


@contextmanager
def working(
    folder: Path, ledger: Ledger, devices: Devices, cloud: Cloud | None = None, wall: Wall | None = None
) -> Iterator[Commitments]:
    commitments = Commitments(
        config(folder), ledger, cloud or Cloud(), devices, Log(io.StringIO()), clock=wall or Wall()
    )
    commitments.start()
    yield commitments
    commitments.stop()


def state_of(ledger: Ledger, number: int | None) -> CommitmentState:
    assert number is not None
    commitment = ledger.commitment(number)
    assert commitment is not None
    return commitment.state


def test_a_request_older_than_any_patience_is_reported_once_it_is_decided(
    tmp_path: Path, ledger: Ledger, scu: CommitmentSCU
) -> None:
    """The uplink was away for longer than a device is tried: the patience with a device begins with the decision."""
    ledger.ask("THU-CT1", "2.25.7", WANTED)
    wall = Wall()
    wall.off = 15 * DAY
    with working(tmp_path, ledger, Devices(**{"THU-CT1": scu.port}), wall=wall):
        assert scu.wait("2.25.7")[:3] == (1, ["2.25.1"], {})


@pytest.mark.parametrize("jump", [15 * DAY, -15 * DAY], ids=["forward", "back"])
@pytest.mark.parametrize("first", [None, CloudAwayError("away"), RefusedError("no", 500)], ids=["a", "b", "c"])
def test_a_clock_that_is_set_neither_ends_nor_delays_anything(
    tmp_path: Path, ledger: Ledger, scu: CommitmentSCU, jump: float, first: CloudError | None
) -> None:
    """It jumps by days between a call or a question that failed and the next."""
    ledger.ask("THU-CT1", "2.25.7", WANTED)
    wall, devices, cloud = Wall(), Devices(), Cloud(*filter(None, [first]))

    def set_the_clock() -> None:
        wall.off = jump
        devices.ports = {"THU-CT1": scu.port} if len(devices.called) > 1 else {}

    devices.before = set_the_clock
    with working(tmp_path, ledger, devices, cloud, wall):
        assert scu.wait("2.25.7")[:3] == (1, ["2.25.1"], {})
    assert len(devices.called) == 2


def test_a_report_that_nobody_takes_is_given_up_after_days_and_calls(tmp_path: Path, ledger: Ledger) -> None:
    """Both: a jump of the clock is no patience, and ten calls are over in minutes."""
    number = ledger.ask("THU-CT1", "2.25.7", WANTED)
    wall, devices = Wall(), Devices()
    with working(tmp_path, ledger, devices, wall=wall):
        wait_until(lambda: len(devices.called) > 12, what="some calls")
        assert state_of(ledger, number) == CommitmentState.DUE
        wall.off = 15 * DAY
        wait_until(lambda: state_of(ledger, number) == CommitmentState.DEAD, what="the end of patience")
    number = ledger.ask("THU-CT1", "2.25.8", WANTED)
    devices.called.clear()
    devices.before = lambda: setattr(wall, "off", 30 * DAY)
    with working(tmp_path, ledger, devices, wall=wall):
        wait_until(lambda: state_of(ledger, number) == CommitmentState.DEAD, what="the end of patience")
    assert len(devices.called) == 10


def test_a_deaf_device_keeps_nobody_waiting(tmp_path: Path, ledger: Ledger, scu: CommitmentSCU) -> None:
    """Many reports are due to a device that cannot be called, and one, asked for last, to another: one call to the deaf
    one comes before it at most, and counts for all that are due to it.
    """
    numbers = [ledger.ask("DEAF", f"2.25.7.{n}", WANTED) for n in range(50)]
    ledger.ask("THU-CT1", "2.25.8", WANTED)
    devices = Devices(**{"THU-CT1": scu.port})
    with working(tmp_path, ledger, devices):
        scu.wait("2.25.8")
        wait_until(lambda: devices.called.count("DEAF") > 2, what="more calls")
    assert devices.called.index("THU-CT1") <= 1
    attempts = {c.attempts for c in map(ledger.commitment, filter(None, numbers)) if c is not None}
    assert attempts == {devices.called.count("DEAF")}


def test_of_one_device_a_report_that_breaks_off_does_not_stop_the_others(
    tmp_path: Path, ledger: Ledger, scu: CommitmentSCU
) -> None:
    """It is tried again after them, not before."""
    ledger.ask("THU-CT1", "2.25.7", WANTED)
    ledger.ask("THU-CT1", "2.25.8", WANTED)
    devices = Devices(**{"THU-CT1": scu.port})
    devices.before = lambda: devices.ports.update({"THU-CT1": scu.port if len(devices.called) > 1 else 1})
    with working(tmp_path, ledger, devices):
        scu.wait("2.25.7")
        scu.wait("2.25.8")
    assert list(scu.reports) == ["2.25.8", "2.25.7"]


def test_a_cloud_that_is_away_is_asked_once_not_for_each(tmp_path: Path, ledger: Ledger, scu: CommitmentSCU) -> None:
    """Each question may take as long as a connection that is not answered. A refusal is that one request's."""
    for n in range(20):
        ledger.ask("THU-CT1", f"2.25.7.{n}", WANTED)
    cloud = Cloud(CloudAwayError("away"))
    commitments = Commitments(config(tmp_path), ledger, cloud, Devices(), Log(io.StringIO()))
    patient = replace(config(tmp_path), cloud=replace(config(tmp_path).cloud, retry_max_seconds=600.0))
    commitments.configure(patient)
    commitments._decide()
    assert len(cloud.asked) == 1
    commitments.wake()  # something was indexed: so it is there
    cloud.errors = [RefusedError("no", 500)]
    commitments._decide()
    assert len(ledger.commitments(CommitmentState.OPEN)) == 1


def test_what_waits_for_a_pause_is_not_read_at_each_look(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device may be deaf for days, the cloud away, and each of a thousand requests name hundreds of images."""
    for n in range(20):
        ledger.ask("DEAF", f"2.25.7.{n}", WANTED)
    read: list[int] = []
    whole = commitment_table._commitment
    monkeypatch.setattr(commitment_table, "_commitment", lambda row: read.append(row["id"]) or whole(row))
    patient = config(tmp_path, retry_max_seconds=600.0)
    patient = replace(patient, cloud=replace(patient.cloud, retry_max_seconds=600.0))
    cloud, devices = Cloud(CloudAwayError("away")), Devices()
    commitments = Commitments(patient, ledger, cloud, devices, Log(io.StringIO()))
    commitments._decide()
    assert len(read) == 1
    commitments._decide()
    assert len(read) == 1
    commitments.wake()
    commitments._decide()
    assert len(ledger.numbers(CommitmentState.DUE)) == 20
    commitments._tell()
    assert devices.called == ["DEAF"]
    read.clear()
    commitments._tell()
    assert (devices.called, read) == (["DEAF"], [])


def test_what_waits_for_the_uplink_is_not_judged_at_each_look(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds may be open for days, each of many images: one is judged anew when what it waited for has gone from the
    spool, whatever else is indexed; and now and then, for a later version may have gone up before.
    """
    ledger.ask("THU-CT1", "2.25.7", WANTED)
    cloud = Cloud(spooled=["a", "b"])
    commitments = Commitments(config(tmp_path), ledger, cloud, Devices(), Log(io.StringIO()))

    def judged() -> int:
        for _ in range(3):
            commitments.wake()
            commitments._decide()
        return len(cloud.asked)

    assert judged() == 1
    del cloud.spooled[0]
    assert judged() == 2
    monkeypatch.setattr(commitment_module, "_WAIT_SECONDS", 0.0)
    commitments._waiting.clear()
    assert judged() == 5
    assert len(ledger.numbers(CommitmentState.OPEN)) == 1
    cloud.spooled.clear()
    assert judged() == 6
    assert len(ledger.numbers(CommitmentState.DUE)) == 1


ACTION = messages.Request(Command.N_ACTION_RQ, 7, True, COMMITMENT, COMMITMENT_INSTANCE, action_type=1)


def asked_for(*uids: str, transaction: str = "2.25.7") -> bytes:
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = [Dataset() for _ in uids]
    for item, uid in zip(information.ReferencedSOPSequence, uids, strict=True):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, uid
    return values.encode(information, IMPLICIT_LITTLE_ENDIAN)


@pytest.mark.parametrize(
    ("request_", "data_set", "status"),
    [
        pytest.param(ACTION, asked_for("2.25.1", "2.25.2"), 0x0000, id="as many as may be"),
        pytest.param(ACTION, asked_for("2.25.1", "2.25.2", "2.25.3"), 0x0213, id="too many"),
        pytest.param(ACTION, asked_for("2.25.1", "2.25.1", "2.25.1"), 0x0000, id="one of them thrice"),
        pytest.param(replace(ACTION, action_type=2), asked_for("2.25.1"), 0x0123, id="another action"),
        pytest.param(replace(ACTION, sop_instance_uid="2.25.9"), asked_for("2.25.1"), 0x0112, id="another instance"),
        pytest.param(ACTION, None, 0x0115, id="no information"),
        pytest.param(ACTION, b"\xff" * 40, 0x0115, id="no data set"),
        pytest.param(ACTION, asked_for(), 0x0115, id="nothing asked for"),
        pytest.param(ACTION, asked_for("2.25.1", transaction=""), 0x0115, id="no transaction"),
        pytest.param(ACTION, asked_for("2.25.4", transaction="2.25.6"), 0x0110, id="the UID of another that is open"),
    ],
)
def test_every_request_has_its_status(
    tmp_path: Path, ledger: Ledger, request_: messages.Request, data_set: bytes | None, status: int
) -> None:
    """PS3.4 J.3.2, PS3.7 C.5; what is refused is not kept."""
    ledger.ask("THU-CT1", "2.25.6", WANTED)
    commitments = Commitments(config(tmp_path, max_instances=2), ledger, Cloud(), Devices(), Log(io.StringIO()))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        caller = Caller(1, "THU-CT1", "127.0.0.1", {})
        commitments.action(
            Dialogue(Wire(ours), caller, request_, Context(1, COMMITMENT, IMPLICIT_LITTLE_ENDIAN), data_set)
        )
        _, answer = Wire(theirs).command()
    assert (answer.command, answer.responds_to, answer.status) == (0x8130, 7, status)
    assert len(ledger.numbers(CommitmentState.OPEN)) == 1 + (status == 0)
