"""docs/cost.md and README say what the command prints."""

from __future__ import annotations

import pytest
from tests.bench.cost.document import DOCUMENT, blocks, printed
from tests.support.deployer import ROOT

from maypacs_node.cost.command import DEFAULT_REGION
from maypacs_node.cost.counts import load
from maypacs_node.cost.hospital import Hospital
from maypacs_node.cost.ours import Ours
from maypacs_node.cost.prices import load as load_prices
from maypacs_node.cost.report import Report, dollars

BLOCKS = list(blocks(DOCUMENT.read_text(encoding="utf-8")))


def test_there_are_tables() -> None:
    assert [command.split()[0] for command, _ in BLOCKS] == ["cost"]


@pytest.mark.parametrize(("command", "text"), BLOCKS)
def test_a_table_is_what_its_command_prints(command: str, text: str) -> None:
    """Otherwise: `python -m tests.bench.cost.document`."""
    assert text == printed(command)


def test_readmes_figures_are_the_commands() -> None:
    found = Report(Ours(load(), Hospital(300)), load_prices(DEFAULT_REGION)).document()
    per_1000, month = found["per_1000_studies"], sum(found["month"].values())
    amounts = {
        "to take in": per_1000["ingest"]["MayPACS"],
        "each month they are kept": per_1000["storage, fifth month and on"]["MayPACS"],
        "to open once": per_1000["a read in the dashboard"]["MayPACS"],
        "a month in all": month,
    }
    (line,) = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "**Costs**" in line]
    for what, amount in amounts.items():
        assert f"{dollars(amount)} {what}" in line, (what, dollars(amount))
