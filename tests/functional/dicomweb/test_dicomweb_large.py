"""Instances that are too large to be read as a whole: every resource gives them, whatever stands beside them.

The limits are lowered here, so that what is large has some kilobytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client

from maypacs import bulkdata, conversion, frames, selection, stored_parts
from maypacs.index.contents import InstanceRef
from maypacs.pixels import transcode
from maypacs.pixels.transcode import to_explicit_little_endian
from maypacs.pixels.whole import WholeInstance
from maypacs.workspace import Workspace

MULTI = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
LARGE = 20_000  #: and more is never read as a whole


def _cine(number: int, **changes: object) -> Dataset:
    """Five frames of 50 kB in all; what is behind the pixels has to arrive too."""
    ds = make.dataset(number, NumberOfFrames=5, Rows=64, Columns=80, **changes)
    ds.PixelData = bytes(range(256)) * 200
    ds.DataSetTrailingPadding = b"\0" * 10
    return ds


def _big_endian(ds: Dataset) -> bytes:
    make.part10(ds)
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=False)
    return out.getvalue()


@pytest.fixture
def client(make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of an archive that reads nothing large."""
    read_range = selection.read_range

    def bounded(workspace: Workspace, ref: InstanceRef, offset: int, length: int) -> bytes:
        assert length <= LARGE
        return read_range(workspace, ref, offset, length)

    for module in (selection, bulkdata, conversion, frames, stored_parts):
        if hasattr(module, "WHOLE_LIMIT"):
            monkeypatch.setattr(module, "WHOLE_LIMIT", LARGE)
        monkeypatch.setattr(module, "read_range", bounded, raising=False)
    monkeypatch.setattr(stored_parts, "COPY_BYTES", LARGE)
    monkeypatch.setattr(bulkdata, "_WHOLE", LARGE)
    monkeypatch.setattr(bulkdata, "_PREFIX", 2000)
    return make_client(inline_limit=4000, limits="none")


def test_a_large_instance_beside_compressed_ones_is_in_the_answer_of_study_and_series(client: Client) -> None:
    """Between two that are converted, byte for byte; the parts in their order."""
    large = make.part10(_cine(2))
    small = [make.instance(number, syntax=RLELossless) for number in (1, 3)]
    client.stow(small[0], large, small[1])
    for path in (f"/studies/{make.STUDY}", make.url()):
        parts = client.get(path, MULTI).parts()
        assert [content for _, content in parts] == [
            to_explicit_little_endian(small[0]),
            large,
            to_explicit_little_endian(small[1]),
        ]
        assert all(ExplicitVRLittleEndian in kind for kind, _ in parts)


@pytest.mark.parametrize("accept", [None, "*/*", MULTI, "application/dicom", f"{MULTI}; transfer-syntax=*"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_large_uncompressed_instance_comes_by_every_accept(client: Client, syntax: str, accept: str | None) -> None:
    """Of Implicit VR the data set is written anew, and the pixels are copied: as a small one is converted."""
    stored = make.part10(_cine(1), syntax)
    client.stow(stored)
    reply = client.get(make.url(1), accept)
    assert reply.status == 200
    content = reply.body if accept == "application/dicom" else reply.parts()[0][1]
    assert content == (stored if accept and "syntax=*" in accept else to_explicit_little_endian(stored))


@pytest.mark.parametrize("kind", ["pixeldata", "bulkdata"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_large_pixel_data_come_beside_others_at_every_level(client: Client, syntax: str, kind: str) -> None:
    """One part of an instance, octets."""
    large, small = _cine(1), make.dataset(2, size=64)
    client.stow(make.part10(large, syntax), make.part10(small))
    for path in (f"/studies/{make.STUDY}", make.url()):
        parts = client.get(f"{path}/{kind}", OCTETS).parts()
        assert [content for _, content in parts] == [large.PixelData, small.PixelData]
    assert client.get(f"{make.url(1)}/{kind}", OCTETS).parts()[0][1] == large.PixelData
    uri = client.metadata(make.url(1))[0]["7FE00010"]["BulkDataURI"]
    assert client.get(uri, "application/octet-stream").body == large.PixelData
    assert client.get(uri, OCTETS).parts()[0][1] == large.PixelData
    size = 64 * 80 * 2
    frames = client.get(f"{make.url(1)}/frames/1,5", OCTETS).parts()
    assert [content for _, content in frames] == [large.PixelData[:size], large.PixelData[4 * size :]]


@pytest.mark.parametrize("accept", [MULTI, "application/dicom"])
def test_what_is_too_large_to_be_converted_stays_as_stored_under_the_default(client: Client, accept: str) -> None:
    """Big endian words: in its series too, beside what is converted. Named, it is 413; its frames are little endian."""
    stored = _big_endian(_cine(1))
    beside = make.instance(2, syntax=RLELossless)
    client.stow(stored, beside)
    reply = client.get(make.url(1), accept)
    content = reply.body if accept == "application/dicom" else reply.parts()[0][1]
    kind = reply.headers["content-type"] if accept == "application/dicom" else reply.parts()[0][0]
    assert (kind.replace('"', ""), content) == (f"application/dicom; transfer-syntax={ExplicitVRBigEndian}", stored)
    assert [content for _, content in client.get(make.url(), MULTI).parts()] == [
        stored,
        to_explicit_little_endian(beside),
    ]
    assert client.get(make.url(1), f"{accept}; transfer-syntax={ExplicitVRLittleEndian}").status == 413
    assert client.get(f"{make.url(1)}/frames/3", OCTETS).parts()[0][1] == WholeInstance(stored).native_frame(3)[0]


def test_no_data_set_is_deflated_that_would_be_too_large_to_be_inflated_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be made whole, in memory; a few kilobytes of RLE may be gigabytes. Said before anything is decoded."""
    ds = make.dataset(1, NumberOfFrames=5, Rows=64, Columns=80)
    ds.PixelData = bytes(5 * 64 * 80 * 2)
    client.stow(make.part10(ds, RLELossless))
    accept = f"{MULTI}; transfer-syntax=1.2.840.10008.1.2.1.99"
    assert client.get(make.url(1), accept).status == 200
    monkeypatch.setattr(transcode, "MAX_INFLATED", LARGE)
    monkeypatch.setattr(WholeInstance, "native_frame", None)
    refused = client.get(make.url(1), accept)
    assert (refused.status, "no data set is deflated" in refused.json()["detail"]) == (406, True)
