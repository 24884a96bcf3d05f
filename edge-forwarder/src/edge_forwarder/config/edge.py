"""[edge]: this application entity."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.checks import check_ae_title, check_port
from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class EdgeConfig(Section):
    """[edge]: this application entity."""

    ae_title: str = "MAYPACS"
    """The AE title modalities call (1 to 16 characters)."""
    bind: str = "0.0.0.0"  # noqa: S104 - modalities are other machines; the allow-list and firewall decide who
    """The address to listen on."""
    port: int = 11112
    """The TCP port to listen on; 0 takes a free one."""
    spool: str = "spool"
    """Folder of the spool, relative to the configuration file."""
    credentials: str = "credentials.json"
    """File with the archive and the key that `enroll` got, relative to the configuration file."""
    log_level: str = "info"
    """The least that is logged: debug, info, warning or error."""

    def check(self) -> None:
        check_ae_title("[edge] ae_title", self.ae_title)
        check_port("[edge] port", self.port)
        if self.log_level not in ("debug", "info", "warning", "error"):
            raise ConfigError("[edge] log_level must be debug, info, warning or error")
