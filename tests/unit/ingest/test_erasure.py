"""Erasure: no byte of it is left in any version of any object, nothing else is touched, and that is proven."""

from __future__ import annotations

import gzip
import io
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.clock import Clock
from tests.support.faults import FaultyObjects, FaultyTable, Power
from tests.support.instances import slice_of
from tests.support.memory_objects import MemoryBuckets
from tests.support.workspaces import QUICK, Bench, every_byte_is_there, visible
from tests.unit.ingest.test_decisions_of_people import later
from tests.unit.ingest.test_interleavings import Interrupted, arrival
from tests.unit.ingest.test_storms import Delivery

from maypacs import erase as erasing
from maypacs import erasures, holds
from maypacs.compaction import compact
from maypacs.delete import delete_instance, delete_series, delete_study
from maypacs.erase import carry_on, carry_out, erase, lift, proof
from maypacs.erasures import DONE, PENDING, Erasure
from maypacs.errors import BadRequestError, ConflictError, GoneError, MayPACSError, NotFoundError
from maypacs.index import contents
from maypacs.ingest import ingest_object
from maypacs.reindex import reindex
from maypacs.restore import restore
from maypacs.uids import Uid
from maypacs.workspace import Workspace

STUDY, SERIES, OTHER = Uid("1.2.3"), Uid("1.2.3.1"), Uid("1.2.3.2")
ONE, TWO, THREE = (Uid(f"{SERIES}.{number}") for number in (1, 2, 3))
WHO = "user:thu"
NAME = "Nguyễn^Thị Thử"
FILES = {number: slice_of(number=number, patient_name=NAME, pixels=bytes([number]) * 32) for number in (1, 2, 3)}
ELSEWHERE = slice_of(series=OTHER, number=1, patient_name=NAME, pixels=b"\x77" * 32)
TARGETS = [(None, None), (SERIES, None), (SERIES, TWO)]
Target = tuple[Uid | None, Uid | None]
LATER = replace(QUICK, clock=lambda: time.time() + erasing.SETTLE_SECONDS + 60)
MUCH_LATER = replace(QUICK, clock=lambda: time.time() + 7200)


