"""Messages that come again and again: because of the object (poison), or because storage or table were away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.instances import slice_of
from tests.support.workspaces import Bench

from maypacs import arrivals, deliveries
from maypacs.errors import BusyError, MayPACSError, StorageError, TableError
from maypacs.events import Created
from maypacs.index.table import Table
from maypacs.receipts import Receipt
from maypacs.workspace import Workspace


class FullDisk:
    """A table whose writes fail while the disk is full."""

    def __init__(self, inner: Table) -> None:
        self.inner = inner
        self.full = True

    def __getattr__(self, name: str) -> Any:
        if self.full and name in ("put", "delete", "batch_put"):

            def fail(*_: object, **__: object) -> None:
                raise TableError("database or disk is full")

            return fail
        return getattr(self.inner, name)


def delivery(bench: Bench, key: str, receives: int, workspace: Workspace | None = None) -> Receipt | None:
    created = Created("inbox", key, None)
    return deliveries.deliver(
        created,
        receives=receives,
        open_workspace=lambda _: workspace or bench.workspace(),
        archive_exists=lambda _: True,
    )


def test_what_waited_through_a_full_disk_is_taken_in_when_there_is_room(tmp_path: Path) -> None:
    """However often it was tried: nothing of it is poison."""
    bench = Bench(tmp_path)
    key = bench.upload(arrivals.new_arrival(), slice_of())
    table = FullDisk(bench.table)
    for receives in range(1, 9):
        with pytest.raises(TableError):
            delivery(bench, key, receives, bench.workspace(table))  # type: ignore[arg-type]
    table.full = False
    receipt = delivery(bench, key, 9, bench.workspace(table))  # type: ignore[arg-type]
    assert receipt is not None
    assert (receipt.state, receipt.counts) == ("indexed", {"stored": 1})
    assert not list(bench.objects.list("quarantine/"))


@pytest.mark.parametrize("fault", [StorageError("away"), TableError("away"), BusyError("much to do")], ids=repr)
def test_an_outage_of_storage_or_table_makes_no_poison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: MayPACSError
) -> None:
    """The faults that say "try again" are not the object's."""
    bench = Bench(tmp_path)
    key = bench.upload(arrivals.new_arrival(), slice_of())

    def fail(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "ingest_object", fail)
        for receives in range(1, 9):
            with pytest.raises(type(fault)):
                delivery(bench, key, receives)
    receipt = delivery(bench, key, 9)
    assert receipt is not None
    assert receipt.state == "indexed"


@pytest.mark.parametrize("end", [SystemExit(), RuntimeError("a bug of ours")], ids=repr)
def test_an_object_that_ends_its_readers_is_put_away_at_the_fourth_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    """Death of the process, or a fault that nobody foresaw."""
    bench = Bench(tmp_path)
    key = bench.upload(arrivals.new_arrival(), slice_of())

    def fail(*_: object, **__: object) -> None:
        raise end

    monkeypatch.setattr(deliveries, "ingest_object", fail)
    for receives in (1, 2, 3):
        with pytest.raises(type(end)):
            delivery(bench, key, receives)
    receipt = delivery(bench, key, 4)
    assert receipt is not None
    assert receipt.state == "quarantined"
    assert not list(bench.inbox.list(""))


def test_an_outage_does_not_wash_the_deaths_before_it_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count together, in whatever order they come."""
    bench = Bench(tmp_path)
    key = bench.upload(arrivals.new_arrival(), slice_of())
    ends = [RuntimeError("1"), RuntimeError("2"), StorageError("away"), StorageError("away"), RuntimeError("3")]

    def fail(*_: object, **__: object) -> None:
        raise ends[0]

    monkeypatch.setattr(deliveries, "ingest_object", fail)
    for receives in range(1, 6):
        with pytest.raises(type(ends[0])):
            delivery(bench, key, receives)
        ends.pop(0)
    receipt = delivery(bench, key, 6)
    assert receipt is not None
    assert receipt.state == "quarantined"
