"""What a month of S3 costs by the age of an object, when a lifecycle rule moves it (infra/data.yaml). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from maypacs_node.cost.usage import MONTH_DAYS, Usage

Tier = Literal["STANDARD", "INTELLIGENT_TIERING", "GLACIER_IR"]
TIERS: tuple[Tier, ...] = ("STANDARD", "INTELLIGENT_TIERING", "GLACIER_IR")
#: Lifecycle rules leave alone what is smaller.
LEAST_BYTES = 128 * 1024
#: In Intelligent-Tiering an object that nobody reads is infrequent after 30 days, and archive instant after 90.
_INFREQUENT, _ARCHIVE = 30, 90
_TRANSITIONS = {"INTELLIGENT_TIERING": "s3_to_intelligent_tiering", "GLACIER_IR": "s3_to_glacier_ir"}


@dataclass(frozen=True, slots=True)
class Lifecycle:
    tier: Tier
    days: float  #: in Standard, before

    def month(self, number: int, gb: float, objects: float) -> Usage:
        """Of so many GB in so many objects, all large enough, in their first month (1), their second, and so on."""
        usage = Usage()
        begin, end = (number - 1) * MONTH_DAYS, number * MONTH_DAYS
        steps = [*self._steps(), (float("inf"), "")]
        for (first, name), (last, _) in pairwise(steps):
            if (part := min(end, last) - max(begin, first)) > 0:
                usage[name] += gb * part / MONTH_DAYS
        if self.tier == "STANDARD":
            return usage
        if begin <= self.days < end:
            usage[_TRANSITIONS[self.tier]] += objects
        if self.tier == "INTELLIGENT_TIERING" and end > self.days:
            usage["s3_int_monitoring"] += objects * (end - max(begin, self.days)) / MONTH_DAYS
        return usage

    def _steps(self) -> list[tuple[float, str]]:
        """From which day on the bytes are billed as what."""
        first = (0.0, "s3_standard")
        if self.tier == "GLACIER_IR":
            return [first, (self.days, "s3_glacier_ir")]
        if self.tier == "INTELLIGENT_TIERING":
            return [
                first,
                (self.days, "s3_int_frequent"),
                (self.days + _INFREQUENT, "s3_int_infrequent"),
                (self.days + _ARCHIVE, "s3_int_archive_instant"),
            ]
        return [first]
