"""``maypacs-edge run``: the service."""

from __future__ import annotations

import argparse

from edge_forwarder import service
from edge_forwarder.commands import Command
from edge_forwarder.config import load
from edge_forwarder.logs import Log


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")


def _run(options: argparse.Namespace) -> int:
    service.run(load(options.config), Log(level=options.log_level))
    return 0


COMMAND = Command("run", "Run the edge in the foreground until SIGTERM or Ctrl-C.", _run, _arguments)
