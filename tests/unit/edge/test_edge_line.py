"""Uploads that fail: whose fault it is, who waits for it, and what ends an outage."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator
from typing import cast

import pytest

from edge_forwarder.config import CloudConfig
from edge_forwarder.databases import journal as journal_module
from edge_forwarder.databases.journal import Journal, PackRow, PackState
from edge_forwarder.errors import CloudAwayError, CloudBusyError, UnauthorizedError
from edge_forwarder.logs import Log
from edge_forwarder.upload.line import Line, Uplink
from edge_forwarder.upload.sender import Sender, Uploaded
from edge_forwarder.upload.throttle import Throttle
from edge_forwarder.upload.uploader import Uploader
from edge_forwarder.upload.watcher import Watcher


@pytest.fixture
def line(journal: Journal) -> Line:
    return Line(journal, Log(io.StringIO()), 0.05)


class Storage:
    """In the place of a sender: takes every pack but those that start with ``bad``, which break the connection."""

    def __init__(self) -> None:
        self.there = True
        self.tries: Counter[str] = Counter()
        self.taken: set[str] = set()
        self.changed = threading.Condition()

    def send(self, row: PackRow) -> Uploaded | None:
        with self.changed:
            self.tries[row.id] += 1
            self.changed.notify_all()
            if row.id.startswith("nothing"):
                return None
            if row.id.startswith("bad") or not self.there:
                raise CloudAwayError("storage cannot be reached (ProtocolError)")
            self.taken.add(row.id)
            return Uploaded(f"arrival of {row.id}", 1, 1)

    def watch(self, pack: str, arrival: str) -> None: ...

    def wait_for(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.taken) >= count, 30)

    def wait_for_tries(self, pack: str, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.tries[pack] >= count, 30)


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def uploader(journal: Journal, line: Line, storage: Storage) -> Iterator[Uploader]:
    config = CloudConfig(url="http://127.0.0.1:9", retry_max_seconds=0.05)
    sender, watcher, log = cast(Sender, storage), cast(Watcher, storage), Log(io.StringIO())
    uploader = Uploader(config, journal, sender, line, watcher, log, throttle=Throttle())
    yield uploader
    uploader.stop()


def test_packs_that_break_their_connection_hold_up_nobody(
    journal: Journal, line: Line, storage: Storage, uploader: Uploader
) -> None:
    """As many of the oldest as there are uploaders, whose bytes a proxy on the way does not let through: the others
    go, the line is known to work, and the bad ones are tried again for ever.
    """
    for n in range(2):
        journal.add_pack(f"bad {n}", [])
    uploader.start()
    assert storage.wait_for_tries("bad 0", 2)  # what fails for the first time after all others went may be an outage
    assert storage.wait_for_tries("bad 1", 2)
    for n in range(20):
        journal.add_pack(f"good {n}", [])
        uploader.submit(f"good {n}")
    assert storage.wait_for(20)
    tries = storage.tries["bad 0"]
    assert storage.wait_for_tries("bad 0", tries + 3)
    assert line.uplink[0] == Uplink.OK
    assert [pack.id for pack in journal.packs(PackState.FAILED, PackState.UPLOADING)] == ["bad 0", "bad 1"]


def test_a_failure_that_is_told_late_is_no_outage(
    journal: Journal, line: Line, storage: Storage, uploader: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first pack, judged when nothing had gone yet; before the line hears of it another one goes."""
    judge, went, judged = uploader._breaks, threading.Event(), threading.Event()

    def slowly(pack: str) -> bool:
        its_own = judge(pack)
        if not judged.is_set():
            judged.set()
            went.wait(1)  # one that waits for the judge cannot be told of: then it comes after us
        return its_own

    def tell_and_note() -> None:
        worked()
        went.set()

    worked = line.worked
    monkeypatch.setattr(uploader, "_breaks", slowly)
    monkeypatch.setattr(line, "worked", tell_and_note)
    journal.add_pack("bad", [])
    uploader.start()
    assert judged.wait(30)
    journal.add_pack("good", [])
    uploader.submit("good")
    assert went.wait(30)
    assert storage.wait_for_tries("bad", 4)
    assert line.uplink[0] == Uplink.OK


def test_after_an_outage_everything_goes(journal: Journal, line: Line, storage: Storage, uploader: Uploader) -> None:
    """Storage that takes nothing: the line says so for as long as it lasts, whatever answers questions."""
    storage.there = False
    for n in range(6):
        journal.add_pack(f"good {n}", [])
    uploader.start()
    assert storage.wait_for_tries("good 0", 2)
    uplink, since = line.uplink
    assert uplink == Uplink.AWAY
    for _ in range(5):
        line.answered()
        assert line.uplink == (Uplink.AWAY, since)
    storage.there = True
    assert storage.wait_for(6)
    uploader.stop()
    assert line.uplink[0] == Uplink.OK
    assert not journal.packs(PackState.FAILED, PackState.PACKED)


def test_an_outage_ends_when_nothing_is_left_to_upload(
    journal: Journal, line: Line, storage: Storage, uploader: Uploader
) -> None:
    """The cloud turned out to have it all, or somebody took the files."""
    line.failed(CloudAwayError("gone"), upload=True)
    journal.add_pack("nothing", [])
    uploader.start()
    assert storage.wait_for_tries("nothing", 1)
    uploader.stop()
    assert line.uplink[0] == Uplink.OK


def test_a_pack_that_need_not_go_costs_no_look_at_all_that_wait(
    journal: Journal, storage: Storage, uploader: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long import is done once more: thousands of packs that the cloud has."""
    names = [f"nothing {n}" for n in range(50)]
    for name in names:
        journal.add_pack(name, [])
    read: list[str] = []
    whole = journal_module._pack
    monkeypatch.setattr(journal_module, "_pack", lambda row: read.append(row["id"]) or whole(row))
    uploader.start()
    assert all(storage.wait_for_tries(name, 1) for name in names)
    uploader.stop()
    assert max(Counter(read).values()) <= 3


def test_an_answer_ends_what_only_questions_suffered(line: Line) -> None:
    """And a key that is accepted again, whoever noticed that it was not; but no patience that storage asked for."""
    line.failed(CloudAwayError("gone"))
    line.answered()
    assert line.uplink[0] == Uplink.OK
    line.failed(UnauthorizedError("who are you?"), upload=True)
    line.answered()
    assert line.uplink[0] == Uplink.OK
    line.failed(CloudBusyError("later", 20.0), upload=True)
    line.answered()
    assert line.uplink[0] == Uplink.BUSY
    assert line.pause_left() >= 20
    line.worked()
    assert line.uplink[0] == Uplink.OK
    assert line.pause_left() == 0
