"""The table on SQLite: for one machine, several processes and threads, every acknowledged write on disk.

WAL with ``synchronous=FULL``: a commit returns after fsync, readers never wait for the writer. Text compares by its
UTF-8 bytes (collation BINARY), as DynamoDB's keys do. Capacity units are estimated by DynamoDB's rules
(`maypacs.index.costs`).
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from maypacs.errors import ConditionFailedError, TableError, ThrottledError
from maypacs.index import costs
from maypacs.index.packing import pack_item, unpack_item
from maypacs.index.table import (
    Absent,
    AbsentOrEquals,
    Condition,
    Consumed,
    Equals,
    Found,
    Item,
    Page,
    Present,
    StartKey,
    Value,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
  pk TEXT NOT NULL, sk TEXT NOT NULL, gpk TEXT, gsk TEXT, size INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (pk, sk)
) STRICT;
CREATE INDEX IF NOT EXISTS by_date ON rows (gpk, gsk, pk, sk, size) WHERE gpk IS NOT NULL AND gsk IS NOT NULL;
"""
_PUT = """
INSERT INTO rows (pk, sk, gpk, gsk, size, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (pk, sk) DO UPDATE SET gpk = excluded.gpk, gsk = excluded.gsk, size = excluded.size, body = excluded.body
"""
_GET = "SELECT size, body FROM rows WHERE pk = ? AND sk = ?"
_BUSY_SECONDS = 30.0
_T = TypeVar("_T")


