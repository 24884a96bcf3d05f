"""Many small packs of a quiet series become few: what readers and searches see does not change, whatever came before,
comes meanwhile or after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from tests.support.clock import Clock
from tests.support.instances import slice_of
from tests.support.workspaces import Bench, every_byte_is_there, visible

from maypacs import arrivals, compaction, holds
from maypacs.compact_series import Compacted
from maypacs.compaction import compact, plan_only
from maypacs.decisions import decide_removal
from maypacs.delete import delete_instance, delete_series, delete_study
from maypacs.errors import GoneError
from maypacs.index import contents, due, merging, series_rows
from maypacs.index.cascade import Effects
from maypacs.index.pack_rows import PackHead, life_id
from maypacs.ingest import ingest_object
from maypacs.pack import grammar
from maypacs.receipts import Receipt
from maypacs.reindex import reindex
from maypacs.restore import restore
from maypacs.uids import ArchiveId, Uid
from maypacs.workspace import Workspace

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")
WHO = "user:test"
DAY = 86_400.0


@dataclass
class Hospital:
    """An archive whose clock a test moves; one image a minute arrives."""

    folder: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.bench = Bench(self.folder)
        self.effects = Effects(sleep=lambda seconds: None, clock=self.clock)

    @property
    def workspace(self) -> Workspace:
        return self.bench.workspace()

    def send(self, number: int, *, arrival: str = "", **attributes: str | int | bytes) -> Receipt:
        self.clock.advance(60)
        key = self.bench.upload(arrival or arrivals.ulid_at(self.clock.now), slice_of(number=number, **attributes))  # type: ignore[arg-type]
        receipt = ingest_object(self.workspace, key, effects=self.effects)
        assert receipt is not None
        return receipt

    def send_all(self, count: int = 12) -> None:
        for number in range(1, count + 1):
            self.send(number)

    def compact(self, quiet_hours: int = 24, *, at_once: bool = False) -> Compacted:
        return compact(self.workspace, quiet_hours=quiet_hours, effects=self.effects, at_once=at_once)

    def packs(self) -> list[str]:
        return [head.key for head in self.bench.objects.list("blobs/packs/")]

    def waiting(self) -> list[due.Due]:
        return list(due.waiting(self.bench.table, self.bench.archive_id))

    def numbers(self) -> list[int | None]:
        return [each.instance_number for each in contents.series_contents(self.workspace, STUDY, SERIES).instances]

    def check(self, numbers: range | list[int]) -> None:
        """Rows, bytes; and an index that is built anew says the same."""
        assert self.numbers() == list(numbers)
        there = every_byte_is_there(self.workspace, STUDY, SERIES)
        assert there == {f"{SERIES}.{number}": slice_of(number=number) for number in numbers}
        self.clock.advance(1)
        anew = self.bench.workspace_with_new_table(f"anew{self.clock.now}")
        reindex(anew, effects=self.effects)
        assert visible(anew) == visible(self.workspace)


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def test_images_that_came_one_a_minute_are_one_pack_a_day_later(hospital: Hospital) -> None:
    """Nobody who reads or searches notices; two days later what was replaced is gone."""
    hospital.send_all()
    before = visible(hospital.workspace)
    assert len(hospital.packs()) == 12
    hospital.clock.advance(DAY + 3600)
    done = hospital.compact()
    assert (done.series, done.packs, done.into, done.failed) == (1, 12, 1, 0)
    assert visible(hospital.workspace) == before
    held = contents.series_contents(hospital.workspace, STUDY, SERIES)
    assert (len(held.packs), held.clean, held.summary.number_of_packs) == (1, True, 1)
    assert len(hospital.packs()) == 13, "URLs that were handed out live on"
    hospital.check(range(1, 13))
    hospital.clock.advance(1.9 * DAY)
    assert hospital.compact().cleaned == 0
    hospital.clock.advance(0.2 * DAY)
    assert hospital.compact().cleaned == 12
    (pack,) = hospital.packs()
    assert grammar.pack_id(hospital.bench.objects.get(pack)) == pack.rpartition("/")[2]
    assert len(list(hospital.bench.objects.list("meta/"))) == 1
    assert len(list(hospital.bench.objects.list("trash/"))) == 0
    assert visible(hospital.workspace) == before
    hospital.check(range(1, 13))
    assert hospital.waiting() == []


def test_a_series_that_still_grows_is_left(hospital: Hospital) -> None:
    """A day without a change, not a day since its beginning."""
    hospital.send_all()
    hospital.clock.advance(0.9 * DAY)
    hospital.send(13)
    hospital.clock.advance(0.9 * DAY)
    assert hospital.compact().series == 0
    hospital.clock.advance(0.2 * DAY)
    assert hospital.compact().series == 1
    hospital.check(range(1, 14))


def test_a_series_of_few_packs_writes_nothing_and_is_never_looked_at(hospital: Hospital) -> None:
    """The price of a CT in four packs stays what it was."""
    hospital.send_all(merging.MIN_PACKS - 1)
    assert hospital.waiting() == []
    hospital.send(8)
    assert len(hospital.waiting()) == 1
    units = hospital.bench.table.consumed.write_units
    hospital.send(9)
    assert hospital.bench.table.consumed.write_units - units < 40
    assert len(hospital.waiting()) == 1


def test_a_late_image_after_compaction_joins_the_next_time(hospital: Hospital) -> None:
    """What is put together is rewritten only with at least as much of others."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    hospital.send(13)
    hospital.check(range(1, 14))
    hospital.clock.advance(3 * DAY)
    assert hospital.compact().cleaned == 12
    for number in range(14, 30):
        hospital.send(number)
    hospital.clock.advance(2 * DAY)
    done = hospital.compact()
    assert (done.packs, done.into) == (18, 1)
    hospital.check(range(1, 30))


