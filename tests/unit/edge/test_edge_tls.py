"""TLS contexts from the configuration, and when certificates end."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from tests.support.certificates import Authority

from edge_forwarder import config
from edge_forwarder.dimse import tls
from edge_forwarder.errors import ConfigError


def settings(folder: Path, **values: object) -> config.Config:
    return config.parse({"cloud": {"url": "https://x"}, "tls": values}, folder)


def test_the_end_of_a_certificate_is_read_from_it(tmp_path: Path) -> None:
    """In days, negative once it is over; UTCTime until 2049, GeneralizedTime after (RFC 5280 4.1.2.5)."""
    authority = Authority(tmp_path)
    for days in (30.0, -1.0, 365.0 * 40):
        leaf = authority.leaf("edge", days=days)
        assert tls.days_left(leaf.certificate) == pytest.approx(days, abs=0.01)
        assert tls.expires_at(leaf.certificate) == pytest.approx(time.time() + days * 86400, abs=900)


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_named(tmp_path: Path, text: str) -> None:
    """A ConfigError for people, not a traceback."""
    (tmp_path / "edge.pem").write_text(text)
    with pytest.raises(ConfigError, match=r"edge\.pem"):
        tls.expires_at(tmp_path / "edge.pem")
    with pytest.raises(ConfigError, match="certificate and key"):
        tls.server_context(settings(tmp_path, certificate="edge.pem", key="edge.pem"))


def test_contexts_are_as_strict_as_configured(tmp_path: Path) -> None:
    """TLS 1.2 at least; callers need a certificate when there is an authority; those we call always do."""
    authority = Authority(tmp_path)
    leaf = authority.leaf("edge")
    names = {"certificate": leaf.certificate.name, "key": leaf.key.name}
    open_to_all = tls.server_context(settings(tmp_path, **names))
    mutual = tls.server_context(settings(tmp_path, **names, ca_file="ca.pem"))
    client = tls.client_context(settings(tmp_path, ca_file="ca.pem"))
    assert tls.server_context(settings(tmp_path)) is None
    assert open_to_all is not None
    assert mutual is not None
    assert open_to_all.verify_mode == ssl.CERT_NONE
    assert mutual.verify_mode == client.verify_mode == ssl.CERT_REQUIRED
    assert {c.minimum_version for c in (open_to_all, mutual, client)} == {ssl.TLSVersion.TLSv1_2}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"certificate": "a.pem"}, "go together"),
        ({"only": True}, "needs a certificate"),
        ({"port": 70000}, "below 65536"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path: Path, values: dict[str, object], named: str) -> None:
    """At the start, not at the first caller."""
    with pytest.raises(ConfigError, match=named):
        settings(tmp_path, **values)
