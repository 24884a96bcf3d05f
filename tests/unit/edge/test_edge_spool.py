"""The spool: what survives what, and what is never a success."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from tests.support.spooled import put

from edge_forwarder.errors import ConfigError, SpoolError, SpoolFullError
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.lock import is_locked
from edge_forwarder.spool.writer import SpoolWriter


@pytest.mark.parametrize("title", ["CT1", "CT/1", "a~b", "ĐẶC", "..", "", " x "])
def test_any_calling_title_makes_a_file_name_and_comes_back(spool: Spool, title: str) -> None:
    """The AE title is in the name, so that it survives the loss of the journal; it cannot leave the folder."""
    file = put(spool, b"abc", title)
    assert file.calling_ae_title == title
    assert spool.path(file.name).parent == spool.received
    assert [found.calling_ae_title for found in spool.files()] == [title]


def test_a_crash_between_writing_and_renaming_leaves_nothing(tmp_path: Path) -> None:
    """What is in incoming/ at the next start was never acknowledged."""
    first = Spool(tmp_path / "spool")
    first.open()
    first.begin("X").write(b"half")
    kept = put(first, b"whole")
    first.close()
    second = Spool(tmp_path / "spool")
    second.open()
    assert list(second.incoming.iterdir()) == []
    assert [file.name for file in second.files()] == [kept.name]
    assert second.held_bytes == 5
    second.close()


def test_a_folder_that_somebody_left_among_what_arrives_stops_nothing(tmp_path: Path) -> None:
    """It stays as it is, and is told of; a link to one is only a name."""
    first = Spool(tmp_path / "spool")
    first.open()
    first.close()
    (first.incoming / "backup").mkdir()
    (first.incoming / "backup" / "1.dcm").write_bytes(b"somebody's")
    (first.incoming / "link").symlink_to(tmp_path)
    second = Spool(tmp_path / "spool")
    second.open()
    assert second.strange_folders == ["backup"]
    assert [path.name for path in second.incoming.iterdir()] == ["backup"]
    assert put(second, b"whole").size == 5
    second.close()
    assert (second.incoming / "backup" / "1.dcm").read_bytes() == b"somebody's"


def test_one_process_at_a_time(spool: Spool) -> None:
    """The lock goes with the process, however it ends."""
    assert is_locked(spool.folder)
    with pytest.raises(ConfigError, match="another process"):
        Spool(spool.folder).open()
    spool.close()
    assert not is_locked(spool.folder)


@pytest.mark.parametrize("operation", ["fsync", "rename", "write"])
@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, SpoolFullError), (errno.EIO, SpoolError)])
def test_a_disk_that_fails_is_never_a_success(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, operation: str, number: int, kind: type[SpoolError]
) -> None:
    """Wherever the disk gives up, the instance is refused and gone, and its bytes are given back."""
    writer = spool.begin("X")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(kind):
        _write_and_commit(writer)
    monkeypatch.undo()
    writer.discard()
    assert (list(spool.files()), list(spool.incoming.iterdir()), spool.held_bytes) == ([], [], 0)


def _write_and_commit(writer: SpoolWriter) -> None:
    writer.write(b"abc")
    writer.commit()


def test_room_is_looked_for_before_it_is_needed(tmp_path: Path) -> None:
    """Below the free space that must stay, and above the allowance, nothing is begun."""
    free = [1000]
    spool = Spool(tmp_path / "spool", min_free_bytes=1000, max_bytes=10, free=lambda _: free[0])
    spool.open()
    kept = put(spool, b"0123456789")
    with pytest.raises(SpoolFullError):
        spool.begin("X")
    spool.remove(kept.name)
    free[0] = 999
    with pytest.raises(SpoolFullError):
        spool.begin("X")
    free[0] = 1000
    spool.begin("X").discard()
    spool.close()
