"""The machine: processor, memory, disk, from /proc (Linux). What cannot be told is None."""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

_STAT, _MEMORY, _SELF = Path("/proc/stat"), Path("/proc/meminfo"), Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class HostState:
    """``cpu_percent`` of all processors since the last look; ``process_bytes`` is what this process holds in memory."""

    cpu_percent: float | None = None
    memory_percent: float | None = None
    process_bytes: int | None = None
    disk_free: int | None = None
    disk_total: int | None = None


class Host:
    """Remembers the last look at the processors; one thread uses it."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is on the disk that counts."""
        self._folder = folder
        self._times = _processor_times()

    def look(self) -> HostState:
        before, self._times = self._times, _processor_times()
        disk_free = disk_total = None
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._folder)
            disk_free, disk_total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        return HostState(_busy(before, self._times), _memory_percent(), _process_bytes(), disk_free, disk_total)


def _processor_times() -> tuple[int, int] | None:
    """Idle and all, in ticks, since the machine started (proc(5))."""
    try:
        fields = [int(word) for word in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
        return fields[3] + fields[4], sum(fields)
    except (OSError, ValueError, IndexError):
        return None


def _busy(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return round(100 * (1 - (after[0] - before[0]) / (after[1] - before[1])), 1)


def _memory_percent() -> float | None:
    try:
        sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in _lines(_MEMORY))}
        return round(100 * (1 - sizes["MemAvailable"] / sizes["MemTotal"]), 1)
    except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError):
        return None


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line]


def _process_bytes() -> int | None:
    try:
        return int(_SELF.read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None
