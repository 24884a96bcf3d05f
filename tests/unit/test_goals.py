"""docs/performance.md says of the goals what docs/benchmarks.json holds; figures decide, nobody's hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.bench.goals import DOCUMENT, FIGURES, GOALS, Figures, NotMeasuredError, table, written_anew


def row(work: str, **figures: float) -> dict[str, Any]:
    return {"work": work, "maypacs": None, "orthanc": None, "cpu_maypacs": None, **figures}


def line(rows: list[dict[str, Any]], goal: str) -> list[str]:
    (found,) = [line for line in table({"rows": rows}).splitlines() if line.startswith(f"| {goal} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_the_document_is_what_the_figures_say() -> None:
    """Otherwise: `python -m tests.bench.goals`."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == written_anew(text, json.loads(FIGURES.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("ours", "met"), [(200.0, "yes"), (199.0, "**no**")])
def test_a_goal_is_met_by_its_figures_alone(ours: float, met: str) -> None:
    goal = "C-STORE as fast as Orthanc, after fsync"
    cells = line([row("C-STORE of 500 slices, one association", maypacs=ours, orthanc=200.0)], goal)
    assert cells[3] == met
    assert bool(cells[4]) == (met != "yes"), "a reason stands where it is not met, and nowhere else"


def test_less_is_better_for_times() -> None:
    rows = [row("series metadata, 500 slices", maypacs=0.01, orthanc=0.41)]
    assert line(rows, "series metadata 40 times faster")[3] == "yes"
    rows = [row("series metadata, 500 slices", maypacs=0.01, orthanc=0.39)]
    assert line(rows, "series metadata 40 times faster")[3] == "**no**"


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    for goal in GOALS:
        assert line([row("something else", maypacs=1.0)], goal.what)[2:] == ["not measured", "", ""]


def test_a_number_in_a_name_is_any_number_but_the_rest_is_the_name() -> None:
    figures = Figures([row("RetrieveSeries as stored, 20 slices, the first time", maypacs=1.0)])
    with pytest.raises(NotMeasuredError):
        figures.get("RetrieveSeries as stored, # slices")
    assert figures.get("RetrieveSeries as stored, # slices, the first time") == 1.0
