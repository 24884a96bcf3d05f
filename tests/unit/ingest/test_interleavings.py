"""Two deliveries, or a delivery and a deletion, met at every step: one runs whole between two calls of the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.instances import slice_of
from tests.support.workspaces import QUICK, Bench, hint_keys, visible

from maypacs import arrivals
from maypacs.delete import delete_study
from maypacs.errors import GoneError, NotFoundError
from maypacs.index import contents
from maypacs.index.table import Consumed, Table
from maypacs.ingest import ingest_object
from maypacs.reindex import reindex
from maypacs.uids import Uid

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")
#: More calls of the table than one delivery, or deletion, makes.
STEPS = range(1, 37)


class Interrupted:
    """The table port; before its n-th call something else happens."""

    def __init__(self, inner: Table, at: int, meanwhile: Callable[[], None]) -> None:
        self._inner, self._left, self._meanwhile = inner, at, meanwhile
        self.happened = False

    @property
    def consumed(self) -> Consumed:
        return self._inner.consumed

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self.happened = True
                self._meanwhile()
            return method(*arguments, **named)

        return call


def arrival(number: int) -> str:
    return arrivals.ulid_at(1_760_000_000)[:10] + f"{number:016}"


def deliver(bench: Bench, number: int, body: bytes, table: Table | None = None) -> None:
    key = bench.upload(arrival(number), body)
    ingest_object(bench.workspace(table), key, effects=QUICK)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("second", ["the same series", "another series", "another patient id"])
def test_two_deliveries_that_meet_at_any_step_give_the_serial_index(tmp_path: Path, step: int, second: str) -> None:
    """No update is lost: not a row's, not a hint's."""
    one = slice_of(number=1, patient_name="Nguyễn^Văn Thử")
    two = {
        "the same series": slice_of(number=2, patient_name="Nguyễn^Văn Thử"),
        "another series": slice_of(series="1.2.3.2", modality="PR"),
        "another patient id": slice_of(number=2, patient_id="TEST-2", patient_name="Trần^Thị Mẫu"),
    }[second]
    quiet = Bench(tmp_path / "quiet")
    deliver(quiet, 1, one)
    deliver(quiet, 2, two)
    bench = Bench(tmp_path / "met")
    table = Interrupted(bench.table, step, lambda: deliver(bench, 2, two))
    deliver(bench, 1, one, table)  # type: ignore[arg-type]
    if not table.happened:
        deliver(bench, 2, two)
    assert visible(bench.workspace()) == visible(quiet.workspace())
    assert hint_keys(bench) >= hint_keys(quiet)


@pytest.mark.parametrize("step", STEPS)
def test_two_versions_that_meet_at_any_step_are_decided_once(tmp_path: Path, step: int) -> None:
    """One is current, the other is kept, a decision says so, and nobody decides otherwise later."""
    bench = Bench(tmp_path)
    versions = [slice_of(pixels=bytes([number]) * 32) for number in range(3)]
    table = Interrupted(bench.table, step, lambda: deliver(bench, 1, versions[1]))
    deliver(bench, 2, versions[2], table)  # type: ignore[arg-type]
    if not table.happened:
        deliver(bench, 1, versions[1])
    workspace = bench.workspace()
    (decision,) = workspace.store.decisions()
    held = contents.series_contents(workspace, STUDY, SERIES)
    (current,) = held.instances
    assert decision["current"].endswith(current.digest.hex())
    assert len(held.conflicts) == held.summary.number_of_conflicts == 1
    deliver(bench, 0, versions[0])
    again = contents.series_contents(workspace, STUDY, SERIES)
    assert again.instances[0].digest == current.digest
    assert len(again.conflicts) == 2
    anew = bench.workspace_with_new_table("anew")
    reindex(anew, effects=QUICK)
    assert visible(anew) == visible(workspace)


@pytest.mark.parametrize("series", [SERIES, "1.2.3.2"])
@pytest.mark.parametrize("step", STEPS)
def test_a_deletion_that_meets_a_delivery_at_any_step_takes_it_along(tmp_path: Path, step: int, series: str) -> None:
    """What arrived before the deletion is gone, rows, hints and objects."""
    bench = Bench(tmp_path)
    deliver(bench, 1, slice_of(number=1))
    table = Interrupted(bench.table, step, lambda: delete_study(bench.workspace(), STUDY, "user:test", effects=QUICK))
    deliver(bench, 2, slice_of(series=series, number=2), table)  # type: ignore[arg-type]
    if not table.happened:
        delete_study(bench.workspace(), STUDY, "user:test", effects=QUICK)
    assert_gone(bench)


@pytest.mark.parametrize("series", [SERIES, "1.2.3.2"])
@pytest.mark.parametrize("step", STEPS)
def test_a_delivery_that_meets_a_deletion_at_any_step_goes_along(tmp_path: Path, step: int, series: str) -> None:
    """The other way round."""
    bench = Bench(tmp_path)
    deliver(bench, 1, slice_of(number=1))
    table = Interrupted(bench.table, step, lambda: deliver(bench, 2, slice_of(series=series, number=2)))
    delete_study(bench.workspace(table), STUDY, "user:test", effects=QUICK)  # type: ignore[arg-type]
    if not table.happened:
        deliver(bench, 2, slice_of(series=series, number=2))
    assert_gone(bench)


def assert_gone(bench: Bench) -> None:
    workspace = bench.workspace()
    assert visible(workspace) == {}
    assert hint_keys(bench) == set()
    assert [head.key for root in ("blobs/", "meta/") for head in bench.objects.list(root)] == []
    with pytest.raises(GoneError):
        contents.study_contents(workspace, STUDY)
    with pytest.raises((GoneError, NotFoundError)):
        contents.series_contents(workspace, STUDY, SERIES)
