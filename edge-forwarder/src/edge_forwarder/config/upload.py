"""[upload]: when, how fast and in which order images go up."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config import windows
from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class UploadConfig(Section):
    """[upload]: when, how fast and in which order images go up."""

    pause: bool = False
    """Whether nothing goes up for now; images are taken all the same."""
    windows: tuple[str, ...] = ()
    """Bandwidth by local time: "[mon-fri ]HH:MM-HH:MM RATE", RATE in kbit/s, Mbit/s or Gbit/s, or `pause`, or
    `unlimited`.
    """
    order: str = "oldest"
    """Which of those that wait goes first: `oldest` or `newest`."""
    stat_devices: tuple[str, ...] = ()
    """AE titles whose images go before all others."""
    stat_modalities: tuple[str, ...] = ()
    """The same by Modality (0008,0060)."""
    stat_priorities: tuple[str, ...] = ("STAT",)
    """The same by Requested Procedure Priority (0040,1003), or the retired Study Priority ID (0032,000C)."""
    bulk_devices: tuple[str, ...] = ()
    """AE titles whose images go after all others, such as an old PACS that is emptied."""
    in_parts_above_mib: int = 64
    """What is larger goes up in parts, and goes on where it broke off."""

    def check(self) -> None:
        windows.parse(self.windows)
        if self.order not in ("oldest", "newest"):
            raise ConfigError("[upload] order is oldest or newest")
        if not 1 <= self.in_parts_above_mib <= 4096:
            raise ConfigError("[upload] in_parts_above_mib must be 1 to 4096")
