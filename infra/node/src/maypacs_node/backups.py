"""Backups of what no object can restore: the accounts table (users, keys, edges, audit), into the object store.

A node takes one an hour while it runs. SQLite's own online backup makes each: whole and consistent, whatever is being
written. They lie in the archive's bucket below ``backups/accounts/``, which nothing serves (only ``blobs/`` is). The
secrets document is not in them.
"""

from __future__ import annotations

import gzip
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from maypacs.archive.objects import Objects
from maypacs.errors import ObjectNotFoundError
from maypacs_node.home import Home, NodeError

PREFIX = "backups/accounts/"
EVERY_SECONDS = 3600.0
#: All of the last two days, then the last of each of thirty days that have any.
KEEP_LATEST = 48
KEEP_DAYS = 30
_FORMAT = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"\d{8}T\d{6}Z\Z")

Clock = Callable[[], float]


def take(table: Path, objects: Objects, *, clock: Clock = time.time) -> str:
    """Stores a backup, removes those that are too many, and returns its name.

    Raises NodeError (there is nothing yet), sqlite3.Error, StorageError.
    """
    if not table.exists():
        raise NodeError("there are no accounts yet")
    with tempfile.TemporaryDirectory(prefix="backup-", dir=table.parent) as folder:
        copy = Path(folder) / "copy.sqlite"
        with closing(sqlite3.connect(table, timeout=30)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # in one read transaction: writers go on meanwhile
            target.execute("PRAGMA journal_mode = DELETE")
        packed = Path(folder) / "copy.gz"
        with copy.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as zipped:
            while piece := plain.read(1024 * 1024):
                zipped.write(piece)
        name = datetime.fromtimestamp(clock(), UTC).strftime(_FORMAT)
        with packed.open("rb") as body:
            objects.put(f"{PREFIX}{name}.sqlite.gz", body, content_type="application/gzip")
    for old in superfluous(names(objects)):
        objects.delete(f"{PREFIX}{old}.sqlite.gz")
    return name


def names(objects: Objects) -> list[str]:
    """Of all backups, the oldest first."""
    found = [head.key.removeprefix(PREFIX).removesuffix(".sqlite.gz") for head in objects.list(PREFIX)]
    return sorted(name for name in found if _NAME.match(name))


def superfluous(names: list[str]) -> list[str]:
    """Of names in order, those to remove."""
    last_of_day = {name[:8]: name for name in names}
    kept = {*names[-KEEP_LATEST:], *list(last_of_day.values())[-KEEP_DAYS:]}
    return [name for name in names if name not in kept]


def due(objects: Objects, *, clock: Clock = time.time) -> float:
    """Seconds until the next one; 0 when it is time. Names in the future (a clock was ahead) do not put it off."""
    now = clock()
    held = [moment for moment in map(_moment, names(objects)) if moment <= now]
    return max(0.0, held[-1] + EVERY_SECONDS - now) if held else 0.0


def _moment(name: str) -> float:
    return datetime.strptime(name, _FORMAT).replace(tzinfo=UTC).timestamp()


def restore(table: Path, objects: Objects, name: str, *, clock: Clock = time.time) -> Path | None:
    """Puts a backup in the table's place; what was there is kept beside it, and returned. Nothing may have it open.

    Raises NodeError: there is no such backup, or it is damaged (the table is as before then).
    """
    if not _NAME.match(name):
        raise NodeError("a backup is named YYYYMMDDThhmmssZ: see maypacs backup list")
    try:
        packed = objects.get(f"{PREFIX}{name}.sqlite.gz")
    except ObjectNotFoundError:
        raise NodeError(f"there is no backup {name}: see maypacs backup list") from None
    draft = table.with_name(f"{table.name}.restored")
    try:
        _write(draft, gzip.decompress(packed))
        _check(draft)
    except (OSError, EOFError, sqlite3.Error) as error:
        draft.unlink(missing_ok=True)
        raise NodeError(f"the backup {name} is damaged: {type(error).__name__}") from None
    before = None
    for suffix in ("-wal", "-shm", ""):  # the table last: without it, a repetition begins here again
        part = table.with_name(table.name + suffix)
        if part.exists():
            before = table.with_name(f"{table.stem}.before-{int(clock())}.sqlite{suffix}")
            part.rename(before)
    draft.rename(table)
    _sync_folder(table.parent)
    return before


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check(path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        (result,) = copy.execute("PRAGMA integrity_check").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError
        copy.execute("SELECT count(*) FROM rows").fetchone()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def store_of(home: Home, *, alone: bool = False) -> Iterator[Objects]:
    """The archive's bucket of a node. ``alone``: the node must be stopped, and stays so meanwhile."""
    from maypacs_node.admin import runtime
    from maypacs_node.seaweed import SeaweedFS

    home.create()
    if not alone and home.is_locked():
        yield runtime(home, SeaweedFS(home.objects, run=home.run).remembered_environment()).archive_objects
        return
    with home.lock(), SeaweedFS(home.objects, run=home.run) as store:
        yield runtime(home, store.environment).archive_objects
