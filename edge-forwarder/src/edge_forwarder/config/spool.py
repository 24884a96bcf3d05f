"""[spool]: how full the disk may get."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.reading import Section


@dataclass(frozen=True, slots=True)
class SpoolConfig(Section):
    """[spool]: how full the disk may get."""

    min_free_mib: int = 1024
    """Answer 0xA700 (out of resources) rather than leave less than this free on the disk."""
    max_mib: int = 0
    """Answer 0xA700 rather than hold more than this; 0 for no limit but the disk's."""
