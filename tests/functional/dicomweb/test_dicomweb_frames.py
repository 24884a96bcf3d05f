"""Frames and bulk data (PS3.18 10.4, 8.7.3.3): native, as stored, one or many, above the limit, out of range."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless
from tests.conftest import OWN_SAMPLES
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, Client

from maypacs import bulkdata, frame_bytes, steps
from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.file_meta import part10_header
from maypacs.dicom.header import parse_header
from maypacs.frame_bytes import FrameReader
from maypacs.frames import retrieve_frames
from maypacs.http.multipart import read_multipart
from maypacs.index.contents import InstanceRef
from maypacs.pixels.whole import WholeInstance
from maypacs.workspace import Workspace

OCTETS = 'multipart/related; type="application/octet-stream"'
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"
EXPLICIT = "1.2.840.10008.1.2.1"


def _multiframe(count: int = 3, syntax: str = EXPLICIT, **changes: object) -> tuple[bytes, list[bytes]]:
    """An instance of several frames, and their native bytes."""
    ds = make.dataset(**changes)  # type: ignore[arg-type]
    values = [np.arange(256, dtype="<u2") + 1000 * number for number in range(count)]
    ds.NumberOfFrames = count
    ds.PixelData = b"".join(value.tobytes() for value in values)
    return make.part10(ds, syntax), [value.tobytes() for value in values]


def _bare(content_type: str) -> str:
    return content_type.replace('"', "")


@pytest.mark.parametrize("syntax", [EXPLICIT, ImplicitVRLittleEndian, RLELossless])
def test_the_default_is_native_little_endian_whatever_is_stored(client: Client, syntax: str) -> None:
    """Exactly rows x columns x bytes, one part a frame, in the order asked for."""
    data, native = _multiframe(syntax=syntax)
    client.stow(data)
    parts = client.get(f"{make.url(1)}/frames/3,1", OCTETS).parts()
    assert [content for _, content in parts] == [native[2], native[0]]
    assert {_bare(kind) for kind, _ in parts} == {f"application/octet-stream; transfer-syntax={EXPLICIT}"}


def test_a_big_endian_source_is_little_endian_in_every_frame_answer(client: Client) -> None:
    """Under * too: a declared choice, nobody wants big endian frames."""
    data = (OWN_SAMPLES / "files" / "MR_small_bigendian.dcm").read_bytes()
    little = WholeInstance((OWN_SAMPLES / "files" / "MR_small_implicit.dcm").read_bytes()).stored_frame(1)
    assert WholeInstance(data).transfer_syntax_uid == ExplicitVRBigEndian
    url = client.stow(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    for accept in (OCTETS, OHIF):
        ((kind, content),) = client.get(f"{url}/frames/1", accept).parts()
        assert content == little
        assert _bare(kind).endswith(EXPLICIT)


def test_compressed_frames_come_as_stored_with_their_own_media_type(client: Client) -> None:
    """What OHIF and Cornerstone ask for: the exact type and the transfer syntax."""
    stored = (OWN_SAMPLES / "studies" / "ct-chest" / "01.dcm").read_bytes()
    whole = WholeInstance(stored)
    url = client.stow(stored).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    jls = "1.2.840.10008.1.2.4.80"
    for accept in (OHIF, f"{OCTETS}; transfer-syntax={jls}", 'multipart/related; type="image/jls"', "image/x-jls"):
        reply = client.get(f"{url}/frames/1", accept)
        assert reply.status == 200, accept
        if accept.startswith("multipart"):
            ((kind, content),) = reply.parts()
        else:
            kind, content = reply.headers["content-type"], reply.body
        assert _bare(kind) == f"image/jls; transfer-syntax={jls}"
        assert content == whole.stored_frame(1)


ACCEPTS = [
    # stored syntax, sample, the type that fits, one that does not
    ("RLE", "files/MR_small_RLE.dcm", "image/dicom-rle", "image/jphc"),
    ("JPEG 2000", "files/MR_small_jp2klossless.dcm", "image/jp2", "image/jphc"),
    ("JPEG-LS", "files/MR_small_jpeg_ls_lossless.dcm", "image/jls", "image/jxl"),
    ("JPEG lossless", "files/JPEG-LL.dcm", "image/jpeg", "video/mp4"),
    ("JPEG baseline", "files/SC_rgb_jpeg_dcmtk.dcm", "image/jpeg", "image/jpx"),
]


@pytest.mark.parametrize(("syntax", "sample", "fits", "not_fits"), ACCEPTS, ids=[a[0] for a in ACCEPTS])
def test_the_media_type_of_the_stored_frames_is_answered_and_another_is_406(
    client: Client, syntax: str, sample: str, fits: str, not_fits: str
) -> None:
    """Table 8.7.3-5; what no encoder makes is 406."""
    data = (OWN_SAMPLES / sample).read_bytes()
    url = client.stow(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    ((kind, content),) = client.get(f"{url}/frames/1", f'multipart/related; type="{fits}"').parts()
    assert kind.startswith(fits)
    assert content == WholeInstance(data).stored_frame(1)
    assert client.get(f"{url}/frames/1", f'multipart/related; type="{not_fits}"').status == 406


ENCAPSULATED = [
    each for each in transfer_syntaxes.known() if each.encapsulated and not each.deflated and not each.video
]


@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=lambda each: each.name)
def test_stored_frames_come_in_the_media_type_of_their_syntax(
    client: Client, syntax: transfer_syntaxes.TransferSyntax
) -> None:
    """Table 8.7.3-5, for every syntax that has frames: by media type and by syntax, whether we can decode it or not."""
    ds = make.dataset()
    frame = bytes(range(1, 201))
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    written = make.part10(ds, JPEGBaseline8Bit)  # pydicom does not write what it has no name for
    dataset = written[parse_header(written).dataset_offset :]
    client.stow(part10_header(make.CT, make.sop(1), syntax.uid) + dataset)
    for asked in (syntax.frame_media_type, "application/octet-stream"):
        accept = f'multipart/related; type="{asked}"; transfer-syntax={syntax.uid}'
        ((kind, content),) = client.get(f"{make.url(1)}/frames/1", accept).parts()
        assert _bare(kind) == f"{syntax.frame_media_type}; transfer-syntax={syntax.uid}"
        assert content == frame


FRAGMENTED = ["mf_jpeg_3frags_bot.dcm", "mf_jpeg_3frags_nobot.dcm", "mf_rle_extended_offset_table.dcm"]


@pytest.mark.parametrize("name", FRAGMENTED)
def test_frames_in_several_fragments_are_whole(client: Client, name: str) -> None:
    """With and without offset tables: fragments are joined, item headers are not part of a frame."""
    data = (OWN_SAMPLES / "files" / name).read_bytes()
    whole = WholeInstance(data)
    url = client.stow(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    for number in range(1, whole.pixel.number_of_frames + 1):
        ((_, content),) = client.get(f"{url}/frames/{number}", OHIF).parts()
        assert content == whole.stored_frame(number)
        assert content[:3] in {b"\xff\xd8\xff", b"\x01\0\0", b"\x02\0\0", b"\x03\0\0"}


@pytest.mark.parametrize(
    ("numbers", "status"),
    [("0", 400), ("-1", 400), ("x", 400), ("1,,2", 400), ("1.5", 400), ("4", 404), ("1,4", 404), ("99999999999", 400)],
)
def test_frame_numbers_out_of_range_are_refused(client: Client, numbers: str, status: int) -> None:
    """0, -1 and text: 400; n+1: 404; the same for rendered frames."""
    client.stow(_multiframe()[0])
    for below in ("", "/rendered"):
        assert client.get(f"{make.url(1)}/frames/{numbers}{below}").status in {status, 400 if below else status}


def test_one_frame_comes_as_a_single_part_when_asked(client: Client) -> None:
    """And several do not fit one."""
    data, native = _multiframe()
    client.stow(data)
    reply = client.get(f"{make.url(1)}/frames/2", "application/octet-stream")
    assert (reply.status, reply.body) == (200, native[1])
    assert client.get(f"{make.url(1)}/frames/1,2", "application/octet-stream").status == 406


def test_part_headers_say_where_a_frame_lives(client: Client) -> None:
    """Content-Location, absolute."""
    client.stow(_multiframe()[0])
    reply = client.get(f"{make.url(1)}/frames/2")
    (part,) = read_multipart(reply.body, reply.headers["content-type"].rpartition("boundary=")[2])
    assert part.headers["content-location"] == f"https://{HOST}/dicomweb/{client.archive}{make.url(1)}/frames/2"


def test_frames_above_the_limit_are_redirected_to_and_made_once(make_client: Callable[..., Client]) -> None:
    """Single part and multipart."""
    client = make_client(inline_limit=500, limits="none")
    data, native = _multiframe()
    client.stow(data)
    for accept in (OCTETS, "application/octet-stream"):
        path = f"{make.url(1)}/frames/2"
        replies = [client.send("GET", path, {"Accept": accept}, follow=False) for _ in range(2)]
        assert [r.status for r in replies] == [307, 307]
        assert len({r.headers["location"].partition("?")[0] for r in replies}) == 1
        blob = client.blob(replies[0])
        assert (blob.parts()[0][1] if accept == OCTETS else blob.body) == native[1]


def test_no_frame_is_asked_for_twice(client: Client) -> None:
    """An amplifier: a line of numbers would make gigabytes of one frame."""
    client.stow(_multiframe()[0])
    for below in ("", "/rendered"):
        assert client.get(f"{make.url(1)}/frames/1,2,1{below}").status == 400


@pytest.mark.parametrize("media_type", ["application/octet-stream", "image/jls"])
def test_many_frames_are_made_in_steps_and_none_twice(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, media_type: str
) -> None:
    """503 with how far it is while the clock runs out again and again, then a redirect; in the order asked for."""
    client = make_client(inline_limit=3000, limits="none")
    data, native = _multiframe(40, RLELossless)
    client.stow(data)
    read: list[int] = []
    made: list[int] = []
    stored, make_one = frame_bytes.read_range, frame_bytes.FrameReader.made

    def counted(reader: FrameReader, number: int, target: str | None) -> tuple[bytes, str]:
        made.append(number)
        return make_one(reader, number, target)

    def measured(workspace: Workspace, ref: InstanceRef, offset: int, length: int) -> bytes:
        read.append(length)
        return stored(workspace, ref, offset, length)

    monkeypatch.setattr(frame_bytes.FrameReader, "made", counted)
    monkeypatch.setattr(frame_bytes, "read_range", measured)
    ticks = itertools.count()  # a second whenever the clock is looked at
    monkeypatch.setattr(steps, "CONVERSION_SECONDS", 8.5)
    monkeypatch.setattr(retrieve_frames, "__kwdefaults__", {"clock": lambda: float(next(ticks))})
    numbers = [*range(40, 20, -1), *range(1, 21)]
    path = f"{make.url(1)}/frames/{','.join(map(str, numbers))}"
    accept = {"Accept": f'multipart/related; type="{media_type}"'}
    replies = [client.send("GET", path, accept, follow=False)]
    while replies[-1].status == 503:
        assert replies[-1].headers["retry-after"] == "1"
        assert f"{len(made)} of 40 frames are done" in replies[-1].json()["detail"]
        replies.append(client.send("GET", path, accept, follow=False))
    assert replies[-1].status == 307
    assert len(replies) > 3
    assert made == numbers
    assert len(read) == len(replies), "many frames come in one range"
    parts = client.blob(replies[-1]).parts()
    if media_type == "application/octet-stream":
        assert [content for _, content in parts] == [native[number - 1] for number in numbers]
    assert {kind.partition(";")[0] for kind, _ in parts} == {media_type}
    assert client.send("GET", path, accept, follow=False).status == 307
    assert made == numbers


def test_frames_as_they_are_stored_that_fit_cost_no_look_for_an_export(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A HEAD and a LIST, of an object that is never there. What may grow by being decoded is looked for."""
    data, _ = _multiframe(40, RLELossless)
    client = make_client(inline_limit=2 * len(data))
    client.stow(data)
    looked: list[str] = []

    def absent(_: object, name: str) -> bool:
        looked.append(name)
        return False

    monkeypatch.setattr(steps, "exists", absent)
    path = f"{make.url(1)}/frames/{','.join(map(str, range(1, 41)))}"
    reply = client.send("GET", path, {"Accept": f"{OCTETS}; transfer-syntax=*"}, follow=False)
    assert (reply.status, len(reply.parts()), looked) == (200, 40, [])
    assert client.send("GET", path, {"Accept": OCTETS}, follow=False).status in {200, 307}
    assert looked


