"""Early-delete fees: by hand, and the constants of the model against the template."""

from __future__ import annotations

import pytest
from tests.support.deployer import ROOT, read_template

from maypacs_node.cost import early
from maypacs_node.cost.early import cases, fee, on_any_day
from maypacs_node.cost.usage import MONTH_DAYS


@pytest.mark.parametrize(
    ("tier", "deleted", "stays", "days"),
    [
        ("GLACIER_IR", 31, 0, 89),
        ("GLACIER_IR", 31, 30, 59),
        ("GLACIER_IR", 90, 30, 0),
        ("GLACIER_IR", 30, 0, 0),  # never moved
        ("STANDARD_IA", 31, 0, 29),
        ("STANDARD_IA", 31, 30, 0),
        ("INTELLIGENT_TIERING", 31, 0, 0),
        ("STANDARD", 31, 0, 0),
    ],
)
def test_the_days_that_are_left_are_billed(tier: str, deleted: int, stays: int, days: int) -> None:
    assert sum(fee(tier, 2, moved=30, deleted=deleted, stays=stays).values()) == pytest.approx(2 * days / MONTH_DAYS)


def test_any_day_is_the_mean_of_all() -> None:
    """In Glacier Instant Retrieval from day 31 to 89: 59, 58, … 1 days are left; no other day costs anything."""
    found = on_any_day("GLACIER_IR", 1, moved=30)
    assert found == {"s3_glacier_ir_early": pytest.approx(sum(range(1, 60)) / 365 / MONTH_DAYS)}


def test_what_never_moved_costs_nothing_anywhere() -> None:
    found = cases(1, moved=30)
    for what in ("compaction replaces packs that are quiet for a day", "exports, kept for a day in Standard"):
        assert not any(sum(usage.values()) for usage in found[what].values())


def test_the_template_has_what_the_model_supposes() -> None:
    data = read_template(ROOT / "infra" / "data.yaml")
    assert data["Parameters"]["NoncurrentDays"]["Default"] == early.NONCURRENT_DAYS
    bucket = data["Resources"]["ArchiveBucket"]["Properties"]
    moving = [rule["Prefix"] for rule in bucket["LifecycleConfiguration"]["Rules"] if "Transitions" in rule]
    assert moving == ["blobs/packs/"], "exports, sidecars and thumbnails stay"
    encryption = str(
        [data["Resources"][name]["Properties"]["BucketEncryption"] for name in ("ArchiveBucket", "InboxBucket")]
    )
    assert encryption.count("'BucketKeyEnabled': True") == 2
