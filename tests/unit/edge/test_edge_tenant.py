"""An edge that changes hands: nothing of one archive goes to another, and nothing of it is lost."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.errors import ConfigError
from edge_forwarder.importing.memory import Imports, ImportState
from edge_forwarder.importing.sources import Source
from edge_forwarder.migrating.state import MigrationState
from edge_forwarder.spool.attention import REASON
from edge_forwarder.spool.tenant import check_tenant, note_tenant

MIGRATION = "migration-OLDPACS.sqlite"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Of archive hosp1."""
    folder = tmp_path / "spool"
    for name in ("received", "handed", "attention/01UPLOAD"):
        (folder / name).mkdir(parents=True)
    note_tenant(folder, "hosp1", tmp_path / "cache")
    return folder


@pytest.fixture
def source() -> Source:
    return Source("a.dcm", b"a file as it was", 8, lambda: io.BytesIO(b"an image"))


@pytest.mark.parametrize("place", ["received", "handed", "attention/01UPLOAD"])
def test_a_spool_with_images_does_not_change_hands(spool: Path, tmp_path: Path, place: str) -> None:
    """Those that were set aside count, too: `retry` would send them to the other archive. Nothing is touched."""
    (spool / place / "x.dcm").write_bytes(b"")
    (spool / "journal.sqlite").write_bytes(b"journal")
    check_tenant(spool, "hosp1")
    for refuse in (lambda: check_tenant(spool, "hosp2"), lambda: note_tenant(spool, "hosp2", tmp_path / "cache")):
        with pytest.raises(ConfigError, match=r"hosp1.*hosp2"):
            refuse()
    assert (spool / "archive").read_text() == "hosp1\n"
    assert (spool / "journal.sqlite").read_bytes() == b"journal"


def test_what_was_seen_to_no_longer_counts(spool: Path, tmp_path: Path) -> None:
    """A reason without images."""
    (spool / "attention/01UPLOAD" / REASON).write_text("{}")
    note_tenant(spool, "hosp2", tmp_path / "cache")
    check_tenant(spool, "hosp2")


def test_each_archive_has_a_memory_of_its_own(spool: Path, tmp_path: Path, source: Source) -> None:
    """What `send` and `migrate` know to be in one archive is not taken to be in the other; back with the first, it is
    known again.
    """

    def remember(name: str) -> None:
        imports = Imports.open(spool / "imports.sqlite")
        imports.handing(source, name)
        imports.settle({source.key: ImportState.INDEXED})
        imports.close()
        migration = MigrationState.open(spool / MIGRATION)
        migration.close()
        for database in (Journal.open(spool / "journal.sqlite"), Ledger.open(spool / "ledger.sqlite")):
            database.close()

    def recalled() -> str | None:
        imports = Imports.open(spool / "imports.sqlite")
        found = imports.find(source)
        imports.close()
        return found.name if found else None

    remember("first")
    note_tenant(spool, "hosp2", tmp_path / "cache")
    assert not list(spool.glob("*.sqlite*"))
    assert recalled() is None
    remember("second")
    note_tenant(spool, "hosp1", tmp_path / "cache")
    assert recalled() == "first"
    note_tenant(spool, "hosp2", tmp_path / "cache")
    assert recalled() == "second"
    held = {path.name for path in spool.glob("*.sqlite")}
    assert held == {"imports.sqlite", "journal.sqlite", "ledger.sqlite", MIGRATION}


def test_a_change_that_was_interrupted_is_finished(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut at each of its steps: afterwards each archive has its own memory, whole."""
    names = ["imports.sqlite", "journal.sqlite", "journal.sqlite-wal", "ledger.sqlite"]
    rename = Path.rename
    for last in range(2 * len(names) + 1):
        folder = tmp_path / f"spool {last}"
        (folder / "received").mkdir(parents=True)
        for archive in ("hosp2", "hosp1"):
            note_tenant(folder, archive, tmp_path / "cache")
            for name in names:
                (folder / name).write_text(f"{name} of {archive}")
        left = [last]

        def cut(path: Path, to: Path, left: list[int] = left) -> Path:
            if left[0] == 0:
                raise OSError("a power cut")
            left[0] -= 1
            return rename(path, to)

        monkeypatch.setattr(Path, "rename", cut)
        if last < 2 * len(names):
            with pytest.raises(OSError, match="power cut"):
                note_tenant(folder, "hosp2", tmp_path / "cache")
        monkeypatch.setattr(Path, "rename", rename)
        for archive in ("hosp2", "hosp1", "hosp2"):
            note_tenant(folder, archive, tmp_path / "cache")
            assert {p.name: p.read_text() for p in folder.glob("*.sqlite*")} == {n: f"{n} of {archive}" for n in names}


def test_what_somebody_left_beside_a_memory_stops_nothing(spool: Path, tmp_path: Path) -> None:
    """It stays, and the memory comes back."""
    (spool / "journal.sqlite").write_text("journal")
    note_tenant(spool, "hosp2", tmp_path / "cache")
    (spool / "of-hosp1" / "notes.txt").write_text("do not delete")
    for _ in range(2):
        note_tenant(spool, "hosp1", tmp_path / "cache")
        assert (spool / "journal.sqlite").read_text() == "journal"
    assert [path.name for path in (spool / "of-hosp1").iterdir()] == ["notes.txt"]


def test_the_cache_serves_no_other_archive(spool: Path, tmp_path: Path) -> None:
    """Not even while the cloud is away. What is not the cache's stays where it is."""
    cache = tmp_path / "cache"
    (cache / "2.25.1" / "2.25.11").mkdir(parents=True)
    (cache / "2.25.1" / "2.25.11" / "2.25.111~stored.dcm").write_bytes(b"an image")
    (cache / "erased").write_text("01ERASURE")
    (cache / "lost+found").mkdir()
    note_tenant(spool, "hosp1", cache)
    assert (cache / "2.25.1").is_dir()
    note_tenant(spool, "hosp2", cache)
    assert [path.name for path in cache.iterdir()] == ["lost+found"]


def test_what_cannot_be_read_is_no_reason_to_stop(spool: Path, tmp_path: Path) -> None:
    (spool / "received" / "x.dcm").write_bytes(b"")
    (spool / "archive").write_bytes(b"\xff")
    note_tenant(spool, "hosp2", tmp_path / "cache")
    assert (spool / "archive").read_text() == "hosp2\n"
