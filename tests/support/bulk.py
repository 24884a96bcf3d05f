"""An SQLite table filled at once: a million studies in minutes, which ordinary puts would take hours for.

The rows lie in the file as they came, as after an ordinary life; only the indexes are made at the end, in one go. What
is written is not safe until all of it is: for benchmarks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from maypacs.index import costs
from maypacs.index.packing import pack_item
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Item


def bulk_fill(path: Path, items: Iterable[Item]) -> None:
    """Makes the file anew. No two items may have one key."""
    path.unlink(missing_ok=True)
    SqliteTable(path).close()  # its own schema
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        (index,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'by_date'").fetchone()
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-262144")
        connection.execute("DROP TABLE rows")
        columns = "pk TEXT NOT NULL, sk TEXT NOT NULL, gpk TEXT, gsk TEXT, size INTEGER NOT NULL, body BLOB NOT NULL"
        connection.execute(f"CREATE TABLE rows ({columns}) STRICT")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", _packed(items))
        connection.execute("COMMIT")
        connection.execute("CREATE UNIQUE INDEX primary_key ON rows (pk, sk)")
        connection.execute(index)
    finally:
        connection.close()


def _packed(items: Iterable[Item]) -> Iterator[tuple[str, str, str | None, str | None, int, bytes]]:
    for item in items:
        size = costs.check_item(item)
        yield item["pk"], item["sk"], item.get("gpk"), item.get("gsk"), size, pack_item(item)
