"""Storage commitment with a real requestor: promised for what is in the cloud, reported whatever happens between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import raw_scu
from tests.support.commitment_scu import CT, CommitmentSCU
from tests.support.processes import wait_until
from tests.support.stub_cloud import Fault, StubCloud, Upload
from tests.support.stub_edge import StubEdge, write_ct, write_series

pytestmark = pytest.mark.e2e

MR = "1.2.840.10008.5.1.4.1.1.4"
#: Failure reasons (PS3.3 C.14.1.1, PS3.7 C.5).
DUPLICATE, UNKNOWN, CLASS_CONFLICT = 0x0111, 0x0112, 0x0119


def committing_edge(folder: Path, cloud: StubCloud, port: int, extra: str = "") -> StubEdge:
    devices = "".join(
        f'\n[[device]]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n' for title in ("THU-CT1", "THU-CT2")
    )
    return StubEdge(folder, cloud, extra="retry_max_seconds = 0.3\n" + extra, devices=devices)


@pytest.fixture
def scu() -> Iterator[CommitmentSCU]:
    """Its edge's port is set when there is an edge."""
    with CommitmentSCU(0) as scu:
        scu.listen()
        yield scu


@pytest.fixture
def committer(tmp_path: Path, cloud: StubCloud, scu: CommitmentSCU) -> Iterator[StubEdge]:
    with committing_edge(tmp_path / "edge", cloud, scu.port) as edge:
        scu.edge_port = edge.port
        yield edge


