"""Instances of many frames: made frame by frame over several requests, in bounded memory, none of them twice."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless, RLELossless
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client, Reply

from maypacs import (
    bulk_resources,
    cines,
    conversion,
    exports,
    frame_bytes,
    frame_parts,
    frame_runs,
    rendered,
    retrieve,
    selection,
    steps,
)
from maypacs.access.principals import Action
from maypacs.dicomweb.routes import ROUTES, Operation
from maypacs.errors import StorageError
from maypacs.frame_bytes import FrameReader
from maypacs.pixels import render
from maypacs.pixels.encode import JPEG_BASELINE, JPEG_LS, RLE
from maypacs.pixels.transcode import to_explicit_little_endian, to_transfer_syntax
from maypacs.pixels.whole import WholeInstance

EXPLICIT = "1.2.840.10008.1.2.1"
MULTI = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
COUNT = 30
INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the frames that were made. Thirty frames of 2 KB are long, seven looks at the clock too late."""
    numbers: list[int] = []
    made = FrameReader.made

    def counted(reader: FrameReader, number: int, target: str | None) -> tuple[bytes, str]:
        numbers.append(number)
        return made(reader, number, target)

    monkeypatch.setattr(FrameReader, "made", counted)
    monkeypatch.setattr(frame_parts, "LONG_BYTES", 20_000)
    monkeypatch.setattr(frame_runs, "RUN_BYTES", 7000)
    monkeypatch.setattr(steps, "CONVERSION_SECONDS", 7.0)
    ticks = itertools.count()

    def clock() -> float:
        return float(next(ticks))

    for path, answer in (
        (INSTANCE, retrieve.retrieve),
        ("/studies/{study}", retrieve.retrieve),
        (f"{INSTANCE}/bulkdata/{{path+}}", bulk_resources.retrieve_value),
        (f"{INSTANCE}/rendered", rendered.retrieve_rendered),
    ):
        ticking = Operation(Action.READ, lambda request, answer=answer: answer(request, clock=clock))  # type: ignore[misc]
        monkeypatch.setitem(ROUTES[path], "GET", ticking)  # type: ignore[arg-type]
    for path in (f"{INSTANCE}/pixeldata", "/studies/{study}/pixeldata"):
        ticking = Operation(Action.READ, bulk_resources.retrieve_all("pixeldata", clock=clock))
        monkeypatch.setitem(ROUTES[path], "GET", ticking)  # type: ignore[arg-type]
    return numbers


@pytest.fixture
def narrow(make_client: Callable[..., Client]) -> Client:
    return make_client(inline_limit=3000, limits="none")


def _values(count: int = COUNT) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return np.random.default_rng(4).integers(0, 60_000, (count, 32, 32)).astype("<u2")


def _cine(number: int = 1, syntax: str = RLELossless, **changes: object) -> bytes:
    ds = make.dataset(number, size=32, NumberOfFrames=COUNT, PixelData=_values().tobytes(), **changes)
    return make.part10(ds, syntax)


def _until_done(client: Client, path: str, accept: str | None = None) -> tuple[Reply, int]:
    """The last reply, what its redirect leads to followed; and how many times 503 was answered before it."""
    for times in range(30):
        reply = client.send("GET", path, {"Accept": accept} if accept else {}, follow=False)
        if reply.status != 503:
            return (client.blob(reply) if reply.status == 307 else reply), times
        assert reply.headers["retry-after"] == "1"
        assert f"of {COUNT} frames are done" in reply.json()["detail"]
    raise AssertionError("it never ends")


@pytest.mark.parametrize("target", [None, EXPLICIT], ids=str)
def test_storage_that_is_away_is_no_reason_to_answer_as_stored(
    narrow: Client, decoded: list[int], monkeypatch: pytest.MonkeyPatch, target: str | None
) -> None:
    """That answer would be kept for a day. The next request has the converted one."""
    data = _cine()
    narrow.stow(data)
    asked = f"{MULTI}; transfer-syntax={target}" if target else MULTI
    with monkeypatch.context() as broken:
        broken.setattr(frame_parts, "_runs", _away)
        reply = narrow.send("GET", make.url(1), {"Accept": asked}, follow=False)
    assert reply.status == 503
    whole, _ = _until_done(narrow, make.url(1), asked)
    assert whole.parts()[0][1] == to_explicit_little_endian(data)


def _away(*_: object, **__: object) -> None:
    raise StorageError("get_object: SlowDown")


@pytest.mark.parametrize("target", [None, EXPLICIT, JPEG_LS, JPEG2000Lossless], ids=str)
@pytest.mark.parametrize("accept", ["application/dicom", MULTI])
def test_one_long_instance_is_converted_over_several_requests(
    narrow: Client, decoded: list[int], accept: str, target: str | None
) -> None:
    """To the byte what a conversion in memory makes; under the default, too."""
    data = _cine()
    narrow.stow(data)
    asked = f"{accept}; transfer-syntax={target}" if target else accept
    reply, times = _until_done(narrow, make.url(1), asked)
    content = reply.parts()[0][1] if accept == MULTI else reply.body
    assert content == (to_transfer_syntax(data, target) if target else to_explicit_little_endian(data))
    assert times >= 3
    assert decoded == list(range(1, COUNT + 1)), "no frame is made twice"
    assert _until_done(narrow, make.url(1), asked)[1] == 0
    assert len(decoded) == COUNT