def test_the_sidecars_of_many_become_one_and_metadata_is_unchanged(hospital: Hospital) -> None:
    """One line an instance, the same line."""
    from maypacs.metadata import compose
    from maypacs.selection import select

    hospital.send_all()
    before, selection = compose(hospital.workspace, select(hospital.workspace, STUDY, SERIES), "https://x"), select
    content = selection(hospital.workspace, STUDY, SERIES).content
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    hospital.bench.objects.calls.clear()
    assert compose(hospital.workspace, selection(hospital.workspace, STUDY, SERIES), "https://x") == before
    assert hospital.bench.objects.calls["get"] == 1
    assert selection(hospital.workspace, STUDY, SERIES).content == content, "an ETag stays what it was"


def test_packs_whose_attributes_differ_are_not_put_together(hospital: Hospital) -> None:
    """Which value counts is decided by arrival: what came between would be put in another place."""
    for number in range(1, 9):
        hospital.send(number, series_description="Ngực")
    for number in range(9, 20):
        hospital.send(number, series_description="Bụng")
    before = visible(hospital.workspace)
    hospital.clock.advance(2 * DAY)
    assert hospital.compact().into == 2
    assert visible(hospital.workspace) == before


# Removals: each instance keeps its own arrival.


def cut_off_after(hospital: Hospital, number: int, instance: Uid | None = None) -> None:
    """A decision whose rows nobody wrote in time: its cut-off lies between the arrivals of what is there."""
    until = next(
        each.arrival
        for each in contents.series_contents(hospital.workspace, STUDY, SERIES).instances
        if each.instance_number == number
    )
    decide_removal(hospital.workspace, STUDY, until, by=WHO, now=hospital.clock.now, series=SERIES, instance=instance)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_cut_off_between_the_arrivals_of_a_pack_removes_what_came_before_it(
    hospital: Hospital, compacted: bool
) -> None:
    """The same with and without compaction: for readers at once, for the sweep, for an index that is built anew."""
    hospital.send_all()
    if compacted:
        hospital.clock.advance(2 * DAY)
        hospital.compact()
        hospital.clock.advance(3 * DAY)
        hospital.compact()
    cut_off_after(hospital, 5)
    hospital.clock.advance(60)
    anew = hospital.bench.workspace_with_new_table("late")
    reindex(anew, effects=hospital.effects)
    expected = [f"{SERIES}.{number}" for number in range(6, 13)]
    assert [each.sop_instance_uid for each in contents.series_contents(anew, STUDY, SERIES).instances] == expected
    served = {
        part.uids[2] for key in hospital.packs() for part in grammar.scan_pack(hospital.bench.objects.get(key)).parts
    }
    assert served == set(expected), "what was removed lies below blobs/ no more"


