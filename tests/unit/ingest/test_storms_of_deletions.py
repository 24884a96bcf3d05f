"""Deletions of single instances and series in the midst of deliveries: only the target is gone, and it stays gone."""

from __future__ import annotations

import itertools
import random
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.chaos_table import ChaosTable
from tests.support.faults import FaultyObjects, FaultyTable, Power
from tests.support.instances import slice_of
from tests.support.workspaces import QUICK, Bench, every_byte_is_there, hint_keys, visible
from tests.unit.ingest.test_interleavings import Interrupted, arrival
from tests.unit.ingest.test_storms import Delivery, deliveries, quiet, run_at_once

from maypacs import incoming
from maypacs.delete import delete_instance, delete_series, delete_study
from maypacs.errors import GoneError, MayPACSError, NotFoundError
from maypacs.incoming import Incoming
from maypacs.index import contents
from maypacs.index.rows import study_pk
from maypacs.ingest import ingest_object
from maypacs.pack import grammar
from maypacs.reindex import reindex
from maypacs.restore import restore
from maypacs.uids import Uid
from maypacs.workspace import Workspace

STORM = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(STORM, max_examples=10)
STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")
WHO = "user:test"


def read(file: bytes) -> Incoming:
    found = incoming.read(file)
    assert isinstance(found, Incoming)
    return found


def without(uploads: Sequence[Delivery], targets: set[tuple[str, str]]) -> list[Delivery]:
    """The uploads as if these had never been sent. A target is (series, instance), or (series, "") for all of it."""
    left = []
    for each in uploads:
        kept = [
            file
            for file in each.files
            if not targets & {(read(file).series, read(file).instance), (read(file).series, "")}
        ]
        if kept:
            left.append(replace(each, files=tuple(kept)))
    return left


def delete(workspace: Workspace, target: tuple[str, str]) -> None:
    series, instance = Uid(target[0]), Uid(target[1])
    if instance:
        delete_instance(workspace, STUDY, series, instance, WHO, effects=QUICK)
    else:
        delete_series(workspace, STUDY, series, WHO, effects=QUICK)


def until_it_is_done(act: Callable[[], object]) -> None:
    """Again after every fault of the engines; what is gone, or not there yet, is left."""
    for _ in range(200):
        try:
            act()
            return
        except (GoneError, NotFoundError):
            return
        except MayPACSError:
            continue
    raise AssertionError("never done")


@st.composite
def uploads_and_targets(draw: st.DrawFn) -> tuple[list[Delivery], set[tuple[str, str]]]:
    uploads = draw(deliveries(shared=draw(st.booleans())))
    sent = sorted({(read(file).series, read(file).instance) for each in uploads for file in each.files})
    return uploads, set(draw(st.lists(st.sampled_from([*sent, (sent[0][0], "")]), min_size=1, max_size=3)))


def only_what_lives_is_served(bench: Bench, *, rests_of_the_dead: bool = False) -> None:
    """Every instance that lies below blobs/ is current: nothing of what was removed can be had by a signed URL.

    ``rests_of_the_dead``: a deletion that died between the rest of a pack and its row, while another instance of that
    rest was deleted, may leave it (ADR 0008): its name was never told to anybody.
    """
    current: set[str] = set()
    for series in ("1.2.3.1", "1.2.3.2"):
        current |= set(every_byte_is_there(bench.workspace(), STUDY, Uid(series)))
    heads = bench.table.query(study_pk(bench.archive_id, STUDY), prefix="2#").items
    named = {item["sk"].rpartition("#")[2] for item in heads}
    for head in bench.objects.list("blobs/packs/"):
        if rests_of_the_dead and head.key.rpartition("/")[2] not in named:
            continue
        assert {part.uids[2] for part in grammar.scan_pack(bench.objects.get(head.key)).parts} <= current


def same_after_reindex(bench: Bench, expected: dict[str, object]) -> None:
    anew = bench.workspace_with_new_table("anew")
    reindex(anew, effects=QUICK)
    assert visible(anew) == expected


