"""One file that is not as it should be holds up nobody: it is counted, told, and taken in when it can be."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.processes import wait_until
from tests.support.stub_edge import write_ct

from edge_forwarder import config
from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import Identity, identify
from edge_forwarder.errors import EdgeError
from edge_forwarder.health.findings import WORDS
from edge_forwarder.logs import Log
from edge_forwarder.packing import keeper as keeper_module
from edge_forwarder.packing import registrar, strays
from edge_forwarder.packing.intake import Intake
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.spool import naming
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.status_report import collect


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "spool" / "journal.sqlite")
    yield journal
    journal.close()


@pytest.fixture
def keeper(spool: Spool, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """One that tries again at once, and closes each pack at once."""
    monkeypatch.setattr(strays, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(keeper_module, "_RETRY_SECONDS", 0.02)
    keeper = Keeper(spool, journal, Planner(Limits(quiet=0.0)), lambda pack: None, Log(io.StringIO()))
    yield keeper
    if keeper.is_alive:
        keeper.stop()


def put(spool: Spool, folder: Path, number: int) -> SpooledFile:
    writer = spool.begin("THU-CT1")
    writer.write(write_ct(folder / f"{number}.dcm", sop=f"2.25.{number}", number=number).read_bytes())
    return writer.commit()


def failing(name: str, error: Callable[[], OSError]) -> Callable[[Path], Identity]:
    """`identify`, on a disk that cannot read that file."""

    def look(path: Path) -> Identity:
        if path.name == name:
            raise error()
        return identify(path)

    return look


def packed(journal: Journal) -> set[str]:
    return {member.name for pack in journal.packs(PackState.PACKED) for member in journal.members(pack.id)}


@pytest.mark.parametrize("known", [True, False])
def test_what_has_no_identity_and_cannot_be_read_any_more_holds_up_nobody(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Its data set was no use before, as the journal may know; now the disk does not even give its head."""
    writer = spool.begin("THU-CT1")
    writer.write(b"no image")
    bad = writer.commit()
    if known:
        journal.add_instance(bad.name, bad.size, None)
        journal.add_pack("p", [bad.name])
    good = put(spool, tmp_path, 1)

    def fail(path: Path) -> Identity:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(registrar, "claimed", fail)
    keeper.start()
    wait_until(lambda: good.name in packed(journal), what="the good one in a pack")
    assert keeper.caught_up(5.0)
    assert (bad.name in journal.names()) == known


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EISDIR])
def test_a_file_that_cannot_be_read_holds_up_nobody_and_is_tried_again(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The others of its batch go; it is counted until it can be read, and goes then. So also after a restart."""
    found, told, late = put(spool, tmp_path, 1), put(spool, tmp_path, 2), put(spool, tmp_path, 3)
    monkeypatch.setattr(registrar, "identify", failing(told.name, lambda: OSError(number, os.strerror(number))))
    keeper.start()
    keeper.stored(told, 1)
    keeper.stored(late, 1)
    assert keeper.caught_up(5.0)
    wait_until(lambda: packed(journal) == {found.name, late.name}, what="the two that can be read")
    assert keeper.not_taken == 1
    assert keeper.unread() == {"THU-CT1"}
    monkeypatch.setattr(registrar, "identify", identify)
    wait_until(lambda: told.name in packed(journal), what="the third")
    assert keeper.not_taken == 0
    assert not keeper.unread()


def test_whose_images_wait_to_be_read_is_known_by_their_names(
    spool: Spool, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was put back a moment ago, and one that cannot be read; not what a person brought from elsewhere."""
    found = strays.Strays(spool, journal, Log(io.StringIO()))
    file = put(spool, tmp_path, 1)
    write_ct(spool.received / "IM0001.dcm", sop="2.25.2")
    assert found.look() == []
    assert (found.senders(), found.unread) == ({"THU-CT1"}, 0)
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 0.0)
    assert file in found.look()
    found.note(file.name, OSError(errno.EIO, os.strerror(errno.EIO)))
    found.taken(file.name)
    assert not found.senders()
    found.note(file.name, OSError(errno.EIO, os.strerror(errno.EIO)))
    found.look()
    assert (found.senders(), found.unread) == ({"THU-CT1"}, 1)
    spool.path(file.name).unlink()
    found.look()
    assert not found.senders()


def test_what_a_person_put_into_the_spool_goes_up_under_a_name_of_ours(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path
) -> None:
    """Before the start or later, whatever its name, even one that is no text."""
    own = put(spool, tmp_path, 1)
    first = write_ct(spool.received / "IM0001.dcm", sop="2.25.2").read_bytes()
    keeper.start()
    wait_until(lambda: len(packed(journal)) == 2, what="both")
    second = write_ct(tmp_path / "other.dcm", sop="2.25.3").read_bytes()
    (tmp_path / "other.dcm").rename(os.fsdecode(bytes(spool.received) + b"/NGUY\xcaN.dcm"))
    wait_until(lambda: len(packed(journal)) == 3, what="what came while it ran")
    adopted = sorted(packed(journal) - {own.name})
    assert [spool.path(name).read_bytes() for name in adopted] == [first, second]
    assert {SpooledFile(name, 0).calling_ae_title for name in adopted} == {naming.BY_HAND}
    assert all(file.is_import and file.received_at for file in spool.files() if file.name in adopted)
    assert spool.held_bytes == sum(file.size for file in spool.files())


