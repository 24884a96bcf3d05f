"""[packing]: when a pack is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PackingConfig(Section):
    """[packing]: when a pack is closed."""

    quiet_seconds: float = 5.0
    """A series that got nothing for so long is closed."""
    quiet_seconds_by_modality: Mapping[str, float] = field(default_factory=lambda: {"US": 60.0, "ES": 60.0})
    """Modalities that make an image now and then, often each in an association of its own: their series are open so
    long after the last image, also when the association has ended.
    """
    longest_seconds: float = 300.0
    """A series is sent after so long, however its images come."""
    max_mib: int = 64
    """A pack's size (64 is what the cloud takes as one)."""
    max_instances: int = 1000
    """A pack's count (1,000 is what the cloud takes as one)."""
    max_open: int = 256
    """Series open at once; above, the one that waits longest is closed."""

    def check(self) -> None:
        if not 1 <= self.max_mib <= 64 or not 1 <= self.max_instances <= 1000 or self.max_open < 1:
            raise ConfigError("[packing] max_mib must be 1 to 64, max_instances 1 to 1000, max_open at least 1")
