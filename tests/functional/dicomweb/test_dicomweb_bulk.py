"""Bulk data and pixel data of whole resources (PS3.18 Tables 10.4.1-5, 10.4.1-6), and octets of instances."""

from __future__ import annotations

import io
import itertools
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, UID, RLELossless
from tests.conftest import OWN_SAMPLES
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, Client, Reply

from maypacs import bulkdata, frame_parts, steps
from maypacs.access.principals import Action
from maypacs.bulk_resources import retrieve_all
from maypacs.dicomweb.routes import ROUTES, Operation
from maypacs.frame_bytes import FrameReader
from maypacs.http.multipart import read_multipart
from maypacs.index.contents import InstanceRef
from maypacs.pixels.whole import WholeInstance
from maypacs.workspace import Workspace

OCTETS = 'multipart/related; type="application/octet-stream"'
EXPLICIT = "1.2.840.10008.1.2.1"
LUT = bytes(range(256)) * 8


def _dataset(number: int, **changes: object) -> Dataset:
    """With a private value in a sequence beside its pixels, both above the threshold."""
    item = Dataset()
    item.add_new(0x00282000, "OB", LUT)
    ds = make.dataset(number, size=32, **changes)
    ds.ReferencedImageSequence = [item]
    return ds


def _located(reply: Reply) -> dict[str, tuple[str, bytes]]:
    """Content-Location -> (Content-Type, content)."""
    boundary = reply.headers["content-type"].rpartition("boundary=")[2]
    found = {}
    for part in read_multipart(reply.body, boundary):
        found[part.headers["content-location"]] = (part.headers["content-type"], bytes(part.content))
    return found


@pytest.fixture
def two(client: Client) -> list[Dataset]:
    """One native, one RLE."""
    sets = [_dataset(1), _dataset(2)]
    client.stow(make.part10(sets[0]), make.part10(_dataset(2), RLELossless))
    return sets


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_all_bulk_data_of_a_resource_come_under_the_uris_of_the_metadata(
    client: Client, two: list[Dataset], level: str
) -> None:
    """Each value that metadata name by URI, pixel data uncompressed; the same by octets of the instances."""
    path = {"study": f"/studies/{make.STUDY}", "series": make.url(), "instance": make.url(2)}[level]
    chosen = two[1:] if level == "instance" else two
    expected = {}
    for ds in chosen:
        base = f"https://{HOST}/dicomweb/{client.archive}{make.url(int(ds.InstanceNumber))}/bulkdata/"
        expected[base + "00081140/0/00282000"] = LUT
        expected[base + "7FE00010"] = ds.PixelData
    for where in (f"{path}/bulkdata", path):
        reply = client.get(where, OCTETS)
        assert reply.status == 200, reply.body
        assert {place: content for place, (_, content) in _located(reply).items()} == expected
    (metadata, *_) = client.metadata(path)
    assert metadata["7FE00010"]["BulkDataURI"] in expected


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_pixel_data_of_a_resource_come_alone(client: Client, two: list[Dataset], level: str) -> None:
    """Uncompressed by default; as stored: native as octets, compressed ones a part a frame with their own type."""
    path = {"study": f"/studies/{make.STUDY}", "series": make.url(), "instance": make.url(2)}[level]
    chosen = two[1:] if level == "instance" else two
    for accept in (None, "*/*", OCTETS):
        parts = client.get(f"{path}/pixeldata", accept).parts()
        assert [content for _, content in parts] == [ds.PixelData for ds in chosen]
        assert {kind.replace('"', "") for kind, _ in parts} == {f"application/octet-stream; transfer-syntax={EXPLICIT}"}
    stored = _located(client.get(f"{path}/pixeldata", f"{OCTETS}; transfer-syntax=*"))
    kinds = [kind.partition(";")[0] for kind, _ in stored.values()]
    assert kinds == ["application/octet-stream", "image/dicom-rle"][-len(chosen) :]
    assert list(stored)[-1].endswith(f"{make.url(2)}/frames/1")


