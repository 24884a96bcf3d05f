"""What several sections ask of their values. Each raises ConfigError, which names the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_forwarder.errors import ConfigError

MIB: Final = 1024 * 1024
_RIGHTS: Final = ("store", "query", "retrieve")


def check_ae_title(where: str, title: str) -> None:
    # PS3.5 6.2, VR AE: 16 bytes of the default repertoire, no backslash, no control characters, spaces around
    # insignificant.
    if not title.strip() or len(title) > 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ConfigError(f"{where} must be 1 to 16 printable ASCII characters without a backslash")


def check_port(where: str, port: int) -> None:
    if port > 65535:
        raise ConfigError(f"{where} must be below 65536")


def check_rights(where: str, rights: Sequence[str]) -> None:
    if wrong := set(rights) - set(_RIGHTS):
        raise ConfigError(f"{where} rights knows no {min(wrong)}: {', '.join(_RIGHTS)}")
