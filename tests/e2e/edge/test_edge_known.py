"""What the cloud has already, byte for byte, is not sent again, and counts as indexed all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import raw_scu
from tests.support.processes import wait_until
from tests.support.stub_cloud import Fault, StubCloud
from tests.support.stub_edge import StubEdge, write_ct, write_series

pytestmark = pytest.mark.e2e


def send(edge: StubEdge, *files: Path) -> None:
    assert raw_scu.send(edge.port, list(files)) == dict.fromkeys(files, 0)
    wait_until(lambda: not edge.spooled(), what="an empty spool")


def test_a_series_that_is_sent_again_is_not_uploaded_again(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """A modality whose user sends the study once more: the files go when leave is asked for, by no request more."""
    files = write_series(tmp_path / "in", 5)
    for _ in range(2):
        send(edge, *files)
    assert len(cloud.packs()) == 1
    totals = edge.status()["totals"]
    assert (totals["indexed"], totals["known"], totals["uploads"]) == (10, 5, 1)
    assert (cloud.seen("uploads"), cloud.seen("known")) == (2, 0)


def test_each_pack_asks_also_of_what_this_edge_never_sent(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Another edge, or this one before its disk was lost, sent them: no memory of anybody is needed, and no luck."""
    series = [write_series(tmp_path / str(n), 2, study=f"2.25.{n}", series=f"2.25.{n}1") for n in range(1, 6)]
    for files in series:
        send(edge, *files)
    assert len(cloud.packs()) == 5
    edge.kill()
    for path in (edge.folder / "spool").glob("*.sqlite*"):
        path.unlink()
    edge.run()
    fresh = [write_series(tmp_path / str(n), 2, study=f"2.25.{n}", series=f"2.25.{n}1") for n in range(6, 9)]
    for files in (*fresh, *series):
        send(edge, *files)
    assert len(cloud.packs()) == 5 + 3
    assert edge.status()["totals"]["known"] == 10


def test_only_what_is_new_or_different_goes_up(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Three are known, one is new, one has other bytes: a pack of two."""
    files = write_series(tmp_path / "in", 4)
    send(edge, *files)
    new = write_ct(tmp_path / "in" / "new.dcm", sop="2.25.11.5", number=5)
    changed = write_ct(tmp_path / "in" / "changed.dcm", sop="2.25.11.4", number=4, fill=1)
    send(edge, *files[:3], changed, new)
    assert [[part.sop for part in pack] for pack in cloud.packs()][1:] == [["2.25.11.4", "2.25.11.5"]]
    assert edge.status()["totals"]["known"] == 3


def test_what_was_deleted_in_the_cloud_is_sent_again(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """The ledger's word is a reason to ask, no answer."""
    files = write_series(tmp_path / "in", 2)
    send(edge, *files)
    cloud.deleted.add("2.25.11.1")
    send(edge, *files)
    assert [[part.sop for part in pack] for pack in cloud.packs()][1:] == [["2.25.11.1"]]


def test_an_edge_that_lost_its_journal_asks_before_it_repeats(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Uploaded and indexed, but the power went before anybody here knew: no byte goes twice."""
    files = write_series(tmp_path / "in", 5)
    cloud.hold.clear()
    assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    cloud.wait_for(lambda: cloud.seen("status") >= 1)
    edge.kill()
    for path in (edge.folder / "spool").glob("journal.sqlite*"):
        path.unlink()
    cloud.hold.set()
    edge.run()
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert len(cloud.packs()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(500), id="it fails"),
        pytest.param(Fault(200, body=b'{"known": true}'), id="what answers is something else"),
        pytest.param(Fault(200, body=b'{"known": ["2.25.404"]}'), id="what was not asked for"),
        pytest.param(Fault(), id="the connection is cut"),
        pytest.param(Fault(503, (("Retry-After", "0"),)), id="the cloud is busy"),
    ],
)
def test_a_question_that_fails_is_asked_again(edge: StubEdge, cloud: StubCloud, tmp_path: Path, fault: Fault) -> None:
    """Nothing is lost, nothing goes twice."""
    files = write_series(tmp_path / "in", 2)
    send(edge, *files)
    cloud.fail("uploads", fault)
    send(edge, *files)
    assert not cloud.faults["uploads"]
    assert len(cloud.packs()) == 1


def test_a_cloud_that_knows_no_such_question_takes_everything(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """One of an earlier version."""
    cloud.looks = False
    files = write_series(tmp_path / "in", 2)
    for _ in range(2):
        send(edge, *files)
    assert len(cloud.packs()) == 2
