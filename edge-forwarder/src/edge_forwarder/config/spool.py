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
    attention_days: float = 90.0
    """What lies in `attention/` for longer is deleted, announced a day before, if the cloud has it; 0: never."""
    attention_mib: int = 10240
    """The same for the oldest of what is more than this; 0: no limit."""
