"""The command ``maypacs-edge``: finds the command that is meant, and says in words what went wrong."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_forwarder import __version__
from edge_forwarder.commands import Command, check, enroll, migrate, quarantine, retry, run, send, status
from edge_forwarder.errors import EdgeError

#: In the order in which the help lists them.
COMMANDS: Final[tuple[Command, ...]] = (
    enroll.COMMAND,
    run.COMMAND,
    status.COMMAND,
    check.COMMAND,
    send.COMMAND,
    migrate.COMMAND,
    retry.COMMAND,
    quarantine.COMMAND,
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maypacs-edge",
        description="Takes DICOM from the modalities of a hospital, keeps it safe, uploads it to a MayPACS cloud.",
        epilog="maypacs-edge help COMMAND tells all about one of them.",
    )
    parser.add_argument("--version", action="version", version=f"maypacs-edge {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary}\n\n{command.manual.strip()}".rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument(
            "--config", type=Path, required=True, metavar="FILE", help="the configuration file (edge.toml)"
        )
        command.arguments(sub)
        sub.set_defaults(run=command.run)
    help_parser = subparsers.add_parser("help", help="Tell all about one command.", description="Tell about a command.")
    help_parser.add_argument("topic", nargs="?", metavar="COMMAND", choices=[command.name for command in COMMANDS])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "help":
        _parser().parse_args([options.topic, "--help"] if options.topic else ["--help"])  # prints, and exits
    try:
        return int(options.run(options))
    except EdgeError as error:
        print(f"maypacs-edge: {error}", file=sys.stderr)
    except BrokenPipeError:  # whoever reads has seen enough, `head` for one; Python would complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"maypacs-edge: {where}{error.strerror or error}", file=sys.stderr)
    except sqlite3.Error as error:
        print(f"maypacs-edge: the journal cannot be used: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
