"""Whose address a lockout counts."""

from __future__ import annotations

import pytest

from maypacs.access.addresses import client_address


@pytest.mark.parametrize(
    ("forwarded", "source_ip", "trusted", "expected", "why"),
    [
        (None, "192.0.2.1", False, "192.0.2.1", "no proxy"),
        ("203.0.113.9", "192.0.2.1", False, "192.0.2.1", "a client's own header is not believed"),
        ("203.0.113.9", "127.0.0.1", True, "203.0.113.9", "a node behind a reverse proxy"),
        ("6.6.6.6, 203.0.113.9", "127.0.0.1", True, "203.0.113.9", "what the client sent stands further left"),
        ("203.0.113.9, 130.176.0.1", "130.176.0.1", True, "203.0.113.9", "CloudFront before API Gateway"),
        ("6.6.6.6, 203.0.113.9, 130.176.0.1", "130.176.0.1", True, "203.0.113.9", "the same, with a client's lie"),
        (None, "130.176.0.1", True, "130.176.0.1", "trusted, but nothing said"),
        ("garbage", "130.176.0.1", True, "unknown", "never a key made of a client's text"),
        (None, "2001:db8:1:2:aaaa::1", False, "2001:db8:1:2::/64", "an IPv6 client has a whole /64"),
        (None, "::ffff:192.0.2.1", False, "192.0.2.1", "IPv4 in IPv6"),
        (None, "", False, "unknown", "none at all"),
    ],
)
def test_the_address_is_the_clients_behind_one_proxy_of_ours(
    forwarded: str | None, source_ip: str, trusted: bool, expected: str, why: str
) -> None:
    """A client cannot choose the address that its failures are counted under."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert client_address(headers, source_ip, trust_forwarded=trusted) == expected, why
