"""What the cloud says of uploads: each answer by itself, and what is set aside is never out of sight."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from tests.support.processes import wait_until

from edge_forwarder.cloud.inbox import Inbox, Problem, UploadStatus, _status
from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.errors import CloudAwayError
from edge_forwarder.logs import Log
from edge_forwarder.spool import attention
from edge_forwarder.spool.folder import Spool
from edge_forwarder.upload.line import Line
from edge_forwarder.upload.settle import Settler
from edge_forwarder.upload.watcher import Watcher

STUDY, SERIES = "2.25.1", "2.25.11"


class Edge:
    """Spool, journal, ledger and settler, with packs of images that were sent."""

    def __init__(self, folder: Path) -> None:
        self.log = io.StringIO()
        self.spool = Spool(folder / "spool")
        self.spool.open()
        self.journal = Journal.open(folder / "journal.sqlite")
        self.ledger = Ledger.open(folder / "ledger.sqlite")
        self.settler = Settler(self.spool, self.journal, Log(self.log), self.ledger)

    def sent(self, pack: str, *uids: str) -> list[str]:
        """The names of its files."""
        names = []
        for number, uid in enumerate(uids):
            identity = Identity(STUDY, SERIES, uid, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "CT", number)
            writer = self.spool.begin("THU-CT1")
            writer.write(uid.encode())
            name = writer.commit().name
            self.journal.add_instance(name, len(uid), identity)
            self.ledger.add(name, "THU-CT1", identity)
            self.ledger.digests({name: digest_of(uid)})
            names.append(name)
        self.journal.add_pack(pack, names)
        self.journal.update_pack(pack, PackState.SENT, arrival=f"arrival of {pack}")
        return names

    def spooled(self) -> set[str]:
        return {file.name for file in self.spool.files()}

    def entries(self) -> list[attention.Entry]:
        return attention.entries(self.spool.attention)

    def close(self) -> None:
        self.journal.close()
        self.ledger.close()
        self.spool.close()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(tmp_path)
    yield edge
    edge.close()


def digest_of(uid: str) -> str:
    return f"digest of {uid}"


def conflict(pack: str, *uids: str, unlisted: bool = False) -> UploadStatus:
    problems = tuple(Problem(uid, "conflict: differs-from-current", True) for uid in uids)
    return UploadStatus(f"arrival of {pack}", "indexed", False, None, problems, unlisted)


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"state": "partial"}'])
def test_what_was_set_aside_is_seen_whatever_became_of_its_reason(edge: Edge, tmp_path: Path, text: str | None) -> None:
    """Empty after a power cut, missing, not ours: the images are counted, shown, exported, and can go up again."""
    (name,) = edge.sent("01PACK", "2.25.111")
    edge.spool.set_aside(name, "01PACK")
    if text is not None:
        (edge.spool.attention / "01PACK" / attention.REASON).write_text(text)
    (entry,) = edge.entries()
    assert (entry.state, [file.name for file in entry.files], attention.count(edge.spool.attention)) == (
        "unknown",
        [name],
        1,
    )
    assert attention.why(edge.spool.attention, name)
    assert attention.export(entry, tmp_path / "out") == 1
    assert attention.release(entry, entry.files, edge.spool.folder) == 1
    assert (edge.entries(), attention.count(edge.spool.attention)) == ([], 0)
    assert not entry.folder.exists()


def test_without_its_reason_on_the_disk_nothing_is_set_aside(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full: the image stays where it is, no half reason is left, and the next look does it."""
    (name,) = edge.sent("01PACK", "2.25.111")
    answer, sync = conflict("01PACK", "2.25.111"), os.fsync

    def full(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(edge.spool.attention)):
            raise OSError(errno.ENOSPC, "no space left")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        edge.settler.heard("01PACK", answer)
    assert (edge.spooled(), list((edge.spool.attention / "01PACK").iterdir())) == ({name}, [])
    monkeypatch.undo()
    edge.settler.heard("01PACK", answer)
    (entry,) = edge.entries()
    assert (entry.reasons, [file.name for file in entry.files]) == (("conflict: differs-from-current",), [name])
    assert edge.ledger.states([name]) == {name: SentState.CONFLICT}


