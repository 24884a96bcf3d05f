"""The ledger, and what it makes of a storage commitment's references together with the spool and the cloud."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge_forwarder.dicomweb import Found
from edge_forwarder.errors import CloudAwayError, RefusedError
from edge_forwarder.evidence import Evidence
from edge_forwarder.ledger import CommitmentState, Ledger, Reference, SentState
from edge_forwarder.peek import Identity
from edge_forwarder.statuses import FailureReason

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def identity(sop: str, sop_class: str = CT) -> Identity:
    return Identity("2.25.1", "2.25.11", sop, sop_class, "1.2.840.10008.1.2.1", "CT", 1)


class Archive:
    """A cloud that has these instances: SOP Instance UID to class."""

    def __init__(self, **options: object) -> None:
        self.has: dict[str, str] = {}
        self.error: Exception | None = None
        self.warned = False
        self.asked: list[str] = []

    def search(self, path: str, query: Sequence[tuple[str, str]] = (), *, limit: int) -> Found:
        self.asked.append(path)
        if self.error:
            raise self.error
        uids = dict(query)["SOPInstanceUID"].split(",")
        items = [
            {"00080018": {"vr": "UI", "Value": [uid]}, "00080016": {"vr": "UI", "Value": [self.has[uid]]}}
            for uid in uids
            if uid in self.has
        ]
        return Found(items, warned=self.warned)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def archive() -> Archive:
    return Archive()


def outcome(
    ledger: Ledger, archive: Archive, *wanted: Reference, ae: str = "A", spooled: bool = True, caught_up: bool = True
) -> list[FailureReason | None] | None:
    return Evidence(ledger, archive, lambda _: spooled, lambda: caught_up).outcome(ae, wanted)


def test_spooled_is_pending_and_the_cloud_is_not_asked(ledger: Ledger, archive: Archive) -> None:
    """One pending instance holds the whole request."""
    ledger.add("f1", "A", identity("1"))
    assert outcome(ledger, archive, Reference(CT, "1"), Reference(CT, "404")) is None
    assert not archive.asked


def test_what_is_received_but_not_written_down_yet_is_pending(ledger: Ledger, archive: Archive) -> None:
    """Between the acknowledgement and the journal there is a moment: no verdict in it."""
    assert outcome(ledger, archive, Reference(CT, "1"), caught_up=False) is None


def test_indexed_is_committed_while_the_cloud_still_has_it(ledger: Ledger, archive: Archive) -> None:
    """Deleted there is not committed; the series is asked, not the archive."""
    ledger.add("f1", "A", identity("1"))
    ledger.settle(["f1"], SentState.INDEXED)
    archive.has["1"] = CT
    assert outcome(ledger, archive, Reference(CT, "1")) == [None]
    assert archive.asked == ["/studies/2.25.1/series/2.25.11/instances"]
    archive.has.clear()
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]


def test_only_ones_own_latest_bytes_count_unless_equal_ones_are_kept(ledger: Ledger, archive: Archive) -> None:
    """A conflict fails its sender; equal digests, whoever sent them, share the good fate."""
    archive.has["1"] = CT
    ledger.add("f1", "A", identity("1"))
    ledger.add("f2", "B", identity("1"))
    ledger.digests({"f1": "d1", "f2": "d2"})
    ledger.settle(["f1"], SentState.INDEXED)
    ledger.settle(["f2"], SentState.CONFLICT)
    assert outcome(ledger, archive, Reference(CT, "1"), ae="A") == [None]
    assert outcome(ledger, archive, Reference(CT, "1"), ae="B") == [FailureReason.DUPLICATE_SOP_INSTANCE]
    ledger.add("f3", "B", identity("1"))
    ledger.digests({"f3": "d1"})
    assert outcome(ledger, archive, Reference(CT, "1"), ae="B") == [None]


def test_an_equal_in_the_spool_shares_the_fate_of_the_file_whenever_it_comes(ledger: Ledger, archive: Archive) -> None:
    """Before or after the file was settled."""
    archive.has["1"] = CT
    ledger.add("f1", "A", identity("1"))
    ledger.add("f2", "B", identity("1"), "f1")
    ledger.settle(["f1"], SentState.INDEXED)
    ledger.add("f3", "C", identity("1"), "f1")
    assert [outcome(ledger, archive, Reference(CT, "1"), ae=ae, spooled=False) for ae in "ABC"] == [[None]] * 3


def test_a_file_taken_out_of_the_spool_is_a_processing_failure(ledger: Ledger, archive: Archive) -> None:
    """Not pending for ever."""
    ledger.add("f1", "A", identity("1"))
    lost = outcome(ledger, archive, Reference(CT, "1"), spooled=False)
    assert lost == [FailureReason.PROCESSING_FAILURE]


def test_a_wrong_class_is_a_conflict_here_and_in_the_cloud(ledger: Ledger, archive: Archive) -> None:
    """PS3.3 C.14.1.1, 0119."""
    ledger.add("f1", "A", identity("1"))
    archive.has["2"] = CT
    found = outcome(ledger, archive, Reference(MR, "1"), Reference(MR, "2"), Reference(CT, "2"))
    assert found == [FailureReason.CLASS_INSTANCE_CONFLICT, FailureReason.CLASS_INSTANCE_CONFLICT, None]


def test_an_answer_that_is_none_is_not_taken_for_one(ledger: Ledger, archive: Archive) -> None:
    """Away: ask again. Bounds met: a failure of its own, not "unknown"."""
    archive.error = CloudAwayError("away")
    with pytest.raises(CloudAwayError):
        outcome(ledger, archive, Reference(CT, "1"))
    archive.error = RefusedError("too much", 413)
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.PROCESSING_FAILURE]
    archive.error, archive.warned = None, True
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.PROCESSING_FAILURE]


def test_many_references_are_asked_in_portions(ledger: Ledger, archive: Archive) -> None:
    """A URL has an end; the order of the request is kept."""
    archive.has |= {str(n): CT for n in range(0, 500, 2)}
    found = outcome(ledger, archive, *(Reference(CT, str(n)) for n in range(500)))
    assert found == [None, FailureReason.NO_SUCH_OBJECT_INSTANCE] * 250
    assert len(archive.asked) == 9


def test_requests_survive_and_go_when_they_are_old(tmp_path: Path) -> None:
    """A commitment is there after a restart; what was settled is forgotten after its time, what is open is not."""
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path)
    ledger.add("f1", "A", identity("1"))
    ledger.add("f2", "A", identity("2"))
    ledger.add("f3", "A", identity("3"))
    ledger.settle(["f1", "f2"], SentState.INDEXED)
    first = ledger.ask("A", "t1", [Reference(CT, "1")])
    second = ledger.ask("A", "t2", [Reference(CT, "2")])
    assert first is not None
    assert second is not None
    ledger.decided(second, [None], time.time())
    ledger.close_commitment(second, CommitmentState.DONE)
    ledger.close()
    ledger = Ledger.open(path)
    assert ledger.prune(time.time() + 1) == 1
    assert [bool(ledger.sent(uid)) for uid in "123"] == [True, False, True]
    assert [c.id for c in ledger.commitments(CommitmentState.OPEN)] == [first]
    assert ledger.commitment(second) is None
    ledger.close()


def test_a_damaged_ledger_is_put_aside(tmp_path: Path) -> None:
    """Images matter more than the record of them: the edge starts."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    ledger = Ledger.open(path)
    ledger.add("f1", "A", identity("1"))
    ledger.close()
    assert (tmp_path / "ledger.sqlite.unreadable").is_file()
