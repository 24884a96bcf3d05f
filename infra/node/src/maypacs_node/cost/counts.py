"""What was counted: `counts.json`, which `python -m tests.bench.cost` writes, and its parts by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maypacs_node.cost.prices import PriceError
from maypacs_node.cost.usage import Counts

COUNTS = Path(__file__).with_name("counts.json")


@dataclass(frozen=True, slots=True)
class StudyCounts:
    """Of one study of a kind. `held`: what it leaves in buckets and tables; the rest: what each activity asked for."""

    series: int
    instances: int
    held: Counts
    ingest: Counts
    view_by_frames: Counts
    view_by_packs: Counts
    retrieve: Counts
    compaction: Counts

    @property
    def pack_bytes(self) -> float:
        return self.held["held.blobs/packs.bytes"]

    @property
    def packs(self) -> float:
        return self.held["held.blobs/packs.objects"]

    @property
    def small_bytes(self) -> float:
        """Sidecars and thumbnails."""
        return self.held["held.meta.bytes"] + self.held.get("held.blobs/thumbs.bytes", 0.0)

    @property
    def table_bytes(self) -> float:
        return self.held["held.index.bytes"] + self.held.get("held.accounts.bytes", 0.0)


@dataclass(frozen=True)
class Counted:
    document: Mapping[str, Any]

    @property
    def date(self) -> str:
        return str(self.document["date"])

    @cached_property
    def studies(self) -> Mapping[str, StudyCounts]:
        return {name: StudyCounts(**entry) for name, entry in self.document["studies"].items()}

    @property
    def fixed(self) -> Mapping[str, Any]:
        """What the templates make: alarms, rules, polled queues, memory of each function …"""
        found: Mapping[str, Any] = self.document["fixed"]
        return found

    @property
    def memory_mb(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.fixed["memory_mb"]
        return found

    def activity(self, name: str) -> Counts:
        found: Counts = self.document[name]
        return found


def load(file: Path = COUNTS) -> Counted:
    """Raises PriceError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PriceError(f"{file} cannot be read: {type(error).__name__}") from None
    return Counted(document)
