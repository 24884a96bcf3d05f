"""What lies aside: the trash goes after its days unless it is held; what is in quarantine is a person's to decide."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.faults import FaultyObjects, FaultyTable, Power
from tests.support.instances import slice_of
from tests.support.memory_objects import MemoryBuckets
from tests.support.workspaces import QUICK, Bench, every_byte_is_there, visible
from tests.unit.ingest.test_decisions_of_people import ONE, PAIR, SERIES, STUDY, TWO, WHO, deliver, same_after_reindex
from tests.unit.ingest.test_erasure import all_bytes, zipped
from tests.unit.ingest.test_interleavings import arrival

from maypacs import arrivals, holds
from maypacs.delete import delete_instance, delete_study
from maypacs.errors import BadRequestError, GoneError, MayPACSError, NotFoundError
from maypacs.index import contents
from maypacs.ingest import ingest_object
from maypacs.quarantine import discard, download, in_quarantine, redrive
from maypacs.restore import restore
from maypacs.trash import expire_trash

DAY = 86_400


def after(days: float) -> object:
    return replace(QUICK, clock=lambda: time.time() + days * DAY)


@pytest.fixture(params=[False, True], ids=["one version", "versions"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made = Bench(tmp_path, MemoryBuckets(versioned=["archive"] if request.param else []))
    deliver(made, 1, *PAIR)
    return made


def trash(bench: Bench) -> set[str]:
    return {head.key for head in bench.objects.list("trash/")}


def test_the_trash_is_emptied_after_its_days_and_then_nothing_comes_back(bench: Bench) -> None:
    """Of what was deleted no version is left; it stays deleted (410), and a restoration says why it cannot be."""
    delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    full = trash(bench)
    assert expire_trash(bench.workspace(), 30, effects=after(29.9)) == 0  # type: ignore[arg-type]
    assert expire_trash(bench.workspace(), 0, effects=after(9999)) == 0, "0 days: for ever"  # type: ignore[arg-type]
    assert trash(bench) == full
    assert expire_trash(bench.workspace(), 30, effects=after(30.1)) == len(full)  # type: ignore[arg-type]
    assert trash(bench) == set()
    assert not [key for key, body in all_bytes(bench) if PAIR[0] in body], "in no version either"
    with pytest.raises(GoneError):
        contents.study_contents(bench.workspace(), STUDY)
    with pytest.raises(NotFoundError, match="its time there is over"):
        restore(bench.workspace(), STUDY, None, None, WHO, effects=QUICK)
    same_after_reindex(bench)
    assert [each["keys"] for each in bench.workspace().store.decisions() if each["kind"] == "expire"] == [sorted(full)]


def test_what_is_held_stays_in_the_trash(bench: Bench) -> None:
    """Until the hold is lifted; what is not held goes."""
    deliver(bench, 2, slice_of(study="1.2.9", series="1.2.9.1", number=1))
    delete_instance(bench.workspace(), STUDY, SERIES, ONE, WHO, effects=QUICK)
    mine = trash(bench)
    delete_study(bench.workspace(), contents.Uid("1.2.9"), WHO, effects=QUICK)
    placed = holds.hold(bench.workspace(), STUDY, SERIES, TWO, reason="x", by=WHO, effects=QUICK)
    assert expire_trash(bench.workspace(), 30, effects=after(31)) > 0  # type: ignore[arg-type]
    assert trash(bench) == mine
    assert expire_trash(bench.workspace(), 30, effects=after(31)) == 0  # type: ignore[arg-type]
    restore(bench.workspace(), STUDY, SERIES, ONE, WHO, effects=QUICK)
    assert every_byte_is_there(bench.workspace(), STUDY, SERIES) == {ONE: PAIR[0], TWO: PAIR[1]}
    holds.release(bench.workspace(), STUDY, placed.hold_id, by=WHO, effects=QUICK)
    expire_trash(bench.workspace(), 30, effects=after(31))  # type: ignore[arg-type]
    assert trash(bench) == set()
    assert every_byte_is_there(bench.workspace(), STUDY, SERIES) == {ONE: PAIR[0], TWO: PAIR[1]}, "what lives, lives"


@pytest.mark.parametrize("fails_at", range(1, 10))
def test_an_expiry_that_stops_at_any_step_goes_on_the_next_time(tmp_path: Path, fails_at: int) -> None:
    """And takes no more than so many at once."""
    bench = Bench(tmp_path, MemoryBuckets(versioned=["archive"]))
    deliver(bench, 1, *PAIR)
    delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    power = Power(fails_at, after=False)
    faulty = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
    try:
        expire_trash(faulty, 30, effects=after(31))  # type: ignore[arg-type]
    except MayPACSError:
        while expire_trash(bench.workspace(), 30, effects=after(31), most=1):  # type: ignore[arg-type]
            pass
    assert trash(bench) == set()
    assert not [key for key, body in all_bytes(bench) if PAIR[0] in body]


# Quarantine

BROKEN = b"\0" * 128 + b"DICM" + b"broken"


def test_what_is_in_quarantine_is_listed_with_its_reason(bench: Bench) -> None:
    """By arrival, in pages; parts of an upload each by themselves."""
    workspace = bench.workspace()
    for number, body in ((4, zipped(BROKEN, PAIR[0], BROKEN)), (3, BROKEN)):
        ingest_object(workspace, bench.upload(arrival(number), body), effects=QUICK)
    listed = in_quarantine(workspace)
    assert [each.item for each in listed] == [arrival(3), f"{arrival(4)}-1", f"{arrival(4)}-3"]
    assert {each.reason for each in listed} == {"unreadable"}
    assert {each.size for each in listed} == {len(BROKEN)}
    pages: list[str] = []
    while page := in_quarantine(workspace, after=pages[-1] if pages else "", limit=1):
        pages += [each.item for each in page]
    assert pages == [each.item for each in listed]


def test_what_is_tried_again_is_taken_in_as_what_arrived_then(bench: Bench) -> None:
    """Once the reason is gone. What was deleted since stays deleted."""
    workspace, store = bench.workspace(), bench.workspace().store
    third, fourth = slice_of(number=3), slice_of(number=4)
    store.quarantine(arrival(5), third, {"reason": "poison"})
    store.quarantine(arrival(5), fourth, {"reason": "poison"}, "7")
    assert redrive(workspace, arrival(5)) == arrival(5)
    part = redrive(workspace, f"{arrival(5)}-7")
    assert part[:10] == arrival(5)[:10]
    assert in_quarantine(workspace) == []
    for key in [head.key for head in bench.inbox.list("")]:
        receipt = ingest_object(workspace, key, effects=QUICK)
        assert receipt is not None
        assert receipt.counts == {"stored": 1}
        assert receipt.arrival in (arrival(5), part)
    assert set(every_byte_is_there(workspace, STUDY, SERIES).values()) == {*PAIR, third, fourth}
    delete_study(workspace, STUDY, WHO, effects=QUICK)
    store.quarantine(arrival(6), third, {"reason": "poison"})
    redrive(workspace, arrival(6))
    receipt = ingest_object(workspace, store.upload_key(arrival(6)), effects=QUICK)
    assert receipt is not None
    assert receipt.counts == {"ignored": 1}
    assert visible(workspace) == {}


def test_what_is_discarded_is_gone_and_a_decision_says_so(bench: Bench) -> None:
    """With a reason; what is not there, or no name of ours, is 404."""
    workspace = bench.workspace()
    workspace.store.quarantine(arrival(5), BROKEN, {"reason": "poison"})
    with pytest.raises(BadRequestError):
        discard(workspace, arrival(5), by=WHO, reason=" ")
    key = download(workspace, arrival(5))
    assert key.startswith("blobs/exports/")
    assert bench.objects.get(key) == BROKEN
    discard(workspace, arrival(5), by=WHO, reason="rác", effects=QUICK)
    assert list(bench.objects.list("quarantine/")) == []
    (told,) = [each for each in workspace.store.decisions() if each["kind"] == "discard"]
    assert (told["item"], told["by"], told["reason"]) == (arrival(5), WHO, "rác")
    for item in (arrival(5), arrival(9), "../x", "", f"{arrival(5)}.reason.json", arrivals.new_arrival() + "-a"):
        for act in (lambda: redrive(workspace, item), lambda: download(workspace, item)):  # noqa: B023
            with pytest.raises(NotFoundError):
                act()
