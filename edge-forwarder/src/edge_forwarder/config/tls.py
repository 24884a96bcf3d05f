"""[tls]: DICOM over TLS."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.checks import check_port
from edge_forwarder.config.reading import Section
from edge_forwarder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TlsConfig(Section):
    """[tls]: DICOM over TLS (PS3.15 B), and the certificates of outgoing associations."""

    certificate: str = ""
    """PEM file with our certificate and those below its authority, relative to the configuration file; empty: no TLS
    port.
    """
    key: str = ""
    """PEM file with its private key, not encrypted."""
    port: int = 2762
    """The TCP port for TLS; 0 takes a free one."""
    only: bool = False
    """Do not listen on [edge] port."""
    ca_file: str = ""
    """PEM file of the authorities whose certificates peers must have; empty: callers need none."""
    check_host: bool = False
    """Whether the certificate of a peer that we call must name its host."""

    def check(self) -> None:
        check_port("[tls] port", self.port)
        if bool(self.certificate) != bool(self.key):
            raise ConfigError("[tls] certificate and key go together")
        if self.only and not self.certificate:
            raise ConfigError("[tls] only needs a certificate")
