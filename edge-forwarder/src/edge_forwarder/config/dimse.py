"""[dimse]: the Upper Layer protocol."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.checks import MIB, check_rights
from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DimseConfig(Section):
    """[dimse]: the Upper Layer protocol."""

    max_pdu: int = 131072
    """The largest P-DATA PDU asked for, in bytes."""
    max_associations: int = 20
    """Associations at once; more are rejected as a local limit, transient."""
    network_timeout_seconds: float = 60.0
    """Longest silence within a message, and before the association request."""
    idle_timeout_seconds: float = 3600.0
    """Longest silence between two messages of an association."""
    check_called_aet: bool = True
    """Reject associations that call another AE title."""
    only_known_devices: bool = False
    """Reject callers that no [[device]] names."""
    rights: tuple[str, ...] = ("store",)
    """What a caller may: `store` (and storage commitment), `query`, `retrieve`."""
    transfer_syntaxes: tuple[str, ...] = (
        "lossless",
        "lossy",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.2",
    )
    """What to choose first of what a presentation context proposes; `lossless` and `lossy` name the compressed
    syntaxes.
    """

    def check(self) -> None:
        check_rights("[dimse]", self.rights)
        if not 4096 <= self.max_pdu <= 16 * MIB:
            raise ConfigError("[dimse] max_pdu must be between 4096 and 16777216")
        if self.max_associations < 1:
            raise ConfigError("[dimse] max_associations must be at least 1")
