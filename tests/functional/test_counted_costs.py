"""The counts that `maypacs cost` prices are those of this code: small activities, counted again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from tests.bench.cost import activities, fixed
from tests.bench.cost.studies import KINDS
from tests.bench.cost.world import World, counted
from tests.support.moto_cloud import moto_cloud

from maypacs_node.cost import counts, prices
from maypacs_node.cost.command import DEFAULT_REGION
from maypacs_node.cost.hospital import Hospital
from maypacs_node.cost.ours import Ours
from maypacs_node.cost.usage import Assumptions, of_counts

STUDY = "CR"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # The second is entered once the first is there: its client must be moto's.
    with moto_cloud(tmp_path, monkeypatch), counted(boto3.client("dynamodb")) as world:
        activities.ingest(world, KINDS[STUDY], 999, world.edge)  # the first of everything, as in the counting run
        world.taken()
        yield world


def dollars(found: Mapping[str, float]) -> float:
    """What was counted costs, without what depends on the machine, the clock (what a process remembers half a minute)
    or the noise of the pictures."""
    left_out = ("bytes", "cpu_ms", "log_lines", "table_requests", "table.accounts.read")
    kept = {name: count for name, count in found.items() if not any(part in name for part in left_out)}
    return of_counts(kept, counts.load().memory_mb, Assumptions()).dollars(prices.load(DEFAULT_REGION))


def as_the_file_says(amount: float) -> object:
    """Within a tenth: otherwise `python -m tests.bench.cost`, and docs/cost.md anew."""
    return pytest.approx(amount, rel=0.1)


def test_a_study_costs_what_the_file_says(place: World) -> None:
    known = counts.load().studies[STUDY]
    done = activities.ingest(place, KINDS[STUDY], 1, place.edge)
    assert dollars(place.taken()) == as_the_file_says(dollars(known.ingest))
    for view in (activities.view_by_frames, activities.view_by_packs, activities.retrieve):
        view(place, done)
        assert dollars(place.taken()) == as_the_file_says(dollars(getattr(known, view.__name__)))


def test_an_idle_hour_and_a_heartbeat_cost_what_the_file_says(place: World) -> None:
    known = counts.load()
    activities.idle_hour(place, fixed.read()["calls_an_hour"])
    assert dollars(place.taken()) == as_the_file_says(dollars(known.activity("idle_hour")))
    activities.heartbeat(place)
    place.taken()
    activities.heartbeat(place)
    assert dollars(place.taken()) == as_the_file_says(dollars(known.activity("heartbeat")))


def test_what_the_templates_make_costs_what_the_file_says() -> None:
    known = counts.load()
    now = counts.Counted({**known.document, "fixed": {**known.fixed, **fixed.read(), "custom_metrics": 0}})
    then = counts.Counted({**known.document, "fixed": {**known.fixed, "custom_metrics": 0}})
    bills = [
        sum(line.dollars(prices.load(DEFAULT_REGION)) for line in Ours(each, Hospital(1)).idle().values())
        for each in (now, then)
    ]
    assert bills[0] == as_the_file_says(bills[1])


def test_the_status_of_an_upload_is_asked_for_twice() -> None:
    """Of one that takes three seconds after 2.4 and 3.6; what is done at once is asked for once."""
    assert [activities.status_polls(seconds) for seconds in (0.1, 3.0, 20.0)] == [1, 2, 4]
