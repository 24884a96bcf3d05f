"""``maypacs-edge status``: how things are, for people and for programs."""

from __future__ import annotations

import argparse
import json

from edge_forwarder import status_report, status_text
from edge_forwarder.commands import Command
from edge_forwarder.config import load

_MANUAL = """
Reads the spool, and what the running edge wrote down last; asks nobody. An image passes through

received   safe on this disk, answered with success, not in a pack yet
packed     in a pack that waits for its turn
uploading  on its way
failed     its upload failed and is tried again; why is said below
sent       the cloud has it, and has not said yet that it is indexed
indexed    in the cloud; its file goes next

"Look at this" is what the edge found wrong, with what to do; "Needs a person" is what the cloud did
not take as it is (`maypacs-edge quarantine`). --json has all of it for programs: times in seconds
since 1970, ages in seconds, sizes in bytes.

Exit code 0; with --healthy 1 when it is red: images cannot come in or go up, or soon will not.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--healthy", action="store_true", help="only what is wrong; exit code 1 when it is red")


def _run(options: argparse.Namespace) -> int:
    report = status_report.collect(load(options.config))
    if options.healthy:
        print("\n".join(report["health"]["findings"]) or "All is well.")
        return 1 if report["health"]["level"] == "red" else 0
    print(json.dumps(report, indent=2) if options.json else status_text.as_text(report))
    return 0


COMMAND = Command("status", "Show what waits, what went up, and what needs a person.", _run, _arguments, _MANUAL)
