"""The table of the benchmarks: rows with both servers, the limit, the CPU they took, and the goal."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Column = Literal["maypacs", "orthanc", "limit"]


@dataclass(slots=True)
class Row:
    work: str
    unit: str
    better: Literal["lower", "higher"]
    goal: str = ""
    note: str = ""
    maypacs: float | None = None
    orthanc: float | None = None
    limit: float | None = None  #: the same bytes taken straight from the object store
    cpu_maypacs: float | None = None  #: milliseconds of all processes of the server, for one request
    cpu_orthanc: float | None = None
    path: str = ""  #: how MayPACS answered: by the function, or by a redirect to /blobs/

    def ratio(self) -> str:
        if not self.maypacs or not self.orthanc:
            return ""
        times = self.orthanc / self.maypacs if self.better == "lower" else self.maypacs / self.orthanc
        return f"{times:.1f}x" if times < 100 else f"{times:.0f}x"


class Table:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def row(self, work: str, unit: str, better: Literal["lower", "higher"], goal: str = "", note: str = "") -> Row:
        return self.rows.setdefault(work, Row(work, unit, better, goal, note))

    def markdown(self, introduction: str) -> str:
        lines = [
            "# Benchmarks",
            "",
            introduction,
            "",
            "| work | unit | MayPACS | Orthanc | ratio | limit | CPU ms: ours | theirs | path | goal | note |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in self.rows.values():
            figures = [number(row.maypacs), number(row.orthanc), row.ratio(), number(row.limit)]
            spent = [number(row.cpu_maypacs), number(row.cpu_orthanc)]
            lines.append("| " + " | ".join([row.work, row.unit, *figures, *spent, row.path, row.goal, row.note]) + " |")
        return "\n".join(lines) + "\n"

    def document(self) -> str:
        machine = {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()}
        rows = [asdict(row) for row in self.rows.values()]
        return json.dumps({"date": today(), "machine": machine, "rows": rows}, indent=1, ensure_ascii=False) + "\n"


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def load() -> float:
    """Processes that wanted a core in the last minute: above the number of cores, times say little."""
    return float(Path("/proc/loadavg").read_text().split()[0])


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