@pytest.mark.parametrize("cleaned", [False, True])
def test_an_instance_that_was_removed_does_not_come_back(hospital: Hospital, cleaned: bool) -> None:
    """Removed before, and one after; both are sent again as late retries; then anew."""
    hospital.send_all()
    first = contents.series_contents(hospital.workspace, STUDY, SERIES).instance(Uid(f"{SERIES}.3")).arrival
    delete_instance(hospital.workspace, STUDY, SERIES, Uid(f"{SERIES}.3"), WHO, effects=hospital.effects)
    hospital.clock.advance(2 * DAY)
    assert hospital.compact().into == 1
    if cleaned:
        hospital.clock.advance(3 * DAY)
        assert hospital.compact().cleaned == 11
    second = contents.series_contents(hospital.workspace, STUDY, SERIES).instance(Uid(f"{SERIES}.7")).arrival
    delete_instance(hospital.workspace, STUDY, SERIES, Uid(f"{SERIES}.7"), WHO, effects=hospital.effects)
    left = [1, 2, 4, 5, 6, 8, 9, 10, 11, 12]
    hospital.check(left)
    assert hospital.send(3, arrival=first).counts == {"ignored": 1}
    assert hospital.send(7, arrival=second).counts == {"ignored": 1}
    hospital.check(left)
    with pytest.raises(GoneError):
        contents.series_contents(hospital.workspace, STUDY, SERIES).instance(Uid(f"{SERIES}.7"))
    only_what_lives_is_served(hospital)
    assert hospital.send(3).counts == {"stored": 1}
    hospital.check([1, 2, 3, *left[2:]])
    hospital.clock.advance(5 * DAY)
    hospital.compact()
    hospital.check([1, 2, 3, *left[2:]])


def only_what_lives_is_served(hospital: Hospital) -> None:
    current = set(every_byte_is_there(hospital.workspace, STUDY, SERIES))
    for key in hospital.packs():
        assert {part.uids[2] for part in grammar.scan_pack(hospital.bench.objects.get(key)).parts} <= current


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("cleaned", [False, True])
def test_what_is_deleted_after_compaction_comes_back_whole_and_once(
    hospital: Hospital, level: str, cleaned: bool
) -> None:
    """Also while the packs that were replaced still lie beside."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    if cleaned:
        hospital.clock.advance(3 * DAY)
        hospital.compact()
    before = visible(hospital.workspace)
    series = None if level == "study" else SERIES
    instance = Uid(f"{SERIES}.5") if level == "instance" else None
    if instance:
        delete_instance(hospital.workspace, STUDY, SERIES, instance, WHO, effects=hospital.effects)
    elif series:
        delete_series(hospital.workspace, STUDY, series, WHO, effects=hospital.effects)
    else:
        delete_study(hospital.workspace, STUDY, WHO, effects=hospital.effects)
    if not instance:
        assert hospital.packs() == []
        assert visible(hospital.workspace) == {}
    only_what_lives_is_served(hospital)
    hospital.clock.advance(60)
    count = restore(hospital.workspace, STUDY, series, instance, WHO, effects=hospital.effects)
    assert count == (1 if instance else 12)
    assert visible(hospital.workspace) == before
    hospital.clock.advance(5 * DAY)
    hospital.compact()
    hospital.check(range(1, 13))


def test_a_narrower_removal_between_the_arrivals_stays_when_the_study_is_restored(hospital: Hospital) -> None:
    """In the trash too, each instance has its own arrival."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    hospital.clock.advance(3 * DAY)
    hospital.compact()
    cut_off_after(hospital, 5, Uid(f"{SERIES}.5"))
    cut_off_after(hospital, 4, Uid(f"{SERIES}.6"))  # came after it: not removed
    delete_study(hospital.workspace, STUDY, WHO, effects=hospital.effects)
    restore(hospital.workspace, STUDY, None, None, WHO, effects=hospital.effects)
    hospital.check([1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12])


# What stands in the way.


