"""The index from the objects alone, also when some of them are missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.instances import slice_of
from tests.support.workspaces import QUICK, Bench, hint_keys, visible

from maypacs import arrivals, ingest
from maypacs.index import contents
from maypacs.ingest import ingest_object
from maypacs.pack import grammar
from maypacs.reindex import reindex
from maypacs.uids import Uid

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")


def store(bench: Bench, *files: bytes) -> None:
    for body in files:
        ingest_object(bench.workspace(), bench.upload(arrivals.new_arrival(), body), effects=QUICK)


def test_a_pack_that_lost_its_sidecar_gets_it_again(tmp_path: Path) -> None:
    """A delivery stopped between the two; the sidecar is made of the pack, the same as before."""
    bench = Bench(tmp_path)
    store(bench, slice_of(number=1), slice_of(number=2, series="1.2.3.2"))
    before = visible(bench.workspace())
    sidecars = {head.key: bench.objects.get(head.key) for head in bench.objects.list("meta/")}
    for key in sidecars:
        bench.objects.delete(key)
    anew = bench.workspace_with_new_table("anew")
    assert reindex(anew, effects=QUICK).rebuilt_sidecars == 2
    assert visible(anew) == before
    assert {head.key: bench.objects.get(head.key) for head in bench.objects.list("meta/")} == sidecars


def test_the_sidecar_of_a_large_pack_is_made_again_without_holding_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Header by range, the rest as a stream."""
    monkeypatch.setattr(grammar, "MAX_BYTES", 4096)
    monkeypatch.setattr(ingest, "IN_MEMORY", 4096)
    bench = Bench(tmp_path)
    store(bench, slice_of(rows=64, columns=80, pixels=bytes(range(256)) * 40))
    before = visible(bench.workspace())
    (meta,) = bench.objects.list("meta/")
    held = bench.objects.get(meta.key)
    bench.objects.delete(meta.key)
    anew = bench.workspace_with_new_table("anew")
    assert reindex(anew, effects=QUICK).rebuilt_sidecars == 1
    assert visible(anew) == before
    assert bench.objects.get(meta.key) == held


def test_kept_thumbnails_go_and_are_made_anew_by_the_rules_of_today(tmp_path: Path) -> None:
    """One that an earlier version made may show what this one does not."""
    bench = Bench(tmp_path)
    store(bench, slice_of())
    key = bench.workspace().store.thumbnail_key(STUDY, SERIES)
    bench.objects.put(key, b"a picture", content_type="image/jpeg")
    reindex(bench.workspace(), effects=QUICK)
    assert key not in {head.key for head in bench.objects.list("blobs/thumbs/")}


def test_rows_that_no_object_stands_for_go_and_hints_that_were_lost_come_back(tmp_path: Path) -> None:
    """Reindex over the table that is there."""
    bench = Bench(tmp_path)
    workspace = bench.workspace()
    store(bench, slice_of())
    kept, hints = visible(workspace), hint_keys(bench)
    store(bench, slice_of(study="1.2.9", series="1.2.9.1", patient_name="Trần^Thị Mẫu", patient_id="TEST-9"))
    for root in ("blobs/", "meta/"):
        for head in list(bench.objects.list(root)):
            if "/1.2.9/" in head.key:
                bench.objects.delete(head.key)
    for pk, sk in list(hints)[:3]:
        bench.table.delete(pk, sk)
    done = reindex(workspace, effects=QUICK)
    assert (done.studies, done.removed_studies) == (1, 1)
    assert visible(workspace) == kept
    assert hint_keys(bench) == hints


def test_a_pack_that_cannot_be_read_is_counted_and_left(tmp_path: Path) -> None:
    """Nothing is thrown away; the rest is indexed."""
    bench = Bench(tmp_path)
    store(bench, slice_of())
    bench.objects.put(f"blobs/packs/hosp1/{STUDY}/{SERIES}/{'0' * 32}", b"no pack")
    done = reindex(bench.workspace(), effects=QUICK)
    assert (done.packs, done.unreadable_packs) == (1, 1)
    assert contents.series_contents(bench.workspace(), STUDY, SERIES).summary.number_of_instances == 1
