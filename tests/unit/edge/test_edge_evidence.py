"""The ledger, and what it makes of a storage commitment's references together with the spool and the cloud."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_forwarder.cloud.inbox import Held
from edge_forwarder.commitment.evidence import Evidence, Pending
from edge_forwarder.databases.commitments import CommitmentState, Reference
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.dimse.statuses import FailureReason
from edge_forwarder.errors import CloudAwayError, RefusedError

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


EXPLICIT, JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"


def identity(sop: str, sop_class: str = CT) -> Identity:
    return Identity("2.25.1", "2.25.11", sop, sop_class, EXPLICIT, "CT", 1)


def send(
    ledger: Ledger,
    name: str,
    digest: str = "d1",
    ae: str = "A",
    state: SentState = SentState.INDEXED,
    *,
    arrival: str,
    sop: str = "1",
) -> None:
    """A device sends an image, it goes up as that arrival, and this becomes of it."""
    ledger.add(name, ae, identity(sop))
    ledger.digests({name: digest})
    ledger.settle([name], state, arrival=arrival)


class Archive:
    """A cloud that has these: by SOP Instance UID transfer syntax, digest and arrival of what is current."""

    def __init__(self) -> None:
        self.has: dict[str, tuple[str, str, str]] = {}
        self.error: Exception | None = None
        self.asked: list[int] = []

    def held(self, study: str, series: str, instances: Iterable[tuple[str, str, str]]) -> Held:
        assert (study, series) == ("2.25.1", "2.25.11")
        asked = list(instances)
        self.asked.append(len(asked))
        if self.error:
            raise self.error
        known = frozenset(uid for uid, *version in asked if uid in self.has and self.has[uid][:2] == tuple(version))
        others = {uid: self.has[uid][2] for uid, *_ in asked if uid in self.has and uid not in known}
        return Held(known, others)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def archive() -> Archive:
    return Archive()


def outcome(
    ledger: Ledger,
    archive: Archive,
    *wanted: Reference,
    ae: str = "A",
    spooled: bool = True,
    caught_up: bool = True,
    unread: Iterable[str] = (),
) -> list[FailureReason | None] | Pending:
    titles = {"A-ASKS": {"A-ASKS", "A"}}
    stored_as, senders = (lambda title: titles.get(title, {title})), frozenset(unread)
    judge = Evidence(ledger, archive, lambda _: spooled, lambda: caught_up, stored_as, lambda: senders)
    return judge.outcome(ae, wanted)


def test_spooled_is_pending_and_the_cloud_is_not_asked(ledger: Ledger, archive: Archive) -> None:
    """One pending instance holds the whole request."""
    ledger.add("f1", "A", identity("1"))
    assert outcome(ledger, archive, Reference(CT, "404"), Reference(CT, "1")) == Pending("f1")
    assert not archive.asked


def test_what_is_received_but_not_written_down_yet_is_pending(ledger: Ledger, archive: Archive) -> None:
    """Between the acknowledgement and the journal there is a moment: no verdict in it."""
    assert outcome(ledger, archive, Reference(CT, "1"), caught_up=False) == Pending()


def test_what_a_device_sent_and_nobody_could_read_yet_holds_its_commitments(ledger: Ledger, archive: Archive) -> None:
    """It may be a later version of any of its images; what another device sent is none."""
    send(ledger, "f1", arrival="5")
    archive.has["1"] = (EXPLICIT, "d1", "5")
    for ae in ("A", "A-ASKS"):
        assert outcome(ledger, archive, Reference(CT, "1"), ae=ae, unread=["A", "B"]) == Pending()
        assert outcome(ledger, archive, Reference(CT, "1"), Reference(CT, "404"), ae=ae, unread=["A"]) == Pending()
        assert outcome(ledger, archive, Reference(CT, "1"), ae=ae, unread=["B"]) == [None]
    assert len(archive.asked) == 2


def test_indexed_is_committed_while_the_cloud_has_these_very_bytes(ledger: Ledger, archive: Archive) -> None:
    """Deleted there is not committed; nor is what was deleted and came again as something else."""
    send(ledger, "f1", arrival="5")
    archive.has["1"] = (EXPLICIT, "d1", "5")
    assert outcome(ledger, archive, Reference(CT, "1")) == [None]
    archive.has.clear()
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]
    archive.has["1"] = (EXPLICIT, "other", "7")
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.DUPLICATE_SOP_INSTANCE]
    archive.has["1"] = (EXPLICIT, "d1", "8")
    assert outcome(ledger, archive, Reference(CT, "1")) == [None]


def test_the_equal_of_what_was_sent_is_as_good(ledger: Ledger, archive: Archive) -> None:
    """Its data set in JPEG-LS that went up in its place; and what was there before in other bytes, if the cloud said
    *indexed* of ours: only if it said so, of an upload that came after that.
    """
    send(ledger, "f1", arrival="5")
    ledger.digests({"f1": "of JPEG-LS"}, {"f1": JPEG_LS})
    archive.has["1"] = (JPEG_LS, "of JPEG-LS", "5")
    assert outcome(ledger, archive, Reference(CT, "1")) == [None]
    archive.has["1"] = (EXPLICIT, "of JPEG-LS", "6")
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.DUPLICATE_SOP_INSTANCE]
    archive.has["1"] = (EXPLICIT, "in other words", "3")
    assert outcome(ledger, archive, Reference(CT, "1")) == [None]
    ledger.settle(["f1"], SentState.INDEXED, known=True)
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.DUPLICATE_SOP_INSTANCE]
    ledger.settle(["f1"], SentState.CONFLICT, arrival="5")
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.DUPLICATE_SOP_INSTANCE]
    ledger.settle(["f1"], SentState.REFUSED, arrival="5")
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.PROCESSING_FAILURE]


@pytest.mark.parametrize(("sent", "went"), [(EXPLICIT, EXPLICIT), (JPEG_LS, JPEG_LS), (JPEG_2000, JPEG_LS)])
def test_what_went_up_in_other_bytes_is_no_equal(ledger: Ledger, archive: Archive, sent: str, went: str) -> None:
    """Only what is compressed here may differ from what the device sent: in another syntax, from a native one."""
    ledger.add("f1", "A", replace(identity("1"), transfer_syntax_uid=sent))
    ledger.digests({"f1": "d1"}, {"f1": sent})
    ledger.digests({"f1": "of a file that rotted"}, {"f1": went})
    ledger.settle(["f1"], SentState.INDEXED, arrival="5")
    archive.has["1"] = (sent, "of a file that rotted", "5")
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.DUPLICATE_SOP_INSTANCE]


def test_what_another_device_sent_is_no_evidence(ledger: Ledger, archive: Archive) -> None:
    """Nobody here knows the bytes of what this device never sent here; the cloud is not even asked."""
    archive.has["1"] = archive.has["2"] = (EXPLICIT, "d1", "5")
    send(ledger, "f1", arrival="5")
    found = outcome(ledger, archive, Reference(CT, "1"), Reference(CT, "2"), ae="B")
    assert found == [FailureReason.NO_SUCH_OBJECT_INSTANCE] * 2
    assert not archive.asked
    assert outcome(ledger, archive, Reference(CT, "1"), ae="A-ASKS") == [None]


def test_a_conflict_fails_its_sender_until_a_person_chooses_its_bytes(ledger: Ledger, archive: Archive) -> None:
    """Each device is told of its own latest bytes."""
    archive.has["1"] = (EXPLICIT, "d1", "1")
    send(ledger, "f1", arrival="1")
    send(ledger, "f2", "d2", "B", SentState.CONFLICT, arrival="2")
    assert outcome(ledger, archive, Reference(CT, "1"), ae="A") == [None]
    assert outcome(ledger, archive, Reference(CT, "1"), ae="B") == [FailureReason.DUPLICATE_SOP_INSTANCE]
    archive.has["1"] = (EXPLICIT, "d2", "2")
    assert outcome(ledger, archive, Reference(CT, "1"), ae="A") == [FailureReason.DUPLICATE_SOP_INSTANCE]
    assert outcome(ledger, archive, Reference(CT, "1"), ae="B") == [None]
    send(ledger, "f3", "d1", "B", SentState.CONFLICT, arrival="3")
    assert outcome(ledger, archive, Reference(CT, "1"), ae="B") == [FailureReason.DUPLICATE_SOP_INSTANCE]


def test_the_latest_bytes_are_the_latest_whatever_the_clock_said(ledger: Ledger, archive: Archive) -> None:
    """Names begin with the time: a clock that was set back makes the second one's smaller."""
    archive.has["1"] = (EXPLICIT, "old", "1")
    send(ledger, "f9", "old", arrival="1")
    send(ledger, "f1", "new", state=SentState.CONFLICT, arrival="2")
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.DUPLICATE_SOP_INSTANCE]


