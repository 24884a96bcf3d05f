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

from edge_forwarder import attention
from edge_forwarder.inbox import Inbox, Problem, UploadStatus
from edge_forwarder.journal import Journal, PackState
from edge_forwarder.ledger import Ledger, SentState
from edge_forwarder.line import Line
from edge_forwarder.logs import Log
from edge_forwarder.peek import Identity
from edge_forwarder.settle import Settler
from edge_forwarder.spool import Spool
from edge_forwarder.watcher import Watcher

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