def test_a_hold_leaves_everything_where_it_is_until_it_is_lifted(hospital: Hospital) -> None:
    """Before compaction, and before what was replaced is taken away."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hold = holds.hold(hospital.workspace, STUDY, SERIES, None, reason="study", by=WHO, effects=hospital.effects)
    assert hospital.compact().series == 0
    holds.release(hospital.workspace, STUDY, hold.hold_id, by=WHO, effects=hospital.effects)
    hospital.clock.advance(2 * DAY)
    assert hospital.compact().series == 1
    hold = holds.hold(hospital.workspace, STUDY, SERIES, None, reason="study", by=WHO, effects=hospital.effects)
    hospital.clock.advance(3 * DAY)
    assert hospital.compact().cleaned == 0
    assert len(hospital.packs()) == 13
    holds.release(hospital.workspace, STUDY, hold.hold_id, by=WHO, effects=hospital.effects)
    hospital.clock.advance(2 * DAY)
    assert hospital.compact().cleaned == 12


def damage(key: str) -> Callable[[Hospital], None]:
    def act(hospital: Hospital) -> None:
        (found, *_) = [head.key for head in hospital.bench.objects.list(key)]
        hospital.bench.objects.put(found, b"x" + hospital.bench.objects.get(found)[1:], metadata={"arrival": "0"})

    return act


def test_a_damaged_pack_is_told_and_nothing_is_replaced(hospital: Hospital) -> None:
    """Its name is its digest: a copy of it would hide the damage. A day later somebody looks again."""
    hospital.send_all()
    damage("blobs/packs/")(hospital)
    hospital.clock.advance(2 * DAY)
    done = hospital.compact()
    assert (done.failed, done.faults, done.into) == (1, ["DamagedError"], 0)
    assert len(hospital.packs()) == 12
    assert hospital.compact().failed == 0
    hospital.clock.advance(1.1 * DAY)
    assert hospital.compact().failed == 1


def test_nothing_is_taken_away_while_what_replaces_it_is_not_there(hospital: Hospital) -> None:
    """The one object that holds the images was lost: the old ones are the only copy."""
    hospital.send_all()
    old = set(hospital.packs())
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    (new,) = set(hospital.packs()) - old
    hospital.bench.objects.delete(new)
    hospital.clock.advance(3 * DAY)
    done = hospital.compact()
    assert (done.cleaned, done.faults) == (0, ["DamagedError"])
    assert set(hospital.packs()) == old
    reindex(hospital.workspace, effects=hospital.effects)
    hospital.check(range(1, 13))


def test_conflicts_stay_conflicts(hospital: Hospital) -> None:
    """The version that is not current lies in a pack of its own and is left there."""
    hospital.send_all()
    hospital.send(4, pixels=b"\xee" * 32)
    before = visible(hospital.workspace)
    hospital.clock.advance(2 * DAY)
    done = hospital.compact()
    assert (done.packs, done.into) == (12, 1)
    assert visible(hospital.workspace) == before
    assert contents.series_contents(hospital.workspace, STUDY, SERIES).summary.number_of_conflicts == 1
    hospital.clock.advance(3 * DAY)
    hospital.compact()
    assert visible(hospital.workspace) == before
    assert hospital.send(4, pixels=b"\xdd" * 32).counts == {"conflict": 1}
    assert hospital.send(4).counts == {"duplicate": 1}


def test_a_repetition_of_an_upload_is_told_stored_as_the_first_time(hospital: Hospital) -> None:
    """The receipt of an upload does not depend on where its instances lie by now."""
    hospital.send_all()
    arrival = contents.series_contents(hospital.workspace, STUDY, SERIES).instances[3].arrival
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    assert hospital.send(4, arrival=arrival).counts == {"stored": 1}
    assert hospital.send(4).counts == {"duplicate": 1}


# The command and the rows of what waits.


def test_a_dry_run_says_what_it_would_do_and_does_nothing(hospital: Hospital) -> None:
    """Rows and objects are the same afterwards."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    before = hospital.packs(), hospital.waiting()
    done = plan_only(hospital.workspace, hospital.waiting())
    assert (done.series, done.packs, done.into) == (1, 12, 1)
    assert done.bytes_written > 12 * len(slice_of())
    assert (hospital.packs(), hospital.waiting()) == before


def test_now_waits_for_no_quiet_but_for_the_readers_of_what_was_replaced(hospital: Hospital) -> None:
    """As an operator asks for it after a large import."""
    hospital.send_all()
    assert hospital.compact().series == 0
    assert hospital.compact(at_once=True).series == 0, "not quiet"
    assert hospital.compact(0, at_once=True).series == 1
    assert hospital.compact(0, at_once=True).cleaned == 0
    hospital.check(range(1, 13))


