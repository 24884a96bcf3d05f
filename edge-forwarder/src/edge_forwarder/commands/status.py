"""``maypacs-edge status``: how things are, for people and for programs."""

from __future__ import annotations

import argparse
import json

from edge_forwarder import status_report
from edge_forwarder.commands import Command
from edge_forwarder.config import load


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--healthy", action="store_true", help="only what is wrong; exit code 1 when it is red")


def _run(options: argparse.Namespace) -> int:
    report = status_report.collect(load(options.config))
    if options.healthy:
        print("\n".join(report["health"]["findings"]) or "All is well.")
        return 1 if report["health"]["level"] == "red" else 0
    print(json.dumps(report, indent=2) if options.json else status_report.as_text(report))
    return 0


COMMAND = Command("status", "Show what waits, what went up, and what needs a person.", _run, _arguments)
