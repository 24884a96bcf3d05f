"""The inbox poller: what is delivered, how often, and in which order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from maypacs_node.background import BULK_BYTES, Deliveries, Poller


@dataclass
class Object:
    key: str
    size: int = 100
    etag: str = "e"


@dataclass
class Inbox:
    objects: dict[str, Object] = field(default_factory=dict)
    bucket: str = "inbox"

    def add(self, *keys: str, size: int = 100) -> None:
        for key in keys:
            self.objects[key] = Object(key, size)

    def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> Iterator[Object]:
        for key in sorted(self.objects):
            if key in self.objects:
                yield self.objects[key]

    def head(self, key: str) -> Object:
        return self.objects[key]


class Ingest:
    """Takes in what it is given, but for the keys that it is told to fail on."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.failing: set[str] = set()
        self.ignoring: set[str] = set()
        self.calls: list[tuple[str, int]] = []

    def __call__(self, event: Mapping[str, Any]) -> bool:
        (message,) = event["Records"]
        (record,) = json.loads(message["body"])["Records"]
        key = unquote_plus(record["s3"]["object"]["key"])
        self.calls.append((key, int(message["attributes"]["ApproximateReceiveCount"])))
        if key in self.failing:
            return False
        if key not in self.ignoring:
            del self.inbox.objects[key]
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Process:
    """A bulk process that ends when it is told."""

    returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


class Setup:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.inbox = Inbox()
        self.ingest = Ingest(self.inbox)
        self.nudges: list[str] = []
        self.started: list[tuple[str, Process]] = []
        self.file = folder / "deliveries.json"
        self.poller = self.new_poller()

    def new_poller(self) -> Poller:
        return Poller(self.inbox, Deliveries(self.file, self.clock), self.ingest, self.start_bulk, self.take)

    def start_bulk(self, key: str) -> subprocess.Popen[bytes]:
        self.started.append((key, Process()))
        return self.started[-1][1]  # type: ignore[return-value]

    def take(self) -> Iterator[str]:
        while self.nudges:
            yield self.nudges.pop(0)


def test_everything_in_the_inbox_is_delivered_once(tmp_path: Path) -> None:
    """In the order of the listing; what was taken in is gone."""
    setup = Setup(tmp_path)
    setup.inbox.add("a/1", "a/2", "b/Nguyễn Văn.dcm")
    setup.poller.look()
    setup.poller.look()
    assert setup.ingest.calls == [("a/1", 1), ("a/2", 1), ("b/Nguyễn Văn.dcm", 1)]


def test_a_failed_object_comes_again_later_with_a_higher_count(tmp_path: Path) -> None:
    """Not in every pass: 1, 2, 4 … seconds later. The others do not wait for it."""
    setup = Setup(tmp_path)
    setup.inbox.add("a/bad", "a/good")
    setup.ingest.failing.add("a/bad")
    setup.poller.look()
    setup.poller.look()
    assert setup.ingest.calls == [("a/bad", 1), ("a/good", 1)]
    for seconds, count in ((1, 2), (2, 3), (4, 4)):
        setup.clock.now += seconds
        setup.poller.look()
        assert setup.ingest.calls[-1] == ("a/bad", count)
        setup.poller.look()
        assert setup.ingest.calls[-1] == ("a/bad", count)


def test_a_delivery_that_kills_the_process_is_counted(tmp_path: Path) -> None:
    """So a function that always dies on an object sees a count of four in the end, and puts it away unread."""
    setup = Setup(tmp_path)
    setup.inbox.add("a/deadly")
    counts = []
    for _ in range(4):
        # Each process is a new poller that begins the delivery and never comes back from it.
        counts.append(Deliveries(setup.file, setup.clock).begin("a/deadly"))
    setup.new_poller().look()
    assert counts == [1, 2, 3, 4]
    assert setup.ingest.calls == [("a/deadly", 5)]


def test_a_success_forgets_the_count(tmp_path: Path) -> None:
    """The same key uploaded again is a new message."""
    setup = Setup(tmp_path)
    setup.inbox.add("a/1")
    setup.ingest.failing.add("a/1")
    setup.poller.look()
    setup.ingest.failing.clear()
    setup.clock.now += 5
    setup.poller.look()
    setup.poller.look()
    setup.inbox.add("a/1")
    setup.poller.look()
    assert setup.ingest.calls == [("a/1", 1), ("a/1", 2), ("a/1", 1)]


def test_what_a_nudge_names_comes_before_the_rest_of_a_long_listing(tmp_path: Path) -> None:
    """A live upload does not wait behind a folder of a hundred thousand files."""
    setup = Setup(tmp_path)
    setup.inbox.add(*(f"a/{n:03}" for n in range(50)), "z/live")
    setup.nudges.append("z/live")
    setup.poller.look()
    assert setup.ingest.calls[0] == ("z/live", 1)
    assert len(setup.ingest.calls) == 51


def test_a_nudge_about_what_is_gone_is_nothing(tmp_path: Path) -> None:
    """Nudges are hints: they come late and twice."""
    setup = Setup(tmp_path)
    setup.inbox.add("a/1")
    setup.nudges += ["a/gone", "a/1", "a/1"]
    setup.poller.look()
    assert setup.ingest.calls == [("a/1", 1)]


def test_large_objects_and_archives_go_to_a_process_of_their_own_one_at_a_time(tmp_path: Path) -> None:
    """The small ones pass them by."""
    setup = Setup(tmp_path)
    setup.inbox.add("a/1.zip", "a/2.TAR", "a/small")
    setup.inbox.add("a/3", size=BULK_BYTES + 1)
    setup.poller.look()
    assert [key for key, _ in setup.started] == ["a/1.zip"]
    assert setup.ingest.calls == [("a/small", 1)]
    setup.started[0][1].returncode = 0
    del setup.inbox.objects["a/1.zip"]
    setup.poller.look()
    assert [key for key, _ in setup.started] == ["a/1.zip", "a/2.TAR"]


def test_a_bulk_process_that_dies_is_started_again_with_backoff(tmp_path: Path) -> None:
    """Its deaths are counted for it, as for the small ones."""
    setup = Setup(tmp_path)
    setup.inbox.add("a/1.zip")
    setup.poller.look()
    setup.started[0][1].returncode = -9
    setup.poller.look()
    assert len(setup.started) == 1
    setup.clock.now += 1
    setup.poller.look()
    assert len(setup.started) == 2
    assert json.loads(setup.file.read_text()) == {"a/1.zip": 2}


def test_what_ingest_leaves_alone_is_not_delivered_in_every_pass(tmp_path: Path) -> None:
    """An object below no archive stays where it is; a new one of the same key is looked at."""
    setup = Setup(tmp_path)
    setup.inbox.add("stray")
    setup.ingest.ignoring.add("stray")
    setup.poller.look()
    setup.poller.look()
    assert setup.ingest.calls == [("stray", 1)]
    setup.inbox.objects["stray"] = Object("stray", etag="other")
    setup.poller.look()
    assert setup.ingest.calls == [("stray", 1), ("stray", 1)]