def test_an_archive_from_before_compaction_is_found_by_looking_at_all_of_it(hospital: Hospital) -> None:
    """Its series have no row that says they wait."""
    hospital.send_all()
    for row in hospital.waiting():
        hospital.bench.table.delete(*row.key)
    hospital.clock.advance(2 * DAY)
    assert hospital.compact().series == 0
    assert compaction.register(hospital.workspace, effects=hospital.effects) == 1
    hospital.clock.advance(2 * 3600)
    assert hospital.compact().series == 1


def test_an_index_built_anew_lets_readers_finish_before_it_cleans_up(hospital: Hospital) -> None:
    """The row that said since when is gone with the table: the time begins anew."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    anew = hospital.bench.workspace_with_new_table("anew")
    reindex(anew, effects=hospital.effects)
    hospital.clock.advance(2 * 3600)
    assert compact(anew, quiet_hours=24, effects=hospital.effects).cleaned == 0
    hospital.clock.advance(1.9 * DAY)
    assert compact(anew, quiet_hours=24, effects=hospital.effects).cleaned == 0
    hospital.clock.advance(0.2 * DAY)
    assert compact(anew, quiet_hours=24, effects=hospital.effects).cleaned == 12


def test_a_run_stops_when_it_has_had_enough(hospital: Hospital) -> None:
    """What is left comes in the next."""
    for number in range(1, 9):
        for series in ("1.2.3.1", "1.2.3.2", "1.2.3.3"):
            hospital.send(number, series=series)
    hospital.clock.advance(2 * DAY)
    looks = iter([False, False, True])
    done = compact(hospital.workspace, quiet_hours=24, effects=hospital.effects, enough=lambda: next(looks))
    assert done.series == 2
    assert hospital.compact().series == 1


def test_what_one_archive_does_not_need_of_the_time_another_has(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of ten archives has all the work: not a tenth of the time, but all that the others leave."""
    for series in range(1, 8):
        for number in range(1, 9):
            hospital.send(number, series=f"1.2.3.{series}")
    hospital.clock.advance(2 * DAY)
    clock = Clock()
    whole = compaction.SeriesWork.run

    def run(work: compaction.SeriesWork) -> None:
        clock.advance(20)
        whole(work)

    monkeypatch.setattr(compaction.SeriesWork, "run", run)
    archives = [hospital.bench.archive_id, *(ArchiveId(f"empty{number}") for number in range(9))]
    opened: list[ArchiveId] = []

    def workspace_of(archive_id: ArchiveId) -> Workspace:
        opened.append(archive_id)
        return replace(hospital.workspace, archive_id=archive_id)

    monkeypatch.setattr(compaction, "compact", partial(compaction.compact, effects=hospital.effects))
    done = [
        found
        for _, found in compaction.compact_archives(archives, workspace_of, quiet_hours=24, seconds=100, clock=clock)
    ]
    assert sum(found.series for found in done) == 6, "of seven, twenty seconds each: what is begun in time is finished"
    assert opened[: len(archives)] == archives
    assert set(opened[len(archives) :]) == {hospital.bench.archive_id}


def test_a_node_whose_disk_is_full_only_takes_away(hospital: Hospital) -> None:
    """Putting together needs room first."""
    hospital.send_all()
    for number in range(1, 9):
        hospital.send(number, series="1.2.3.2")
    hospital.clock.advance(2 * DAY)
    looks = iter([False, True])
    options = {"quiet_hours": 24, "effects": hospital.effects}
    assert compact(hospital.workspace, **options, enough=lambda: next(looks)).series == 1
    hospital.clock.advance(3 * DAY)
    done = compact(hospital.workspace, **options, clean_only=True)
    assert (done.series, done.cleaned) == (0, 12)
    hospital.clock.advance(DAY)
    assert compact(hospital.workspace, **options).series == 1


