"""Deliveries that come twice, in any order, at once, half finished: the index is that of a quiet serial run.

What readers see is compared (`visible`): study, series and hint rows, instances, conflicts, and the bytes.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.chaos_table import ChaosTable
from tests.support.faults import FaultyObjects, FaultyTable, Power
from tests.support.instances import slice_of
from tests.support.workspaces import PACK_KEY, QUICK, Bench, every_byte_is_there, hint_keys, visible

from maypacs import arrivals, incoming
from maypacs.delete import delete_study
from maypacs.errors import GoneError, MayPACSError, NotFoundError
from maypacs.incoming import Incoming
from maypacs.index import contents
from maypacs.index.cascade import Effects
from maypacs.index.rows import StudySummary
from maypacs.index.terms import hint_rows
from maypacs.ingest import ingest_object
from maypacs.pack import grammar
from maypacs.receipts import read_receipt
from maypacs.reindex import reindex
from maypacs.uids import Uid
from maypacs.workspace import Workspace

STORM = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(STORM, max_examples=15)


@dataclass(frozen=True)
class Delivery:
    """One upload: its arrival id and its instances, as a pack (one series) or a single file."""

    arrival: str
    files: tuple[bytes, ...]

    def body(self) -> bytes:
        if len(self.files) == 1:
            return self.files[0]
        read = [each for each in map(incoming.read, self.files) if isinstance(each, Incoming)]
        parts = [
            grammar.Instance(each.data, each.transfer_syntax, each.study, each.series, each.instance)
            for each in sorted(read, key=lambda each: each.order)
        ]
        return grammar.write_pack(parts, archive_id=Bench.archive_id, secret=PACK_KEY).data


def arrival(number: int) -> str:
    return arrivals.ulid_at(1_760_000_000 + number)[:10] + f"{number:016}"


@st.composite
def deliveries(draw: st.DrawFn, *, shared: bool = False, conflicts: bool = False) -> list[Delivery]:
    """Uploads of one study. ``shared``: an instance may come in several; ``conflicts``: with other bytes."""
    made = []
    numbers = itertools.count(1)
    for index in range(draw(st.integers(2, 5))):
        series = draw(st.sampled_from(["1.2.3.1", "1.2.3.2"]))
        wanted = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True)) if shared or conflicts else None
        chosen = wanted or [next(numbers) for _ in range(draw(st.integers(1, 3)))]
        files = []
        for number in chosen:
            pixels = bytes([draw(st.integers(0, 2))]) * 32 if conflicts else b""
            # Attributes that differ from upload to upload have a rule of their own: the first arrival's.
            told = {} if shared or conflicts else {"patient_id": f"TEST-{draw(st.integers(1, 2))}"}
            if not (shared or conflicts) and draw(st.booleans()):
                told["series_description"] = draw(st.sampled_from(["Ngực", "Bụng", ""]))
            files.append(slice_of("1.2.3", series, number, pixels=pixels, **told))
        made.append(Delivery(arrival(index + 1), tuple(files)))
    return made


def quiet(folder: Path, uploads: Sequence[Delivery]) -> Bench:
    """The serial run: once each, in the order of arrival."""
    bench = Bench(folder)
    for each in uploads:
        ingest_object(bench.workspace(), bench.upload(each.arrival, each.body()), effects=QUICK)
    return bench


def instances_of(uploads: Sequence[Delivery]) -> dict[tuple[str, str], set[str]]:
    """Every version that was sent, by series and SOP Instance UID."""
    sent: dict[tuple[str, str], set[str]] = {}
    for each in uploads:
        for read in map(incoming.read, each.files):
            assert isinstance(read, Incoming)
            sent.setdefault((read.series, read.instance), set()).add(read.version)
    return sent


@STORM
@given(uploads=deliveries(), order=st.randoms(use_true_random=False))
def test_repeated_and_reordered_deliveries_give_the_serial_index(uploads: list[Delivery], order: random.Random) -> None:
    """Each up to three times, in any order; attributes differ between the uploads."""
    with tempfile.TemporaryDirectory() as folder:
        expected = visible(quiet(Path(folder) / "quiet", uploads).workspace())
        bench = Bench(Path(folder) / "storm")
        events = [each for each in uploads for _ in range(order.randint(1, 3))]
        order.shuffle(events)
        for each in events:
            ingest_object(bench.workspace(), bench.upload(each.arrival, each.body()), effects=QUICK)
        assert visible(bench.workspace()) == expected
        row = bench.table.get("hosp1#S#1.2.3", "0")
        assert row is not None
        hints = {(hint["pk"], hint["sk"]) for hint in hint_rows(StudySummary.from_item(row)) if "study" in hint}
        assert hint_keys(bench) == hints, "no hint is missing, no stale one is left"
        delete_study(bench.workspace(), Uid("1.2.3"), "user:test", effects=QUICK)
        assert hint_keys(bench) == set()


@STORM
@given(uploads=deliveries(shared=True), order=st.randoms(use_true_random=False))
def test_instances_sent_in_several_uploads_are_stored_once(uploads: list[Delivery], order: random.Random) -> None:
    """In any order the same study is seen, and in a serial run no instance is stored twice."""
    with tempfile.TemporaryDirectory() as folder:
        expected = visible(quiet(Path(folder) / "quiet", uploads).workspace())
        shuffled = order.sample(uploads, len(uploads))
        bench = quiet(Path(folder) / "storm", shuffled)
        assert visible(bench.workspace()) == expected
        count = sum(len(held) for name, held in expected.items() if name.startswith("instances"))  # type: ignore[arg-type]
        packs = [bench.objects.get(head.key) for head in bench.objects.list("blobs/packs/")]
        assert sum(len(grammar.scan_pack(pack).parts) for pack in packs) == count


def run_at_once(bench: Bench, uploads: Sequence[Delivery], seed: int, *, twice: bool = True) -> None:
    """A thread for every delivery, each delivery twice, over a table that shows a distributed engine's anomalies."""
    keys = {each.arrival: bench.upload(each.arrival, each.body()) for each in uploads}
    faults: list[BaseException] = []
    start = threading.Barrier(len(uploads) * (2 if twice else 1))
    effects = Effects(sleep=lambda seconds: None, random=random.Random(seed).random)

    def deliver(each: Delivery, number: int) -> None:
        workspace = bench.workspace(ChaosTable(bench.table, seed=seed + number))
        start.wait()
        for _ in range(200):
            try:
                ingest_object(workspace, keys[each.arrival], effects=effects)
                return
            except MayPACSError as error:
                last = error  # a message that fails is delivered again
            except BaseException as error:
                faults.append(error)
                raise
        faults.append(last)

    events = [each for each in uploads for _ in range(2 if twice else 1)]
    threads = [threading.Thread(target=deliver, args=(each, number)) for number, each in enumerate(events)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@FEW
@given(uploads=deliveries(), seed=st.integers(0, 2**32))
def test_deliveries_at_once_give_the_serial_index(uploads: list[Delivery], seed: int) -> None:
    """Threads, each delivery twice, over the chaos table."""
    with tempfile.TemporaryDirectory() as folder:
        expected = visible(quiet(Path(folder) / "quiet", uploads).workspace())
        bench = Bench(Path(folder) / "storm")
        run_at_once(bench, uploads, seed)
        assert visible(bench.workspace()) == expected
        assert list(bench.inbox.list("")) == []


@FEW
@given(uploads=deliveries(conflicts=True), seed=st.integers(0, 2**32))
def test_with_conflicts_exactly_one_instance_is_current_and_none_is_lost(uploads: list[Delivery], seed: int) -> None:
    """At once, over the chaos table; who is current is decided once, and reindex decides the same."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        run_at_once(bench, uploads, seed)
        workspace = bench.workspace()
        check_conflicts(workspace, uploads)
        before = visible(workspace)
        for each in uploads:  # late repetitions change nothing
            ingest_object(workspace, bench.upload(each.arrival, each.body()), effects=QUICK)
        assert visible(workspace) == before
        anew = bench.workspace_with_new_table("anew")
        reindex(anew, effects=QUICK)
        assert visible(anew) == before


def check_conflicts(workspace: Workspace, uploads: Sequence[Delivery]) -> None:
    sent = instances_of(uploads)
    for series in {series for series, _ in sent}:
        held = contents.series_contents(workspace, Uid("1.2.3"), Uid(series))
        uids = [each.sop_instance_uid for each in held.instances]
        assert sorted(uids) == sorted(uid for s, uid in sent if s == series), "one current instance for each UID"
        kept: dict[str, set[str]] = {}
        for each in (*held.instances, *held.conflicts):
            kept.setdefault(each.sop_instance_uid, set()).add(f"{each.transfer_syntax_uid}:{each.digest.hex()}")
        assert kept == {uid: versions for (s, uid), versions in sent.items() if s == series}, "no version is lost"
        for data in every_byte_is_there(workspace, Uid("1.2.3"), Uid(series)).values():
            read = incoming.read(data)
            assert isinstance(read, Incoming)
            assert read.version in sent[series, read.instance]


@FEW
@given(uploads=deliveries(conflicts=True), data=st.data())
def test_a_conflict_in_serial_keeps_what_came_first(uploads: list[Delivery], data: st.DataObject) -> None:
    """A picture never changes under its reader: what was current stays current, whatever comes after."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        workspace = bench.workspace()
        current: dict[tuple[str, str], str] = {}
        for each in data.draw(st.permutations(uploads)):
            ingest_object(workspace, bench.upload(each.arrival, each.body()), effects=QUICK)
            for read in map(incoming.read, each.files):
                assert isinstance(read, Incoming)
                current.setdefault((read.series, read.instance), read.version)
            for (series, instance), version in current.items():
                held = contents.series_contents(workspace, Uid("1.2.3"), Uid(series)).instance(Uid(instance))
                assert f"{held.transfer_syntax_uid}:{held.digest.hex()}" == version
        check_conflicts(workspace, uploads)


@STORM
@given(uploads=deliveries(), fails_at=st.integers(1, 60), after=st.booleans())
def test_a_delivery_that_stops_at_any_step_and_comes_again_gives_the_serial_index(
    uploads: list[Delivery], fails_at: int, after: bool
) -> None:
    """The power goes at one step of the whole run, before or just after it; then the message is delivered again."""
    with tempfile.TemporaryDirectory() as folder:
        expected = visible(quiet(Path(folder) / "quiet", uploads).workspace())
        bench = Bench(Path(folder) / "storm")
        power = Power(fails_at, after=after)
        faulty = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
        for each in uploads:
            key = bench.upload(each.arrival, each.body())
            try:
                ingest_object(faulty, key, effects=QUICK)
            except MayPACSError:
                ingest_object(bench.workspace(), key, effects=QUICK)
            receipt = read_receipt(bench.table, bench.archive_id, each.arrival)
            assert receipt is not None, "whoever asks what became of it is told, also after the repetition"
            assert (receipt.state, receipt.counts) == ("indexed", {"stored": len(each.files)})
        assert visible(bench.workspace()) == expected
        assert list(bench.inbox.list("")) == []


@FEW
@given(uploads=deliveries(), fails_at=st.integers(1, 40), after=st.booleans(), late=st.integers(0, 4))
def test_a_deletion_that_stops_at_any_step_is_finished_by_its_repetition(
    uploads: list[Delivery], fails_at: int, after: bool, late: int
) -> None:
    """Then the study is gone for readers, searches and reindex; a late repetition of an upload changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        bench = quiet(Path(folder), uploads)
        power = Power(fails_at, after=after)
        faulty = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
        study = Uid("1.2.3")
        try:
            delete_study(faulty, study, "user:test", effects=QUICK)
        except GoneError:
            raise
        except MayPACSError:
            try:
                delete_study(bench.workspace(), study, "user:test", effects=QUICK)
            except GoneError:
                pass
        again = uploads[late % len(uploads)]
        ingest_object(bench.workspace(), bench.upload(again.arrival, again.body()), effects=QUICK)
        workspace = bench.workspace()
        assert visible(workspace) == {}
        for read in (lambda: contents.study_contents(workspace, study), lambda: delete_study(workspace, study, "x")):
            try:
                read()
            except GoneError:
                continue
            raise AssertionError("a deleted study is gone")
        assert [head.key for head in bench.objects.list("blobs/")] == []
        assert [head.key for head in bench.objects.list("meta/")] == []
        anew = bench.workspace_with_new_table("anew")
        reindex(anew, effects=QUICK)
        assert visible(anew) == {}


@FEW
@given(uploads=deliveries(shared=True))
def test_reindex_from_the_objects_gives_the_same_index_also_after_a_deletion(uploads: list[Delivery]) -> None:
    """Delete, send everything once more under new arrivals, lose the table: the objects tell it all."""
    with tempfile.TemporaryDirectory() as folder:
        bench = quiet(Path(folder), uploads)
        delete_study(bench.workspace(), Uid("1.2.3"), "user:test", effects=QUICK)
        ahead = arrivals.ulid_at(4_000_000_000)[:10]
        for number, each in enumerate(uploads[:-1] or uploads):
            key = bench.upload(f"{ahead}{number:016}", each.body())
            ingest_object(bench.workspace(), key, effects=QUICK)
        before = visible(bench.workspace())
        assert before
        anew = bench.workspace_with_new_table("anew")
        done = reindex(anew, effects=QUICK)
        assert done.unreadable_packs == 0
        assert visible(anew) == before
        reindex(bench.workspace(), effects=QUICK)
        assert visible(bench.workspace()) == before


def test_what_was_never_there_is_not_found(tmp_path: Path) -> None:
    """Neither gone nor there."""
    workspace = Bench(tmp_path).workspace()
    for read in (
        lambda: contents.study_contents(workspace, Uid("1.2")),
        lambda: contents.series_contents(workspace, Uid("1.2"), Uid("1.2.1")),
        lambda: delete_study(workspace, Uid("1.2"), "user:test"),
    ):
        try:
            read()
        except NotFoundError:
            continue
        raise AssertionError("not found")


@FEW
@given(uploads=deliveries(), seed=st.integers(0, 2**32))
def test_a_deletion_in_the_midst_of_deliveries_leaves_nothing_of_them(uploads: list[Delivery], seed: int) -> None:
    """Uploads that arrived before it are gone when all is quiet, whichever step met which; so are their objects."""
    with tempfile.TemporaryDirectory() as folder:
        bench = quiet(Path(folder), uploads[:1])
        study = Uid("1.2.3")

        def delete() -> None:
            workspace = bench.workspace(ChaosTable(bench.table, seed=seed + 1000))
            for _ in range(200):
                try:
                    delete_study(workspace, study, "user:test", effects=QUICK)
                    return
                except GoneError:
                    return
                except MayPACSError:
                    continue

        remover = threading.Thread(target=delete)
        remover.start()
        run_at_once(bench, uploads[1:], seed)
        remover.join()
        workspace = bench.workspace()
        assert visible(workspace) == {}
        assert [head.key for head in bench.objects.list("blobs/")] == []
        anew = bench.workspace_with_new_table("anew")
        reindex(anew, effects=QUICK)
        assert visible(anew) == {}
