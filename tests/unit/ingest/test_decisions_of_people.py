"""Holds, refusals and promotions: what a person decides holds for everybody, also after reindex."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.faults import FaultyObjects, FaultyTable, Power
from tests.support.instances import slice_of
from tests.support.workspaces import QUICK, Bench, every_byte_is_there, visible
from tests.unit.ingest.test_interleavings import Interrupted, arrival
from tests.unit.ingest.test_storms import Delivery

from maypacs import arrivals, decisions, holds, incoming
from maypacs.delete import delete_instance, delete_series, delete_study, remove
from maypacs.erase import lift
from maypacs.errors import BadRequestError, ConflictError, GoneError, MayPACSError, NotFoundError
from maypacs.incoming import Incoming
from maypacs.index import contents
from maypacs.ingest import ingest_object, store_instances
from maypacs.promote import conflicts_of, promote
from maypacs.receipts import Receipt
from maypacs.reindex import reindex
from maypacs.restore import restore
from maypacs.uids import Uid
from maypacs.workspace import Workspace

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")
ONE, TWO = Uid(f"{SERIES}.1"), Uid(f"{SERIES}.2")
WHO = "user:thu"
PAIR = (slice_of(number=1), slice_of(number=2))
ANOTHER = slice_of(number=1, pixels=b"\x07" * 32)


def deliver(bench: Bench, number: int, *files: bytes, workspace: Workspace | None = None) -> Receipt:
    upload = Delivery(arrival(number), tuple(files))
    key = bench.upload(upload.arrival, upload.body())
    receipt = ingest_object(workspace or bench.workspace(), key, effects=QUICK)
    assert receipt is not None
    return receipt


def later(bench: Bench, *files: bytes) -> Receipt:
    """A delivery that arrives now, after every decision of before."""
    upload = Delivery(arrivals.new_arrival(), tuple(files))
    receipt = ingest_object(bench.workspace(), bench.upload(upload.arrival, upload.body()), effects=QUICK)
    assert receipt is not None
    return receipt


def same_after_reindex(bench: Bench) -> None:
    anew = bench.workspace_with_new_table("anew")
    reindex(anew, effects=QUICK)
    assert visible(anew) == visible(bench.workspace())


def current(workspace: Workspace) -> dict[str, bytes]:
    return every_byte_is_there(workspace, STUDY, SERIES)


# Holds


@pytest.mark.parametrize(
    ("on", "target", "blocked", "why"),
    [
        ((None, None), (None, None), True, "the study itself"),
        ((None, None), (SERIES, ONE), True, "an instance of a study that is held"),
        ((SERIES, ONE), (None, None), True, "a study with an instance that is held"),
        ((SERIES, ONE), (SERIES, None), True, "its series"),
        ((SERIES, ONE), (SERIES, TWO), False, "another instance"),
        ((Uid("1.2.3.2"), None), (SERIES, None), False, "another series"),
    ],
)
@pytest.mark.parametrize("mode", [decisions.REMOVED, decisions.REJECTED, decisions.ERASED])
def test_a_hold_blocks_deletions_of_what_it_is_on(
    tmp_path: Path, on: tuple[Uid, Uid], target: tuple[Uid, Uid], blocked: bool, why: str, mode: str
) -> None:
    """Nothing goes while it is there; it says when and by whom, not why; once it is lifted, the deletion goes on."""
    bench = Bench(tmp_path)
    deliver(bench, 1, *PAIR)
    workspace = bench.workspace()
    before = visible(workspace)
    placed = holds.hold(workspace, STUDY, *on, reason="Hồ sơ 12, tòa án", by=WHO, effects=QUICK)
    assert (holds.held(workspace, STUDY, *target) == placed) is blocked, why
    if blocked:
        with pytest.raises(ConflictError, match=placed.hold_id) as caught:
            remove(workspace, STUDY, *target, WHO, mode=mode, effects=QUICK)
        assert "Hồ sơ" not in str(caught.value)
        assert visible(workspace) == before
        anew = bench.workspace_with_new_table("anew")
        reindex(anew, effects=QUICK)
        assert holds.holds_of(anew, STUDY) == [placed], "reindex finds it again"
        holds.release(workspace, STUDY, placed.hold_id, by=WHO, effects=QUICK)
        assert holds.holds_of(workspace, STUDY) == []
        reindex(anew, effects=QUICK)
        assert holds.holds_of(anew, STUDY) == [], "a hold that was lifted does not come back"
    remove(workspace, STUDY, *target, WHO, mode=mode, effects=QUICK)
    assert visible(workspace) != before


def test_a_hold_needs_a_reason_and_is_lifted_once(tmp_path: Path) -> None:
    """400, 404; several on one study are lifted one by one."""
    workspace = Bench(tmp_path).workspace()
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(BadRequestError):
            holds.hold(workspace, STUDY, None, None, reason=reason, by=WHO)
    one, two = (holds.hold(workspace, STUDY, None, None, reason=str(n), by=WHO, effects=QUICK) for n in range(2))
    holds.release(workspace, STUDY, one.hold_id, by=WHO, effects=QUICK)
    assert holds.holds_of(workspace, STUDY) == [two]
    with pytest.raises(NotFoundError):
        holds.release(workspace, STUDY, one.hold_id, by=WHO)


@pytest.mark.parametrize("step", range(1, 25))
def test_a_hold_and_a_deletion_that_meet_at_any_step_have_an_order(tmp_path: Path, step: int) -> None:
    """The hold is placed whole between two calls of the deletion: either all is there, or it was deleted before."""
    bench = Bench(tmp_path)
    deliver(bench, 1, *PAIR)
    before = visible(bench.workspace())

    def place() -> None:
        holds.hold(bench.workspace(), STUDY, None, None, reason="x", by=WHO, effects=QUICK)

    table = Interrupted(bench.table, step, place)
    try:
        delete_study(bench.workspace(table), STUDY, WHO, effects=QUICK)  # type: ignore[arg-type]
        assert visible(bench.workspace()) == {}
    except ConflictError:
        assert visible(bench.workspace()) == before
    assert len(holds.holds_of(bench.workspace(), STUDY)) == table.happened, "what was placed holds"
    same_after_reindex(bench)


# Refusals


@pytest.mark.parametrize("mode", [decisions.REJECTED, decisions.ERASED])
@pytest.mark.parametrize("target", [(None, None), (SERIES, None), (SERIES, ONE)])
def test_what_is_refused_is_not_taken_until_that_is_lifted(
    tmp_path: Path, target: tuple[Uid | None, Uid | None], mode: str
) -> None:
    """Later uploads are told so; a rejected one lies in the trash, of an erased one nothing is kept."""
    bench = Bench(tmp_path)
    deliver(bench, 1, *PAIR)
    workspace = bench.workspace()
    remove(workspace, STUDY, *target, WHO, mode=mode, effects=QUICK)
    left = visible(workspace)
    trash = {head.key for head in bench.objects.list("trash/")}
    receipt = later(bench, slice_of(number=1, pixels=b"\x09" * 32))
    assert receipt.counts == {"ignored": 1}
    assert receipt.state == "indexed", "an edge may let go of it"
    assert visible(workspace) == left
    new = {head.key for head in bench.objects.list("trash/")} - trash
    assert bool(new) is (mode == decisions.REJECTED)
    same_after_reindex(bench)
    with pytest.raises(ConflictError, match="lifted"):
        restore(workspace, STUDY, *target, WHO, effects=QUICK)
    if mode == decisions.ERASED:
        with pytest.raises(ConflictError, match="being erased"):
            lift(workspace, STUDY, *target, by=WHO, effects=QUICK)
        return
    lift(workspace, STUDY, *target, by=WHO, reason="", effects=QUICK)
    with pytest.raises(ConflictError, match="nothing is refused"):
        lift(workspace, STUDY, *target, by=WHO, effects=QUICK)
    assert visible(workspace) == left, "what was refused until now stays away"
    assert later(bench, PAIR[0]).counts == {"stored": 1}
    assert current(workspace)[ONE] == PAIR[0]
    same_after_reindex(bench)


def test_what_was_rejected_can_be_restored_after_the_lift(tmp_path: Path) -> None:
    """It lies in the trash as what was removed does."""
    bench = Bench(tmp_path)
    deliver(bench, 1, *PAIR)
    before = visible(bench.workspace())
    remove(bench.workspace(), STUDY, None, None, WHO, mode=decisions.REJECTED, effects=QUICK)
    lift(bench.workspace(), STUDY, None, None, by=WHO, effects=QUICK)
    restore(bench.workspace(), STUDY, None, None, WHO, effects=QUICK)
    assert visible(bench.workspace()) == before
    same_after_reindex(bench)


def test_a_study_that_is_restored_comes_without_an_instance_that_is_refused(tmp_path: Path) -> None:
    """Also when the instance lies in the same pack of the trash."""
    bench = Bench(tmp_path)
    deliver(bench, 1, *PAIR)
    delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    remove(bench.workspace(), STUDY, SERIES, ONE, WHO, mode=decisions.REJECTED, effects=QUICK)
    restore(bench.workspace(), STUDY, None, None, WHO, effects=QUICK)
    assert current(bench.workspace()) == {TWO: PAIR[1]}
    same_after_reindex(bench)


def test_what_never_was_is_not_refused_and_the_same_again_is_the_same(tmp_path: Path) -> None:
    """404; rejecting twice is one decision; a plain deletion of what is refused is 410."""
    bench = Bench(tmp_path)
    with pytest.raises(NotFoundError):
        remove(bench.workspace(), STUDY, None, None, WHO, mode=decisions.REJECTED, effects=QUICK)
    deliver(bench, 1, *PAIR)
    first = remove(bench.workspace(), STUDY, None, None, WHO, mode=decisions.REJECTED, effects=QUICK)
    assert remove(bench.workspace(), STUDY, None, None, WHO, mode=decisions.REJECTED, effects=QUICK) == first
    with pytest.raises(GoneError):
        delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    erased = remove(bench.workspace(), STUDY, None, None, WHO, mode=decisions.ERASED, effects=QUICK)
    assert erased != first, "more than a rejection"
    assert remove(bench.workspace(), STUDY, None, None, WHO, mode=decisions.REJECTED, effects=QUICK) == erased


@pytest.mark.parametrize("step", range(1, 25))
@pytest.mark.parametrize("mode", [decisions.REJECTED, decisions.ERASED])
def test_a_delivery_that_meets_a_refusal_at_any_step_brings_nothing_back(tmp_path: Path, step: int, mode: str) -> None:
    """The refusal of one of its instances runs whole between two calls of a delivery; the other instance lives."""
    bench = Bench(tmp_path)
    deliver(bench, 1, PAIR[0])

    def refuse() -> None:
        remove(bench.workspace(), STUDY, SERIES, ONE, WHO, mode=mode, effects=QUICK)

    table = Interrupted(bench.table, step, refuse)
    deliver(bench, 2, *PAIR, workspace=bench.workspace(table))  # type: ignore[arg-type]
    if not table.happened:
        refuse()
    assert current(bench.workspace()) == {TWO: PAIR[1]}
    same_after_reindex(bench)


# Promotions


def conflict(bench: Bench) -> str:
    """Two versions of one instance, beside another instance; the digest of the one that is not current."""
    deliver(bench, 1, *PAIR)
    deliver(bench, 2, ANOTHER)
    (found,) = conflicts_of(bench.workspace(), STUDY)
    (other,) = found.others
    return other.digest.hex()


def test_a_promoted_version_is_current_until_another_is_promoted(tmp_path: Path) -> None:
    """The other is kept as the conflict; every answer has another ETag; a third version changes nothing."""
    bench = Bench(tmp_path)
    digest = conflict(bench)
    workspace = bench.workspace()
    first = contents.series_contents(workspace, STUDY, SERIES)
    before = first.instance(ONE).digest.hex()
    bench.objects.put(workspace.store.thumbnail_key(STUDY, SERIES), b"old picture")
    bench.objects.put(workspace.store.export_key(f"{STUDY}/x"), b"old answer")
    promote(workspace, STUDY, SERIES, ONE, digest, by=WHO, reason="sai bệnh nhân", effects=QUICK)
    assert current(workspace) == {ONE: ANOTHER, TWO: PAIR[1]}
    held = contents.series_contents(workspace, STUDY, SERIES)
    assert held.version != first.version
    assert [ref.digest.hex() for ref in held.conflicts] == [before]
    assert not held.clean, "the pack of the old version must not be given away as the series"
    assert not list(bench.objects.list("blobs/thumbs/"))
    assert not list(bench.objects.list("blobs/exports/"))
    same_after_reindex(bench)
    assert deliver(bench, 3, slice_of(number=1, pixels=b"\x08" * 32)).counts == {"conflict": 1}
    assert current(workspace)[ONE] == ANOTHER, "a later conflict does not flip it back"
    assert deliver(bench, 4, PAIR[0]).counts == {"conflict": 1}, "the old one again is still not the current one"
    promote(workspace, STUDY, SERIES, ONE, digest, by=WHO, effects=QUICK)
    assert current(workspace)[ONE] == ANOTHER, "the same again"
    promote(workspace, STUDY, SERIES, ONE, before, by=WHO, effects=QUICK)
    assert current(workspace)[ONE] == PAIR[0]
    same_after_reindex(bench)


def test_a_promotion_between_equals_is_seen_by_those_who_remember_the_series(tmp_path: Path) -> None:
    """Versions of one size that came at once: the summary of the series stays what it was, its revision does not."""
    bench = Bench(tmp_path)
    deliver(bench, 1, PAIR[0])
    versions = [slice_of(number=1, pixels=bytes([number]) * 32) for number in (7, 8)]
    store_instances(bench.workspace(), arrivals.new_arrival(), versions, effects=QUICK)
    (found,) = conflicts_of(bench.workspace(), STUDY)
    for data in (*versions, *versions):
        digest = next(each.digest.hex() for each in (found.current, *found.others) if each.digest == digest_of(data))
        promote(bench.workspace(), STUDY, SERIES, ONE, digest, by=WHO, effects=QUICK)
        assert current(bench.workspace()) == {ONE: data}
    same_after_reindex(bench)


def digest_of(data: bytes) -> bytes:
    read = incoming.read(data)
    assert isinstance(read, Incoming)
    return read.digest


def test_only_a_version_that_is_there_can_be_promoted(tmp_path: Path) -> None:
    """404 for another digest, for another instance, and for what was deleted."""
    bench = Bench(tmp_path)
    digest = conflict(bench)
    for instance, wanted in ((ONE, "00" * 16), (TWO, digest), (Uid("1.9"), digest)):
        with pytest.raises(NotFoundError):
            promote(bench.workspace(), STUDY, SERIES, instance, wanted, by=WHO, effects=QUICK)
    delete_instance(bench.workspace(), STUDY, SERIES, ONE, WHO, effects=QUICK)
    with pytest.raises(GoneError):
        promote(bench.workspace(), STUDY, SERIES, ONE, digest, by=WHO, effects=QUICK)


def test_a_promotion_binds_no_later_life(tmp_path: Path) -> None:
    """After a deletion the first version that comes is current, whatever was promoted before."""
    bench = Bench(tmp_path)
    digest = conflict(bench)
    promote(bench.workspace(), STUDY, SERIES, ONE, digest, by=WHO, effects=QUICK)
    delete_series(bench.workspace(), STUDY, SERIES, WHO, effects=QUICK)
    later(bench, PAIR[0])
    later(bench, ANOTHER)
    assert current(bench.workspace())[ONE] == PAIR[0]
    same_after_reindex(bench)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fails_at", range(1, 12))
def test_a_promotion_that_stops_at_any_step_is_finished_by_its_repetition_or_by_reindex(
    tmp_path: Path, fails_at: int, after: bool
) -> None:
    """Decided or not, never something between."""
    bench = Bench(tmp_path)
    digest = conflict(bench)
    workspace = bench.workspace()
    bench.objects.put(workspace.store.thumbnail_key(STUDY, SERIES), b"old picture")
    whole = visible(workspace)
    power = Power(fails_at, after=after)
    faulty = bench.workspace(FaultyTable(bench.table, power), FaultyObjects(bench.objects, power))  # type: ignore[arg-type]
    again: Callable[[Workspace], None] = lambda where: promote(  # noqa: E731
        where, STUDY, SERIES, ONE, digest, by=WHO, effects=QUICK
    )
    try:
        again(faulty)
    except MayPACSError:
        anew = bench.workspace_with_new_table("anew")
        reindex(anew, effects=QUICK)
        promoted = current(anew)[ONE] == ANOTHER
        assert promoted or visible(anew) == whole
        again(bench.workspace())
    assert current(bench.workspace()) == {ONE: ANOTHER, TWO: PAIR[1]}
    assert not list(bench.objects.list("blobs/thumbs/"))
    same_after_reindex(bench)


@pytest.mark.parametrize("step", range(1, 25))
def test_a_promotion_and_a_third_version_that_meet_at_any_step(tmp_path: Path, step: int) -> None:
    """What the person chose is current; nothing is lost."""
    bench = Bench(tmp_path)
    digest = conflict(bench)

    def choose() -> None:
        promote(bench.workspace(), STUDY, SERIES, ONE, digest, by=WHO, effects=QUICK)

    table = Interrupted(bench.table, step, choose)
    third = slice_of(number=1, pixels=b"\x08" * 32)
    deliver(bench, 3, third, workspace=bench.workspace(table))  # type: ignore[arg-type]
    if not table.happened:
        choose()
    assert current(bench.workspace())[ONE] == ANOTHER
    (found,) = conflicts_of(bench.workspace(), STUDY)
    assert len(found.others) == 2
    same_after_reindex(bench)