class SqliteTable:
    """``path`` is created with its schema when it is not there; any number of processes may do so at once."""

    concurrency = 1  #: calls are microseconds: threads would only queue for each other

    def __init__(self, path: Path | str, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        """``busy_seconds``: how long a write waits for others before it is ThrottledError."""
        self.path = Path(path)
        self._busy_seconds = busy_seconds
        self.consumed = Consumed()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._connection()

    def get(self, pk: str, sk: str, *, consistent: bool = True) -> Item | None:
        costs.check_key(pk, sk)
        with _errors():
            row = self._connection().execute(_GET, (pk, sk)).fetchone()
        size = row[0] if row else 0
        self._count(Consumed(costs.read_units(size, consistent=consistent), 0.0, 1 if row else 0, 1))
        return unpack_item(row[1]) if row else None

    def get_many(self, keys: Sequence[tuple[str, str]], *, consistent: bool = True) -> Found:
        connection, total = self._connection(), Consumed()
        found: list[Item | None] = []
        with _errors():
            for pk, sk in keys:
                costs.check_key(pk, sk)
                row = connection.execute(_GET, (pk, sk)).fetchone()
                found.append(unpack_item(row[1]) if row else None)
                total.read_units += costs.read_units(row[0] if row else 0, consistent=consistent)
                total.examined += 1 if row else 0
                total.requests += 1
        self._count(total)
        return Found(found, total)

    def put(self, item: Item, *, condition: Condition | None = None) -> None:
        size = costs.check_item(item)
        self._write(item["pk"], item["sk"], condition, lambda _: (item, size))

    def update(
        self,
        pk: str,
        sk: str,
        *,
        set: Mapping[str, Value],
        remove: Sequence[str] = (),
        condition: Condition | None = None,
    ) -> None:
        costs.check_key(pk, sk)
        costs.check_update(set, remove)

        def change(old: Item | None) -> tuple[Item, int]:
            item = {"pk": pk, "sk": sk} if old is None else dict(old)
            item.update(set)
            for name in remove:
                item.pop(name, None)
            return item, costs.check_item(item)

        self._write(pk, sk, condition, change, needs_old=True)

    def delete(self, pk: str, sk: str, *, condition: Condition | None = None) -> None:
        costs.check_key(pk, sk)
        self._write(pk, sk, condition, lambda _: None)

    def query(
        self,
        pk: str,
        *,
        prefix: str | None = None,
        between: tuple[str, str] | None = None,
        reverse: bool = False,
        limit: int | None = None,
        start: StartKey | None = None,
        index: str | None = None,
        consistent: bool = False,
        keys_only: bool = False,
    ) -> Page:
        costs.check_query(prefix=prefix, between=between, index=index, consistent=consistent, limit=limit)
        if between is not None and between[0] > between[1]:
            raise ValueError("between is (low, high)")
        key, keys = ("sk", ("sk",)) if index is None else ("gsk", ("gsk", "pk", "sk"))
        where = ["pk = ?"] if index is None else ["gpk = ?", "gsk IS NOT NULL"]
        values: list[str | int] = [pk]
        if between is not None:
            where += [f"{key} >= ?", f"{key} <= ?"]
            values += between
        elif prefix:
            where.append(f"{key} >= ?")
            values.append(prefix)
            above = first_after(prefix)
            if above is not None:
                where.append(f"{key} < ?")
                values.append(above)
        if start is not None:
            marks = ", ".join("?" for _ in keys)
            where.append(f"({', '.join(keys)}) {'<' if reverse else '>'} ({marks})")
            values += [start[name] for name in keys]
        direction = "DESC" if reverse else "ASC"
        # The names above are constants of this function; every value is bound.
        columns = "size, pk, sk, gpk, gsk" if keys_only else "size, body"
        sql = (
            f"SELECT {columns} FROM rows WHERE {' AND '.join(where)} "  # noqa: S608
            f"ORDER BY {', '.join(f'{name} {direction}' for name in keys)} LIMIT ?"
        )
        values.append(-1 if limit is None else limit)
        with _errors():
            made = _keys_of if keys_only else _body_of
            items, read, cut = _take(self._connection().execute(sql, values), limit, made)
        last = (
            {name: items[-1][name] for name in ({"pk", "sk", *keys} | ({"gpk"} if index else set()))} if cut else None
        )
        consumed = Consumed(costs.read_units(read, consistent=consistent), 0.0, len(items), 1)
        self._count(consumed)
        return Page(items, last, consumed)

    def put_many(self, items: Iterable[Item]) -> None:
        """Unconditional puts in one transaction (an import, a benchmark); not part of the port."""
        rows = [_row(item, costs.check_item(item)) for item in items]
        with _errors(), self._transaction() as connection:
            connection.executemany(_PUT, rows)
        self._count(Consumed(0.0, sum(costs.write_units(row[4]) for row in rows), 0, 1))

    def close(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    def _write(
        self,
        pk: str,
        sk: str,
        condition: Condition | None,
        change: Callable[[Item | None], tuple[Item, int] | None],
        *,
        needs_old: bool = False,
    ) -> None:
        with _errors(), self._transaction() as connection:
            found = connection.execute(
                "SELECT size, gpk, gsk, body FROM rows WHERE pk = ? AND sk = ?", (pk, sk)
            ).fetchone()
            looks = needs_old or isinstance(condition, (Equals, AbsentOrEquals))
            old = unpack_item(found[3]) if found and looks else None
            old_size = found[0] if found else 0
            if condition is not None and not holds(condition, bool(found), old):
                self._count(Consumed(0.0, costs.write_units(old_size), 0, 1))
                raise ConditionFailedError("the condition of a write did not hold")
            new = change(old)
            if new is None:
                connection.execute("DELETE FROM rows WHERE pk = ? AND sk = ?", (pk, sk))
                new_size, new_index = 0, None
            else:
                row = _row(*new)
                connection.execute(_PUT, row)
                new_size, new_index = new[1], _index_key(row[2], row[3])
        units = costs.write_units(max(old_size, new_size))
        old_index = _index_key(found[1], found[2]) if found else None
        if old_index == new_index:
            units += costs.write_units(max(old_size, new_size)) if new_index else 0.0
        else:
            units += (costs.write_units(old_size) if old_index else 0.0) + (
                costs.write_units(new_size) if new_index else 0
            )
        self._count(Consumed(0.0, units, 0, 1))

    def _count(self, consumed: Consumed) -> None:
        with self._lock:
            self.consumed.add(consumed)

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection; a forked child opens its own (SQLite's must not cross a fork)."""
        if getattr(self._local, "pid", None) != os.getpid():
            with _errors():
                self._local.connection = _open(self.path, self._busy_seconds)
            self._local.pid = os.getpid()
            with self._lock:
                self._connections.append(self._local.connection)
        connection: sqlite3.Connection = self._local.connection
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """IMMEDIATE: the condition is read and the row written under one write lock."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def holds(condition: Condition, exists: bool, row: Item | None) -> bool:
    """Whether a condition holds for a row (``row`` is looked at for the Equals kinds only)."""
    match condition:
        case Absent():
            return not exists
        case Present():
            return exists
        case Equals(attribute, value):
            return exists and row is not None and _equal(row.get(attribute), value)
        case AbsentOrEquals(attribute, value):
            return not exists or (row is not None and _equal(row.get(attribute), value))


def first_after(prefix: str) -> str | None:
    """The smallest text above all that start with ``prefix``, in UTF-8 (= code point) order; None: there is none."""
    for i in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[i]) + 1
        if code == 0xD800:  # surrogates are not text
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[:i] + chr(code)
    return None


def _equal(found: Value, value: Value) -> bool:
    return type(found) is type(value) and bool(found == value)


def _index_key(gpk: str | None, gsk: str | None) -> tuple[str, str] | None:
    return (gpk, gsk) if gpk is not None and gsk is not None else None


def _row(item: Item, size: int) -> tuple[str, str, str | None, str | None, int, bytes]:
    return (item["pk"], item["sk"], item.get("gpk"), item.get("gsk"), size, pack_item(item))


def _body_of(row: tuple[Any, ...]) -> Item:
    return unpack_item(row[1])


def _keys_of(row: tuple[Any, ...]) -> Item:
    keys = {"pk": row[1], "sk": row[2]}
    if row[3] is not None:
        keys["gpk"] = row[3]
    if row[4] is not None:
        keys["gsk"] = row[4]
    return keys


def _take(
    cursor: sqlite3.Cursor, limit: int | None, made: Callable[[tuple[Any, ...]], Item]
) -> tuple[list[Item], int, bool]:
    """The rows of one page (items, bytes read, whether there may be more): cut at 1 MB, as DynamoDB's are."""
    items: list[Item] = []
    read = 0
    for row in cursor:
        items.append(made(row))
        read += row[0]
        if read >= costs.MAX_PAGE_BYTES or len(items) == limit:
            cursor.close()
            return items, read, True
    return items, read, False


def _open(path: Path, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        # Turning WAL on needs the file alone for a moment, and SQLite does not always wait for its turn here.
        _patiently(lambda: connection.execute("PRAGMA journal_mode=WAL").fetchone())
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-32768")
        connection.execute("PRAGMA mmap_size=268435456")
        ready = (
            connection.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('rows', 'by_date')").fetchone()[0]
            == 2
        )
        if not ready:
            _patiently(lambda: connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;"))
    except BaseException:
        connection.close()
        raise
    return connection


def _patiently(step: Callable[[], _T]) -> _T:
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 (jitter, not a secret)


def _is_busy(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class _Translated:
    """``with _errors():`` SQLite's faults become ours; a class, since a generator would cost as much as a get."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            if _is_busy(error):
                raise ThrottledError("the table is busy") from error
            raise TableError(f"the table failed: {getattr(error, 'sqlite_errorname', type(error).__name__)}") from error


def _errors() -> _Translated:
    return _TRANSLATED


_TRANSLATED = _Translated()