@pytest.fixture(params=[False, True], ids=["one version", "versions"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """An archive with four instances of a study in two series, and one of another study."""
    return filled(tmp_path, versioned=request.param)


def filled(folder: Path, *, versioned: bool) -> Bench:
    made = Bench(folder, MemoryBuckets(versioned=["archive"] if versioned else []))
    deliver(made, 1, *FILES.values())
    deliver(made, 2, ELSEWHERE)
    deliver(made, 3, slice_of(study="1.2.9", series="1.2.9.1", number=1, patient_name=NAME, pixels=b"\x66" * 32))
    return made


def deliver(bench: Bench, number: int, *files: bytes, workspace: Workspace | None = None) -> None:
    upload = Delivery(arrival(number), tuple(files))
    key = bench.upload(upload.arrival, upload.body())
    ingest_object(workspace or bench.workspace(), key, effects=QUICK)


def begin(bench: Bench, target: Target) -> Erasure:
    return erase(bench.workspace(), STUDY, *target, by=WHO, reason="yêu cầu 7", effects=QUICK)


def all_bytes(bench: Bench) -> Iterator[tuple[str, bytes]]:
    """Every version of every object of both buckets, what is compressed as what it says. Not by the code under test."""
    with bench.buckets.lock:
        places = {*bench.buckets.stored, *bench.buckets.history}
        found = [(p, s) for p in sorted(places) for _, s in bench.buckets.versions(p) if s is not None]
    for (bucket, key), stored in found:
        body = stored.body
        if key.endswith(".json.gz"):
            body = gzip.decompress(body) + body
        yield f"{bucket}/{key}", body


def holding(bench: Bench, uid: str) -> list[str]:
    """Where a UID is to be found; decisions name UIDs, and nobody's data."""
    exact = re.compile(rb"(?<![0-9.])" + re.escape(uid.encode()) + rb"(?![0-9.])")
    return [key for key, body in all_bytes(bench) if "/decisions/" not in f"/{key}" and exact.search(body)]


def erased_uids(target: Target) -> list[Uid]:
    series, instance = target
    if instance:
        return [instance]
    return [ONE, TWO, THREE, *([] if series else [Uid(f"{OTHER}.1")])]


def assert_nothing_is_left(bench: Bench, target: Target) -> None:
    for uid in erased_uids(target):
        assert holding(bench, uid) == []
    kept = {ONE: FILES[1], TWO: FILES[2], THREE: FILES[3]}
    left = {} if not target[1] else {uid: data for uid, data in kept.items() if uid != target[1]}
    assert every_byte_is_there(bench.workspace(), STUDY, SERIES) == left
    assert (every_byte_is_there(bench.workspace(), STUDY, OTHER) != {}) is bool(target[0])
    assert every_byte_is_there(bench.workspace(), Uid("1.2.9"), Uid("1.2.9.1")), "another study"
    for key, body in all_bytes(bench):
        if "decisions/" in key:
            assert NAME.encode() not in body


def same_after_reindex(bench: Bench) -> None:
    anew = bench.workspace_with_new_table("anew")
    reindex(anew, effects=QUICK)
    assert visible(anew) == visible(bench.workspace())
    listed = [list(erasures.erasures(w.table, w.archive_id)) for w in (anew, bench.workspace())]
    assert [replace(each, waits="") for each in listed[0]] == [replace(each, waits="") for each in listed[1]]


@pytest.mark.parametrize("target", TARGETS)
def test_no_byte_is_left_and_that_is_proven(bench: Bench, target: Target) -> None:
    """Packs, sidecars, the trash, pictures, composed answers, quarantine, versions; 410 until then, 404 afterwards."""
    workspace, store = bench.workspace(), bench.workspace().store
    deliver(bench, 4, slice_of(number=2, patient_name=NAME, pixels=b"\x22" * 32))  # loses a conflict
    bench.objects.put(store.thumbnail_key(STUDY, SERIES), b"picture of " + TWO.encode())
    bench.objects.put(store.export_key(f"{STUDY}/joined-1"), b"answer with " + TWO.encode())
    store.quarantine(arrival(7), FILES[2], {"reason": "poison"})
    delete_instance(workspace, STUDY, SERIES, ONE, WHO, effects=QUICK)  # a pack in the trash, with others
    restore(workspace, STUDY, SERIES, ONE, WHO, effects=QUICK)
    delete_instance(workspace, STUDY, SERIES, TWO, WHO, effects=QUICK)
    whole = visible(bench.workspace())
    decided = begin(bench, target)
    assert decided.state == PENDING
    with pytest.raises(GoneError):
        look_for(workspace, target)
    assert carry_on(workspace, effects=QUICK) == {"erased": 0, "erasing": 1}, "what was under way may still end"
    assert erasures.find(workspace, decided.erasure_id).waits == "settling"
    assert_nothing_is_left(bench, target)
    assert carry_on(workspace, effects=LATER) == {"erased": 1, "erasing": 0}
    assert_nothing_is_left(bench, target)
    with pytest.raises(NotFoundError):
        look_for(workspace, target)
    if target == TARGETS[2]:
        assert visible(workspace) == whole, "nobody else's view has changed"
    same_after_reindex(bench)
    told = proof(workspace, decided.erasure_id)
    assert told["state"] == DONE
    assert told["proof"]["instances"] == sorted(erased_uids(target))
    assert told["proof"]["listed_again"] == 0
    assert told["proof"]["destroyed"] == len(told["found"]) >= 3
    assert {each["key"].split("/")[0] for each in told["found"]} >= {"trash", "quarantine"}
    assert all(each["sha256"] for each in told["found"] if "packs/" in each["key"] and not each["marker"])
    again = begin(bench, target)
    assert again.erasure_id == decided.erasure_id
    assert again.state == DONE


def look_for(workspace: Workspace, target: Target) -> None:
    series, instance = target
    if series is None:
        contents.study_contents(workspace, STUDY)
    else:
        held = contents.series_contents(workspace, STUDY, series)
        if instance:
            held.instance(instance)


def test_what_lies_beside_it_in_the_trash_can_still_be_restored(bench: Bench) -> None:
    """A pack of the trash is written anew without it."""
    delete_series(bench.workspace(), STUDY, SERIES, WHO, effects=QUICK)
    begin(bench, (SERIES, TWO))
    carry_on(bench.workspace(), effects=LATER)
    assert holding(bench, TWO) == []
    restore(bench.workspace(), STUDY, SERIES, None, WHO, effects=QUICK)
    assert every_byte_is_there(bench.workspace(), STUDY, SERIES) == {ONE: FILES[1], THREE: FILES[3]}
    with pytest.raises(NotFoundError):
        look_for(bench.workspace(), (SERIES, TWO))
    same_after_reindex(bench)


def test_after_the_lift_it_can_come_again_and_be_deleted_again(bench: Bench) -> None:
    """404, refused, lifted, stored, 410: an erasure says nothing of a later life."""
    workspace = bench.workspace()
    begin(bench, (SERIES, TWO))
    with pytest.raises(ConflictError):
        lift(workspace, STUDY, SERIES, TWO, by=WHO, effects=QUICK)
    carry_on(workspace, effects=LATER)
    assert later(bench, FILES[2]).counts == {"ignored": 1}
    assert holding(bench, TWO) == []
    lift(workspace, STUDY, SERIES, TWO, by=WHO, effects=LATER)
    with pytest.raises(NotFoundError):
        look_for(workspace, (SERIES, TWO))
    upload = Delivery(later_arrival(), (FILES[2],))
    ingest_object(workspace, bench.upload(upload.arrival, upload.body()), effects=QUICK)
    assert every_byte_is_there(workspace, STUDY, SERIES)[TWO] == FILES[2]
    assert carry_on(workspace, effects=MUCH_LATER) == {"erased": 0, "erasing": 0}
    assert every_byte_is_there(workspace, STUDY, SERIES)[TWO] == FILES[2]
    delete_instance(workspace, STUDY, SERIES, TWO, WHO, effects=MUCH_LATER)
    with pytest.raises(GoneError):
        look_for(workspace, (SERIES, TWO))
    same_after_reindex(bench)


def later_arrival() -> str:
    from maypacs import arrivals

    return arrivals.ulid_at(time.time() + erasing.SETTLE_SECONDS + 120)


def test_it_needs_a_reason_and_something_to_erase(bench: Bench) -> None:
    for reason in ("", " ", "x" * 501):
        with pytest.raises(BadRequestError):
            erase(bench.workspace(), STUDY, None, None, by=WHO, reason=reason)
    with pytest.raises(NotFoundError):
        erase(bench.workspace(), Uid("1.9"), None, None, by=WHO, reason="x")
    with pytest.raises(NotFoundError):
        proof(bench.workspace(), arrival(1))


def test_a_hold_stops_an_erasure_that_was_begun(bench: Bench) -> None:
    """What lies in the trash stays until the hold is lifted."""
    delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    trash = {head.key for head in bench.objects.list("trash/")}
    decided = begin(bench, (None, None))
    placed = holds.hold(bench.workspace(), STUDY, SERIES, TWO, reason="x", by=WHO, effects=QUICK)
    assert carry_on(bench.workspace(), effects=LATER) == {"erased": 0, "erasing": 1}
    assert erasures.find(bench.workspace(), decided.erasure_id).waits == "hold"
    assert {head.key for head in bench.objects.list("trash/")} == trash
    holds.release(bench.workspace(), STUDY, placed.hold_id, by=WHO, effects=QUICK)
    assert carry_on(bench.workspace(), effects=LATER) == {"erased": 1, "erasing": 0}


def zipped(*files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for number, data in enumerate(files):
            bundle.writestr(f"{number}.dcm", data)
    return out.getvalue()


def test_it_waits_for_the_inbox_and_for_bundles_in_quarantine(bench: Bench) -> None:
    """Nobody can tell what is in an upload that is not taken in; a bundle with others is a person's to discard."""
    workspace, store = bench.workspace(), bench.workspace().store
    bench.upload(arrival(8), b"not taken in yet")
    store.quarantine(arrival(7), zipped(b"broken", FILES[2]), {"reason": "bad-bundle"})
    store.quarantine(arrival(6), zipped(b"broken", ELSEWHERE), {"reason": "bad-bundle"})
    store.quarantine(arrival(5), b"PK\x03\x04 damaged", {"reason": "bad-bundle"})
    decided = begin(bench, (SERIES, TWO))
    for waits, clear in (("quarantine", store.quarantine_key(arrival(7))), ("inbox", "")):
        assert carry_on(workspace, effects=LATER) == {"erased": 0, "erasing": 1}
        assert erasures.find(workspace, decided.erasure_id).waits == waits
        bench.objects.delete(clear) if clear else bench.inbox.delete(f"{bench.archive_id}/uploads/{arrival(8)}")
    assert carry_on(workspace, effects=LATER) == {"erased": 1, "erasing": 0}
    assert holding(bench, TWO) == []
    assert bench.objects.get(store.quarantine_key(arrival(6))), "what does not hold it stays"
    assert proof(workspace, decided.erasure_id)["proof"]["not_searched"] == [store.quarantine_key(arrival(5))]


def test_a_pack_that_no_row_tells_of_goes_when_its_delivery_has_ended(bench: Bench) -> None:
    """A delivery died between pack and rows: while it may live, its pack must not be taken from under it."""
    workspace = bench.workspace()
    power = Power(2, after=False)  # the pack is written, the sidecar is not
    dying = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
    second = slice_of(number=2, pixels=b"\x02" * 32, patient_id="TEST-9")
    fourth = slice_of(number=4, pixels=b"\x04" * 32)
    delete_instance(workspace, STUDY, SERIES, TWO, WHO, effects=QUICK)
    upload = Delivery(later_arrival(), (second, fourth))
    key = bench.upload(upload.arrival, upload.body())
    with pytest.raises(MayPACSError):
        ingest_object(dying, key, effects=QUICK)
    decided = begin(bench, (SERIES, TWO))
    assert carry_on(workspace, effects=LATER) == {"erased": 0, "erasing": 1}
    assert erasures.find(workspace, decided.erasure_id).waits == "delivery"
    ingest_object(workspace, key, effects=QUICK)
    assert every_byte_is_there(workspace, STUDY, SERIES)[Uid(f"{SERIES}.4")] == fourth
    assert carry_on(workspace, effects=MUCH_LATER) == {"erased": 1, "erasing": 0}
    assert holding(bench, TWO) == []
    assert every_byte_is_there(workspace, STUDY, SERIES)[Uid(f"{SERIES}.4")] == fourth
    same_after_reindex(bench)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_an_erasure_that_stops_at_any_step_is_finished_by_its_repetition(
    tmp_path: Path, target: Target, after: bool
) -> None:
    """The power goes at each of its steps in turn; what was found before it went is in the proof."""
    steps = 1
    while steps < 120:
        bench = filled(tmp_path / str(steps), versioned=True)
        delete_instance(bench.workspace(), STUDY, SERIES, ONE, WHO, effects=QUICK)
        power = Power(steps, after=after)
        faulty = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
        try:
            erase(faulty, STUDY, *target, by=WHO, reason="x", effects=QUICK)
            carry_on(faulty, effects=LATER)
            assert power.steps < steps, "a fault is not swallowed"
            break
        except MayPACSError:
            steps += 1 if steps < 12 else 4
        begin(bench, target)
        found = {key for key, _ in all_bytes(bench) if any(uid in key for uid in erased_uids(target))}
        carry_on(bench.workspace(), effects=LATER)
        for uid in erased_uids(target):
            assert holding(bench, uid) == []
        listed = list(erasures.erasures(bench.table, bench.archive_id))
        assert [each.state for each in listed] == [DONE] * len(listed)
        recorded = {f"archive/{each['key']}" for each in proof(bench.workspace(), listed[-1].erasure_id)["found"]}
        assert found <= recorded | {key for key, _ in all_bytes(bench)}
        anew = bench.workspace_with_new_table("anew")  # may find a decision whose tombstone was never written
        reindex(anew, effects=QUICK)
        assert visible(anew) == visible(bench.workspace())
        carry_on(anew, effects=LATER)
        assert {each.state for each in erasures.erasures(anew.table, anew.archive_id)} == {DONE}
        assert visible(anew) == visible(bench.workspace())
        if target[1]:
            restore(anew, STUDY, SERIES, ONE, WHO, effects=QUICK)
            assert every_byte_is_there(anew, STUDY, SERIES) == {ONE: FILES[1], THREE: FILES[3]}
    else:
        raise AssertionError("it never ended")


@pytest.mark.parametrize("step", range(1, 60, 2))
def test_an_erasure_that_meets_a_delivery_and_a_deletion_at_any_step(tmp_path: Path, step: int) -> None:
    """Both run whole between two calls of a round, on the same pack; only the target is erased."""
    bench = filled(tmp_path, versioned=True)

    def meanwhile() -> None:
        deliver(bench, 5, *FILES.values())
        delete_instance(bench.workspace(), STUDY, SERIES, ONE, WHO, effects=QUICK)

    table = Interrupted(bench.table, step, meanwhile)
    met = bench.workspace(table)  # type: ignore[arg-type]
    erase(met, STUDY, SERIES, TWO, by=WHO, reason="x", effects=QUICK)
    carry_on(met, effects=LATER)
    if not table.happened:
        meanwhile()
    carry_on(bench.workspace(), effects=MUCH_LATER)
    assert holding(bench, TWO) == []
    assert every_byte_is_there(bench.workspace(), STUDY, SERIES) == {THREE: FILES[3]}
    restore(bench.workspace(), STUDY, SERIES, ONE, WHO, effects=MUCH_LATER)
    assert every_byte_is_there(bench.workspace(), STUDY, SERIES) == {ONE: FILES[1], THREE: FILES[3]}
    same_after_reindex(bench)


@pytest.mark.parametrize("step", range(1, 25))
def test_a_delivery_that_meets_a_whole_erasure_at_any_step_leaves_nothing_of_it(tmp_path: Path, step: int) -> None:
    """The decision and a first round run between two calls of it; the last round comes when it has ended."""
    bench = filled(tmp_path, versioned=True)

    def meanwhile() -> None:
        begin(bench, (SERIES, TWO))
        carry_on(bench.workspace(), effects=QUICK)

    table = Interrupted(bench.table, step, meanwhile)
    fourth = slice_of(number=4, pixels=b"\x04" * 32)
    second = slice_of(number=2, pixels=b"\x22" * 32)
    try:
        deliver(bench, 5, second, fourth, workspace=bench.workspace(table))  # type: ignore[arg-type]
    except MayPACSError:  # a pack went while it was being looked at: the delivery comes again
        deliver(bench, 5, second, fourth)
    if not table.happened:
        meanwhile()
    assert carry_on(bench.workspace(), effects=LATER) == {"erased": 1, "erasing": 0}
    assert holding(bench, TWO) == []
    assert every_byte_is_there(bench.workspace(), STUDY, SERIES)[Uid(f"{SERIES}.4")] == fourth
    same_after_reindex(bench)


def test_a_round_of_what_is_done_changes_nothing(bench: Bench) -> None:
    """Idempotent: the same proof, no new record."""
    decided = begin(bench, (SERIES, TWO))
    carry_on(bench.workspace(), effects=LATER)
    before = dict(all_bytes(bench))
    assert carry_out(bench.workspace(), decided, effects=MUCH_LATER)
    assert dict(all_bytes(bench)) == before


@pytest.mark.parametrize("cleaned", [False, True], ids=["packs beside", "packs taken away"])
def test_an_erasure_after_a_compaction_leaves_nothing_of_it_in_the_packs_that_were_replaced(
    tmp_path: Path, cleaned: bool
) -> None:
    """Merged and replaced packs lie beside each other for two days, and as old versions after that."""
    bench = Bench(tmp_path, MemoryBuckets(versioned=["archive"]))
    files = {number: slice_of(number=number, patient_name=NAME, pixels=bytes([number]) * 32) for number in range(1, 13)}
    for number, data in files.items():
        deliver(bench, number, data)
    clock = Clock(time.time() + 2 * 86_400)
    effects = replace(QUICK, clock=clock)
    assert compact(bench.workspace(), quiet_hours=24, effects=effects).into == 1
    if cleaned:
        clock.advance(3 * 86_400)
        assert compact(bench.workspace(), quiet_hours=24, effects=effects).cleaned == 12
    erase(bench.workspace(), STUDY, SERIES, TWO, by=WHO, reason="x", effects=effects)
    clock.advance(7200)
    assert carry_on(bench.workspace(), effects=effects) == {"erased": 1, "erasing": 0}
    assert holding(bench, TWO) == []
    del files[2]
    assert sorted(every_byte_is_there(bench.workspace(), STUDY, SERIES).values()) == sorted(files.values())
    same_after_reindex(bench)
    clock.advance(3 * 86_400)
    compact(bench.workspace(), quiet_hours=24, effects=effects)
    assert sorted(every_byte_is_there(bench.workspace(), STUDY, SERIES).values()) == sorted(files.values())
    same_after_reindex(bench)
