"""What a storage class bills when an object goes before its least time there: early-delete fees. Pure.

Glacier Instant Retrieval bills 90 days at least, Standard-IA 30, the others what they held. The days that are left are
billed at once, at the price of the class (S3 user guide, "storage classes", minimum storage duration). A lifecycle rule
moves current versions of packs alone (infra/data.yaml): what was replaced or deleted before stays in Standard, and
exports never leave it.
"""

from __future__ import annotations

from collections.abc import Mapping

from maypacs_node.cost.usage import MONTH_DAYS, Usage

#: Days that a class bills at least, and the price of the days that are left. Standard-IA is none of ours: a comparison.
LEAST_DAYS: Mapping[str, int] = {"STANDARD": 0, "INTELLIGENT_TIERING": 0, "STANDARD_IA": 30, "GLACIER_IR": 90}
_PRICES = {"STANDARD_IA": "s3_ia_early", "GLACIER_IR": "s3_glacier_ir_early"}
#: How long a version stays that was deleted or replaced (NoncurrentDays), in the class where it was.
NONCURRENT_DAYS = 30
#: What compaction replaced stays current for so long beside the new pack, for those who still read it.
GRACE_DAYS = 2
#: A day after its last pack a series is quiet.
QUIET_DAYS = 1
#: Of all studies, those that somebody deletes, corrects or erases in their first year: a guess.
DELETED, DELETED_WITHIN_DAYS = 0.01, 365


def fee(tier: str, gb: float, *, moved: float, deleted: float, stays: float = NONCURRENT_DAYS) -> Usage:
    """Of so many GB that moved to a class on one day of their life and were deleted or replaced on another, and whose
    versions stay for some days more."""
    if deleted <= moved:
        return Usage()  # no current version any more when the rule came
    left = LEAST_DAYS[tier] - (deleted - moved + stays)
    return Usage({_PRICES[tier]: gb * left / MONTH_DAYS}) if left > 0 else Usage()


def on_any_day(tier: str, gb: float, *, moved: float) -> Usage:
    """The mean over the days of the first year."""
    total = Usage()
    for day in range(1, DELETED_WITHIN_DAYS + 1):
        total = total + fee(tier, gb, moved=moved, deleted=day)
    return total * (1 / DELETED_WITHIN_DAYS)


def cases(gb: float, *, moved: float) -> dict[str, dict[str, Usage]]:
    """Fees of studies that hold so many GB together, by what happens to them and by class."""
    late, replaced = moved + 15, QUIET_DAYS + GRACE_DAYS

    def each(gb: float, deleted: float, stays: float = NONCURRENT_DAYS) -> dict[str, Usage]:
        return {tier: fee(tier, gb, moved=moved, deleted=deleted, stays=stays) for tier in LEAST_DAYS}

    return {
        f"{DELETED:.0%} are deleted, on any day of a year": {
            tier: on_any_day(tier, gb * DELETED, moved=moved) for tier in LEAST_DAYS
        },
        "all are deleted the day after they moved": each(gb, moved + 1),
        "all are erased the day after they moved, versions too": each(gb, moved + 1, 0),
        "compaction replaces packs that are quiet for a day": each(gb, replaced),
        f"an image more on day {late:g}: compaction replaces packs that moved": each(
            gb, late + QUIET_DAYS + GRACE_DAYS
        ),
        "exports, kept for a day in Standard": {tier: Usage() for tier in LEAST_DAYS},
    }
