"""Which pack is next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_forwarder.upload.uploader import _lanes
from edge_forwarder.upload.waiting import Lane, Waiting


def drain(waiting: Waiting, now: float) -> Iterator[str]:
    while (pack := waiting.pop(now)) is not None:
        yield pack


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_stat_first_then_by_order(order: str) -> None:
    """Of what is due; what is tried again later waits, whatever it is."""
    waiting = Waiting("newest" if order == "newest" else "oldest")
    waiting.push("old", 0.0, created_at=1.0, lane=Lane.ROUTINE)
    waiting.push("new", 0.0, created_at=3.0, lane=Lane.ROUTINE)
    waiting.push("middle", 0.0, created_at=2.0, lane=Lane.ROUTINE)
    waiting.push("stat old", 0.0, created_at=1.5, lane=Lane.STAT)
    waiting.push("stat new", 0.0, created_at=9.0, lane=Lane.STAT)
    waiting.push("stat later", 10.0, created_at=0.0, lane=Lane.STAT)
    assert len(waiting) == 6
    by_age = ["stat old", "stat new"], ["old", "middle", "new"]
    if order == "newest":
        by_age = by_age[0][::-1], by_age[1][::-1]
    assert list(drain(waiting, 5.0)) == [*by_age[0], *by_age[1]]
    assert waiting.next_due() == 10.0
    assert list(drain(waiting, 10.0)) == ["stat later"]
    assert waiting.next_due() is None


def test_a_backlog_never_keeps_a_fresh_stat_pack_waiting() -> None:
    """Ten thousand wait; it is next, for everybody; who takes STAT alone takes nothing else."""
    waiting = Waiting()
    for n in range(10_000):
        waiting.push(str(n), 0.0, created_at=float(n), lane=Lane.ROUTINE)
    assert waiting.pop(1.0, (Lane.STAT,)) is None
    assert waiting.next_due((Lane.STAT,)) is None
    waiting.push("stat", 0.0, created_at=99_999.0, lane=Lane.STAT)
    assert waiting.next_due((Lane.STAT,)) == 0.0
    assert waiting.pop(1.0) == "stat"
    assert waiting.pop(1.0) == "0"


def test_an_import_waits_for_every_modality() -> None:
    """However old it is, and a retried one too."""
    waiting = Waiting()
    waiting.push("import", 0.0, created_at=0.0, lane=Lane.BULK)
    waiting.push("ct", 0.0, created_at=5.0, lane=Lane.ROUTINE)
    waiting.push("stat", 0.0, created_at=9.0, lane=Lane.STAT)
    assert waiting.pop(1.0, (Lane.STAT, Lane.ROUTINE)) == "stat"
    assert list(drain(waiting, 1.0)) == ["ct", "import"]


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_every_lane_has_a_thread_and_no_lane_has_all(parallel: int) -> None:
    """STAT has one of its own; of several, one never takes an import."""
    threads = _lanes(parallel)
    assert len(threads) == parallel + 1
    assert all(any(lane in lanes for lanes in threads) for lane in Lane)
    assert (Lane.STAT,) in threads
    assert parallel == 1 or any(Lane.ROUTINE in lanes and Lane.BULK not in lanes for lanes in threads)


def test_hurry_makes_everything_due() -> None:
    waiting = Waiting()
    waiting.push("later", 1000.0, created_at=1.0, lane=Lane.ROUTINE)
    waiting.push("stat later", 2000.0, created_at=2.0, lane=Lane.STAT)
    waiting.hurry(5.0)
    assert list(drain(waiting, 5.0)) == ["stat later", "later"]
