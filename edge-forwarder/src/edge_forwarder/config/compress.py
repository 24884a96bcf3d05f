"""[compress]: which images are compressed without loss before they go up, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_forwarder.compression.codecs import CODECS, NONE, is_available, works
from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class CompressConfig(Section):
    """[compress]: which images are compressed without loss before they go up, and how."""

    default: str = NONE
    """For every modality without a rule of its own: `none`, `jpeg-ls` or `htj2k`."""
    by_modality: Mapping[str, str] = field(default_factory=dict)
    """The same by Modality (0008,0060)."""

    @property
    def rules(self) -> dict[str, str]:
        """By Modality as images have it."""
        return {modality.strip().upper(): name for modality, name in self.by_modality.items()}

    @property
    def codecs(self) -> list[str]:
        """The names of those that any rule asks for."""
        return sorted({self.default, *self.by_modality.values()} - {NONE})

    def check(self) -> None:
        for name in self.codecs:
            if name not in CODECS:
                raise ConfigError(f"[compress] knows no {name}: a rule is one of {', '.join((NONE, *CODECS))}")
            if not is_available(CODECS[name]):
                raise ConfigError(
                    f'[compress] {name} needs its codec: pip install "maypacs-edge[{CODECS[name].extra}]"'
                )

    def try_out(self) -> None:
        """Loads the codecs. Raises ConfigError for one that is installed and does not work: one of another machine."""
        for name in self.codecs:
            if not works(CODECS[name]):
                raise ConfigError(f"[compress] {name} does not work here: install its codec anew, or change the rule")