@STORM
@given(drawn=uploads_and_targets(), order=st.randoms(use_true_random=False))
def test_deleted_instances_and_series_are_gone_as_if_never_sent(
    drawn: tuple[list[Delivery], set[tuple[str, str]]], order: random.Random
) -> None:
    """Rows, hints, bytes; late repetitions change nothing; reindex finds the same."""
    uploads, targets = drawn
    with tempfile.TemporaryDirectory() as folder:
        expected = visible(quiet(Path(folder) / "quiet", without(uploads, targets)).workspace())
        bench = quiet(Path(folder) / "storm", order.sample(uploads, len(uploads)))
        for target in sorted(targets, reverse=True):
            until_it_is_done(lambda target=target: delete(bench.workspace(), target))  # type: ignore[misc]
        assert visible(bench.workspace()) == expected
        only_what_lives_is_served(bench)
        for each in uploads:
            ingest_object(bench.workspace(), bench.upload(each.arrival, each.body()), effects=QUICK)
        assert visible(bench.workspace()) == expected
        only_what_lives_is_served(bench)
        same_after_reindex(bench, expected)
        until_it_is_done(lambda: delete_study(bench.workspace(), STUDY, WHO, effects=QUICK))
        assert hint_keys(bench) == set()


@FEW
@given(drawn=uploads_and_targets(), seed=st.integers(0, 2**32))
def test_deletions_at_once_with_deliveries_take_only_their_targets(
    drawn: tuple[list[Delivery], set[tuple[str, str]]], seed: int
) -> None:
    """Threads over the chaos table: everything was sent before, and is sent again while its parts are deleted."""
    uploads, targets = drawn
    with tempfile.TemporaryDirectory() as folder:
        expected = visible(quiet(Path(folder) / "quiet", without(uploads, targets)).workspace())
        bench = quiet(Path(folder) / "storm", uploads)

        def remove(target: tuple[str, str], number: int) -> None:
            workspace = bench.workspace(ChaosTable(bench.table, seed=seed + 1000 + number))
            until_it_is_done(lambda: delete(workspace, target))

        removers = [threading.Thread(target=remove, args=pair) for pair in zip(sorted(targets), range(9), strict=False)]
        for thread in removers:
            thread.start()
        run_at_once(bench, uploads, seed, twice=False)
        for thread in removers:
            thread.join()
        assert visible(bench.workspace()) == expected
        only_what_lives_is_served(bench, rests_of_the_dead=True)
        same_after_reindex(bench, expected)


@STORM
@given(drawn=uploads_and_targets(), fails_at=st.integers(1, 30), after=st.booleans())
def test_a_deletion_that_stops_at_any_step_is_finished_by_its_repetition_or_by_reindex(
    drawn: tuple[list[Delivery], set[tuple[str, str]]], fails_at: int, after: bool
) -> None:
    """The power goes at one of its steps; then it comes again, and what readers see is right at once."""
    uploads, targets = drawn
    target = min(targets)
    with tempfile.TemporaryDirectory() as folder:
        bench = quiet(Path(folder) / "storm", uploads)
        whole = visible(bench.workspace())
        expected = visible(quiet(Path(folder) / "quiet", without(uploads, {target})).workspace())
        power = Power(fails_at, after=after)
        faulty = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
        try:
            delete(faulty, target)
        except MayPACSError:
            reindex(bench.workspace(), effects=QUICK)
            assert visible(bench.workspace()) in (whole, expected), "decided or not, never something between"
            until_it_is_done(lambda: delete(bench.workspace(), target))
        assert visible(bench.workspace()) == expected
        only_what_lives_is_served(bench)
        same_after_reindex(bench, expected)


@STORM
@given(uploads=deliveries(conflicts=True), fails_at=st.integers(1, 40), after=st.booleans(), level=st.integers(0, 2))
def test_what_is_restored_is_what_was_deleted_also_when_the_restoration_stops(
    uploads: list[Delivery], fails_at: int, after: bool, level: int
) -> None:
    """Current stays current, conflicts stay conflicts, to the byte; reindex agrees."""
    with tempfile.TemporaryDirectory() as folder:
        bench = quiet(Path(folder), uploads)
        before = visible(bench.workspace())
        first = read(uploads[0].files[0])
        series = first.series if level else None
        instance = first.instance if level == 2 else None
        if series is None:
            delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
        else:
            delete(bench.workspace(), (series, instance or ""))
        assert visible(bench.workspace()) != before
        power = Power(fails_at, after=after)
        faulty = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
        try:
            restore(faulty, STUDY, series, instance, WHO, effects=QUICK)
        except MayPACSError:
            until_it_is_done(lambda: restore(bench.workspace(), STUDY, series, instance, WHO, effects=QUICK))
        assert visible(bench.workspace()) == before
        same_after_reindex(bench, before)


# Met at every step.

PAIR = (slice_of(number=1), slice_of(number=2))


def deliver(bench: Bench, number: int, files: Sequence[bytes]) -> None:
    upload = Delivery(arrival(number), tuple(files))
    ingest_object(bench.workspace(), bench.upload(upload.arrival, upload.body()), effects=QUICK)


