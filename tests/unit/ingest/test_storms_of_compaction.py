"""Compaction that is killed at any step, that meets deliveries, deletions, readers and itself at any step."""

from __future__ import annotations

import itertools
import random
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.chaos_table import ChaosTable
from tests.support.clock import Clock
from tests.support.faults import FaultyObjects, FaultyTable, Power
from tests.support.instances import slice_of
from tests.support.memory_objects import MemoryObjects
from tests.support.workspaces import Bench, every_byte_is_there, visible
from tests.unit.ingest.test_interleavings import Interrupted
from tests.unit.ingest.test_storms import Delivery, arrival, deliveries, quiet, run_at_once
from tests.unit.ingest.test_storms_of_deletions import only_what_lives_is_served, until_it_is_done

from maypacs import holds
from maypacs.compact_series import Compacted
from maypacs.compaction import compact
from maypacs.delete import delete_instance, delete_series
from maypacs.errors import MayPACSError
from maypacs.index import contents, due, merging
from maypacs.index.cascade import Effects
from maypacs.index.table import Table
from maypacs.ingest import ingest_object
from maypacs.pack import grammar
from maypacs.reindex import reindex
from maypacs.restore import restore
from maypacs.uids import Uid
from maypacs.workspace import Workspace

STORM = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(STORM, max_examples=8)
STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")
WHO = "user:test"
DAY = 86_400
IMAGES = 4
STEPS = itertools.count(1)


@pytest.fixture(autouse=True)
def two_packs_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MIN_PACKS", 2)


class Ward:
    """An archive of one series of single images, and its clock."""

    def __init__(self, folder: Path, images: int = IMAGES) -> None:
        self.clock = Clock()
        self.bench = Bench(folder)
        self.effects = Effects(sleep=lambda seconds: None, clock=self.clock)
        for number in range(1, images + 1):
            self.deliver(number)
        self.clock.advance(2 * DAY)

    def deliver(self, number: int, table: Table | None = None) -> None:
        self.clock.advance(1)
        key = self.bench.upload(arrival(number), slice_of(number=number))
        ingest_object(self.bench.workspace(table), key, effects=self.effects)

    def delete(self, number: int, table: Table | None = None) -> None:
        self.clock.advance(1)
        instance = Uid(f"{SERIES}.{number}")
        delete_instance(self.bench.workspace(table), STUDY, SERIES, instance, WHO, effects=self.effects)

    def compact(self, table: Any = None, objects: Any = None) -> Compacted:
        return compact(self.bench.workspace(table, objects), quiet_hours=24, effects=self.effects)

    def days_later(self) -> None:
        """The clockwork goes on until nothing waits."""
        for _ in range(20):
            self.clock.advance(DAY)
            self.compact()

    def check(self, numbers: Sequence[int]) -> None:
        """The index anew says the same."""
        workspace = self.bench.workspace()
        self.look(numbers)
        self.clock.advance(1)
        anew = self.bench.workspace_with_new_table(f"anew{self.clock.now}")
        reindex(anew, effects=self.effects)
        assert visible(anew) == visible(workspace)

    def look(self, numbers: Sequence[int]) -> None:
        """As readers do, with and without a memory."""
        expected = {f"{SERIES}.{number}": slice_of(number=number) for number in numbers}
        assert every_byte_is_there(self.bench.workspace(), STUDY, SERIES) == expected
        assert every_byte_is_there(self.fresh(), STUDY, SERIES) == expected
        only_what_lives_is_served(self.bench)

    def check_that_all_is_done(self, numbers: Sequence[int]) -> None:
        """One pack, and nothing beside it; but what came late is too little to rewrite the others for."""
        self.check(numbers)
        packs = list(self.bench.objects.list("blobs/packs/"))
        assert len(packs) == 1 or (9 in numbers and len(packs) == 2)
        assert len(list(self.bench.objects.list("meta/"))) == len(packs)
        assert list(due.waiting(self.bench.table, self.bench.archive_id)) == []

    def fresh(self) -> Workspace:
        """Of a process that remembers nothing."""
        return self.bench.workspace(objects=MemoryObjects(self.bench.buckets, "archive"))


