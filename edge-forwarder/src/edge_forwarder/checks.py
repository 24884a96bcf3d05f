"""What `maypacs-edge check` looks at: each check is a sentence that says what to do when something is wrong."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.config import MIB, Config, load_credentials
from edge_forwarder.dimse import tls
from edge_forwarder.dimse.peers import advice, peer_of
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.errors import (
    CloudAwayError,
    CloudBusyError,
    CloudError,
    ConfigError,
    EdgeError,
    NotAssociatedError,
    UnauthorizedError,
    WireError,
)
from edge_forwarder.health import echo
from edge_forwarder.ports import listen
from edge_forwarder.spool.folder import free_bytes
from edge_forwarder.spool.lock import is_locked

#: Upload grants are good for 15 minutes: look at it, and wrong (seconds).
_CLOCK: Final = (60.0, 600.0)
_CERTIFICATE_DAYS: Final = 30.0
#: Devices called at once.
_CALLS: Final = 8


class Level(StrEnum):
    OK = "ok"
    LOOK = "LOOK"
    """It works; somebody should do something before it does not."""
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Check:
    level: Level
    text: str


def everything(config: Config) -> Iterator[Check]:
    """One after the other, each as soon as it is known."""
    yield Check(Level.OK, "configuration")
    if config.compress.codecs:
        yield _compression(config)
    yield _credentials(config)
    yield _disk(config)
    yield from _ports(config)
    yield from _cloud(config)
    if config.tls.certificate or any(device.tls for device in config.devices):
        yield _tls(config)
    yield from _devices(config)


def _compression(config: Config) -> Check:
    try:
        config.compress.try_out()
    except ConfigError as error:
        return Check(Level.WRONG, str(error))
    return Check(Level.OK, f"compression without loss: {', '.join(config.compress.codecs)}")


def _credentials(config: Config) -> Check:
    try:
        credentials = load_credentials(config.credentials_file)
    except EdgeError as error:
        return Check(Level.WRONG, str(error))
    if config.credentials_file.stat().st_mode & 0o077:
        return Check(Level.WRONG, f"{config.credentials_file} can be read by others: chmod 600")
    return Check(Level.OK, f"credentials for archive {credentials.archive}")


def _disk(config: Config) -> Check:
    folder = config.spool_folder
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Check(Level.WRONG, f"the spool {config.spool_folder} cannot be written: give it to the edge's user")
    free, least = free_bytes(folder) // MIB, config.spool.min_free_mib
    if free < least:
        return Check(Level.WRONG, f"{free} MiB free: images are refused below {least} MiB. Make room")
    if free < 2 * least:
        return Check(Level.LOOK, f"{free} MiB free: images are refused below {least} MiB. Make room soon")
    return Check(Level.OK, f"spool {config.spool_folder}, {free} MiB free")


def _ports(config: Config) -> Iterator[Check]:
    if is_locked(config.spool_folder):
        yield Check(Level.OK, "the edge is running")
        return
    secure = bool(config.tls.certificate)
    doors = [("edge", config.edge.bind, config.edge.port)] if not (secure and config.tls.only) else []
    doors += [("tls", config.edge.bind, config.tls.port)] if secure else []
    doors += [("health", "127.0.0.1", config.health.port)] if config.health.port else []
    doors += [("stow", config.stow.bind, config.stow.port)] if config.stow.port else []
    for section, host, port in doors:
        try:
            listen(section, host, port).close()
            yield Check(Level.OK, f"port {port} is free")
        except ConfigError as error:
            yield Check(Level.WRONG, str(error))


# The cloud


def _cloud(config: Config) -> Iterator[Check]:
    url = config.cloud.url
    try:
        cloud = Cloud(config.cloud, load_credentials(config.credentials_file))
    except EdgeError:
        yield Check(Level.WRONG, f"cloud {url}: not asked, for there are no credentials")
        return
    try:
        Inbox(cloud).status([])
        yield Check(Level.OK, f"cloud {url} accepts our key")
        yield _clock(cloud)
        if url.startswith("https:"):
            yield _cloud_certificate(config)
        elif urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost"):
            yield Check(Level.LOOK, f"cloud {url}: the key and the images go there unencrypted. Change it to https://")
    except CloudError as error:
        yield Check(Level.WRONG, f"cloud {url}: {error}. {_cloud_advice(error)}")
    finally:
        cloud.close()


def _cloud_advice(error: CloudError) -> str:
    match error:
        case UnauthorizedError():
            return "Was this edge removed in the console? Get a code there and enrol again: maypacs-edge enroll"
        case CloudBusyError():
            return "Nothing need be done here"
        case CloudAwayError():
            return "Check [cloud] url and ca_file, the network, the firewall, and proxies on the way"
    return "Check [cloud] url; if it is right, tell who runs the cloud"


def _clock(cloud: Cloud) -> Check:
    """Against the Date of an answer (RFC 9110 6.6.1), which has whole seconds."""
    before = time.time()
    response = cloud.request("GET", cloud.base + "/health", {}, None)
    now = (before + time.time()) / 2
    try:
        offset = now - (parsedate_to_datetime(response.headers.get("Date", "")).timestamp() + 0.5)
    except (ValueError, TypeError):
        return Check(Level.LOOK, "the clock cannot be compared: the cloud does not say what time it is")
    if abs(offset) < _CLOCK[0]:
        return Check(Level.OK, f"the clock agrees with the cloud's ({offset:+.0f} s)")
    text = f"the clock differs from the cloud's by {offset:+.0f} s: switch on time synchronisation (NTP)"
    return Check(Level.WRONG if abs(offset) >= _CLOCK[1] else Level.LOOK, text)


def _cloud_certificate(config: Config) -> Check:
    """Of the server, which answered already: so it is a good one today."""
    url = urlsplit(config.cloud.url)
    context = ssl.create_default_context(cafile=config.cloud.ca_file or None)
    try:
        with (
            socket.create_connection(
                (url.hostname or "", url.port or 443), timeout=config.cloud.connect_timeout_seconds
            ) as plain,
            context.wrap_socket(plain, server_hostname=url.hostname) as secure,
        ):
            ends = str((secure.getpeercert() or {}).get("notAfter", ""))
        days = (ssl.cert_time_to_seconds(ends) - time.time()) / 86400
    except (OSError, ValueError) as error:
        return Check(Level.LOOK, f"the cloud's certificate cannot be looked at ({type(error).__name__})")
    if days < _CERTIFICATE_DAYS:
        return Check(Level.LOOK, f"the cloud's certificate ends in {days:.0f} days: tell who runs the cloud")
    return Check(Level.OK, f"the cloud's certificate is good for {days:.0f} days")


def _tls(config: Config) -> Check:
    try:
        tls.server_context(config)
        tls.client_context(config)
        if not config.tls.certificate:
            return Check(Level.OK, "TLS for devices that we call")
        days = tls.days_left(config.folder / config.tls.certificate)
    except EdgeError as error:
        return Check(Level.WRONG, str(error))
    if days < 0:
        return Check(Level.WRONG, f"our TLS certificate ended {-days:.0f} days ago: renew it")
    if days < _CERTIFICATE_DAYS:
        return Check(Level.LOOK, f"our TLS certificate ends in {days:.0f} days: renew it")
    return Check(Level.OK, f"TLS on port {config.tls.port}, our certificate is good for {days:.0f} days")


# Devices


def _devices(config: Config) -> Iterator[Check]:
    """C-ECHO to each that can be called, in the order of the configuration."""
    try:
        context = tls.client_context(config) if any(device.tls for device in config.devices) else None
    except ConfigError:  # said already
        context = None
    devices = [d for d in config.devices if d.host and d.port and not (d.tls and context is None)]
    with ThreadPoolExecutor(_CALLS) as pool:
        yield from pool.map(lambda device: _device(peer_of(config, device, context)), devices)


def _device(peer: Peer) -> Check:
    name = f"device {peer.called.strip()} at {peer.host}:{peer.port}"
    try:
        echo.echo(replace(peer, timeout=echo.TIMEOUT, connect_timeout=echo.TIMEOUT))
    except NotAssociatedError as error:
        return Check(Level.WRONG, f"{name}: {error}{advice(error, peer)}")
    except WireError as error:
        return Check(
            Level.WRONG, f"{name}: {error}. Is it switched on? Check its host and port in [[device]], and the firewall"
        )
    return Check(Level.OK, f"{name} answers C-ECHO")
