"""docs/benchmarks.md holds the table of docs/benchmarks.json, with how far it is to Orthanc and to the limit."""

from __future__ import annotations

import json

import pytest
from tests.bench.table import DOCUMENT, FIGURES, Row, Table, written_anew


def test_the_document_is_what_the_figures_say() -> None:
    """Otherwise: `python -m tests.bench.table`."""
    text, figures = DOCUMENT.read_text(encoding="utf-8"), json.loads(FIGURES.read_text(encoding="utf-8"))
    assert text == written_anew(text, figures)
    assert f"on {figures['date']}: {figures['machine']['cores']} cores" in text


@pytest.mark.parametrize(
    ("better", "ours", "other", "told"),
    [
        ("lower", 2.0, 1.0, "0.50x"),
        ("lower", 1.0, 250.0, "250x"),
        ("higher", 300.0, 100.0, "3.0x"),
        ("higher", 300.0, 400.0, "0.75x"),
        ("higher", 300.0, None, ""),
        ("lower", None, 3.0, ""),
    ],
)
def test_a_ratio_says_how_many_times_better(better: str, ours: float | None, other: float | None, told: str) -> None:
    assert Row("work", "s", better, maypacs=ours).ratio(other) == told  # type: ignore[arg-type]


def test_figures_come_back_from_json() -> None:
    table = Table()
    row = table.row("frames, 8 clients", "/s", "higher", "300/s", "a note")
    row.maypacs, row.orthanc, row.limit, row.path = 300.0, 600.0, 400.0, "function"
    (line,) = [line for line in table.lines().splitlines() if line.startswith("| frames")]
    assert line == "| frames, 8 clients | /s | 300 | 600 | 0.50x | 400 | 0.75x |  |  | function | 300/s | a note |"
    assert Table.of(json.loads(table.document())).lines() == table.lines()
