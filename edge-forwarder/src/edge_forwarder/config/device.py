"""[[device]]: the modalities and workstations that need an entry."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.checks import check_ae_title, check_port, check_rights
from edge_forwarder.config.reading import Section


@dataclass(frozen=True, slots=True)
class DeviceConfig(Section):
    """[[device]]: one modality or workstation."""

    ae_title: str = ""
    """Its AE title."""
    host: str = ""
    """The address it must come from; empty for any."""
    transfer_syntaxes: tuple[str, ...] = ()
    """Its own order of preference; empty for [dimse]'s."""
    rights: tuple[str, ...] = ()
    """What it may; empty for [dimse]'s."""
    port: int = 0
    """The port to call it on, for storage commitment and C-MOVE; 0: it cannot be called."""
    tls: bool = False
    """Whether to call it by TLS."""
    stores_as: tuple[str, ...] = ()
    """The other AE titles under which it sends the images that it asks storage commitment for."""

    def check(self) -> None:
        check_ae_title("[[device]] ae_title", self.ae_title)
        check_port("[[device]] port", self.port)
        check_rights("[[device]]", self.rights)
        for title in self.stores_as:
            check_ae_title("[[device]] stores_as", title)
