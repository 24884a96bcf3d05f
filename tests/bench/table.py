"""The table of the benchmarks: rows with both servers, the limit, the CPU they took, and the goal.

`python -m tests.bench.table` writes the table of docs/benchmarks.md anew from docs/benchmarks.json.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tests.support.processes import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
FIGURES = DOCUMENT.with_suffix(".json")
_HEAD = "| work | unit | MayPACS | Orthanc | ratio | limit | ratio | CPU ms: ours | theirs | path | goal | note |"

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

    def ratio(self, other: float | None) -> str:
        """How many times better than the other."""
        if not self.maypacs or not other:
            return ""
        times = other / self.maypacs if self.better == "lower" else self.maypacs / other
        return f"{times:.2f}x" if times < 1 else f"{times:.1f}x" if times < 100 else f"{times:.0f}x"


class Table:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def row(self, work: str, unit: str, better: Literal["lower", "higher"], goal: str = "", note: str = "") -> Row:
        return self.rows.setdefault(work, Row(work, unit, better, goal, note))

    def lines(self) -> str:
        lines = [
            _HEAD,
            "|---|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in self.rows.values():
            figures = [number(row.maypacs), number(row.orthanc), row.ratio(row.orthanc)]
            figures += [number(row.limit), row.ratio(row.limit)]
            spent = [number(row.cpu_maypacs), number(row.cpu_orthanc)]
            lines.append("| " + " | ".join([row.work, row.unit, *figures, *spent, row.path, row.goal, row.note]) + " |")
        return "\n".join(lines) + "\n"

    def markdown(self, introduction: str) -> str:
        return f"# Benchmarks\n\n{introduction}\n\n{self.lines()}"

    @classmethod
    def of(cls, document: dict[str, Any]) -> Table:
        """Of what `document` gave, read from JSON."""
        table = cls()
        for row in document["rows"]:
            table.rows[row["work"]] = Row(**row)
        return table

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


def written_anew(text: str, document: dict[str, Any]) -> str:
    """The document with the table of these figures; what stands above it stays."""
    head, _, _ = text.partition("| work |")
    return head + Table.of(document).lines()


if __name__ == "__main__":
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    DOCUMENT.write_text(written_anew(DOCUMENT.read_text(encoding="utf-8"), figures), encoding="utf-8")
