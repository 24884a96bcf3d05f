"""What MayPACS uses on AWS, from the counts. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from maypacs_node.cost import early
from maypacs_node.cost.counts import Counted, StudyCounts
from maypacs_node.cost.hospital import Hospital
from maypacs_node.cost.lifecycle import LEAST_BYTES, Lifecycle, Tier
from maypacs_node.cost.usage import (
    GB,
    MONTH_DAYS,
    MONTH_HOURS,
    Assumptions,
    Counts,
    Usage,
    dashboard,
    of_counts,
    sum_of,
)

Viewer = Literal["frames", "packs"]
#: Of the reads, those that come when Glacier Instant Retrieval, or the tier of its price, has the packs.
LATE_READS = 0.1
#: Rows of a page of the study list, and those whose thumbnail a browser has not kept from the last time.
LIST_ROWS, NEW_ROWS = 50, 5
#: What compaction replaced: two days beside the new pack, thirty as a noncurrent version.
REPLACED_DAYS = 32
#: An idle event source asks a queue again and again: five pollers, each waiting 20 s (AWS's own example).
POLLS_A_MONTH = 5 * 3 * 60 * MONTH_HOURS
#: Of a method of the API: Count, 4XXError, 5XXError, Latency, IntegrationLatency.
METRICS_A_METHOD = 5
#: A table under a key of one's own asks KMS once in five minutes for each role that uses it (DynamoDB developer guide,
#: "encryption at rest: usage notes"): index and accounts, a role a function, all of them busy all the time.
TABLES, TABLE_KEYS_A_MONTH = 2, 12 * MONTH_HOURS


@dataclass(frozen=True)
class Ours:
    counted: Counted
    hospital: Hospital
    tier: Tier = "INTELLIGENT_TIERING"
    viewer: Viewer = "packs"
    kms: bool = False
    compacted: bool = True
    assumed: Assumptions = field(default_factory=Assumptions)

    # A study, on average

    def _average(self, of: Callable[[StudyCounts], Usage]) -> Usage:
        total = Usage()
        for shape, share in self.hospital.shares.items():
            total = total + of(self.counted.studies[shape]) * share
        return total

    def _mean(self, of: Callable[[StudyCounts], float]) -> float:
        return sum(of(self.counted.studies[shape]) * share for shape, share in self.hospital.shares.items())

    @property
    def scale(self) -> float:
        """The hospital's bytes against those of the mix; requests stay as they were counted."""
        wanted = self.hospital.mb_per_study
        return 1.0 if wanted is None else wanted * 1e6 / self._mean(lambda s: s.pack_bytes)

    @property
    def pack_gb(self) -> float:
        return self._mean(lambda study: study.pack_bytes) * self.scale / GB

    @property
    def instances(self) -> float:
        return self._mean(lambda study: study.instances)

    @property
    def series(self) -> float:
        return self._mean(lambda study: study.series)

    @property
    def packs(self) -> float:
        """Objects that hold images, once quiet series are compacted."""
        return self._mean(lambda s: _packs(s, self.compacted))

    def ingest(self) -> Usage:
        return self._average(lambda study: self._of(study.ingest))

    def compaction(self) -> Usage:
        """Of a study's quiet series, once: most kinds have none that wants it."""
        if not self.compacted:
            return Usage()
        replaced = self._mean(lambda s: s.pack_bytes * (_packs(s, True) < s.packs)) * self.scale / GB
        usage = self._average(lambda study: self._of(study.compaction))
        if replaced:
            usage["s3_standard"] += replaced * REPLACED_DAYS / MONTH_DAYS
        return usage

    def read(self, viewer: Viewer | None = None) -> Usage:
        """One study, opened by a doctor in the viewer, all of it."""
        by_frames = (viewer or self.viewer) == "frames"
        requests = self.instances if by_frames else self.packs
        usage = self._average(lambda s: self._of(s.view_by_frames if by_frames else s.view_by_packs))
        return usage + self._late(requests)

    def retrieve(self) -> Usage:
        """One study, found and fetched whole by a program."""
        return self._average(lambda study: self._of(study.retrieve)) + self._late(self.packs)

    def study_list(self, new_rows: int = LIST_ROWS) -> Usage:
        """One page of the list, the thumbnails of so many of its rows, and the dashboard's own files."""
        search, pictures = self.counted.activity("search"), self.counted.activity("list_thumbnails")
        found = self._of(search) + self._of(pictures) * (new_rows / pictures["rows"])
        return found + dashboard(self.assumed)

    def _of(self, counts: Counts) -> Usage:
        usage = of_counts(counts, self.counted.memory_mb, self.assumed, kms=self.kms)
        large = counts.get("blob.bytes", 0.0) + counts.get("api.bytes_out", 0.0)
        usage["cloudfront_egress"] += large * (self.scale - 1) / GB
        return usage

    def _late(self, requests: float) -> Usage:
        """What a read of old packs adds. Intelligent-Tiering bills them as frequent for a month, then as infrequent for
        two: as much more as a month and a half of frequent."""
        if self.tier == "GLACIER_IR":
            late = {"s3_glacier_ir_retrieval": self.pack_gb, "s3_glacier_ir_get": requests}
        else:
            late = {"s3_int_frequent": self.pack_gb * 1.5} if self.tier == "INTELLIGENT_TIERING" else {}
        return Usage(late) * LATE_READS

    # A month of storage of one study

    @property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(self.tier, self.counted.fixed["pack_transition_days"])

    def stored(self, month: int) -> Usage:
        """In its first month (1), its second, and so on, when nobody reads it."""
        small, tables = self._mean(lambda s: s.small_bytes) / GB, self._mean(lambda s: s.table_bytes) / GB
        usage = Usage({"s3_standard": small, "dynamodb_storage": tables, "dynamodb_pitr": tables})
        movable = self._movable_gb()
        objects = self._mean(lambda s: _packs(s, self.compacted) * self._moves(s))
        usage["s3_standard"] += self.pack_gb - movable
        return usage + self.lifecycle.month(month, movable, objects)

    def _movable_gb(self) -> float:
        return self._mean(lambda s: s.pack_bytes * self._moves(s)) * self.scale / GB

    def _moves(self, study: StudyCounts) -> bool:
        """Whether its packs are large enough for a lifecycle rule."""
        return study.pack_bytes * self.scale / _packs(study, self.compacted) >= LEAST_BYTES

    # A month

    def idle(self) -> dict[str, Usage]:
        """What a month costs when nobody does anything, line by line."""
        fixed = self.counted.fixed
        detailed = fixed["api_methods"] * METRICS_A_METHOD if fixed["api_method_metrics"] else 0
        lines = {
            "WAF: ACL and rules": Usage({"waf_acl": fixed["web_acls"], "waf_rule": fixed["web_acl_rules"]}),
            "alarms": Usage({"alarm": fixed["alarms"]}),
            "custom metrics": Usage({"metric": fixed["custom_metrics"] + detailed}),
            "secret": Usage({"secret": fixed["secrets"]}),
            "empty queues asked": Usage({"sqs_request": fixed["polled_queues"] * POLLS_A_MONTH}),
            "housekeeping, listings": self._of(self.counted.activity("idle_hour")) * MONTH_HOURS,
            f"heartbeats, edges: {self.hospital.edges}": self.heartbeats() * self.hospital.edges,
        }
        if self.kms:
            lines["KMS key"] = Usage({"kms_key": 1})
            lines["KMS of tables"] = self.table_keys()
        return lines

    def table_keys(self) -> Usage:
        return Usage({"kms_request": TABLES * len(self.counted.memory_mb) * TABLE_KEYS_A_MONTH})

    def key_month(self) -> dict[str, Usage]:
        """What a customer managed key adds to the month, by what asks for it."""
        month = sum_of(self.month().values())
        requests = month["s3_tier1"] + month["s3_tier2"]
        return {
            "the key": Usage({"kms_key": 1}),
            "buckets, with bucket keys (as deployed)": Usage({"kms_request": requests * self.assumed.kms_a_request}),
            "buckets, if they had no bucket keys": Usage({"kms_request": requests}),
            "tables": self.table_keys(),
            "the secret": Usage({"kms_request": month["secret_request"]}),
        }

    def deletions(self) -> Usage:
        """Early-delete fees of a study, on average."""
        return early.on_any_day(self.tier, self._movable_gb() * early.DELETED, moved=self.lifecycle.days)

    def heartbeats(self) -> Usage:
        """Of one edge in a month."""
        beat = self.counted.activity("heartbeat")
        usage = of_counts(beat, self.counted.memory_mb, self.assumed, kms=self.kms)
        return usage * (MONTH_HOURS * 3600 / beat["seconds"])

    def month(self) -> dict[str, Usage]:
        """The last month of the given years, by what is done."""
        studies = self.hospital.studies_per_day * MONTH_DAYS
        months = max(1, round(self.hospital.years * 12))
        return {
            "ingest": self.ingest() * studies,
            "compaction": self.compaction() * studies,
            "early deletion": self.deletions() * studies,
            "storage": sum_of(self.stored(age) for age in range(1, months + 1)) * studies,
            "reads": self.read() * (studies * self.hospital.reads_per_study),
            "study lists": self.study_list(NEW_ROWS) * (studies * self.hospital.reads_per_study),
            "idle": sum_of(self.idle().values()),
        }


def _packs(study: StudyCounts, compacted: bool) -> float:
    """Where eight and more small ones lie in a series, compaction leaves as few as 64 MiB each make."""
    if not compacted or study.packs / study.series < 8:
        return study.packs
    return math.ceil(study.pack_bytes / study.series / (64 * 1024 * 1024)) * study.series
