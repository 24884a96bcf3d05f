"""Devices of the configuration as peers to call."""

from __future__ import annotations

import ssl

from edge_forwarder.config import Config, DeviceConfig
from edge_forwarder.scu import Peer


def peer_of(config: Config, device: DeviceConfig, client_tls: ssl.SSLContext | None) -> Peer:
    """``client_tls`` is for devices with ``tls = true`` (`tls.client_context`)."""
    return Peer(
        host=device.host,
        port=device.port,
        called=device.ae_title,
        calling=config.edge.ae_title,
        tls=client_tls if device.tls else None,
        timeout=config.dimse.network_timeout_seconds,
        max_pdu=config.dimse.max_pdu,
    )