class Watched:
    """The table or the store; before each call somebody reads."""

    def __init__(self, inner: Any, read: Callable[[], None]) -> None:
        self._inner, self._read = inner, read

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._read()
            return found(*arguments, **named)

        return call


def test_readers_see_the_same_bytes_at_every_step(tmp_path: Path) -> None:
    """One that remembers, one that does not, and one that goes on with what it was told before: its URLs live on."""
    ward = Ward(tmp_path)
    expected = {f"{SERIES}.{number}": slice_of(number=number) for number in range(1, IMAGES + 1)}
    told = contents.series_contents(ward.bench.workspace(), STUDY, SERIES).instances
    patient = ward.fresh()
    reads = itertools.count()

    def read() -> None:
        next(reads)
        for workspace in (ward.fresh(), patient):
            assert every_byte_is_there(workspace, STUDY, SERIES) == expected
            assert contents.series_contents(workspace, STUDY, SERIES).summary.number_of_instances == IMAGES
        for each in told:
            store = ward.bench.workspace().store
            assert (
                store.get_range(STUDY, SERIES, each.pack_id, each.offset, each.length)
                == expected[each.sop_instance_uid]
            )

    done = ward.compact(Watched(ward.bench.table, read), Watched(ward.bench.objects, read))
    assert (done.into, done.failed) == (1, 0)
    told = contents.series_contents(ward.bench.workspace(), STUDY, SERIES).instances
    ward.clock.advance(3 * DAY)
    done = ward.compact(Watched(ward.bench.table, read), Watched(ward.bench.objects, read))
    assert (done.cleaned, done.failed) == (IMAGES, 0)
    assert next(reads) > 60
    ward.check_that_all_is_done(range(1, IMAGES + 1))


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_it_goes_on_where_it_was(tmp_path: Path, after: bool) -> None:
    """In what was begun, and in the clean-up; readers see everything at once, and nothing is left lying about."""
    for fails_at in itertools.count(1):
        ward = Ward(tmp_path / str(fails_at))
        power = Power(fails_at, after=after)
        table, objects = FaultyTable(ward.bench.table, power), FaultyObjects(ward.bench.objects, power)
        faults = 0
        ward.look(range(1, IMAGES + 1))  # what is remembered from before must not be used for ever
        for _ in range(6):
            faults += ward.compact(table, objects).failed
            ward.look(range(1, IMAGES + 1))
            ward.clock.advance(DAY / 2)
        ward.days_later()
        ward.check_that_all_is_done(range(1, IMAGES + 1))
        if not faults:
            break
    assert fails_at > 15


@pytest.mark.parametrize("what", ["a late image", "a deletion", "a deletion of the last", "itself"])
def test_it_meets_others_at_any_step(tmp_path: Path, what: str) -> None:
    """Something runs whole between two calls of the compaction; afterwards it is as if nothing had been compacted."""
    faults: set[str] = set()
    for step in itertools.count(1):
        ward = Ward(tmp_path / str(step))
        acts: dict[str, tuple[Callable[[], object], list[int]]] = {
            "a late image": (partial(ward.deliver, 9), [1, 2, 3, 4, 9]),
            "a deletion": (partial(ward.delete, 2), [1, 3, 4]),
            "a deletion of the last": (partial(ward.delete, 4), [1, 2, 3]),
            "itself": (ward.compact, [1, 2, 3, 4]),
        }
        act, left = acts[what]
        table = Interrupted(ward.bench.table, step, act)  # type: ignore[arg-type]
        faults.update(ward.compact(table).faults)
        if not table.happened:
            act()
        ward.look(left)
        ward.days_later()
        ward.check_that_all_is_done(left)
        if not table.happened:
            break
    assert step > 20
    assert ("ChangedError" in faults) == (what != "itself"), "in time, it gives up"


