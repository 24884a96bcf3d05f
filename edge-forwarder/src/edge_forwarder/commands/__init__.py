"""The commands of ``maypacs-edge``: one module each, which ends in a `Command` that `cli.COMMANDS` lists."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


def _no_arguments(_: argparse.ArgumentParser) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``--config`` is added for all of them; `options.config` is its path."""

    name: str
    summary: str
    """One line, for the list of commands."""
    run: Callable[[argparse.Namespace], int]
    """Its exit code. May raise EdgeError, OSError, sqlite3.Error: their words are shown, and it is 1."""
    arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    manual: str = ""
    """What a manual page would say, below the summary: paragraphs of at most 100 columns, shown as they are."""
