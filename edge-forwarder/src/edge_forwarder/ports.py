"""Ports to listen on: one that cannot be had is told of by its number, and by the setting that changes it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from edge_forwarder.errors import ConfigError


@contextmanager
def told_of(section: str, host: str, port: int) -> Iterator[None]:
    """Around whatever listens there for a section of edge.toml. Raises ConfigError in the place of OSError."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or type(error).__name__).partition(" (while")[0]
        raise ConfigError(f"cannot listen on {host}:{port}: {why}. Change [{section}] {_setting(section)}") from None


def listen(section: str, host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises ConfigError."""
    with told_of(section, host, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)


def _setting(section: str) -> str:
    return "bind or port" if section in ("edge", "stow") else "port"
