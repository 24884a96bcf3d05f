"""``maypacs-edge enroll``: a one-time code becomes this edge's key."""

from __future__ import annotations

import argparse

from edge_forwarder.cloud.keys import rotate
from edge_forwarder.commands import Command
from edge_forwarder.config import load
from edge_forwarder.enroll import enroll
from edge_forwarder.errors import ConfigError, UnauthorizedError


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="the cloud's address, such as https://pacs.example.org")
    parser.add_argument("--code", help="the one-time code")
    parser.add_argument("--rotate", action="store_true", help="replace this edge's key by a new one; needs no code")
    parser.add_argument("--aet", help="the AE title that modalities will call (default: MAYPACS)")
    parser.add_argument("--port", type=int, help="the TCP port to listen on (default: 11112)")
    parser.add_argument("--name", help="how the console will list this edge (default: the host name)")


def _run(options: argparse.Namespace) -> int:
    if options.rotate:
        config = load(options.config)
        try:
            rotate(config.cloud, config.credentials_file)
        except UnauthorizedError as error:
            raise ConfigError(f"{error}: it was revoked. Get a code in the console and enrol again with it") from None
        print("This edge has a new key; the old one works no more. A service that runs uses the new one by itself.")
        return 0
    if not options.url or not options.code:
        raise ConfigError("enrol with --url and --code; --rotate replaces the key of an edge that is enrolled")
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
    """
The code comes from the console (the dashboard's page Devices, or `maypacs edge code` on a private
node); it is good for ten minutes and one use. FILE is written, with every setting and its default,
and beside it credentials.json, readable by its owner alone: nothing unless the cloud takes the code.

An edge that is enrolled may be enrolled again, after its key was revoked for one: FILE stays as it
is, what waits in the spool stays, and goes up with the new key. A service that runs goes on with it.

--rotate replaces the key without a code. The new key is on disk before the cloud hears of it, so
that a power cut at any moment leaves a key that works. The service does this by itself every
[cloud] key_days.

Example: maypacs-edge enroll --url https://pacs.example.org --code XXXXX-XXXXX-XXXXX-XXXXX
             --config /etc/maypacs-edge/edge.toml --aet MAYPACS --port 11112
""",
)
