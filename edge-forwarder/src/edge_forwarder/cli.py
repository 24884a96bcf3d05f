"""The command ``maypacs-edge``."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_forwarder import __version__, service, status_report, tls
from edge_forwarder.cloud import Cloud
from edge_forwarder.config import MIB, Config, load, load_credentials
from edge_forwarder.enroll import enroll
from edge_forwarder.errors import CloudError, EdgeError
from edge_forwarder.logs import Log
from edge_forwarder.spool import free_bytes, is_locked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maypacs-edge",
        description="Takes DICOM from the modalities of a hospital, keeps it safe, uploads it to a MayPACS cloud.",
    )
    parser.add_argument("--version", action="version", version=f"maypacs-edge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--config", type=Path, required=True, metavar="FILE", help="the configuration file (edge.toml)"
        )
        return sub

    sub = command("enroll", "Trade a one-time code from the console for this edge's key; write a first configuration.")
    sub.add_argument("--url", required=True, help="the cloud's address, such as https://pacs.example.org")
    sub.add_argument("--code", required=True, help="the one-time code")
    sub.add_argument("--aet", help="the AE title that modalities will call (default: MAYPACS)")
    sub.add_argument("--port", type=int, help="the TCP port to listen on (default: 11112)")
    sub.add_argument("--name", help="how the console will list this edge (default: the host name)")

    sub = command("run", "Run the edge in the foreground until SIGTERM or Ctrl-C.")
    sub.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")

    sub = command("status", "Show what waits, what went up, and what needs a person.")
    sub.add_argument("--json", action="store_true", help="for programs")

    command("check", "Check the configuration, the disk, the port and the cloud. Exit code 1 if something is wrong.")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.command == "enroll":
            config, enrolment = enroll(
                options.url, options.code, options.config, ae_title=options.aet, port=options.port, name=options.name
            )
            print(f"This edge belongs to {enrolment.archive_name} ({enrolment.credentials.archive}).")
            print(f"Configuration: {options.config}. Start it with: maypacs-edge run --config {options.config}")
            return 0
        config = load(options.config)
        if options.command == "run":
            service.run(config, Log(level=options.log_level))
            return 0
        if options.command == "status":
            report = status_report.collect(config)
            print(json.dumps(report, indent=2) if options.json else status_report.as_text(report))
            return 0
        return _check(config)
    except EdgeError as error:
        print(f"maypacs-edge: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"maypacs-edge: {error.strerror or error}", file=sys.stderr)
        return 1
    except sqlite3.Error as error:
        print(f"maypacs-edge: the journal cannot be used: {error}", file=sys.stderr)
        return 1


def _check(config: Config) -> int:
    print("ok     configuration")
    results = [_check_credentials(config), _check_disk(config), _check_port(config), _check_cloud(config)]
    if config.tls.certificate or any(device.tls for device in config.devices):
        results.append(_check_tls(config))
    for wrong, text in results:
        print(f"{'WRONG ' if wrong else 'ok    '} {text}")
    return 1 if any(wrong for wrong, _ in results) else 0


def _check_credentials(config: Config) -> tuple[bool, str]:
    try:
        credentials = load_credentials(config.credentials_file)
    except EdgeError as error:
        return True, str(error)
    if config.credentials_file.stat().st_mode & 0o077:
        return True, f"{config.credentials_file} can be read by others: chmod 600"
    return False, f"credentials for archive {credentials.archive}"


def _check_disk(config: Config) -> tuple[bool, str]:
    folder = config.spool_folder
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return True, f"the spool {config.spool_folder} cannot be written"
    free = free_bytes(folder) // MIB
    if free < config.spool.min_free_mib:
        return True, f"{free} MiB free: images are refused below {config.spool.min_free_mib} MiB"
    return False, f"spool {config.spool_folder}, {free} MiB free"


def _check_tls(config: Config) -> tuple[bool, str]:
    try:
        tls.server_context(config)
        tls.client_context(config)
        if not config.tls.certificate:
            return False, "TLS for devices that we call"
        days = tls.days_left(config.folder / config.tls.certificate)
    except EdgeError as error:
        return True, str(error)
    if days < 0:
        return True, f"our TLS certificate ended {-days:.0f} days ago"
    return False, f"TLS on port {config.tls.port}, our certificate is good for {days:.0f} days"


def _check_port(config: Config) -> tuple[bool, str]:
    if is_locked(config.spool_folder):
        return False, "the edge is running"
    try:
        socket.create_server((config.edge.bind, config.edge.port)).close()
    except OSError as error:
        return True, f"cannot listen on {config.edge.bind}:{config.edge.port}: {error.strerror}"
    return False, f"port {config.edge.port} is free"


def _check_cloud(config: Config) -> tuple[bool, str]:
    try:
        cloud = Cloud(config.cloud, load_credentials(config.credentials_file))
        try:
            cloud.status([])
        finally:
            cloud.close()
    except CloudError as error:
        return True, f"cloud {config.cloud.url}: {error}"
    except EdgeError:
        return True, f"cloud {config.cloud.url}: not asked, for there are no credentials"
    return False, f"cloud {config.cloud.url} accepts our key"


if __name__ == "__main__":
    sys.exit(main())
