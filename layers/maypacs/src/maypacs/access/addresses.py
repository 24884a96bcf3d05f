"""The client's address, for lockouts."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def client_address(headers: Mapping[str, str], source_ip: str, *, trust_forwarded: bool) -> str:
    """The address of the client behind at most one proxy of ours; IPv6 as its /64, which is what one client has.

    ``trust_forwarded``: X-Forwarded-For was appended to by our own proxy (CloudFront before API Gateway, or a reverse
    proxy before a node). What stands further to the left came from the client and is not believed. API Gateway lists
    its own peer in the header too, a node's proxy does not: so the peer is taken off before the last one is read.
    """
    chosen = source_ip
    if trust_forwarded:
        listed = next((v for k, v in headers.items() if k.lower() == "x-forwarded-for"), "")
        chain = [a for a in (part.strip() for part in listed.split(",")) if a]
        if chain and chain[-1] == source_ip:
            chain.pop()
        if chain:
            chosen = chain[-1]
    try:
        address = ipaddress.ip_address(chosen)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address) + "/64"
    return str(address)
