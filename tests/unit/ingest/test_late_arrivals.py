"""A study is deleted while half of it is still on its way: nothing of it shows, and a restore brings all of it back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.instances import slice_of
from tests.support.workspaces import QUICK, Bench

from maypacs import arrivals, ingest, large
from maypacs.archive.objects import ObjectHead
from maypacs.delete import delete_study
from maypacs.errors import GoneError
from maypacs.index import contents
from maypacs.pack import grammar
from maypacs.restore import restore
from maypacs.uids import Uid

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")
WHO = "user:test"


def trash(bench: Bench) -> list[ObjectHead]:
    return [bench.objects.head(head.key) for head in bench.objects.list("trash/")]


def earlier(seconds: float) -> str:
    """An arrival of some time ago: a grant of before the deletion."""
    return arrivals.ulid_at(time.time() - seconds)


def take_in(bench: Bench, arrival: str, number: int) -> str:
    receipt = ingest.ingest_object(bench.workspace(), bench.upload(arrival, slice_of(number=number)), effects=QUICK)
    assert receipt is not None
    return ",".join(receipt.counts)


@pytest.mark.parametrize("is_large", [False, True])
def test_what_was_on_its_way_comes_back_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    """Its sender lets go of it when it hears the receipt: nobody else has it any more."""
    bench = Bench(tmp_path)
    first, late = earlier(60), earlier(30)
    assert take_in(bench, first, 1) == "stored"
    delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    if is_large:
        monkeypatch.setattr(ingest, "IN_MEMORY", 10)
    for _ in range(2):  # the second is a repetition
        assert take_in(bench, late, 2) == "ignored"
    with pytest.raises(GoneError):
        contents.series_contents(bench.workspace(), STUDY, SERIES)
    assert len([head for head in trash(bench) if "blobs/packs" in head.key]) == 2
    assert restore(bench.workspace(), STUDY, None, None, WHO, effects=QUICK) == 2
    found = contents.series_contents(bench.workspace(), STUDY, SERIES)
    assert found.summary.number_of_instances == 2
    assert trash(bench) == []


def test_what_was_on_its_way_of_a_series_in_a_bundle_is_kept_by_packs(tmp_path: Path) -> None:
    """Two versions of one instance among them: both are kept, in packs of their own."""
    bench = Bench(tmp_path)
    late = earlier(30)
    assert take_in(bench, earlier(60), 1) == "stored"
    delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    files = [
        (slice_of(number=2), "1"),
        (slice_of(number=2, series_description="other"), "2"),
        (slice_of(number=3), "3"),
    ]
    outcomes = ingest.take(bench.workspace(), late, files, effects=QUICK)
    assert [outcome.result for outcome in outcomes] == ["ignored"] * 3
    kept = [
        part.uids[2]
        for head in trash(bench)
        if "blobs/packs" in head.key and head.metadata.get("arrival") == late
        for part in grammar.scan_pack(bench.objects.get(head.key)).parts
    ]
    assert sorted(kept) == ["1.2.3.1.2", "1.2.3.1.2", "1.2.3.1.3"]
    assert restore(bench.workspace(), STUDY, None, None, WHO, effects=QUICK) == 4
    assert contents.series_contents(bench.workspace(), STUDY, SERIES).summary.number_of_instances == 3


def test_a_large_pack_in_the_trash_is_one_that_reads(tmp_path: Path) -> None:
    """Its first part is found by the words at its beginning, as restore looks for it."""
    bench = Bench(tmp_path)
    assert take_in(bench, earlier(60), 1) == "stored"
    late = earlier(30)
    delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    body = slice_of(number=2, pixels=bytes(5000))
    key = bench.upload(late, body)
    head = bench.inbox.head(key)
    source = large.LargeSource(bench.inbox, key, head.etag, 0, head.size)
    assert large.store_large(bench.workspace(), late, source).result == "ignored"
    (kept,) = [head for head in trash(bench) if head.metadata.get("arrival") == late]
    held = bench.objects.get(kept.key)
    found = large.first_part(held[:1024], len(held))
    assert found is not None
    assert held[found[0] : found[0] + found[1]] == body
