"""One file that is not as it should be holds up nobody: it is counted, told, and taken in when it can be."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.processes import wait_until
from tests.support.spooled import packed, put_ct

from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.dicom.peek import Identity, identify
from edge_forwarder.packing import keeper as keeper_module
from edge_forwarder.packing import registrar
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.spool.folder import Spool


def failing(name: str, error: Callable[[], OSError]) -> Callable[[Path], Identity]:
    """`identify`, on a disk that cannot read that file."""

    def look(path: Path) -> Identity:
        if path.name == name:
            raise error()
        return identify(path)

    return look


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
    good = put_ct(spool, tmp_path, 1)

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
    found, told, late = put_ct(spool, tmp_path, 1), put_ct(spool, tmp_path, 2), put_ct(spool, tmp_path, 3)
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


def test_a_file_that_cannot_be_deleted_ends_no_keeper(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duplicate, or what was indexed before a crash, on a disk that lets nothing go."""
    put_ct(spool, tmp_path, 1), put_ct(spool, tmp_path, 1)
    indexed, own = put_ct(spool, tmp_path, 2), put_ct(spool, tmp_path, 3)
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
    put_ct(spool, tmp_path, 1), put_ct(spool, tmp_path, 2)
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


def test_a_pack_that_could_not_be_submitted_is_later(
    spool: Spool, journal: Journal, keeper: Keeper, tmp_path: Path
) -> None:
    """The uploader reads the journal for it, which a disk may refuse for a moment: each pack goes once, none is left
    until the next start, and the keeper lives.
    """
    submitted: list[str] = []
    errors = [sqlite3.OperationalError("disk I/O error")] * 2

    def submit(pack: str) -> None:
        if errors:
            raise errors.pop()
        submitted.append(pack)

    keeper._submit = submit
    keeper.start()
    for number in (1, 2):
        keeper.stored(put_ct(spool, tmp_path, number))
    wait_until(lambda: len(packed(journal)) == 2, what="two that are packed")
    wait_until(lambda: sorted(submitted) == sorted(p.id for p in journal.packs(PackState.PACKED)), what="each once")
    assert keeper.is_alive
    assert not errors
