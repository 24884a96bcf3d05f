"""docs/cost.md and README say what the command prints."""

from __future__ import annotations

import json

import pytest
from tests.bench.cost import size
from tests.bench.cost.document import DOCUMENT, README, blocks, figures, printed, written_anew

BLOCKS = list(blocks(DOCUMENT.read_text(encoding="utf-8")))


def test_there_are_tables() -> None:
    assert [command.split()[0] for command, _ in BLOCKS] == ["cost"]


@pytest.mark.parametrize(("command", "text"), BLOCKS)
def test_a_table_is_what_its_command_prints(command: str, text: str) -> None:
    """Otherwise: `python -m tests.bench.cost.document`."""
    assert text == printed(command)


def test_all_the_document_is_what_the_counts_say() -> None:
    """The write units of a study among it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "| study rows |" in text
    assert text == written_anew(text)


def test_the_drawing_is_of_these_prices_and_measurements() -> None:
    assert size.DRAWING.read_text(encoding="utf-8") == size.drawing()


def test_storage_alone_grows_with_an_archive() -> None:
    measured = json.loads(size.MEASURED.read_text(encoding="utf-8"))
    for name, points in size.lines(measured).items():
        (first, smallest), (last, largest) = points[0], points[-1]
        expected = last / first if name.startswith("storage") else 1
        assert largest / smallest == pytest.approx(expected, rel=0.05), name


def test_readmes_figures_are_the_commands() -> None:
    (line,) = [line for line in README.read_text(encoding="utf-8").splitlines() if "**Costs**" in line]
    for words, figure in figures().items():
        assert f"{figure} {words}" in line
