"""[health]: how this edge says how it is."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.checks import check_port
from edge_forwarder.config.reading import Section


@dataclass(frozen=True, slots=True)
class HealthConfig(Section):
    """[health]: how this edge says how it is."""

    heartbeat: bool = True
    """Whether to tell the console."""
    heartbeat_seconds: float = 0.0
    """How often; 0: as often as the console asks for, which is a minute unless it says otherwise."""
    port: int = 0
    """The port of /health and /metrics on loopback; 0: none."""
    echo_minutes: float = 5.0
    """How often devices with a host and a port are asked by C-ECHO whether they are there; 0: never."""
    quiet_hours: float = 96.0
    """A device that is silent for longer should be looked at; 0: never."""

    def check(self) -> None:
        check_port("[health] port", self.port)
