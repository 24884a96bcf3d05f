"""What journal and ledger share: one SQLite file, opened whole or begun anew, and one connection for all threads."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from edge_forwarder.errors import ConfigError
from edge_forwarder.logs import Log

#: What SQLite says of a file that is no database, or a broken one.
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class _DamagedError(sqlite3.DatabaseError):
    """It fails our own check."""


class Database:
    """One connection, shared by the threads of one process."""

    noun: ClassVar[str]
    schema: ClassVar[str]
    schema_version: ClassVar[int]
    migrations: ClassVar[Mapping[int, str]] = {}
    """By version: what makes it the next one."""
    rebuilt: ClassVar[bool] = False
    """Can it be rebuilt? Then one of a version that is not known is begun anew."""
    synced: ClassVar[bool]
    """Does a transaction outlive a power cut, unless it says otherwise?"""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        """``path``: where it is, for whoever may mend it."""
        self._connection, self._path = connection, path
        self._lock = threading.RLock()
        self._is_synced = self.synced
        self.put_aside: Path | None = None
        """Where the damaged one is now in whose place this one was begun."""
        self.is_damaged = False
        """Whether SQLite said so since it was opened: the next start mends it, or puts it aside."""
        self.is_mended = False
        """Whether it was found damaged before, and is whole again."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open it, or put aside one that is damaged and begin anew. Raises ConfigError for one of a newer version, and
        sqlite3.Error for what is no damage: a full disk, a folder that may not be written.

        Damage that showed only in use (a row that its index lacks) is none that the quick look here finds: a mark
        tells of it, else the next use would end the process again.
        """
        mark = _mark(path)
        was_damaged = mark.exists()
        try:
            opened = cls(cls._mended(path) if was_damaged else cls._connect(path), path)
            opened.is_mended = was_damaged
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            opened = cls._anew(path)
        mark.unlink(missing_ok=True)
        return opened

    @classmethod
    def _anew(cls, path: Path) -> Self:
        aside = next(name for name in _names_aside(path) if not name.exists())
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
        opened = cls(cls._connect(path), path)
        opened.put_aside = aside
        return opened

    @classmethod
    def _mended(cls, path: Path) -> sqlite3.Connection:
        """What cannot be rebuilt is kept if its indexes were all that was wrong."""
        if cls.rebuilt:
            raise _DamagedError(f"damaged {cls.noun}")
        connection = cls._connect(path)
        try:
            connection.execute("reindex")
            if connection.execute("pragma integrity_check(1)").fetchone()[0] != "ok":
                raise _DamagedError(f"damaged {cls.noun}")
        except sqlite3.IntegrityError:
            connection.close()
            raise _DamagedError(f"the {cls.noun} has twice what there is once") from None
        except BaseException:
            connection.close()
            raise
        return connection

    @classmethod
    def read_only(cls, path: Path) -> Self:
        """For another process that only looks. Raises sqlite3.Error."""
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return cls(connection)

    @classmethod
    def _connect(cls, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("pragma journal_mode = wal")
            connection.execute(_synchronous(cls.synced))
            (version,) = connection.execute("pragma user_version").fetchone()
            if version == 0:
                connection.executescript(f"begin; {cls.schema} pragma user_version = {cls.schema_version}; commit;")
            while 0 < version != cls.schema_version:
                if version not in cls.migrations:
                    if cls.rebuilt:
                        raise _DamagedError(f"{cls.noun} version {version}")
                    raise ConfigError(
                        f"{path} is of a newer maypacs-edge (version {version}, this one knows {cls.schema_version}):"
                        " install that one again; or move the file away, and what it tells is not known any more"
                    )
                step = f"begin; {cls.migrations[version]} pragma user_version = {version + 1}; commit;"
                connection.executescript(step)
                version += 1
            if connection.execute("pragma quick_check(1)").fetchone()[0] != "ok":
                raise _DamagedError(f"damaged {cls.noun}")
        except BaseException:
            connection.close()
            raise
        return connection

    def tell_of_damage(self, log: Log) -> None:
        if self.put_aside is not None:
            lost = "it is rebuilt" if self.rebuilt else "what it told is lost, and devices must ask again"
            log.error(f"the {self.noun} was damaged: {lost}", why=f"it is kept as {self.put_aside.name}")
        elif self.is_mended:
            log.warning(f"the {self.noun} was damaged and is mended: nothing it told is lost")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self, *, synced: bool | None = None) -> Iterator[None]:
        """All of it or nothing; calls inside join it."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            wanted = self.synced if synced is None else synced
            if wanted != self._is_synced:
                self._connection.execute(_synchronous(wanted))
                self._is_synced = wanted
            with self._watched():
                self._connection.execute("begin immediate")
                try:
                    yield
                    self._connection.execute("commit")
                except BaseException:
                    # SQLite may have done so itself.
                    if self._connection.in_transaction:
                        self._connection.execute("rollback")
                    raise

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not self.is_damaged and _is_damage(error):
                self.is_damaged = True
                if self._path is not None:
                    with contextlib.suppress(OSError):
                        _mark(self._path).touch()
            raise

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock, self._watched():
            return self._connection.execute(sql, values).fetchall()

    def _do(self, sql: str, *values: Any) -> int:
        with self.transaction():
            return self._connection.execute(sql, values).rowcount


def was_put_aside(path: Path) -> bool:
    """Whether a damaged one lies beside it, which nobody has taken away yet."""
    return next(_names_aside(path)).exists()


def _mark(path: Path) -> Path:
    """Beside it, from when damage showed until it is mended."""
    return path.with_name(f"{path.name}.damaged")


def _names_aside(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.unreadable")
    yield from (path.with_name(f"{path.name}.unreadable.{number}") for number in count(2))


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return isinstance(error, _DamagedError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _synchronous(synced: bool) -> str:
    return f"pragma synchronous = {'full' if synced else 'normal'}"