def assert_one_is_left(bench: Bench) -> None:
    workspace = bench.workspace()
    held = contents.series_contents(workspace, STUDY, SERIES)
    assert [each.sop_instance_uid for each in held.instances] == [f"{SERIES}.2"]
    assert held.summary.number_of_instances == 1
    assert every_byte_is_there(workspace, STUDY, SERIES) == {f"{SERIES}.2": PAIR[1]}
    with pytest.raises(GoneError):
        held.instance(Uid(f"{SERIES}.1"))
    only_what_lives_is_served(bench)


@pytest.mark.parametrize("step", range(1, 31))
def test_a_deletion_of_an_instance_that_meets_its_delivery_at_any_step(tmp_path: Path, step: int) -> None:
    """The delivery runs whole between two calls of the deletion."""
    bench = Bench(tmp_path)
    deliver(bench, 1, PAIR)
    table = Interrupted(bench.table, step, lambda: deliver(bench, 2, PAIR))
    delete_instance(bench.workspace(table), STUDY, SERIES, Uid(f"{SERIES}.1"), WHO, effects=QUICK)  # type: ignore[arg-type]
    assert_one_is_left(bench)


@pytest.mark.parametrize("step", range(1, 25))
def test_a_delivery_that_meets_the_deletion_of_one_of_its_instances_at_any_step(tmp_path: Path, step: int) -> None:
    """The deletion runs whole between two calls of the delivery."""
    bench = Bench(tmp_path)
    deliver(bench, 1, PAIR[:1])

    def remove() -> None:
        delete_instance(bench.workspace(), STUDY, SERIES, Uid(f"{SERIES}.1"), WHO, effects=QUICK)

    table = Interrupted(bench.table, step, remove)
    upload = Delivery(arrival(2), PAIR)
    ingest_object(bench.workspace(table), bench.upload(upload.arrival, upload.body()), effects=QUICK)  # type: ignore[arg-type]
    if not table.happened:
        remove()
    assert_one_is_left(bench)


@pytest.mark.parametrize("step", range(1, 31))
def test_two_deletions_in_one_pack_that_meet_at_any_step(tmp_path: Path, step: int) -> None:
    """Neither brings the other's instance back."""
    bench = Bench(tmp_path)
    deliver(bench, 1, (*PAIR, slice_of(number=3)))

    def remove() -> None:
        delete_instance(bench.workspace(), STUDY, SERIES, Uid(f"{SERIES}.3"), WHO, effects=QUICK)

    table = Interrupted(bench.table, step, remove)
    delete_instance(bench.workspace(table), STUDY, SERIES, Uid(f"{SERIES}.1"), WHO, effects=QUICK)  # type: ignore[arg-type]
    if not table.happened:
        remove()
    assert_one_is_left(bench)


@pytest.mark.parametrize("beside", [[], [2]], ids=["alone", "with another"])
@pytest.mark.parametrize(
    "dies", range(5), ids=lambda writes: f"dies at write {writes} after it" if writes else "goes on"
)
def test_an_instance_is_deleted_between_any_two_calls_of_its_repeated_delivery(
    tmp_path: Path, dies: int, beside: list[int]
) -> None:
    """Nothing of it is left to be served, and what came with it is there; also when that delivery ends there."""
    upload = Delivery(arrival(1), tuple(slice_of(number=number) for number in (1, *beside)))
    for step in itertools.count(1):
        bench, power = quiet(tmp_path / str(step), [upload]), Power(None, after=False)

        def meanwhile(bench: Bench = bench, power: Power = power) -> None:
            delete(bench.workspace(), ("1.2.3.1", "1.2.3.1.1"))
            power.fails_at = power.steps + dies if dies else None

        cut = Interrupted(FaultyTable(bench.table, power), step, meanwhile)  # type: ignore[arg-type]
        workspace = bench.workspace(cut, FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
        with suppress(MayPACSError):
            ingest_object(workspace, bench.upload(upload.arrival, upload.body()), effects=QUICK)
        if not cut.happened:
            break
        ingest_object(bench.workspace(), bench.upload(upload.arrival, upload.body()), effects=QUICK)
        rest = {f"1.2.3.1.{number}": slice_of(number=number) for number in beside}
        assert every_byte_is_there(bench.workspace(), STUDY, Uid("1.2.3.1")) == rest
        only_what_lives_is_served(bench)
        same_after_reindex(bench, visible(bench.workspace()))
    assert step > 5
