"""Old uploads in attention/: announced, asked for, and only then deleted."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge_forwarder.cloud.inbox import UploadStatus
from edge_forwarder.databases.journal import Journal
from edge_forwarder.errors import CloudAwayError
from edge_forwarder.logs import Log
from edge_forwarder.spool import attention
from edge_forwarder.spool.attention import NOTICE, Entry
from edge_forwarder.spool.folder import Spool
from edge_forwarder.upload.tidying import Tidying, too_much

DAY = 86400.0
Make = Callable[..., Path]


class FakeInbox:
    """Says of each arrival what the test says."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.asked: list[str] = []
        self.away = False

    def status(self, arrivals: Sequence[str]) -> list[UploadStatus]:
        if self.away:
            raise CloudAwayError("away")
        self.asked += arrivals
        return [UploadStatus(a, self.states.get(a, "unknown"), False, None, ()) for a in arrivals]


@pytest.fixture
def make(spool: Spool) -> Make:
    def make(name: str, age: float, size: int = 100, arrival: str | None = None) -> Path:
        folder = spool.attention / name
        folder.mkdir()
        (folder / "image.dcm").write_bytes(bytes(size))
        told = {"state": "quarantined", "reasons": ["x"], "at": time.time() - age, "instances": []}
        told["arrival"] = name if arrival is None else arrival
        (folder / "reason.json").write_text(json.dumps(told), encoding="utf-8")
        return folder

    return make


def tidying(spool: Spool, tmp_path: Path, inbox: FakeInbox, later: float = 0.0, **limits: float) -> Tidying:
    journal = Journal.open(tmp_path / "journal.sqlite")
    log = Log(io.StringIO())
    allowed = {"max_age": 90 * DAY, "max_bytes": 1000, **limits}
    return Tidying(
        spool,
        journal,
        inbox,  # type: ignore[arg-type]
        log,
        max_age=allowed["max_age"],
        max_bytes=int(allowed["max_bytes"]),
        clock=lambda: time.time() + later,
    )


def test_what_is_old_goes_a_day_after_it_was_announced(spool: Spool, make: Make, tmp_path: Path) -> None:
    """And only then; what is young stays."""
    old, young = make("old", 91 * DAY), make("young", 80 * DAY)
    inbox = FakeInbox()
    inbox.states["old"] = "quarantined"
    for hours in (0, 1, 23):
        tidying(spool, tmp_path, inbox, hours * 3600.0).look()
        assert (old / "image.dcm").exists()
    assert (old / NOTICE).exists()
    assert not inbox.asked
    tidying(spool, tmp_path, inbox, 24.1 * 3600.0).look()
    assert not old.exists()
    assert young.exists()
    assert not (young / NOTICE).exists()
    assert Journal.open(tmp_path / "journal.sqlite").facts()["tidied"] == 1


@pytest.mark.parametrize("state", ["unknown", "pending"])
def test_what_the_cloud_has_not_stays_for_ever(spool: Spool, make: Make, tmp_path: Path, state: str) -> None:
    """Whatever its age."""
    old = make("old", 900 * DAY)
    inbox = FakeInbox()
    inbox.states["old"] = state
    for days in (0, 2, 200):
        tidying(spool, tmp_path, inbox, days * DAY).look()
    assert (old / "image.dcm").exists()
    assert inbox.asked == ["old", "old"]


def test_what_nobody_can_ask_the_cloud_for_stays_and_is_not_announced(spool: Spool, make: Make, tmp_path: Path) -> None:
    """What this disk does not give back never went up; of what has no readable reason nobody knows how. An earlier
    version announced them: that is taken back.
    """
    unreadable, unknown = make("unreadable-here", 900 * DAY, arrival=""), make("unknown", 900 * DAY)
    (unknown / "reason.json").write_bytes(b"{")
    (unreadable / NOTICE).write_text("It is deleted a day after this file was written.")
    inbox = FakeInbox()
    for days in (0, 2):
        tidying(spool, tmp_path, inbox, days * DAY, max_bytes=1).look()
        for folder in (unreadable, unknown):
            assert (folder / "image.dcm").exists()
            assert not (folder / NOTICE).exists()
    assert not inbox.asked


def test_while_the_cloud_is_away_nothing_goes(spool: Spool, make: Make, tmp_path: Path) -> None:
    old, nameless = make("old", 900 * DAY), make("nameless", 900 * DAY, arrival="")
    inbox = FakeInbox()
    tidying(spool, tmp_path, inbox).look()
    inbox.away = True
    with pytest.raises(CloudAwayError):
        tidying(spool, tmp_path, inbox, 2 * DAY).look()
    assert (old / "image.dcm").exists()
    inbox.away, inbox.states = False, {"old": "partial"}
    tidying(spool, tmp_path, inbox, 2 * DAY).look()
    assert not old.exists()
    assert (nameless / "image.dcm").exists()
    assert "" not in inbox.asked


def test_the_oldest_of_too_much_goes(spool: Spool, make: Make, tmp_path: Path) -> None:
    """Until the rest is within the limit; a limit that is raised takes the announcement back."""
    folders = [make(f"u{n}", n * DAY, size=400) for n in (1, 2, 3, 4)]
    inbox = FakeInbox()
    tidying(spool, tmp_path, inbox).look()
    assert [(folder / NOTICE).exists() for folder in folders] == [False, False, True, True]
    tidying(spool, tmp_path, inbox, max_bytes=1200).look()
    assert [(folder / NOTICE).exists() for folder in folders] == [False, False, False, True]


def test_no_limit_is_no_limit(spool: Spool, make: Make) -> None:
    make("old", 9000 * DAY, size=5000)
    entries: list[Entry] = attention.entries(spool.attention)
    assert too_much(entries, time.time(), max_age=0.0, max_bytes=0) == []
    assert too_much(entries, time.time(), max_age=0.0, max_bytes=4999) == entries