def test_pixel_data_come_in_the_media_type_that_is_named(client: Client, two: list[Dataset]) -> None:
    """A part a frame, made where it is not stored so; what cannot be made is 406."""
    parts = client.get(f"{make.url()}/pixeldata", 'multipart/related; type="image/dicom-rle"').parts()
    assert [kind.partition(";")[0] for kind, _ in parts] == ["image/dicom-rle"] * 2
    for accept in ('multipart/related; type="image/jphc"', f"{OCTETS}; transfer-syntax=1.2.3", "image/png"):
        assert client.get(f"{make.url()}/pixeldata", accept).status == 406, accept


def test_frames_are_one_part_uncompressed_and_a_part_each_compressed(client: Client) -> None:
    """8.7.3.3: multi-frame, RLE."""
    values = np.arange(3 * 1024, dtype="<u2")
    client.stow(make.part10(make.dataset(1, size=32, NumberOfFrames=3, PixelData=values.tobytes()), RLELossless))
    ((_, content),) = client.get(f"{make.url(1)}/pixeldata").parts()
    assert content == values.tobytes()
    located = _located(client.get(f"{make.url(1)}/pixeldata", f"{OCTETS}; transfer-syntax=*"))
    assert [place.rpartition("/frames/")[2] for place in located] == ["1", "2", "3"]


def test_lossy_pixels_and_pixels_no_decoder_reads(client: Client) -> None:
    """Lossy ones are decoded as frames are; what is no picture stays as stored under the default, 406 when named."""
    lossy = (OWN_SAMPLES / "files" / "SC_rgb_jpeg_dcmtk.dcm").read_bytes()
    url = client.stow(lossy).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    ((_, content),) = client.get(f"{url}/pixeldata").parts()
    assert content == WholeInstance(lossy).native_frame(1)[0]
    ds = make.dataset(7)
    ds.PixelData = encapsulate([b"\x00\x00\x00\x18ftypmp42" * 4])
    ds["PixelData"].is_undefined_length = True
    client.stow(make.part10(ds, "1.2.840.10008.1.2.4.57"))
    ((kind, _),) = client.get(f"{make.url(7)}/pixeldata").parts()
    assert kind.startswith("image/jpeg")
    assert client.get(f"{make.url(7)}/pixeldata", f"{OCTETS}; transfer-syntax={EXPLICIT}").status == 406


def test_what_has_none_is_not_found(client: Client) -> None:
    """A report has no pixels; small values are in the metadata and are no bulk data; wrong UIDs are 404."""
    ds = make.dataset(1)
    del ds.PixelData
    client.stow(make.part10(ds))
    for below in ("bulkdata", "pixeldata"):
        assert client.get(f"{make.url(1)}/{below}").status == 404
        assert client.get(f"/studies/1.2.3/{below}").status == 404
    assert client.get(make.url(1), OCTETS).status == 404


