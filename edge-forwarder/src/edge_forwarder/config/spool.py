"""[spool]: how full the disk may get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError

#: The cloud takes ten thousand parts of 8 MiB; one MiB of them is for what a pack has around its one image.
_MOST_MIB: Final = 79_999


@dataclass(frozen=True, slots=True)
class SpoolConfig(Section):
    """[spool]: how full the disk may get."""

    min_free_mib: int = 1024
    """Answer 0xA700 (out of resources) rather than leave less than this free on the disk."""
    max_mib: int = 0
    """Answer 0xA700 rather than hold more than this; 0 for no limit but the disk's."""
    max_instance_mib: int = 16384
    """Answer 0xC000 to a larger image: it is not taken."""
    attention_days: float = 90.0
    """What lies in `attention/` for longer is deleted, announced a day before, if the cloud has it; 0: never."""
    attention_mib: int = 10240
    """The same for the oldest of what is more than this; 0: no limit."""

    def check(self) -> None:
        if not 1 <= self.max_instance_mib <= _MOST_MIB:
            raise ConfigError(f"[spool] max_instance_mib must be from 1 to {_MOST_MIB}")