def test_an_equal_in_the_spool_shares_the_fate_of_the_file_whenever_it_comes(ledger: Ledger, archive: Archive) -> None:
    """Before or after the file was settled."""
    archive.has["1"] = (EXPLICIT, "in other words", "3")
    ledger.add("f1", "A", identity("1"))
    ledger.add("f2", "B", identity("1"), "f1")
    ledger.digests({"f1": "d1"})
    ledger.settle(["f1"], SentState.INDEXED, arrival="5")
    ledger.add("f3", "C", identity("1"), "f1")
    assert [outcome(ledger, archive, Reference(CT, "1"), ae=ae, spooled=False) for ae in "ABC"] == [[None]] * 3


def test_what_cannot_be_read_waits_too_and_then_fails(ledger: Ledger, archive: Archive) -> None:
    """Of the command its UIDs are known, of the data set not: there is nothing that the cloud could be asked."""
    ledger.add("f1", "A", Identity("", "", "1", CT, EXPLICIT, "", 0))
    assert outcome(ledger, archive, Reference(CT, "1")) == Pending("f1")
    ledger.digests({"f1": "d1"})
    for state in (SentState.REFUSED, SentState.INDEXED):
        ledger.settle(["f1"], state, arrival="5")
        assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.PROCESSING_FAILURE]
    assert not archive.asked


