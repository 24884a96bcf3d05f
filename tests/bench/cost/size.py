"""What costs more when an archive is larger: dollars against its size, drawn (docs/scale/cost.svg).

Counted units (`counts.json`) at the prices of the file, times what was measured at each size
(docs/scale/measured.json): write units of taking in, read units of the list. Storage is of an archive that grew evenly
over five years.
"""

from __future__ import annotations

import json
from typing import Any

from tests.bench import plot
from tests.support.deployer import ROOT

from maypacs_node.cost import counts, prices
from maypacs_node.cost.command import DEFAULT_REGION
from maypacs_node.cost.hospital import Hospital
from maypacs_node.cost.ours import NEW_ROWS, Ours
from maypacs_node.cost.usage import Usage, sum_of

MEASURED, DRAWING = ROOT / "docs" / "scale" / "measured.json", ROOT / "docs" / "scale" / "cost.svg"
MONTHS, THOUSAND = 60, 1_000
_LIST = "the dashboard's list (25)"


def lines(measured: Any) -> dict[str, list[tuple[int, float]]]:
    """Dollars by what is paid for, at each size that was measured."""
    ours, listed = Ours(counts.load(), Hospital(1)), prices.load(DEFAULT_REGION)
    ages = sum_of(ours.stored(age) for age in range(1, MONTHS + 1)) * (1 / MONTHS)
    writes = [each["write_units"] for each in measured["ingest"].values()]
    reads = [each["read_units"] for each in measured["searches"][_LIST]]
    found: dict[str, list[tuple[int, float]]] = {}
    for size, written, read in zip(measured["sizes"], writes, reads, strict=True):
        page = _times(ours.study_list(NEW_ROWS), "dynamodb_read", read / reads[0])
        bills = {
            "storage of all, a month": ages * size,
            "a month in which nothing happens": sum_of(ours.idle().values()),
            "1,000 studies read": ours.read() * THOUSAND,
            "1,000 studies taken in": _times(ours.ingest(), "dynamodb_write", written / writes[0]) * THOUSAND,
            "1,000 pages of the list": page * THOUSAND,
        }
        for name, usage in bills.items():
            found.setdefault(name, []).append((size, usage.dollars(listed)))
    return found


def drawing() -> str:
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    return plot.lines("Dollars against the size of an archive", "dollars", lines(measured))


def _times(usage: Usage, name: str, factor: float) -> Usage:
    return usage + {name: usage[name] * (factor - 1)}