def test_a_hold_that_comes_in_time_stops_it_and_nothing_is_left_lying_about(tmp_path: Path) -> None:
    """After the new pack was written, before a row names it."""
    ward = Ward(tmp_path)
    put = ward.bench.objects.before

    def before(operation: str) -> None:
        put(operation)
        if operation == "put" and not holds.holds_of(ward.bench.workspace(), STUDY):
            ward.bench.objects.before = put
            holds.hold(ward.bench.workspace(), STUDY, None, None, reason="study", by=WHO, effects=ward.effects)

    ward.bench.objects.before = before
    done = ward.compact()
    assert (done.into, done.faults) == (0, ["ChangedError"])
    ward.look(range(1, IMAGES + 1))
    assert len(list(ward.bench.objects.list("blobs/packs/"))) == IMAGES
    assert len(list(ward.bench.objects.list("meta/"))) == IMAGES


@pytest.mark.parametrize("what", ["a delivery", "a deletion"])
@pytest.mark.parametrize("stage", ["compaction", "clean-up"])
def test_others_meet_it_at_any_step(tmp_path: Path, what: str, stage: str) -> None:
    """The other way round: a whole compaction, or its clean-up, between two calls of the other."""
    for step in itertools.count(1):
        ward = Ward(tmp_path / str(step))
        if stage == "clean-up":
            ward.compact()
            ward.clock.advance(3 * DAY)
        table = Interrupted(ward.bench.table, step, ward.compact)  # type: ignore[arg-type]
        if what == "a delivery":
            until_it_is_done(partial(ward.deliver, 9, table))  # type: ignore[arg-type]
        else:
            until_it_is_done(partial(ward.delete, 2, table))  # type: ignore[arg-type]
        left = [1, 2, 3, 4, 9] if what == "a delivery" else [1, 3, 4]
        ward.look(left)
        ward.days_later()
        ward.check_that_all_is_done(left)
        if not table.happened:
            break
    assert step > 10


Act = tuple[str, int]


@STORM
@given(
    uploads=st.booleans().flatmap(lambda conflicts: deliveries(shared=not conflicts, conflicts=conflicts)),
    acts=st.lists(
        st.tuples(st.sampled_from(["deliver", "compact", "days", "delete", "restore", "again"]), st.integers(0, 4)),
        min_size=4,
        max_size=16,
    ),
)
def test_whatever_happens_before_between_and_after_is_as_without_compaction(
    uploads: list[Delivery], acts: list[Act]
) -> None:
    """Two archives live through the same; one is compacted. Searches, instances, conflicts and bytes are the same."""
    with tempfile.TemporaryDirectory() as folder:
        seen = []
        for compacts in (False, True):
            bench, clock = Bench(Path(folder) / str(compacts)), Clock()
            effects = Effects(sleep=lambda seconds: None, clock=clock)
            for act, number in [("deliver", index) for index in range(len(uploads))] + acts:
                clock.advance(60)
                live(bench, effects, uploads[number % len(uploads)], act, compacts)
                clock.advance(3 * DAY if act == "days" else 0)
            only_what_lives_is_served(bench)
            clock.advance(60)
            anew = bench.workspace_with_new_table("anew")
            reindex(anew, effects=effects)
            assert visible(anew) == visible(bench.workspace())
            rows = visible(bench.workspace())
            there = [every_byte_is_there(bench.workspace(), STUDY, Uid(series)) for series in ("1.2.3.1", "1.2.3.2")]
            seen.append((rows, there))
        assert seen[0] == seen[1]


def live(bench: Bench, effects: Effects, upload: Delivery, act: str, compacts: bool) -> None:
    first = grammar_uids(upload)
    if act in ("deliver", "again"):
        ingest_object(bench.workspace(), bench.upload(upload.arrival, upload.body()), effects=effects)
    elif act == "delete":
        until_it_is_done(lambda: delete_instance(bench.workspace(), STUDY, *first, WHO, effects=effects))
    elif act == "restore":
        until_it_is_done(lambda: restore(bench.workspace(), STUDY, first[0], None, WHO, effects=effects))
    elif act == "days":
        until_it_is_done(lambda: delete_series(bench.workspace(), STUDY, first[0], WHO, effects=effects))
    elif compacts:
        done = compact(bench.workspace(), quiet_hours=0, effects=effects, at_once=True)
        assert done.failed == 0, done.faults