def test_single_deletions_one_after_the_other_do_not_make_a_head_grow(hospital: Hospital) -> None:
    """Of what a pack replaced, its rest names what is still there."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    for number in (1, 2, 3, 4):
        hospital.clock.advance(60)
        delete_instance(hospital.workspace, STUDY, SERIES, Uid(f"{SERIES}.{number}"), WHO, effects=hospital.effects)
    (head,) = series_rows.live_heads(hospital.bench.table, "hosp1#S#1.2.3", SERIES, "")
    assert len(head.replaces) == 10, "nine that lay beside, and the rest before"
    hospital.clock.advance(3 * DAY)
    hospital.compact()
    delete_instance(hospital.workspace, STUDY, SERIES, Uid(f"{SERIES}.5"), WHO, effects=hospital.effects)
    (head,) = series_rows.live_heads(hospital.bench.table, "hosp1#S#1.2.3", SERIES, "")
    assert len(head.replaces) == 1
    hospital.check(range(6, 13))


def test_a_head_of_an_older_version_still_replaces(hospital: Hospital) -> None:
    """It names whole lives, in a list."""
    hospital.send(1)
    (head,) = series_rows.all_heads(hospital.bench.table, "hosp1#S#1.2.3", SERIES)
    row = head.to_item() | {"replaces": ["0" * 32 + "@" + "0" * 26]}
    assert PackHead.from_item(row).replaces == (life_id("0" * 32 + "@" + "0" * 26),)
    assert PackHead.from_item(PackHead.from_item(row).to_item()).replaces == PackHead.from_item(row).replaces


def test_an_answer_that_is_not_a_day_old_outlives_the_clean_up(hospital: Hospital) -> None:
    """Whoever was sent to it reads it to its end."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    hospital.clock.advance(3 * DAY)
    store = hospital.workspace.store
    for name, age in (("old", 2 * DAY), ("new", DAY / 2)):
        hospital.bench.objects.clock = lambda age=age: datetime.fromtimestamp(hospital.clock.now - age, UTC)  # type: ignore[misc]
        store.objects.put(store.export_key(f"{STUDY}/{name}"), b"x")
    assert hospital.compact().cleaned == 12
    assert [head.key.rpartition("/")[2] for head in store.objects.list("blobs/exports/")] == ["new"]


def test_a_clean_up_that_is_long_goes_on_in_the_next_run(hospital: Hospital) -> None:
    """A series of thousands of packs takes away as many as there is time for."""
    hospital.send_all()
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    hospital.clock.advance(3 * DAY)
    looks = iter([False] * 6 + [True] * 9)
    some = compact(hospital.workspace, quiet_hours=24, effects=hospital.effects, enough=lambda: next(looks))
    assert (some.cleaned, some.failed) == (5, 0)
    hospital.check(range(1, 13))
    assert hospital.compact().cleaned == 7
    assert hospital.waiting() == []


def test_a_conflict_that_came_between_is_one_again_after_a_restore(hospital: Hospital) -> None:
    """What was current stays current: the merged pack comes back before what came after the first of its images."""
    hospital.send_all(6)
    hospital.send(4, pixels=b"\xee" * 32)
    for number in range(7, 13):
        hospital.send(number)
    hospital.clock.advance(2 * DAY)
    hospital.compact()
    hospital.clock.advance(3 * DAY)
    assert hospital.compact().cleaned == 12
    before = visible(hospital.workspace)
    delete_study(hospital.workspace, STUDY, WHO, effects=hospital.effects)
    hospital.clock.advance(60)
    assert restore(hospital.workspace, STUDY, None, None, WHO, effects=hospital.effects) == 13
    assert visible(hospital.workspace) == before


@pytest.mark.parametrize("tidied", [False, True], ids=["members still there", "members gone"])
def test_what_a_deletion_leaves_of_a_merged_pack_may_be_a_pack_that_was_merged(
    hospital: Hospital, tidied: bool
) -> None:
    """The last image alone, as it came: the same bytes, the same arrival, and the same name as its first pack had."""
    hospital.send_all(8)
    hospital.clock.advance(2 * DAY)
    assert hospital.compact().into == 1
    if tidied:
        hospital.clock.advance(3 * DAY)
        hospital.compact()
    for number in range(1, 8):
        hospital.clock.advance(60)
        delete_instance(hospital.workspace, STUDY, SERIES, Uid(f"{SERIES}.{number}"), WHO, effects=hospital.effects)
        hospital.check(range(number + 1, 9))
    hospital.clock.advance(5 * DAY)
    hospital.compact()
    hospital.check([8])
