"""TLS for DIMSE (PS3.15 B.9 and on, BCP 195): contexts of both sides, and when certificates end."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

from edge_forwarder.config import Config
from edge_forwarder.errors import ConfigError


def server_context(config: Config) -> ssl.SSLContext | None:
    """For the TLS port; None when there is none. Raises ConfigError, which names the file."""
    tls = config.tls
    if not tls.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context, config)
    if tls.ca_file:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(config: Config) -> ssl.SSLContext:
    """For devices with ``tls = true``: they must have a certificate of [tls] ca_file, or of the system's authorities
    when there is none. Raises ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = config.tls.check_host
    context.verify_mode = ssl.CERT_REQUIRED
    _common(context, config)
    if not config.tls.ca_file:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _common(context: ssl.SSLContext, config: Config) -> None:
    tls = config.tls
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate:
        certificate, key = config.folder / tls.certificate, config.folder / tls.key
        try:
            # An encrypted key would wait for somebody to type its password.
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise ConfigError(f"[tls] certificate and key cannot be used: {_why(error)}") from None
    if tls.ca_file:
        try:
            context.load_verify_locations(config.folder / tls.ca_file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"[tls] ca_file cannot be used: {_why(error)}") from None


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or getattr(error, "reason", "") or type(error).__name__)


def renew(context: ssl.SSLContext | None, config: Config) -> None:
    """Give a context that is in use the certificate of the files as they are now, for the handshakes to come. Raises
    ConfigError: then it was not changed.
    """
    if context is None or not config.tls.certificate:
        return
    server_context(config)  # whether the pair is good, on a context that nobody uses
    context.load_cert_chain(config.folder / config.tls.certificate, config.folder / config.tls.key)


def expires_at(certificate: Path) -> float:
    """When the first certificate of a PEM file ends: seconds since the epoch. Raises ConfigError."""
    try:
        pem = certificate.read_text(encoding="ascii", errors="replace")
        start, end = pem.index(ssl.PEM_HEADER), pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        return _not_after(ssl.PEM_cert_to_DER_cert(pem[start:end]))
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(f"{certificate.name} is not a certificate: {_why(error)}") from None


def days_left(certificate: Path, now: float | None = None) -> float:
    """Days until it ends, negative when it has. Raises ConfigError."""
    return (expires_at(certificate) - (time.time() if now is None else now)) / 86400


def _not_after(der: bytes) -> float:
    """The end of an X.509 certificate's validity (RFC 5280 4.1). Raises ValueError, IndexError."""
    at, _ = _open(der, 0)  # Certificate
    at, _ = _open(der, at)  # tbsCertificate
    if der[at] == 0xA0:  # version
        at = sum(_open(der, at))
    for _ in range(3):  # serialNumber, signature, issuer
        at = sum(_open(der, at))
    at, _ = _open(der, at)  # validity
    at = sum(_open(der, at))  # notBefore
    start, length = _open(der, at)
    text = der[start : start + length].decode("ascii")
    if der[at] == 0x17:  # UTCTime: years from 1950 to 2049
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _open(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at this offset begins, and its length."""
    length = der[at + 1]
    if length < 0x80:
        return at + 2, length
    size = length & 0x7F
    return at + 2 + size, int.from_bytes(der[at + 2 : at + 2 + size], "big")
