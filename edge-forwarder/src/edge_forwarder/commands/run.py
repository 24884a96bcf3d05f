"""``maypacs-edge run``: the service."""

from __future__ import annotations

import argparse

from edge_forwarder import running
from edge_forwarder.commands import Command
from edge_forwarder.config import load
from edge_forwarder.logs import LEVELS, Log


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", choices=tuple(LEVELS), help="instead of [edge] log_level")


def _run(options: argparse.Namespace) -> int:
    config = load(options.config)
    log = Log(level=options.log_level or config.edge.log_level)
    running.run(options.config, config, log, follow_level=options.log_level is None)
    return 0


COMMAND = Command(
    "run",
    "Run the edge in the foreground until SIGTERM or Ctrl-C.",
    _run,
    _arguments,
    """
Prints "ready AET@HOST:PORT" when modalities may call. The log is one JSON object a line on standard
error. It ends with 0 after a stop, with 1 when it cannot start or must be started again.

SIGTERM, Ctrl-C  a graceful stop: associations end the message they are in; what was acknowledged is
                 in the spool, and goes up after the next start
SIGHUP           reads FILE anew. One that is wrong changes nothing, and the log says what is wrong.
                 Devices and their rights, [dimse], [packing], [commitment], the limits of [spool],
                 pause and windows of [upload], intervals of [health], the log level and renewed
                 certificates take effect for what begins from then on; associations that are open
                 go on as they began. The log names what needs a restart
""",
)
