"""[retrieve]: query and retrieve."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RetrieveConfig(Section):
    """[retrieve]: query and retrieve from the cloud's archive."""

    max_matches: int = 1000
    """Answers to one query; above, it ends with 0xA700."""
    max_studies: int = 2000
    """Studies looked at for the patients of one query."""
    max_instances: int = 20_000
    """Instances of one retrieve; above, 0xA701."""
    parallel: int = 4
    """Queries and retrieves at once; above, they are refused for want of resources."""
    connect_timeout_seconds: float = 5.0
    """Longest wait for a connection to the cloud before the caller is told."""
    read_timeout_seconds: float = 30.0
    """Longest silence of the cloud before the caller is told."""
    cache: str = ""
    """Folder of the images fetched last, relative to the configuration file; empty: `cache` in the spool."""
    cache_mib: int = 10240
    """The cache's size; 0: none is kept."""
    keep_uploaded: bool = True
    """Whether what was uploaded goes there, too, when any device may retrieve."""
    cache_hours: float = 72.0
    """How long an image stays in the cache after it was last asked for."""

    def check(self) -> None:
        if min(self.max_matches, self.max_studies, self.parallel) < 1:
            raise ConfigError("[retrieve] max_matches, max_studies and parallel must be at least 1")