def grammar_uids(upload: Delivery) -> tuple[Uid, Uid]:
    from maypacs import incoming
    from maypacs.incoming import Incoming

    read = incoming.read(upload.files[0])
    assert isinstance(read, Incoming)
    return read.series, read.instance


@FEW
@given(uploads=deliveries(shared=True), seed=st.integers(0, 2**32))
def test_two_workers_at_once_with_deliveries_over_the_chaos_table(uploads: list[Delivery], seed: int) -> None:
    """Threads; then the clock goes on until nothing waits. No instance is lost, none is there twice."""
    with tempfile.TemporaryDirectory() as folder:
        expected = visible(quiet(Path(folder) / "quiet", uploads).workspace())
        bench = quiet(Path(folder) / "storm", uploads)
        stop = threading.Event()
        faults: list[BaseException] = []

        def work(number: int) -> None:
            effects = Effects(sleep=lambda seconds: None, random=random.Random(seed).random)
            table = ChaosTable(bench.table, seed=seed + 500 + number)
            while not stop.is_set():
                try:
                    compact(bench.workspace(table), quiet_hours=0, effects=effects, at_once=True)
                except MayPACSError:
                    continue  # the rows of those that wait could not be read
                except BaseException as error:
                    faults.append(error)
                    return

        workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for worker in workers:
            worker.start()
        run_at_once(bench, uploads, seed)
        stop.set()
        for worker in workers:
            worker.join()
        assert not faults
        assert visible(bench.workspace()) == expected
        clock = Clock(4_000_000_000)  # far ahead of the threads' real time
        effects = Effects(sleep=lambda seconds: None, clock=clock)
        for _ in range(12):
            clock.advance(DAY)
            assert compact(bench.workspace(), quiet_hours=0, effects=effects).failed == 0
        assert visible(bench.workspace()) == expected
        for series in ("1.2.3.1", "1.2.3.2"):
            packs = [head.key for head in bench.objects.list(f"blobs/packs/{bench.archive_id}/{STUDY}/{series}/")]
            held = every_byte_is_there(bench.workspace(), STUDY, Uid(series))
            stored = [part.uids[2] for key in packs for part in grammar.scan_pack(bench.objects.get(key)).parts]
            assert sorted(stored) == sorted(held)
        anew = bench.workspace_with_new_table("anew")
        reindex(anew, effects=effects)
        assert visible(anew) == expected


def test_arithmetic_of_the_plan() -> None:
    """Within the limits of a pack; a large one is rewritten only with as much of others; each member once."""
    from tests.unit.ingest.test_resolution import head

    def heads(*sizes: int) -> list[Any]:
        import dataclasses

        return [dataclasses.replace(head(n, f"{n:032}"), size=size) for n, size in enumerate(sizes)]

    def sizes(groups: Iterator[Any] | list[Any]) -> list[list[int]]:
        return [[each.size for each in group] for group in groups]

    mib = 1 << 20
    assert sizes(merging.plan(heads(1, 1))) == [[1, 1]]
    assert sizes(merging.plan(heads(20 * mib, 20 * mib, 20 * mib, 20 * mib))) == [[20 * mib] * 3]
    assert sizes(merging.plan(heads(33 * mib, mib, mib))) == [[mib, mib]]
    assert sizes(merging.plan(heads(30 * mib, mib, mib))) == [[mib, mib]]
    assert sizes(merging.plan(heads(2, 1, 1))) == [[2, 1, 1]]
    assert sizes(merging.plan(heads(32 * mib, 32 * mib, 6 * mib, mib))) == [[32 * mib] * 2], "nor what is left over"
    assert merging.plan(heads(mib)) == []
    many = merging.plan(heads(*[1] * 600))
    assert [len(group) for group in many] == [256, 256, 88]
