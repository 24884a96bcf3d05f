"""Our public URL, behind whatever proxies there are, and the URLs of DICOMweb resources under it.

Sources: RFC 7239 (Forwarded), the X-Forwarded-* habit; PS3.18 Table 8.3.x (URI templates). Forwarded headers are
believed only where the deployment says that a proxy of ours sets them (Settings.trust_forwarded).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")


def base_url(headers: Mapping[str, str], *, trust_forwarded: bool, scheme: str = "https") -> str:
    """`scheme://host` as the client sees us, without a trailing slash; "" (relative URLs) when no usable host is known.

    `headers` has lower-case names. `scheme` is what the connection itself says when no proxy says otherwise.
    """
    host = headers.get("host", "")
    if trust_forwarded:
        forwarded = _forwarded(headers.get("forwarded", ""))
        scheme = forwarded.get("proto") or _first(headers.get("x-forwarded-proto", "")) or scheme
        host = forwarded.get("host") or _first(headers.get("x-forwarded-host", "")) or host
        port = _first(headers.get("x-forwarded-port", ""))
        if port.isdigit() and not re.search(r":[0-9]+\Z", host) and port != {"http": "80", "https": "443"}.get(scheme):
            host = f"{host}:{port}"
    if scheme not in {"http", "https"} or not _HOST.match(host):
        return ""
    return f"{scheme}://{host}"


def archive_root(base: str, archive_id: str) -> str:
    return f"{base}/dicomweb/{archive_id}"


def study_url(root: str, study: str) -> str:
    return f"{root}/studies/{study}"


def series_url(root: str, study: str, series: str) -> str:
    return f"{root}/studies/{study}/series/{series}"


def instance_url(root: str, study: str, series: str, instance: str) -> str:
    return f"{root}/studies/{study}/series/{series}/instances/{instance}"


def _first(value: str) -> str:
    """The first of a comma list: the proxy nearest to the client."""
    return value.split(",")[0].strip()


def _forwarded(value: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in _first(value).split(";"))
    return {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
