"""What journal and ledger share: one SQLite file, opened whole or begun anew, and one connection for all threads."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Self

#: What SQLite says of a file that is no database, a broken one, or not ours.
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


class Database:
    """One connection, shared by the threads of one process."""

    noun: ClassVar[str]
    schema: ClassVar[str]
    schema_version: ClassVar[int]
    migrations: ClassVar[Mapping[int, str]] = {}
    """By version: what makes it the next one. A version that is not here is begun anew."""
    synced: ClassVar[bool]
    """Does a transaction outlive a power cut, unless it says otherwise?"""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self._is_synced = self.synced

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open it, or put aside one that is damaged and begin anew. Raises sqlite3.Error for what is no damage: a full
        disk, a folder that may not be written.
        """
        try:
            return cls(cls._connect(path))
        except sqlite3.DatabaseError as error:
            # Ours have no code: an unknown version, a failed check.
            if getattr(error, "sqlite_errorcode", _DAMAGED[0]) & 0xFF not in _DAMAGED:
                raise
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).rename(path.with_name(f"{path.name}.unreadable{suffix}"))
            return cls(cls._connect(path))

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
                    raise sqlite3.DatabaseError(f"{cls.noun} version {version}")
                step = f"begin; {cls.migrations[version]} pragma user_version = {version + 1}; commit;"
                connection.executescript(step)
                version += 1
            if connection.execute("pragma quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError(f"damaged {cls.noun}")
        except BaseException:
            connection.close()
            raise
        return connection

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
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _do(self, sql: str, *values: Any) -> int:
        with self.transaction():
            return self._connection.execute(sql, values).rowcount


def _synchronous(synced: bool) -> str:
    return f"pragma synchronous = {'full' if synced else 'normal'}"
