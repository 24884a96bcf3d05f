"""Devices of the configuration as peers to call."""

from __future__ import annotations

import ssl

from edge_forwarder.config import Config, DeviceConfig
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.statuses import RejectReason, RejectSource
from edge_forwarder.errors import NotAssociatedError


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


def advice(error: NotAssociatedError, peer: Peer) -> str:
    """What to do about a rejection, as the end of a sentence; empty when nobody knows."""
    us = f"our AE title {peer.calling}, address and port"
    match error.rejection:
        case (RejectSource.SERVICE_USER, RejectReason.USER_CALLING_AET_NOT_RECOGNIZED):
            return f". It does not know us: enter {us} there"
        case (RejectSource.SERVICE_USER, RejectReason.USER_CALLED_AET_NOT_RECOGNIZED):
            return f". It does not answer to {peer.called.strip()}: correct ae_title in [[device]]"
        case (RejectSource.SERVICE_USER, RejectReason.USER_NO_REASON_GIVEN):
            return f". It does not say why: see whether {us} are entered there"
        case (RejectSource.PROVIDER_PRESENTATION, _):
            return ". It is busy: try again later"
    return ""
