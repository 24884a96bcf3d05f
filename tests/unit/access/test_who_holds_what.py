"""Functions that answer requests hold scoped tables and stores alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "layers" / "maypacs" / "src" / "maypacs"
#: Attributes of the runtime that reach every archive.
UNSCOPED = {"unscoped_workspace", "archive_store", "archive_objects", "inbox_objects", "index"}
REQUESTS = [
    ROOT / "functions" / "console" / "handler.py",
    ROOT / "functions" / "dicomweb" / "handler.py",
    *sorted((LIBRARY / "console").glob("*.py")),
    *sorted((LIBRARY / "dicomweb").glob("*.py")),
    LIBRARY / "uploads.py",
]


@pytest.mark.parametrize("module", REQUESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_answers_requests_never_touches_what_is_unscoped(module: Path) -> None:
    """Neither the runtime's tables and buckets nor a workspace that the gatekeeper did not give out."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & UNSCOPED


def test_the_names_that_are_looked_for_are_the_runtimes() -> None:
    """So that a renamed attribute does not empty the test above."""
    from maypacs.runtime import Runtime

    assert all(hasattr(Runtime, name) for name in UNSCOPED)
