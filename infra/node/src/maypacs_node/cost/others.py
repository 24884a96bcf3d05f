"""The same hospital elsewhere: one object an instance, AWS HealthImaging, Google Healthcare, a machine of one's own.

Pure. None of these was counted: each is a sum from a published price and a design as it is usually described; the
constants say what was supposed. They are given every benefit of doubt: no retries, no index of names, no housekeeping.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from maypacs_node.cost.lifecycle import LEAST_BYTES
from maypacs_node.cost.ours import LATE_READS, Ours
from maypacs_node.cost.usage import GB, MONTH_HOURS, Usage, front_door, sum_of


@dataclass(frozen=True)
class UsualDesign:
    """A serverless archive that keeps an object, an event, a call and rows for each instance; CloudFront serves the
    objects by signed URLs, one request an instance."""

    ours: Ours
    seconds_a_call: float = 0.15  #: GET, parse, index
    memory_gb: float = 1769 / 1024
    writes_an_instance: float = 4  #: its own row of 1 KB in table and index, series, study
    reads_an_instance: float = 2
    log_bytes_a_call: float = 800
    row_bytes: float = 2200  #: of an instance, index included
    name = "one object an instance"

    def ingest(self) -> Usage:
        n = self.ours.instances
        calls = n + self.ours.series  # and a thumbnail a series
        log = calls * self.log_bytes_a_call
        return Usage(
            {
                "s3_tier1": calls,
                "s3_tier2": calls,
                "sqs_request": 3 * n,
                "lambda_request": calls,
                "lambda_gb_second": calls * self.seconds_a_call * self.memory_gb,
                "dynamodb_write": n * self.writes_an_instance,
                "dynamodb_read": n * self.reads_an_instance,
                "logs_ingest": log / GB,
                "logs_storage": log / GB * 3,
            }
        )

    def read(self) -> Usage:
        """As the usual viewer: overview, metadata a series, and an object an instance."""
        n, calls = self.ours.instances, 1 + self.ours.series
        log = calls * self.log_bytes_a_call
        usage = front_door(n + calls, 0, self.ours.pack_gb * GB, self.ours.assumed) + Usage(
            {
                "s3_tier2": n + calls,
                "api_request": calls,
                "lambda_request": calls,
                "lambda_gb_second": calls * self.seconds_a_call * self.memory_gb,
                "dynamodb_read": n / 2,
                "logs_ingest": log / GB,
            }
        )
        if self.ours.tier == "GLACIER_IR":
            usage["s3_glacier_ir_retrieval"] += self._movable() * LATE_READS
            usage["s3_glacier_ir_get"] += self._movable_objects() * LATE_READS
        return usage

    def idle(self) -> Usage:
        """The same front door, alarms, queues and edges."""
        return sum_of(self.ours.idle().values())

    def stored(self, month: int) -> Usage:
        """Objects below 128 KB stay in Standard: a rule leaves them, and colder classes bill them as 128 KB."""
        gb, rows = self.ours.pack_gb, self.ours.instances * self.row_bytes / GB
        usage = Usage({"dynamodb_storage": rows, "dynamodb_pitr": rows})
        moved = self._movable()
        usage["s3_standard"] += gb - moved
        return usage + self.ours.lifecycle.month(month, moved, self._movable_objects())

    def _sizes(self) -> list[tuple[float, float, float]]:
        """Share of studies, instances, bytes of one."""
        studies, scale = self.ours.counted.studies, self.ours.scale
        return [
            (share, studies[shape].instances, studies[shape].pack_bytes * scale / studies[shape].instances)
            for shape, share in self.ours.hospital.shares.items()
        ]

    def _movable(self) -> float:
        return sum(share * n * size for share, n, size in self._sizes() if size >= LEAST_BYTES) / GB

    def _movable_objects(self) -> float:
        return sum(share * n for share, n, size in self._sizes() if size >= LEAST_BYTES)


class _Elsewhere:
    def idle(self) -> Usage:
        """Nothing that they bill; viewer, accounts and edges would be somebody's all the same."""
        return Usage()


@dataclass(frozen=True)
class HealthImaging(_Elsewhere):
    """Import is free; a series (an image set) is billed as 5 MB at least; what is not read for 30 days goes to the
    archive tier by itself. Its compression (HTJ2K) is not taken into account: bytes are as they were sent."""

    ours: Ours
    least_bytes: float = 5e6
    name = "AWS HealthImaging"

    def ingest(self) -> Usage:
        """What a study needs to get there is the customer's: an upload of every instance to a bucket, an import job."""
        return Usage({"s3_tier1": self.ours.instances, "s3_tier2": self.ours.instances, "healthimaging_call": 2})

    def read(self) -> Usage:
        calls = self.ours.series + self.ours.instances + 1
        return Usage({"healthimaging_call": calls, "egress": self.ours.pack_gb})

    def stored(self, month: int) -> Usage:
        return Usage({"healthimaging_frequent" if month == 1 else "healthimaging_archive": self._billed_gb()})

    def _billed_gb(self) -> float:
        studies, scale = self.ours.counted.studies, self.ours.scale
        total = 0.0
        for shape, share in self.ours.hospital.shares.items():
            study = studies[shape]
            total += share * study.series * max(self.least_bytes, study.pack_bytes * scale / study.series)
        return total / GB


@dataclass(frozen=True)
class GoogleHealthcare(_Elsewhere):
    """Blobs in the standard class, metadata as structured storage, a request an instance both ways."""

    ours: Ours
    metadata_bytes: float = 4000  #: of an instance, as structured storage bills it: a guess
    name = "Google Healthcare"

    def ingest(self) -> Usage:
        return Usage({"google_request": self.ours.instances})

    def read(self) -> Usage:
        calls = self.ours.instances + self.ours.series
        return Usage({"google_search": 1, "google_request": calls, "google_egress": self.ours.pack_gb})

    def stored(self, month: int) -> Usage:
        del month  # one class of storage
        structured = self.ours.instances * self.metadata_bytes / GB
        return Usage({"google_blob": self.ours.pack_gb, "google_structured": structured})


@dataclass(frozen=True)
class PrivateNode:
    """`maypacs up` on a machine of the hospital's: no requests, no egress; people, room and replacement not counted.
    One machine for so much, then another."""

    ours: Ours
    watts: float = 80
    studies_a_day: float = 3000
    disk_gb: float = 100_000
    name = "a private node"

    def ingest(self) -> Usage:
        return Usage()

    def read(self) -> Usage:
        return Usage()

    def stored(self, month: int) -> Usage:
        del month
        return Usage({"node_disk": self.ours.pack_gb * 1.02})

    def idle(self) -> Usage:
        hospital = self.ours.hospital
        held = hospital.studies_per_day * 365 * hospital.years * self.ours.pack_gb
        machines = max(math.ceil(hospital.studies_per_day / self.studies_a_day), math.ceil(held / self.disk_gb))
        return Usage({"node_server": machines, "node_power": machines * self.watts / 1000 * MONTH_HOURS})


OTHERS = (UsualDesign, HealthImaging, GoogleHealthcare, PrivateNode)
