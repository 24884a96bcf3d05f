"""Several processes and threads on one table, and the plug pulled: SQLite and dynalite, with real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from tests.support.tables import dynalite, dynamodb_client

from maypacs.errors import ConditionFailedError, ThrottledError
from maypacs.index.dynamodb_table import DynamoDBTable
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Absent, Equals, Table

PROCESSES = 4
ROUNDS = 20
SPAWN = multiprocessing.get_context("spawn")


def open_sqlite(path: str) -> Table:
    return SqliteTable(path)


def open_dynalite(endpoint_and_name: str) -> Table:
    endpoint, name = endpoint_and_name.split(" ")
    return DynamoDBTable(name, client=dynamodb_client(endpoint))


def race_to_put(opener: Callable[[str], Table], place: str, me: int, start: Barrier, results: Any) -> None:
    table = opener(place)
    won = []
    for i in range(ROUNDS):
        start.wait(timeout=60)
        try:
            table.put({"pk": "race", "sk": str(i), "winner": me}, condition=Absent())
            won.append(i)
        except ConditionFailedError:
            pass
    results.put((me, won))


def count_up(opener: Callable[[str], Table], place: str, times: int, results: Any) -> None:
    """Read, add one, write if nobody else did meanwhile."""
    table = opener(place)
    tries = 0
    for _ in range(times):
        while True:
            tries += 1
            seen = (table.get("p", "counter") or {})["n"]
            try:
                table.update("p", "counter", set={"n": seen + 1}, condition=Equals("n", seen))
                break
            except ConditionFailedError:
                continue
    results.put(tries)


def run_all(target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
    processes = [SPAWN.Process(target=target, args=args) for args in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        assert process.exitcode == 0


@pytest.fixture(params=["sqlite", "dynalite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """(how a process opens the table, where)"""
    if request.param == "sqlite":
        yield open_sqlite, str(tmp_path / "index.db")
    else:
        with dynalite(tmp_path / "dynalite") as server:
            yield open_dynalite, f"{server.endpoint} {server.new_table().name}"


def test_of_processes_that_put_one_row_at_once_exactly_one_wins(engine: Any) -> None:
    """Also while the database itself is being created by all of them at once."""
    opener, place = engine
    results = SPAWN.Queue()
    start = SPAWN.Barrier(PROCESSES)
    run_all(race_to_put, [(opener, place, me, start, results) for me in range(PROCESSES)])
    claims = dict(results.get(timeout=10) for _ in range(PROCESSES))
    assert sorted(i for won in claims.values() for i in won) == list(range(ROUNDS))
    table = opener(place)
    for me, won in claims.items():
        for i in won:
            row = table.get("race", str(i))
            assert row is not None
            assert row["winner"] == me


def test_no_update_under_a_condition_is_lost(engine: Any) -> None:
    """Compare and set from several processes adds up."""
    opener, place = engine
    opener(place).put({"pk": "p", "sk": "counter", "n": 0})
    results = SPAWN.Queue()
    run_all(count_up, [(opener, place, 15, results) for _ in range(PROCESSES)])
    assert opener(place).get("p", "counter") == {"pk": "p", "sk": "counter", "n": 15 * PROCESSES}


def test_threads_share_a_sqlite_table(tmp_path: Path) -> None:
    """Each with a connection of its own; every write is there."""
    table = SqliteTable(tmp_path / "index.db")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: table.put({"pk": "p", "sk": f"{i:03}"}, condition=Absent()), range(100)))
        reads = list(pool.map(lambda i: table.get("p", f"{i:03}"), range(100)))
    assert all(reads)
    assert len(table.query("p").items) == 100
    assert table.consumed.requests == 201
    table.close()


def test_a_forked_child_opens_its_own_connection(tmp_path: Path) -> None:
    """SQLite's connections must not cross a fork."""
    table = SqliteTable(tmp_path / "index.db")
    table.put({"pk": "p", "sk": "parent"})
    child = os.fork()
    if child == 0:
        try:
            table.put({"pk": "p", "sk": "child"})
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert [row["sk"] for row in table.query("p").items] == ["child", "parent"]
    table.close()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    """WAL: what was committed is read while somebody holds the write lock."""
    table, writer = SqliteTable(tmp_path / "index.db"), SqliteTable(tmp_path / "index.db")
    table.put({"pk": "p", "sk": "s", "n": 1})
    with writer._transaction() as connection:
        connection.execute("UPDATE rows SET body = x'' WHERE pk = 'none'")
        assert table.get("p", "s") == {"pk": "p", "sk": "s", "n": 1}
    table.close()
    writer.close()


def test_a_writer_that_waits_too_long_is_told_to_try_again(tmp_path: Path) -> None:
    """A lock held by another is ThrottledError, not a fault."""
    table, holder = SqliteTable(tmp_path / "index.db", busy_seconds=0.05), SqliteTable(tmp_path / "index.db")
    with holder._transaction() as connection:
        connection.execute("DELETE FROM rows")
        with pytest.raises(ThrottledError):
            table.put({"pk": "p", "sk": "s"})
    table.put({"pk": "p", "sk": "s"})
    table.close()
    holder.close()


WRITER = """
import sys
from maypacs.index.sqlite_table import SqliteTable
table = SqliteTable(sys.argv[1])
i = 0
while True:
    table.put({"pk": "p", "sk": f"{i:06}", "blob": bytes(2000)})
    print(i, flush=True)
    i += 1
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """A writer is killed in mid-write, three times over; each row it announced is there, and the file is sound."""
    path = tmp_path / "index.db"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        announced = -1
        timer = threading.Timer(60, process.kill)
        timer.start()
        while announced < 60:
            announced = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        timer.cancel()
        process.stdout.close()
        complete = rest[:-1]  # the last line may be cut
        announced = int(complete[-1]) if complete else announced
        table = SqliteTable(path)
        for i in range(announced + 1):
            row = table.get("p", f"{i:06}")
            assert row is not None
            assert row["blob"] == bytes(2000)
        assert table._connection().execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        table.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    """kill -9 does not show it, a power cut would: the journal mode and the sync level are asserted."""
    table = SqliteTable(tmp_path / "index.db")
    connection = table._connection()
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    table.close()