def test_an_instance_too_large_to_be_read_is_converted_frame_by_frame(
    narrow: Client, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its header and its frames are; under the default and by name."""
    data = _cine()
    narrow.stow(data)
    monkeypatch.setattr(selection, "WHOLE_LIMIT", 1000)
    monkeypatch.setattr(conversion, "WHOLE_LIMIT", 1000)
    assert _until_done(narrow, make.url(1), "application/dicom")[0].body == to_explicit_little_endian(data)
    named, _ = _until_done(narrow, make.url(1), f"application/dicom; transfer-syntax={JPEG_LS}")
    assert named.body == to_transfer_syntax(data, JPEG_LS)


def test_a_run_whose_bytes_expired_is_made_again(narrow: Client, decoded: list[int]) -> None:
    """Exports go by age, object by object: what is said of a run may be there longer than the run."""
    data = _cine()
    narrow.stow(data)
    assert narrow.send("GET", make.url(1), {"Accept": "application/dicom"}, follow=False).status == 503
    objects = narrow.runtime.archive_objects
    assert objects
    runs = [head.key for head in objects.list("") if "frame-runs" in head.key and not head.key.endswith(".json")]
    assert runs
    objects.delete(runs[0])
    assert _until_done(narrow, make.url(1), "application/dicom")[0].body == to_explicit_little_endian(data)


@pytest.mark.parametrize(
    ("accept", "headers"),
    [
        (OCTETS, {}),
        ("application/octet-stream", {}),
        ("application/octet-stream", {"Range": f"bytes=0-{COUNT * 2048 - 1}"}),
    ],
)
def test_small_frames_are_read_many_at_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch, accept: str, headers: dict[str, str]
) -> None:
    """A request to storage takes longer than decoding one."""
    client.stow(_cine())
    reads: list[int] = []

    def counted(*arguments: Any) -> bytes:
        reads.append(arguments[-1])
        return selection.read_range(*arguments)

    monkeypatch.setattr(frame_bytes, "read_range", counted)
    reply = client.get(f"{make.url(1)}/bulkdata/7FE00010", accept, **headers)
    body = reply.parts()[0][1] if accept == OCTETS else reply.body
    assert body == _values().tobytes()
    assert len(reads) == 1


def test_native_frames_are_compressed_over_several_requests(narrow: Client, decoded: list[int]) -> None:
    """And what stands behind the pixel data comes along."""
    ds = make.dataset(1, size=32, NumberOfFrames=COUNT, PixelData=_values().tobytes())
    ds.add_new(0xFFFCFFFC, "OB", b"\0\1" * 9)
    data = make.part10(ds)
    narrow.stow(data)
    reply, times = _until_done(narrow, make.url(1), f"application/dicom; transfer-syntax={RLE}")
    assert reply.body == to_transfer_syntax(data, RLE)
    assert times >= 3
    assert len(decoded) == COUNT


def test_a_lossy_copy_says_so(narrow: Client, decoded: list[int]) -> None:
    """The ratio is of all frames, whichever request made them."""
    pixels = (_values() % 256).astype("u1").tobytes()
    ds = make.dataset(1, size=32, NumberOfFrames=COUNT, BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=pixels)
    data = make.part10(ds)
    narrow.stow(data)
    reply, _ = _until_done(narrow, make.url(1), f"application/dicom; transfer-syntax={JPEG_BASELINE}")
    expected, found = WholeInstance(to_transfer_syntax(data, JPEG_BASELINE)), WholeInstance(reply.body)
    assert found.attributes["00080018"] == expected.attributes["00080018"]
    ratios = [float(each.attributes["00282112"]["Value"][0]) for each in (expected, found)]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.01)
    assert [found.stored_frame(n) for n in (1, COUNT)] == [expected.stored_frame(n) for n in (1, COUNT)]


def test_a_study_goes_on_inside_of_an_instance(narrow: Client, decoded: list[int]) -> None:
    """A slice, a cine, a slice: the parts are whole and in order."""
    sources = [make.instance(1, syntax=RLELossless), _cine(2), make.instance(3, syntax=RLELossless)]
    narrow.stow(*sources)
    reply, times = _until_done(narrow, f"/studies/{make.STUDY}", MULTI)
    assert [content for _, content in reply.parts()] == [to_explicit_little_endian(data) for data in sources]
    assert times >= 3
    assert decoded == list(range(1, COUNT + 1))


@pytest.mark.parametrize("target", [None, EXPLICIT])
def test_a_frame_that_no_decoder_reads_leaves_the_default_as_stored(
    narrow: Client, decoded: list[int], target: str | None
) -> None:
    """Whichever frame it is; 406 when Explicit VR Little Endian was named."""
    data = _cine()
    last = WholeInstance(data).frame_table.locate(COUNT - 1)
    broken = data[: last.offset + 4] + b"\xff" * 4 + data[last.offset + 8 :]
    narrow.stow(broken)
    reply, times = _until_done(narrow, make.url(1), f"{MULTI}; transfer-syntax={target}" if target else MULTI)
    assert times >= 3
    if target:
        assert reply.status == 406
    else:
        assert reply.parts()[0][1] == broken


@pytest.mark.parametrize("level", ["instance", "study", "one value"])
def test_pixel_data_of_a_long_instance_are_made_over_several_requests(
    narrow: Client, decoded: list[int], level: str
) -> None:
    """Uncompressed: all frames in one part."""
    narrow.stow(_cine())
    below = {"instance": f"{make.url(1)}/pixeldata", "study": f"/studies/{make.STUDY}/pixeldata"}
    path = below.get(level, f"{make.url(1)}/bulkdata/7FE00010")
    reply, times = _until_done(narrow, path, "application/octet-stream" if level == "one value" else OCTETS)
    content = reply.body if level == "one value" else reply.parts()[0][1]
    assert content == _values().tobytes()
    assert times >= 3
    assert decoded == list(range(1, COUNT + 1))


def test_pixel_data_in_another_syntax_are_a_part_a_frame_over_several_requests(
    narrow: Client, decoded: list[int]
) -> None:
    """Each with its own URL."""
    narrow.stow(_cine())
    path, accept = f"{make.url(1)}/pixeldata", 'multipart/related; type="image/jls"'
    replies = []
    while not replies or replies[-1].status == 503:
        replies.append(narrow.send("GET", path, {"Accept": accept}, follow=False))
    assert len(replies) > 3
    parts = narrow.blob(replies[-1]).parts()
    assert [kind.partition(";")[0] for kind, _ in parts] == ["image/jls"] * COUNT
    assert decoded == list(range(1, COUNT + 1))


def test_a_long_cine_is_drawn_over_several_requests(
    narrow: Client, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes is the GIF that is drawn at once where it is short: every frame, exact greys, its time."""
    greys = np.random.default_rng(7).integers(0, 256, (COUNT, 32, 32)).astype("u1")
    facts = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "RescaleIntercept": "0", "FrameTime": "50"}
    window = {"WindowCenter": "127.5", "WindowWidth": "255", "VOILUTFunction": "LINEAR_EXACT"}
    ds = make.dataset(1, size=32, NumberOfFrames=COUNT, PixelData=greys.tobytes(), **facts, **window)
    narrow.stow(make.part10(ds, RLELossless))
    drawn: list[int] = []
    draw = render.draw_frame

    def counted(*arguments: object, **options: int) -> Image.Image:
        drawn.append(options["frame"])
        return draw(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(render, "draw_frame", counted)
    path = f"{make.url(1)}/rendered"
    short, _ = _until_done(narrow, f"{path}?viewport=32,32", "image/gif")
    monkeypatch.setattr(cines, "SHORT_PIXELS", 0)
    drawn.clear()
    reply, times = _until_done(narrow, path, "image/gif")
    assert times >= 3
    assert drawn == list(range(1, COUNT + 1))
    assert reply.body == short.body
    picture = Image.open(io.BytesIO(reply.body))
    assert (picture.n_frames, picture.info["loop"]) == (COUNT, 0)
    for number in range(COUNT):
        picture.seek(number)
        assert picture.info["duration"] == 50
        assert np.array_equal(np.asarray(picture.convert("L")), greys[number])


def test_what_is_composed_is_put_away_before_it_fills_the_disk(narrow: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function has little room for files: an answer of gigabytes lies in objects until storage joins them."""
    sources = [make.instance(number, syntax=RLELossless, size=32) for number in range(1, 8)]
    narrow.stow(*sources)
    monkeypatch.setattr(exports, "_FILE", 4000)
    monkeypatch.setattr(exports, "_LITERAL", 1000)
    sizes: list[int] = []
    objects = type(narrow.runtime.archive_objects)
    put = objects.put

    def measured(self: Any, key: str, body: Any, **facts: Any) -> str:
        sizes.append(len(body) if isinstance(body, bytes) else body.seek(0, io.SEEK_END))
        if not isinstance(body, bytes):
            body.seek(0)
        return put(self, key, body, **facts)

    monkeypatch.setattr(objects, "put", measured)
    reply = narrow.get(make.url(), MULTI)
    assert [content for _, content in reply.parts()] == [to_explicit_little_endian(data) for data in sources]
    assert len(sizes) > 2
    largest = max(len(to_explicit_little_endian(data)) for data in sources)
    assert max(sizes[:-1]) < 4000 + largest + 1000, "the last is the whole, joined of small ones in this test"


def test_a_deletion_takes_what_was_made_of_an_instance(narrow: Client, decoded: list[int]) -> None:
    """Runs of frames are pixels of a patient."""
    narrow.stow(_cine())
    assert narrow.send("GET", make.url(1), {"Accept": MULTI}, follow=False).status == 503
    objects = narrow.runtime.archive_objects
    prefix = f"blobs/exports/{narrow.archive}/"
    assert list(objects.list(prefix))
    assert narrow.send("DELETE", make.url(1)).status == 204
    assert not list(objects.list(prefix))
