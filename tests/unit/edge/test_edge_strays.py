"""Files of the spool that no event tells of: what a person put there, and what waits to be read."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest
from tests.support.processes import wait_until
from tests.support.spooled import packed, put_ct
from tests.support.stub_edge import write_ct

from edge_forwarder.databases.journal import Journal
from edge_forwarder.logs import Log
from edge_forwarder.packing import strays
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.spool import naming
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile


def test_whose_images_wait_to_be_read_is_known_by_their_names(
    spool: Spool, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was put back a moment ago, and one that cannot be read; not what a person brought from elsewhere."""
    found = strays.Strays(spool, journal, Log(io.StringIO()))
    file = put_ct(spool, tmp_path, 1)
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
    own = put_ct(spool, tmp_path, 1)
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
    own = put_ct(spool, tmp_path, 1)
    keeper.stored(own, 1)
    wait_until(lambda: own.name in packed(journal), what="our own")
    assert packed(journal) == {own.name}
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 0.0)
    wait_until(lambda: len(packed(journal)) == 2, what="the copy")