def test_what_is_indexed_is_committed_and_the_rest_fails_for_its_own_reason(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """One request with a good instance, a conflict, a wrong class, an unknown one, and one the cloud has lost since."""
    files = write_series(tmp_path / "in", 4)

    def decide(upload: Upload) -> None:
        upload.state, upload.conflicts = "partial", [{"sop_instance_uid": "2.25.11.2", "reason": "differs"}]

    cloud.decide = decide
    assert set(raw_scu.send(committer.port, files).values()) == {0}
    wait_until(lambda: not committer.spooled(), what="an empty spool")
    cloud.deleted.add("2.25.11.4")
    pairs = [(CT, "2.25.11.1"), (CT, "2.25.11.2"), (MR, "2.25.11.3"), (CT, "2.25.11.4"), (CT, "2.25.404")]
    uid, status = scu.ask(pairs)
    assert status == 0
    event, committed, failed, way = scu.wait(uid)
    assert (event, committed, way) == (2, ["2.25.11.1"], "new")
    wait_until(lambda: committer.status()["commitments"]["done"] == 1, what="a report that was taken")
    assert failed == {"2.25.11.2": DUPLICATE, "2.25.11.3": CLASS_CONFLICT, "2.25.11.4": UNKNOWN, "2.25.404": UNKNOWN}


def test_a_request_waits_for_the_uplink_through_kill_9_and_a_deaf_device(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """Several requests are pending while their images are spooled; the edge dies; reports come when all can be told."""
    cloud.go_away()
    files = write_series(tmp_path / "in", 3)
    assert set(raw_scu.send(committer.port, files).values()) == {0}
    first, status = scu.ask([(CT, "2.25.11.1"), (CT, "2.25.11.2")])
    second, also = scu.ask([(CT, "2.25.11.3")])
    assert (status, also) == (0, 0)
    assert not scu.reports, "nothing may be promised yet"
    committer.kill()
    scu.answer = 0x0110  # the device is there, but will not have it yet
    committer.run()
    cloud.come_back()
    with scu.arrived:
        assert scu.arrived.wait(30), "a report that is refused"
        scu.answer = 0
    assert scu.wait(first)[:3] == (1, ["2.25.11.1", "2.25.11.2"], {})
    assert scu.wait(second)[:3] == (1, ["2.25.11.3"], {})


def test_the_report_comes_on_the_association_that_asked_while_it_is_open(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """PS3.4 J.3.3 allows either; devices that cannot be called depend on this one."""
    cloud.hold.clear()
    assert set(raw_scu.send(committer.port, write_series(tmp_path / "in", 1)).values()) == {0}
    uid, _ = scu.ask([(CT, "2.25.11.1")], stay=True)
    assert not scu.reports
    cloud.hold.set()
    assert scu.wait(uid) == (1, ["2.25.11.1"], {}, "same")


def test_each_device_is_told_of_the_bytes_that_it_sent_itself(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """Two devices, one UID, different bytes: the one whose bytes are current has its commitment, the other has not.
    A third device that sent equal bytes has it too.
    """
    one = write_ct(tmp_path / "1.dcm", sop="2.25.11.1")
    other = write_ct(tmp_path / "2.dcm", sop="2.25.11.1", fill=3)
    raw_scu.send(committer.port, [one], calling="THU-CT1")
    wait_until(lambda: not committer.spooled(), what="an empty spool")

    def decide(upload: Upload) -> None:
        upload.state, upload.conflicts = "partial", [{"sop_instance_uid": "2.25.11.1", "reason": "differs"}]

    cloud.decide = decide
    raw_scu.send(committer.port, [other], calling="THU-CT2")
    wait_until(lambda: not committer.spooled(), what="an empty spool")
    uid, _ = scu.ask([(CT, "2.25.11.1")])
    assert scu.wait(uid)[:3] == (1, ["2.25.11.1"], {})
    second = CommitmentSCU(committer.port, "THU-CT2", 0)
    uid, _ = second.ask([(CT, "2.25.11.1")])
    assert scu.wait(uid)[:3] == (2, [], {"2.25.11.1": DUPLICATE})
    cloud.decide = lambda upload: None
    raw_scu.send(committer.port, [one], calling="THU-CT2")
    wait_until(lambda: not committer.spooled(), what="an empty spool")
    uid, _ = second.ask([(CT, "2.25.11.1")])
    assert scu.wait(uid)[:3] == (1, ["2.25.11.1"], {})


def test_what_came_in_its_place_after_a_deletion_is_not_what_was_sent(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """Deleted in the cloud, and other bytes under its UID since, from another device: the first one has no commitment,
    the other has; and a device that never sent it has none.
    """
    raw_scu.send(committer.port, [write_ct(tmp_path / "1.dcm", sop="2.25.11.1")], calling="THU-CT1")
    wait_until(lambda: not committer.spooled(), what="an empty spool")
    with cloud.lock:
        cloud.uploads.clear()
    raw_scu.send(committer.port, [write_ct(tmp_path / "2.dcm", sop="2.25.11.1", fill=3)], calling="THU-CT2")
    wait_until(lambda: not committer.spooled(), what="an empty spool")
    uid, _ = scu.ask([(CT, "2.25.11.1")])
    assert scu.wait(uid)[:3] == (2, [], {"2.25.11.1": DUPLICATE})
    uid, _ = CommitmentSCU(committer.port, "THU-CT2", 0).ask([(CT, "2.25.11.1")])
    assert scu.wait(uid)[:3] == (1, ["2.25.11.1"], {})
    with CommitmentSCU(committer.port, "THU-CT3", 0) as third:
        uid, _ = third.ask([(CT, "2.25.11.1")], stay=True)
        assert third.wait(uid)[:3] == (2, [], {"2.25.11.1": UNKNOWN})


def test_an_instance_sent_twice_while_it_waits_is_committed_to_both_senders(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """The spool keeps one of two equal files: both senders' records follow it."""
    cloud.go_away()
    (path,) = write_series(tmp_path / "in", 1)
    raw_scu.send(committer.port, [path], calling="THU-CT1")
    raw_scu.send(committer.port, [path], calling="THU-CT2")
    wait_until(lambda: len(committer.spooled()) == 1, what="one file")
    asked = [CommitmentSCU(committer.port, title, 0).ask([(CT, "2.25.11.1")])[0] for title in ("THU-CT1", "THU-CT2")]
    cloud.come_back()
    assert [scu.wait(uid)[:3] for uid in asked] == [(1, ["2.25.11.1"], {})] * 2


def test_a_cloud_that_cannot_be_asked_delays_the_report_and_fails_nothing(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """Whether the cloud still has it is asked before anything is promised; no answer is no answer."""
    raw_scu.send(committer.port, write_series(tmp_path / "in", 1))
    wait_until(lambda: not committer.spooled(), what="an empty spool")
    with cloud.always(Fault(), "known"):
        uid, _ = scu.ask([(CT, "2.25.11.1")])
        cloud.wait_for(lambda: cloud.requests.count("known") > 2)
        assert not scu.reports
    assert scu.wait(uid)[:3] == (1, ["2.25.11.1"], {})


def test_a_request_that_cannot_be_is_refused_with_its_status(
    committer: StubEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """Nothing referenced; an open transaction's UID for something else. The same again is taken."""
    cloud.go_away()
    raw_scu.send(committer.port, write_series(tmp_path / "in", 1))
    assert scu.ask([])[1] == 0x0115
    uid, status = scu.ask([(CT, "2.25.11.1")])
    assert status == 0
    assert scu.ask([(CT, "2.25.11.2")], uid=uid)[1] == 0x0110
    assert scu.ask([(CT, "2.25.11.1")], uid=uid)[1] == 0
    cloud.come_back()
    assert scu.wait(uid)[:3] == (1, ["2.25.11.1"], {})
