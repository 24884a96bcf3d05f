"""[stow]: the local STOW-RS endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_forwarder.config.checks import check_port
from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError

#: Whoever can guess a key stores images of anybody.
_SHORTEST_KEY = 32


@dataclass(frozen=True, slots=True)
class StowConfig(Section):
    """[stow]: the local STOW-RS endpoint."""

    port: int = 0
    """The TCP port; 0: no endpoint."""
    bind: str = "127.0.0.1"
    """The address to listen on."""
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    """What callers prove themselves with."""
    tls: bool = False
    """Whether to talk TLS, with the certificate of [tls]."""
    max_requests: int = 8
    """Requests at once; above, 503."""
    max_instances: int = 20_000
    """Instances of one request."""
    timeout_seconds: float = 60.0
    """Longest silence of a client."""

    def check(self) -> None:
        check_port("[stow] port", self.port)
        if self.port and not self.api_keys:
            raise ConfigError("[stow] port needs api_keys")
        if any(len(key) < _SHORTEST_KEY or not key.isascii() or not key.isprintable() for key in self.api_keys):
            raise ConfigError(f"[stow] api_keys must have at least {_SHORTEST_KEY} printable ASCII characters each")
        if min(self.max_requests, self.max_instances) < 1 or self.timeout_seconds <= 0:
            raise ConfigError("[stow] max_requests, max_instances and timeout_seconds must be at least 1")
