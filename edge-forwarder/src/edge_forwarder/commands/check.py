"""``maypacs-edge check``: is everything as it must be? Words that say what to do."""

from __future__ import annotations

import argparse
import os
import socket

from edge_forwarder import tls
from edge_forwarder.cloud import Cloud
from edge_forwarder.commands import Command
from edge_forwarder.config import MIB, Config, load, load_credentials
from edge_forwarder.errors import CloudError, EdgeError
from edge_forwarder.inbox import Inbox
from edge_forwarder.spool import free_bytes, is_locked


def _run(options: argparse.Namespace) -> int:
    config = load(options.config)
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
            Inbox(cloud).status([])
        finally:
            cloud.close()
    except CloudError as error:
        return True, f"cloud {config.cloud.url}: {error}"
    except EdgeError:
        return True, f"cloud {config.cloud.url}: not asked, for there are no credentials"
    return False, f"cloud {config.cloud.url} accepts our key"


COMMAND = Command(
    "check", "Check the configuration, the disk, the port and the cloud. Exit code 1 if something is wrong.", _run
)
