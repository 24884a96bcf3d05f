"""`python -m tests.bench.cost.document`: writes the tables of docs/cost.md anew, by the command before each, the write
units of a study, docs/scale/cost.svg, and the figures of README's line about costs."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout

from tests.bench.cost import size
from tests.support.deployer import ROOT

from maypacs_node import cli
from maypacs_node.cost import counts
from maypacs_node.cost.report import dollars

DOCUMENT, README = ROOT / "docs" / "cost.md", ROOT / "README.md"
_UNITS = re.compile(r"<!-- write units -->\n.*?<!-- end of write units -->\n", re.DOTALL)
_BLOCK = re.compile(r"<!-- maypacs (cost [^\n]*?) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Each command with the text that stands below it."""
    yield from _BLOCK.findall(text)


def printed(command: str) -> str:
    """What the command prints. Raises ValueError when it fails."""
    out = io.StringIO()
    with redirect_stdout(out):
        if cli.main(shlex.split(command)):
            raise ValueError(f"maypacs {command} failed")
    return out.getvalue()


def written_anew(text: str) -> str:
    text = _UNITS.sub(lambda _: f"<!-- write units -->\n{write_units()}<!-- end of write units -->\n", text)
    return _BLOCK.sub(lambda found: f"<!-- maypacs {found[1]} -->\n{printed(found[1])}<!-- end -->\n", text)


def write_units() -> str:
    """Of each kind of study, by kind of row, as `make cost` counted them."""
    studies = {name: study.ingest for name, study in counts.load().studies.items()}
    kinds = sorted({key for each in studies.values() for key in each if key.startswith("units.")})
    rows = [[kind.removeprefix("units."), *(f"{each.get(kind, 0):g}" for each in studies.values())] for kind in kinds]
    for name, key in (("all", "write_units"), ("of these, the index by date", "of_these_index")):
        rows.append([name, *(f"{each[f'table.index.{key}']:g}" for each in studies.values())])
    head = [["rows of the index", *studies], ["---", *["---:"] * len(studies)]]
    return "".join("| " + " | ".join(row) + " |\n" for row in [*head, *rows])


def figures() -> dict[str, str]:
    """What README says of costs: the words after each figure, and the figure."""
    found = json.loads(printed("cost --studies-per-day 300 --json"))
    per_1000 = found["per_1000_studies"]
    amounts = {
        "to take in": per_1000["ingest"]["MayPACS"],
        "each month they are kept": per_1000["storage, fifth month and on"]["MayPACS"],
        "to open once": per_1000["a read in the dashboard"]["MayPACS"],
        "a month in all": sum(found["month"].values()),
    }
    return {words: dollars(amount) for words, amount in amounts.items()}


def readme_anew(text: str) -> str:
    for words, figure in figures().items():
        text = re.sub(rf"[0-9][0-9.,]* {words}", f"{figure} {words}", text)
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written_anew(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    size.DRAWING.write_text(size.drawing(), encoding="utf-8")
    README.write_text(readme_anew(README.read_text(encoding="utf-8")), encoding="utf-8")