def test_a_copy_that_is_still_written_waits(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an image must not go up: it is taken once nobody has touched it for a while."""
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 3600.0)
    write_ct(spool.received / "IM0001.dcm", sop="2.25.2")
    keeper.start()
    own = put(spool, tmp_path, 1)
    keeper.stored(own, 1)
    wait_until(lambda: own.name in packed(journal), what="our own")
    assert packed(journal) == {own.name}
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 0.0)
    wait_until(lambda: len(packed(journal)) == 2, what="the copy")


def test_a_file_that_cannot_be_deleted_ends_no_keeper(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duplicate, or what was indexed before a crash, on a disk that lets nothing go."""
    put(spool, tmp_path, 1), put(spool, tmp_path, 1)
    indexed, own = put(spool, tmp_path, 2), put(spool, tmp_path, 3)
    journal.add_instance(indexed.name, indexed.size, None)
    journal.add_pack("p", [indexed.name])
    journal.update_pack("p", PackState.INDEXED)

    def fail(name: str) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(spool, "remove", fail)
    keeper.start()
    wait_until(lambda: own.name in packed(journal), what="the one that is sound")
    assert keeper.is_alive
    assert keeper.not_taken == 0


def test_a_keeper_that_can_write_nothing_down_is_told_of(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, but while it lasts: how many files wait that the journal does not know."""
    put(spool, tmp_path, 1), put(spool, tmp_path, 2)
    add = journal.add_instance

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug, or a disk that is full")

    monkeypatch.setattr(journal, "add_instance", fail)
    monkeypatch.setattr(keeper_module, "_BEHIND_SECONDS", 0.05)
    keeper.start()
    wait_until(lambda: keeper.not_taken == 2, what="two that are not taken")
    monkeypatch.setattr(journal, "add_instance", add)
    wait_until(lambda: keeper.not_taken == 0, what="none")
    assert len(packed(journal)) == 2


def test_a_number_that_no_database_takes_is_none(tmp_path: Path) -> None:
    """InstanceNumber is what somebody sent: 200 digits would stop the journal for everybody else, too."""
    path = write_ct(tmp_path / "a.dcm", sop="2.25.1", number=1)
    data = path.read_bytes()
    element = b"\x20\x00\x13\x00IS\x02\x001 "
    assert data.count(element) == 1
    path.write_bytes(data.replace(element, b"\x20\x00\x13\x00IS\xc8\x00" + b"9" * 200))
    assert identify(path).instance_number == 0


@pytest.fixture
def intake(spool: Spool, journal: Journal) -> Iterator[tuple[Intake, list[str]]]:
    ledger, heard = Ledger.open(spool.folder / "ledger.sqlite"), list[str]()
    intake = Intake(spool, ledger, lambda f, _: heard.append(f.name), lambda _: None, lambda: None, Log(io.StringIO()))
    intake.folder.mkdir()
    yield intake, heard
    ledger.close()


def test_a_file_that_cannot_be_taken_from_handed_is_no_obstacle_to_the_next(
    spool: Spool, intake: tuple[Intake, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is in the spool already, a folder, a copy by hand: what is good is taken, and the keeper told."""
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 0.0)
    look, heard = intake
    there = put(spool, tmp_path, 1)
    (look.folder / there.name).write_bytes(b"another")
    (look.folder / "a.dcm").mkdir()
    by_hand = write_ct(look.folder / "IM0001.dcm", sop="2.25.2").read_bytes()
    good = naming.new("maypacs-edge send")
    (look.folder / good).write_bytes(b"image")
    with pytest.raises(EdgeError, match=r"^1 files"):
        look.look()
    assert [good in heard, len(heard), look.not_taken] == [True, 2, 1]
    (copied,) = set(heard) - {good}
    assert spool.path(copied).read_bytes() == by_hand
    (look.folder / there.name).unlink()
    assert (look.look(), look.not_taken) == (0, 0)


def test_the_status_can_be_told_whatever_lies_in_the_spool(spool: Spool, tmp_path: Path) -> None:
    """A name without a time, alone or first of several."""
    settings = config.parse({"cloud": {"url": "https://pacs.example.org"}, "spool": {"min_free_mib": 0}}, tmp_path)
    assert settings.spool_folder == spool.folder
    (spool.received / "0000.dcm").mkdir()
    (spool.received / "0001.dcm").write_bytes(b"x")
    assert collect(settings)["waiting"] == {"instances": 1, "bytes": 1, "oldest_age": None}
    put(spool, tmp_path, 1)
    waiting = collect(settings)["waiting"]
    assert waiting["instances"] == 2
    assert waiting["oldest_age"] >= 0
    assert "not_taken" in WORDS