class FakeInbox:
    """Says of each arrival what the test says, and knows what the test says."""

    def __init__(self, *answers: UploadStatus) -> None:
        self.answers = {answer.arrival: answer for answer in answers}

    def status(self, arrivals: Sequence[str]) -> list[UploadStatus]:
        return [self.answers[arrival] for arrival in arrivals]


def test_an_upload_that_cannot_be_settled_holds_up_no_other(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first in the answer; it is settled as soon as it can be."""
    bad, good = edge.sent("01BAD", "2.25.1"), edge.sent("02GOOD", "2.25.2")
    inbox = FakeInbox(conflict("01BAD"), conflict("02GOOD"))
    line = Line(edge.journal, Log(edge.log), 0.05)
    watcher = Watcher(edge.settler, edge.journal, cast(Inbox, inbox), line, Log(edge.log), longest_pause=0.05)
    ill, remove = set(bad), edge.spool.remove

    def sick(name: str) -> None:
        if name in ill:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        remove(name)

    monkeypatch.setattr(edge.spool, "remove", sick)
    watcher.start()
    try:
        wait_until(lambda: edge.spooled() == set(bad), what="the good one gone")
        assert edge.ledger.states(good) == {good[0]: SentState.INDEXED}
        ill.clear()
        wait_until(lambda: not edge.spooled(), what="the bad one gone, too")
    finally:
        watcher.stop()


def test_what_arrives_damaged_is_looked_at_before_it_goes_again(edge: Edge) -> None:
    """It may be the disk: parts of a body have digests of their own, so rot shows only when the whole is there."""
    edge.sent("01PACK", "2.25.1")
    inbox = FakeInbox(UploadStatus("arrival of 01PACK", "quarantined", False, "damaged-on-the-way", ()))
    line, told = Line(edge.journal, Log(edge.log), 0.05), list[str]()
    watcher = Watcher(edge.settler, edge.journal, cast(Inbox, inbox), line, Log(edge.log))
    watcher.doubted = lambda pack: told.append(f"doubted {pack}")
    watcher.upload_again = lambda pack, _: told.append(f"again {pack}")
    watcher.start()
    try:
        wait_until(lambda: len(told) == 2, what="another try")
    finally:
        watcher.stop()
    assert told == ["doubted 01PACK", "again 01PACK"]
    assert len(edge.spooled()) == 1


class Knowing(FakeInbox):
    """A cloud that has some of what it is asked for."""

    def __init__(self, *has: str) -> None:
        super().__init__()
        self.has, self.asked = set(has), list[tuple[str, str, str]]()

    def known(self, study: str, series: str, instances: Sequence[tuple[str, str, str]]) -> frozenset[str]:
        assert (study, series) == (STUDY, SERIES)
        assert len(instances) <= 1000
        self.asked += instances
        return frozenset(uid for uid, _, digest in instances if uid in self.has and digest == digest_of(uid))


def test_of_more_problems_than_are_listed_each_has_its_own_fate(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 conflicts among 65 images, of which 50 are listed: the 5 that are indexed are so, the 10 are conflicts."""
    uids = [f"2.25.{n}" for n in range(100, 165)]
    names = dict(zip(uids, edge.sent("01PACK", *uids), strict=True))
    inbox = Knowing(*uids[60:])
    monkeypatch.setattr(edge.settler, "_inbox", inbox)
    edge.settler.heard("01PACK", conflict("01PACK", *uids[:50], unlisted=True))
    states = edge.ledger.states(list(names.values()))
    assert {states[names[uid]] for uid in uids[:60]} == {SentState.CONFLICT}
    assert {states[names[uid]] for uid in uids[60:]} == {SentState.INDEXED}
    assert edge.spooled() == set()
    (entry,) = edge.entries()
    assert [file.name for file in entry.files] == sorted(names[uid] for uid in uids[:60])
    assert sorted(uid for uid, _, _ in inbox.asked) == uids[50:], "what is listed is known to be no such thing"
    assert edge.journal.facts()["indexed"] == 5


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            UploadStatus("a", "partial", False, None, (Problem("2.25.1", "failed: x"),), True, True),
            [SentState.REFUSED, SentState.REFUSED, SentState.INDEXED],
            id="more failures than listed",
        ),
        pytest.param(
            UploadStatus("a", "partial", False, None, (Problem(None, "failed: unreadable"),)),
            [SentState.REFUSED, SentState.REFUSED, SentState.INDEXED],
            id="a failure of nobody knows which",
        ),
        pytest.param(
            UploadStatus("a", "quarantined", False, "bad-pack", (Problem(None, "failed: bad-pack"),)),
            [SentState.REFUSED] * 3,
            id="nothing of it was taken",
        ),
    ],
)
def test_what_the_cloud_does_not_name_is_kept_unless_it_has_it(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, answer: UploadStatus, expected: list[SentState]
) -> None:
    names = edge.sent("01PACK", "2.25.1", "2.25.2", "2.25.3")
    monkeypatch.setattr(edge.settler, "_inbox", Knowing("2.25.3"))
    edge.settler.heard("01PACK", answer)
    states = edge.ledger.states(names)
    assert [states[name] for name in names] == expected
    kept = [name for name, state in zip(names, expected, strict=True) if state != SentState.INDEXED]
    assert [file.name for entry in edge.entries() for file in entry.files] == sorted(kept)