def test_a_file_taken_out_of_the_spool_is_a_processing_failure(ledger: Ledger, archive: Archive) -> None:
    """Not pending for ever."""
    ledger.add("f1", "A", identity("1"))
    lost = outcome(ledger, archive, Reference(CT, "1"), spooled=False)
    assert lost == [FailureReason.PROCESSING_FAILURE]


def test_a_wrong_class_is_a_conflict(ledger: Ledger, archive: Archive) -> None:
    """PS3.3 C.14.1.1, 0119."""
    send(ledger, "f1", arrival="5")
    archive.has["1"] = (EXPLICIT, "d1", "5")
    found = outcome(ledger, archive, Reference(MR, "1"), Reference(CT, "1"))
    assert found == [FailureReason.CLASS_INSTANCE_CONFLICT, None]


def test_an_answer_that_is_none_is_not_taken_for_one(ledger: Ledger, archive: Archive) -> None:
    """Away, or not itself: ask again. A question that it will not answer: a failure of its own, not "unknown"."""
    send(ledger, "f1", arrival="5")
    for error in (CloudAwayError("away"), RefusedError("no such page", 404)):
        archive.error = error
        with pytest.raises(type(error)):
            outcome(ledger, archive, Reference(CT, "1"))
    archive.error = RefusedError("too much", 413)
    assert outcome(ledger, archive, Reference(CT, "1")) == [FailureReason.PROCESSING_FAILURE]


def test_many_references_are_asked_in_portions(ledger: Ledger, archive: Archive) -> None:
    """A question has an end, also when each image has two digests; the order of the request is kept."""
    for n in range(1200):
        send(ledger, f"f{n}", sop=str(n), arrival="5")
        ledger.digests({f"f{n}": "of JPEG-LS"}, {f"f{n}": JPEG_LS})
    archive.has |= {str(n): (EXPLICIT, "d1", "5") for n in range(0, 1200, 2)}
    found = outcome(ledger, archive, *(Reference(CT, str(n)) for n in range(1200)))
    assert found == [None, FailureReason.NO_SUCH_OBJECT_INSTANCE] * 600
    assert archive.asked == [1000, 1000, 400]


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
