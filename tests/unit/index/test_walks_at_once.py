"""Deliveries of one study at the same moment: its search terms are written once, not by each of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bench.growth import pack_rows, workspace_of
from tests.support import hospital

from maypacs.errors import ConditionFailedError
from maypacs.index.cascade import Effects, put_pack_rows, walk
from maypacs.index.hints import hints_of, put_hint
from maypacs.index.rows import STUDY_SK, StudySummary, study_pk
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Item
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

EFFECTS = Effects(sleep=lambda seconds: None)
ULTRASOUND = next(n for n in range(100) if hospital.study(ArchiveId("growing"), n)[1][0].modality == "US")


class Watched(SqliteTable):
    """Counts what is written of hints; `meanwhile` happens before the first of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.hints: Counter[tuple[str, str]] = Counter()
        self.meanwhile: Callable[[], None] | None = None

    def put(self, item: Item, **options: Any) -> None:
        if "study" not in item or "#S#" in item["pk"]:
            super().put(item, **options)
            return
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()
        super().put(item, **options)
        self.hints[item["pk"], item["sk"]] += 1


@pytest.fixture
def table(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "index.sqlite")


def packs_of(workspace: Workspace) -> list[tuple[Any, bytes]]:
    return list(pack_rows(workspace, ULTRASOUND, {"US": 5}))


def take_in(workspace: Workspace, head: Any, encoded: bytes, effects: Effects = EFFECTS) -> None:
    def arbiter(*_: object) -> Any:
        raise AssertionError("no instance is there twice")

    put_pack_rows(workspace, head, encoded)
    walk(workspace, head.study_instance_uid, [head.series_instance_uid], arbiter=arbiter, effects=effects)


def study_of(workspace: Workspace, head: Any) -> StudySummary:
    row = workspace.table.get(study_pk(workspace.archive_id, head.study_instance_uid), STUDY_SK)
    assert row is not None
    return StudySummary.from_item(row)


def test_who_meets_the_hints_of_another_delivery_starts_over_and_writes_none(table: Watched) -> None:
    workspace = workspace_of(table)
    first, second = packs_of(workspace)[:2]
    earlier = Effects(sleep=lambda seconds: None, clock=lambda: time.time() - 1)  # its revisions are smaller
    table.meanwhile = lambda: take_in(workspace, *second, earlier)
    take_in(workspace, *first)
    study = study_of(workspace, first[0])
    assert study.number_of_instances == first[0].count + second[0].count
    assert table.hints
    assert set(table.hints.values()) == {1}


def test_hints_of_a_writer_that_died_are_written_through(table: Watched) -> None:
    """It left all of them, and no study row: the next delivery waits for nobody for ever."""
    workspace = workspace_of(table)
    first = packs_of(workspace)[0]

    def dies(*_: Any, **__: Any) -> None:
        raise ConnectionError("the function's end")

    put = table.put

    def until_the_study_row(item: Item, **options: Any) -> None:
        (dies if item["sk"] == STUDY_SK and "#S#" in item["pk"] else put)(item, **options)

    table.put = until_the_study_row  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        take_in(workspace, *first)
    left = dict(table.hints)
    table.put = put  # type: ignore[method-assign]
    take_in(workspace, *first)
    study = study_of(workspace, first[0])
    assert left
    for key in left:
        row = table.get(*key)
        assert row is not None
        assert row["revision"] == study.revision, "a slow remover of older hints must not take it"


def test_a_hint_that_another_wrote_is_left_alone(table: Watched) -> None:
    """What `alone` promises: nothing is written, and the writer hears of it."""
    workspace = workspace_of(table)
    first = packs_of(workspace)[0]
    take_in(workspace, *first)
    study = study_of(workspace, first[0])
    hint = next(each for each in hints_of(study).values() if "study" in each and "#T#" in each["pk"])
    with pytest.raises(ConditionFailedError):
        put_hint(workspace, hint, study.revision + 1, alone=True)
    row = table.get(hint["pk"], hint["sk"])
    assert row is not None
    assert row["revision"] == study.revision
