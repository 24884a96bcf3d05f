"""STOW-RS (PS3.18 10.5): what is stored comes back to the byte, what is not has a reason."""

from __future__ import annotations

from tests.conftest import OWN_SAMPLES
from tests.functional.dicomweb.client import STORED, Client


def test_smoke(client: Client) -> None:
    """x"""
    for f in sorted(OWN_SAMPLES.rglob("*.dcm"))[:1]:
        data = f.read_bytes()
        r = client.stow(data)
        print(r.status, r.json())
        url = r.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
        g = client.get(url, STORED)
        print(g.status, g.headers)
        assert g.parts()[0][1] == data
        print(client.metadata(url))
        for p in ("/rendered", "/frames/1", "/thumbnail", "/frames/1/rendered", ""):
            x = client.get(url + p)
            print(p, x.status, x.headers, x.body[:100])
        print(client.get("/studies").json())