def test_large_bulk_data_are_made_in_steps_and_redirected_to(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while it goes on, then 307; the same question finds the same export, and 304 with its ETag."""
    client = make_client(inline_limit=3000, limits="none")
    sets = [_dataset(number) for number in range(1, 6)]
    client.stow(*(make.part10(ds) for ds in sets))
    ticks = itertools.count()
    answer = retrieve_all("pixeldata", clock=lambda: float(next(ticks)))
    monkeypatch.setattr(steps, "CONVERSION_SECONDS", 2.5)
    monkeypatch.setitem(ROUTES["/studies/{study}/series/{series}/pixeldata"], "GET", Operation(Action.READ, answer))  # type: ignore[arg-type]
    path = f"{make.url()}/pixeldata"
    replies = [client.send("GET", path, follow=False)]
    while replies[-1].status == 503:
        assert replies[-1].headers["retry-after"] == "1"
        replies.append(client.send("GET", path, follow=False))
    assert len(replies) > 1
    assert replies[-1].status == 307
    assert [content for _, content in client.blob(replies[-1]).parts()] == [ds.PixelData for ds in sets]
    again = client.send("GET", path, follow=False)
    assert again.headers["location"].partition("?")[0] == replies[-1].headers["location"].partition("?")[0]
    assert client.get(path, If_None_Match=again.headers["etag"]).status == 304


# -- one value --------------------------------------------------------------------------------------------------------


def test_the_uri_of_compressed_pixel_data_gives_frames_not_fragments(client: Client, two: list[Dataset]) -> None:
    """8.7.3.3.2: without delimiters; uncompressed as octets, also as one part and by range."""
    uri = client.metadata(make.url(2))[0]["7FE00010"]["BulkDataURI"]
    pixels = two[1].PixelData
    assert client.get(uri).parts()[0][1] == pixels
    ((kind, frame),) = client.get(uri, f"{OCTETS}; transfer-syntax=*").parts()
    assert kind.startswith("image/dicom-rle")
    assert frame == WholeInstance(make.part10(_dataset(2), RLELossless)).stored_frame(1)
    single = client.get(uri, "application/octet-stream")
    assert (single.body, single.headers["content-location"]) == (pixels, uri)
    part = client.get(uri, "application/octet-stream", Range="bytes=10-19")
    assert (part.status, part.body) == (206, pixels[10:20])


def test_a_range_of_compressed_pixel_data_decodes_the_frames_that_it_is_of(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twenty frames: one for two bytes inside of it, two for bytes that two frames have, none for what is beyond."""
    values = np.arange(20 * 1024, dtype="<u2").tobytes()
    client.stow(make.part10(make.dataset(1, size=32, NumberOfFrames=20, PixelData=values), RLELossless))
    decoded: list[int] = []
    made = FrameReader.made

    def counted(reader: FrameReader, number: int, target: str | None) -> tuple[bytes, str]:
        decoded.append(number)
        return made(reader, number, target)

    monkeypatch.setattr(FrameReader, "made", counted)
    path, octets = f"{make.url(1)}/bulkdata/7FE00010", "application/octet-stream"
    for asked, start, end, frames in (
        ("bytes=0-1", 0, 2, [1]),
        ("bytes=10000-10001", 10_000, 10_002, [5]),
        ("bytes=2047-2048", 2047, 2049, [1, 2]),
        ("bytes=-3", len(values) - 3, len(values), [20]),
    ):
        decoded.clear()
        reply = client.get(path, octets, Range=asked)
        assert (reply.status, reply.body) == (206, values[start:end])
        assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/{len(values)}"
        assert decoded == frames, asked
    decoded.clear()
    assert client.get(path, octets, Range=f"bytes={len(values)}-").status == 416
    assert decoded == []
    for ignored in ("bytes=1-2,5-6", "items=0-1"):
        assert client.get(path, octets, Range=ignored).body == values
    assert client.get(path, octets, Range="bytes=1-2", If_Range='"another"').body == values


@pytest.fixture
def large(make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> tuple[Client, str, bytes]:
    """Every instance counts as large, and the gateway as narrow."""
    client = make_client(inline_limit=1500, limits="none")
    client.stow(make.part10(_dataset(1)))
    monkeypatch.setattr(bulkdata, "_WHOLE", 100)
    monkeypatch.setattr(bulkdata, "_PREFIX", 3000)
    monkeypatch.setattr(bulkdata, "read_instance", None)
    return client, f"{make.url(1)}/bulkdata/00081140/0/00282000", LUT


def test_large_bulk_data_are_copied_by_storage(
    large: tuple[Client, str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part and multipart; of the pack only the header is read."""
    client, path, value = large
    read: list[int] = []
    read_range = bulkdata.read_range

    def counted(workspace: Workspace, ref: InstanceRef, offset: int, length: int) -> bytes:
        read.append(offset + length)
        return read_range(workspace, ref, offset, length)

    monkeypatch.setattr(bulkdata, "read_range", counted)
    for accept in ("application/octet-stream", OCTETS):
        reply = client.send("GET", path, {"Accept": accept}, follow=False)
        assert reply.status == 307
        blob = client.blob(reply)
        assert (blob.body if accept == "application/octet-stream" else blob.parts()[0][1]) == value
    assert max(read) <= 3000


def test_a_range_of_large_bulk_data_reads_that_range_alone(
    large: tuple[Client, str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never more than the gateway carries."""
    client, path, value = large
    octets = "application/octet-stream"
    for asked, expected in (("bytes=2-5", value[2:6]), ("bytes=-3", value[-3:]), ("bytes=0-", value[:1500])):
        reply = client.get(path, octets, Range=asked)
        assert (reply.status, reply.body) == (206, expected)
        assert reply.headers["content-range"].endswith(f"/{len(value)}")
    assert client.get(path, octets, Range="bytes=99999-").status == 416


def test_a_video_comes_as_its_stream_and_by_range(client: Client) -> None:
    """In two fragments: what a player gets has no delimiters."""
    stream = b"\0\0\0\x18ftypmp42" + bytes(range(200))
    ds = make.dataset(3, NumberOfFrames=5, BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PixelData = encapsulate([stream], fragments_per_frame=2, has_bot=False)
    ds["PixelData"].is_undefined_length = True
    client.stow(make.part10(ds, MPEG4HP41))
    uri = f"{make.url(3)}/bulkdata/7FE00010"
    for accept in ("application/octet-stream", "video/mp4"):
        reply = client.get(uri, accept)
        assert (reply.status, reply.headers["content-type"]) == (200, "video/mp4")
        assert reply.body.startswith(stream)
        assert client.get(uri, accept, Range="bytes=4-7").body == b"ftyp"
    ((kind, content),) = client.get(uri, 'multipart/related; type="video/mp4"').parts()
    assert kind.startswith("video/mp4")
    assert content.startswith(stream)
    for accept in ("image/jpeg", 'multipart/related; type="image/jls"; transfer-syntax=*'):
        assert client.get(uri, accept).status == 406


def test_the_default_and_the_same_syntax_by_name_are_two_answers(client: Client) -> None:
    """Of pixels that cannot be decoded they differ: neither may stand for the other in a cache or an export."""
    client.stow(make.instance())
    tags = {
        client.send("GET", f"{make.url(1)}/pixeldata", {"Accept": accept}).headers["etag"]
        for accept in (
            'multipart/related; type="application/octet-stream"',
            'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1',
        )
    }
    assert len(tags) == 2


@pytest.fixture
def one_bit() -> tuple[bytes, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """21 frames of 3 x 3 bits, each deflated by itself (1.2.840.10008.1.2.8.1, which pydicom does not know)."""
    bits = np.random.default_rng(3).integers(0, 2, (21, 9), dtype=np.uint8)
    ds = make.dataset(1, Rows=3, Columns=3, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=21)
    ds.PixelData = encapsulate([_deflated(np.packbits(frame, bitorder="little").tobytes()) for frame in bits])
    ds["PixelData"].is_undefined_length = True
    ds.preamble = bytes(128)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.FileMetaInformationGroupLength = 0  # counted when it is written
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.8.1")
    out = io.BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=True, force_encoding=True)
    return out.getvalue(), bits


def _deflated(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    packed = engine.compress(data) + engine.flush()
    return packed + b"\0" * (len(packed) % 2)


@pytest.mark.parametrize("long", [False, True])
def test_one_bit_frames_are_joined_without_padding(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    one_bit: tuple[bytes, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]],
    long: bool,
) -> None:
    """PS3.5 8.1.1: 21 frames of 9 bits, compressed one by one, are 24 bytes, however they are asked for."""
    monkeypatch.setattr(frame_parts, "LONG_BYTES", 1 if long else frame_parts.LONG_BYTES)
    data, bits = one_bit
    native = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    client.stow(data)
    path, octets = f"{make.url(1)}/bulkdata/7FE00010", "application/octet-stream"
    assert client.get(path, octets).body == native
    assert client.get(f"{make.url(1)}/pixeldata").parts()[0][1] == native
    for start, end in list(itertools.combinations(range(25), 2))[::7]:
        reply = client.get(path, octets, Range=f"bytes={start}-{end - 1}")
        assert (reply.status, reply.body) == (206, native[start:end])
    whole = WholeInstance(client.get(make.url(1), "application/dicom; transfer-syntax=1.2.840.10008.1.2.1").body)
    assert whole.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    alone = [np.packbits(frame, bitorder="little").tobytes() for frame in bits]
    assert [whole.native_frame(number)[0] for number in range(1, 22)] == alone