@pytest.mark.parametrize("accept", [OCTETS, "application/octet-stream", f"{OCTETS}; transfer-syntax={EXPLICIT}"])
def test_large_frames_that_lie_as_they_are_answered_are_copied_by_storage(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    """No byte of the picture goes through the function: its reads are made to fail."""
    client = make_client(inline_limit=500, limits="none")
    data, native = _multiframe()
    client.stow(data)
    monkeypatch.setattr(frame_bytes, "read_range", None)
    monkeypatch.setattr(frame_bytes, "read_instance", None)
    numbers = "2" if accept == "application/octet-stream" else "3,1"
    reply = client.get(f"{make.url(1)}/frames/{numbers}", accept)
    if numbers == "2":
        assert reply.body == native[1]
    else:
        assert [content for _, content in reply.parts()] == [native[2], native[0]]


def test_large_frames_as_stored_are_copied_by_storage_unless_they_are_in_fragments(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fragments have to be joined first."""
    client = make_client(inline_limit=500, limits="none")
    data = (OWN_SAMPLES / "studies" / "ct-chest" / "01.dcm").read_bytes()
    url = client.stow(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    fragmented = (OWN_SAMPLES / "files" / "mf_jpeg_3frags_bot.dcm").read_bytes()
    other = client.stow(fragmented).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    ((_, content),) = client.get(f"{other}/frames/2", OHIF).parts()
    assert content == WholeInstance(fragmented).stored_frame(2)
    monkeypatch.setattr(frame_bytes, "read_range", None)
    ((kind, content),) = client.get(f"{url}/frames/1", OHIF).parts()
    assert content == WholeInstance(data).stored_frame(1)
    assert kind.startswith("image/jls")


def test_what_has_no_pixels_has_no_frames(client: Client) -> None:
    """404, not 500."""
    ds = make.dataset()
    del ds.PixelData
    client.stow(make.part10(ds))
    assert client.get(f"{make.url(1)}/frames/1").status == 404
    assert client.get(f"{make.url(1)}/rendered").status == 404


def test_one_bit_frames_are_not_padded_to_each_other(client: Client) -> None:
    """Segmentations: 9 bits a frame, the second begins inside of a byte."""
    ds = make.dataset(Rows=3, Columns=3, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=2)
    bits = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1] + [0, 1, 0, 1, 0, 1, 0, 1, 0], dtype=np.uint8)
    ds.PixelData = np.packbits(bits, bitorder="little").tobytes() + b"\0"
    client.stow(make.part10(ds))
    ((_, second),) = client.get(f"{make.url(1)}/frames/2").parts()
    assert np.unpackbits(np.frombuffer(second, np.uint8), bitorder="little")[:9].tolist() == bits[9:].tolist()


# -- bulk data --------------------------------------------------------------------------------------------------------


@pytest.fixture
def bulky(client: Client) -> bytes:
    """An instance with a large private value inside of a sequence."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.add_new(0x00282000, "OB", bytes(range(256)) * 8)
    ds = make.dataset()
    ds.ReferencedImageSequence = [item]
    client.stow(make.part10(ds))
    return bytes(range(256)) * 8


def _uri(client: Client) -> str:
    (metadata,) = client.metadata(make.url(1))
    uri: str = metadata["00081140"]["Value"][0]["00282000"]["BulkDataURI"]
    return uri


def test_a_bulk_value_inside_of_a_sequence_is_given_to_the_byte(client: Client, bulky: bytes) -> None:
    """By the URI of the metadata, in a multipart by default and as one part when asked."""
    assert client.get(_uri(client)).parts()[0][1] == bulky
    single = client.get(_uri(client), "application/octet-stream")
    assert single.body == bulky
    assert single.headers["content-location"] == _uri(client)


def test_bulk_data_of_a_large_instance_are_read_by_range(
    client: Client, bulky: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header, then the value; never the whole file. Big endian values come little endian."""
    monkeypatch.setattr(bulkdata, "_WHOLE", 100)
    monkeypatch.setattr(bulkdata, "_PREFIX", 200)
    monkeypatch.setattr(bulkdata, "read_instance", None)
    assert client.get(_uri(client), "application/octet-stream").body == bulky
    data = (OWN_SAMPLES / "files" / "MR_small_bigendian.dcm").read_bytes()
    url = client.stow(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    value = client.get(f"{url}/bulkdata/7FE00010", "application/octet-stream").body
    assert value == WholeInstance(data).stored_frame(1)
    assert client.get(f"{url}/bulkdata/00990099").status == 404


def test_a_range_of_a_bulk_value_is_a_206(client: Client, bulky: bytes) -> None:
    """RFC 9110 14."""
    octets = "application/octet-stream"
    for asked, expected in (("bytes=2-5", bulky[2:6]), ("bytes=2040-", bulky[2040:]), ("bytes=-3", bulky[-3:])):
        reply = client.get(_uri(client), octets, Range=asked)
        assert (reply.status, reply.body) == (206, expected)
    assert client.get(_uri(client), octets, Range="bytes=9999-").status == 416


@pytest.mark.parametrize(
    "asked", ["items=0-1", "bytes=1-2,5-6", "bytes=5-2", "bytes=-", "bytes", "bytes=a-b", "bytes=1-2,"]
)
def test_a_range_that_is_none_of_ours_is_ignored(client: Client, bulky: bytes, asked: str) -> None:
    """RFC 9110 14.2: an unknown unit, several ranges, no range at all."""
    reply = client.get(_uri(client), "application/octet-stream", Range=asked)
    assert (reply.status, reply.body) == (200, bulky)


def test_if_range_gives_the_range_of_the_very_same_value_alone(client: Client, bulky: bytes) -> None:
    """RFC 9110 13.1.5: another ETag, a weak one and a date give all of it."""
    octets = "application/octet-stream"
    etag = client.get(_uri(client), octets, Range="bytes=2-5").headers["etag"]
    assert etag == client.get(_uri(client), octets).headers["etag"]
    reply = client.get(_uri(client), octets, Range="bytes=2-5", If_Range=etag)
    assert (reply.status, reply.body) == (206, bulky[2:6])
    for other in ('"another"', f"W/{etag}", "Thu, 01 Jan 2026 00:00:00 GMT", etag.strip('"')):
        reply = client.get(_uri(client), octets, Range="bytes=2-5", If_Range=other)
        assert (reply.status, reply.body) == (200, bulky)


def test_a_range_is_of_get_alone(client: Client, bulky: bytes) -> None:
    """RFC 9110 14.2: HEAD tells of the whole."""
    reply = client.send("HEAD", _uri(client), {"Accept": "application/octet-stream", "Range": "bytes=2-5"})
    assert (reply.status, "content-range" in reply.headers) == (200, False)


def test_bulk_data_that_is_not_there_is_404_and_no_path_is_400(client: Client, bulky: bytes) -> None:
    """A path is a tag, or tag/item/tag."""
    assert client.get(f"{make.url(1)}/bulkdata/00990099").status == 404
    assert client.get(f"{make.url(1)}/bulkdata/7FE00010/x").status == 400
    assert client.get(f"{make.url(1)}/bulkdata/../../x").status == 400
