"""Broken files: whatever the bytes are, no transaction answers 500, hangs, or ends the process."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless
from tests.conftest import OWN_SAMPLES
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client
from tests.support import bombs

SMALL = sorted(p for p in (OWN_SAMPLES / "files").iterdir() if 0 < p.stat().st_size < 60_000)
RESOURCES = ("/metadata", "", "/frames/1", "/rendered", "/thumbnail", "/frames/1/rendered")
LENGTHS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x01\0\0\0")


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, added, cut, or made into an absurd length."""
    out = bytearray(data)
    for _ in range(chance.choice([1, 2, 8])):
        at = chance.randrange(min(132, len(out) - 1), len(out)) if len(out) > 1 else 0
        match chance.randrange(4):
            case 0:
                out[at] = chance.randrange(256)
            case 1:
                out[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
            case 2:
                out[at : at + 4] = chance.choice(LENGTHS)
            case _ if chance.random() < 0.2:
                del out[at:]
            case _:
                out[at] = 0
    return bytes(out)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_stored_or_refused_and_then_answered_or_refused(
    make_client: Callable[..., Client], seed: int
) -> None:
    """Stored: byte-identical. Everything else: 200, or a 4xx with a reason."""
    chance = random.Random(seed)
    data = _damaged(chance.choice(SMALL).read_bytes(), chance)
    client = make_client()
    stored = client.stow(data)
    assert stored.status in {200, 409, 400}
    if stored.status != 200:
        return
    url = stored.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    assert client.get(url, STORED).parts()[0][1] == data
    for resource in RESOURCES:
        assert client.get(url + resource).status in {200, 404, 406}, resource
    for search in ("/studies?includefield=all", "/instances?includefield=all"):
        assert client.get(search).status == 200


def test_a_stream_that_kills_gdcm_does_not_kill_us(client: Client) -> None:
    """JPEG lossless of 37 bits a sample ends GDCM's process: 406 here, and the next frame is a 200."""
    original = (OWN_SAMPLES / "files" / "JPEG-LL.dcm").read_bytes()
    header = original.index(b"\xff\xc3")
    broken = bytearray(original)
    broken[header + 4] = 37
    url = client.stow(bytes(broken)).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    assert client.get(f"{url}/frames/1").status == 406
    client.send("DELETE", url.partition(f"/dicomweb/{client.archive}")[2].partition("/series")[0])
    again = client.stow(original).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    assert client.get(f"{again}/frames/1").status == 200


def test_a_stream_of_kilobytes_that_claims_gigabytes_is_refused_in_every_transaction(client: Client) -> None:
    """JPEG 2000 of 5,000 components: the reason where pixels are needed, as stored where they are not."""
    side = bombs.SIDE
    ds = make.dataset(1, Rows=side, Columns=side, BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PixelData = encapsulate([bombs.components()])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    data = make.part10(ds, JPEG2000Lossless)
    client.stow(data)
    url = make.url(1)
    octets = 'multipart/related; type="application/octet-stream"'
    explicit = f'multipart/related; type="application/dicom"; transfer-syntax={ExplicitVRLittleEndian}'
    for path, accept in (
        (f"{url}/rendered", "image/jpeg"),
        (f"{url}/frames/1/rendered", "image/png"),
        (f"{url}/frames/1", octets),
        (f"{url}/frames/1", 'multipart/related; type="image/jls"'),
        (f"{url}/pixeldata", f"{octets}; transfer-syntax={ExplicitVRLittleEndian}"),
        (url, explicit),
    ):
        reply = client.get(path, accept)
        assert reply.status == 406, path
        assert "5000 samples a pixel" in reply.json()["detail"], path
    assert client.get(f"{url}/thumbnail").status in {200, 406}
    assert client.get(url, 'multipart/related; type="application/dicom"').parts()[0][1] == data
    assert client.get(url, STORED).parts()[0][1] == data
