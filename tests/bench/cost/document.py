"""`python -m tests.bench.cost.document`: writes the tables of docs/cost.md anew, by the command before each."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout

from tests.support.deployer import ROOT

from maypacs_node import cli

DOCUMENT = ROOT / "docs" / "cost.md"
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
    return _BLOCK.sub(lambda found: f"<!-- maypacs {found[1]} -->\n{printed(found[1])}<!-- end -->\n", text)


if __name__ == "__main__":
    DOCUMENT.write_text(written_anew(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
