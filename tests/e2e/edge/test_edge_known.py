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
    """A modality whose user sends the study once more: the files go after one question."""
    files = write_series(tmp_path / "in", 5)
    for _ in range(2):
        send(edge, *files)
    assert len(cloud.packs()) == 1
    totals = edge.status()["totals"]
    assert (totals["indexed"], totals["known"], totals["uploads"]) == (10, 5, 1)


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
    ("fault", "again"),
    [
        pytest.param(Fault(404), True, id="an older cloud has no such question"),
        pytest.param(Fault(500), True, id="it fails for good"),
        pytest.param(Fault(200, body=b'{"known": true}'), False, id="what answers is something else"),
        pytest.param(Fault(), False, id="the connection is cut"),
        pytest.param(Fault(503, (("Retry-After", "0"),)), False, id="the cloud is busy"),
    ],
)
def test_a_question_that_fails_loses_nothing(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path, fault: Fault, again: bool
) -> None:
    """It is asked again while the cloud is away; where it is no question, everything goes up."""
    files = write_series(tmp_path / "in", 2)
    send(edge, *files)
    cloud.fail("known", fault)
    send(edge, *files)
    assert not cloud.faults["known"]
    assert len(cloud.packs()) == (2 if again else 1)
