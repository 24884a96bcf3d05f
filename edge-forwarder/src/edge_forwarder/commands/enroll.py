"""``maypacs-edge enroll``: a one-time code becomes this edge's key."""

from __future__ import annotations

import argparse

from edge_forwarder.commands import Command
from edge_forwarder.enroll import enroll


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", required=True, help="the cloud's address, such as https://pacs.example.org")
    parser.add_argument("--code", required=True, help="the one-time code")
    parser.add_argument("--aet", help="the AE title that modalities will call (default: MAYPACS)")
    parser.add_argument("--port", type=int, help="the TCP port to listen on (default: 11112)")
    parser.add_argument("--name", help="how the console will list this edge (default: the host name)")


def _run(options: argparse.Namespace) -> int:
    _, enrolment = enroll(
        options.url, options.code, options.config, ae_title=options.aet, port=options.port, name=options.name
    )
    print(f"This edge belongs to {enrolment.archive_name} ({enrolment.credentials.archive}).")
    print(f"Configuration: {options.config}. Start it with: maypacs-edge run --config {options.config}")
    return 0


COMMAND = Command(
    "enroll",
    "Trade a one-time code from the console for this edge's key; write a first configuration.",
    _run,
    _arguments,
)
