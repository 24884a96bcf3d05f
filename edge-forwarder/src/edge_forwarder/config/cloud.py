"""[cloud]: where images go."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class CloudConfig(Section):
    """[cloud]: where images go."""

    url: str = ""
    """The cloud's address, such as https://pacs.example.org."""
    ca_file: str = ""
    """PEM file of the authorities to trust instead of the system's; empty for the system's."""
    parallel_uploads: int = 2
    """Uploads at once."""
    connect_timeout_seconds: float = 15.0
    """Longest wait for a connection, and for the network to take more bytes."""
    read_timeout_seconds: float = 60.0
    """Longest wait for an answer."""
    retry_max_seconds: float = 60.0
    """Longest pause between two tries."""
    status_poll_seconds: float = 15.0
    """Longest pause between two questions whether an upload is indexed; short at first."""
    key_days: float = 90.0
    """How long a key is used before this edge replaces it; 0: for ever."""

    def check(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ConfigError("[cloud] url is missing, or does not begin with https://: the address of the cloud")
        if self.parallel_uploads < 1:
            raise ConfigError("[cloud] parallel_uploads must be at least 1")
