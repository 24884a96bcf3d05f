"""Handing over between processes: a file is in one place at any moment, and what it was before is forgotten."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.stub_edge import write_ct

from edge_forwarder import config
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.errors import ConfigError, EdgeError, SpoolFullError
from edge_forwarder.logs import Log
from edge_forwarder.packing import intake
from edge_forwarder.packing.intake import ASSOCIATION, Intake
from edge_forwarder.spool import attention, handover, naming
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.handover import Handover
from edge_forwarder.spool.naming import SpooledFile

IDENTITY = Identity("2.25.1", "2.25.2", "2.25.3", "2.25.4", "1.2.840.10008.1.2", "CT", 1)


def settings(folder: Path, **spool: int) -> config.Config:
    text = {"cloud": {"url": "https://pacs.example.org"}, "spool": {"min_free_mib": 0, **spool}}
    return config.parse(text, folder)


class Edge:
    """The edge's side, with a keeper that only listens."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder / "spool")
        self.spool.open()
        self.ledger = Ledger.open(folder / "spool" / "ledger.sqlite")
        self.heard: list[tuple[str, int] | str] = []
        self.intake = Intake(
            self.spool,
            self.ledger,
            lambda file, association: self.heard.append((file.name, association)),
            lambda association: self.heard.append(f"ended {association}"),
            lambda: self.heard.append("hurry"),
            Log(io.StringIO()),
        )

    def close(self) -> None:
        self.ledger.close()
        self.spool.close()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(tmp_path)
    yield edge
    edge.close()


def hand_over(command: Handover, data: bytes) -> SpooledFile:
    writer = command.begin("maypacs-edge send")
    writer.write(data)
    return writer.commit()


def test_what_is_handed_over_is_received_and_the_keeper_told(
    tmp_path: Path, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole files alone; their association ends when nothing more comes; the spool counts them."""
    command = Handover(settings(tmp_path), "send")
    command.open()
    file = hand_over(command, b"image")
    half = command.begin("maypacs-edge send")
    half.write(b"ima")
    assert edge.intake.look() == 1
    assert [f.name for f in edge.spool.files()] == [file.name]
    assert edge.spool.held_bytes == 5
    assert edge.intake.look() == 0
    monkeypatch.setattr(intake, "_QUIET_SECONDS", -1.0)
    edge.intake.look()
    edge.intake.look()
    assert edge.heard == [(file.name, ASSOCIATION), f"ended {ASSOCIATION}"]
    half.discard()
    command.close()


def test_the_modalities_keep_their_room(tmp_path: Path, edge: Edge) -> None:
    """Twice the free space, and an allowance that counts what the edge holds, and what was set aside."""
    limited = Handover(settings(tmp_path, max_mib=1), "send")
    limited.open()
    (edge.spool.attention / "pack").mkdir()
    (edge.spool.attention / "pack" / "x.dcm").write_bytes(bytes(600_000))
    (edge.spool.received / "y.dcm").write_bytes(bytes(300_000))
    limited.check_room(100_000)
    with pytest.raises(SpoolFullError):
        limited.check_room(200_000)
    limited.close()
    free = Spool(tmp_path / "spool", min_free_bytes=1, free=lambda _: 1_500_000)
    free.check_room(0)
    careful = Handover(settings(tmp_path, min_free_mib=1), "send")
    careful._free = lambda _: 1_500_000
    with pytest.raises(SpoolFullError):
        careful.check_room(0)


def test_one_of_a_command_at_a_time_and_others_beside_it(tmp_path: Path) -> None:
    """Two imports would both send what neither remembers yet; a migration has files of its own."""
    first, second, other = (Handover(settings(tmp_path), name) for name in ("send", "send", "migrate"))
    first.open()
    writer = first.begin("maypacs-edge send")
    other.open()
    with pytest.raises(ConfigError, match="another"):
        second.open()
    writer.write(b"image")
    assert writer.commit().size == 5
    first.close()
    other.close()


def test_what_was_set_aside_is_open_again_once_it_is_released(tmp_path: Path, edge: Edge) -> None:
    """The ledger forgets the verdict before the file can be uploaded anew."""
    writer = edge.spool.begin("CT1")
    writer.write(b"image")
    name = writer.commit().name
    edge.ledger.add(name, "CT1", IDENTITY)
    edge.ledger.settle([name], SentState.CONFLICT)
    edge.spool.set_aside(name, "01PACK")
    told = {"state": "partial", "reasons": ["differs"], "instances": [], "at": 0}
    (edge.spool.attention / "01PACK" / "reason.json").write_text(json.dumps(told))
    (entry,) = attention.entries(edge.spool.attention)
    assert attention.why(edge.spool.attention, name) == "differs"
    assert edge.ledger.states([name]) == {name: SentState.CONFLICT}
    assert attention.release(entry, entry.files, edge.spool.folder) == 1
    assert attention.entries(edge.spool.attention) == []
    assert edge.intake.look() == 1
    assert edge.ledger.states([name]) == {name: SentState.SPOOLED}
    assert edge.spool.path(name).read_bytes() == b"image"
    assert attention.release(entry, entry.files, edge.spool.folder) == 0, "somebody else was quicker"


def test_a_wish_to_hurry_is_heard_once(tmp_path: Path, edge: Edge) -> None:
    """Also when it was left while no edge ran."""
    handover.hurry(edge.spool.folder)
    edge.intake.look()
    edge.intake.look()
    assert edge.heard == ["hurry"]


def test_a_file_that_moves_on_while_it_is_counted_is_no_error(tmp_path: Path, edge: Edge) -> None:
    """A command that starts counts what lies in `handed/` while the edge takes it."""
    command = Handover(settings(tmp_path), "send")
    command.open()
    files = [hand_over(command, b"image") for _ in range(3)]
    counted = command.files()
    assert next(counted) == files[0]
    assert edge.intake.look() == 3
    assert list(counted) == []
    command.close()


def test_a_file_that_cannot_be_taken_from_handed_is_no_obstacle_to_the_next(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is in the spool already, a folder, a copy by hand: what is good is taken, and the keeper told."""
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 0.0)
    folder = edge.intake.folder
    folder.mkdir()
    writer = edge.spool.begin("THU-CT1")
    writer.write(b"one")
    there = writer.commit()
    (folder / there.name).write_bytes(b"another")
    (folder / "a.dcm").mkdir()
    by_hand = write_ct(folder / "IM0001.dcm", sop="2.25.2").read_bytes()
    good = naming.new("maypacs-edge send")
    (folder / good).write_bytes(b"image")
    with pytest.raises(EdgeError, match=r"^1 files"):
        edge.intake.look()
    heard = {name for name, _ in edge.heard}
    assert [good in heard, len(heard), edge.intake.not_taken] == [True, 2, 1]
    (copied,) = heard - {good}
    assert edge.spool.path(copied).read_bytes() == by_hand
    (folder / there.name).unlink()
    assert (edge.intake.look(), edge.intake.not_taken) == (0, 0)