def test_without_an_answer_to_what_it_has_everything_waits(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cloud is away at that moment: no fate is guessed."""
    names = edge.sent("01PACK", "2.25.1", "2.25.2")
    inbox = Knowing()

    def away(*_: object) -> frozenset[str]:
        raise CloudAwayError("away")

    monkeypatch.setattr(inbox, "known", away)
    monkeypatch.setattr(edge.settler, "_inbox", inbox)
    with pytest.raises(CloudAwayError):
        edge.settler.heard("01PACK", conflict("01PACK", "2.25.1", unlisted=True))
    assert edge.spooled() == set(names)
    assert set(edge.ledger.states(names).values()) == {SentState.SPOOLED}


def test_the_counts_tell_what_is_not_listed() -> None:
    """As the cloud answers."""

    def status(**counts: int) -> UploadStatus:
        failures = [{"sop_instance_uid": "2.25.1", "reason": "unreadable"}]
        return _status({"arrival": "a", "state": "partial", "failures": failures, "counts": counts})

    assert [(s.unlisted, s.unlisted_failures) for s in (status(), status(stored=9, failed=1))] == [(False, False)] * 2
    assert (status(conflict=1, failed=1).unlisted, status(conflict=1, failed=1).unlisted_failures) == (True, False)
    assert (status(failed=2).unlisted, status(failed=2).unlisted_failures) == (True, True)


@pytest.mark.parametrize(
    ("whole", "told"),
    [("unreadable", ["failed: unreadable"]), ("too-large", ["failed: unreadable", "too-large"])],
    ids=["the same", "another"],
)
def test_a_person_reads_each_reason_once(edge: Edge, whole: str, told: list[str]) -> None:
    """The cloud says why it has quarantined an upload, and why each instance of it."""
    edge.sent("01PACK", "2.25.111")
    problem = Problem("2.25.111", "failed: unreadable")
    edge.settler.heard("01PACK", UploadStatus("arrival of 01PACK", "quarantined", False, whole, (problem,)))
    assert [list(entry.reasons) for entry in edge.entries()] == [told]
