"""docs/cost.md and README say what the command prints."""

from __future__ import annotations

import pytest
from tests.bench.cost.document import DOCUMENT, README, blocks, figures, printed

BLOCKS = list(blocks(DOCUMENT.read_text(encoding="utf-8")))


def test_there_are_tables() -> None:
    assert [command.split()[0] for command, _ in BLOCKS] == ["cost"]


@pytest.mark.parametrize(("command", "text"), BLOCKS)
def test_a_table_is_what_its_command_prints(command: str, text: str) -> None:
    """Otherwise: `python -m tests.bench.cost.document`."""
    assert text == printed(command)


def test_readmes_figures_are_the_commands() -> None:
    (line,) = [line for line in README.read_text(encoding="utf-8").splitlines() if "**Costs**" in line]
    for words, figure in figures().items():
        assert f"{figure} {words}" in line
