"""Conversion between transfer syntaxes (PS3.18 8.7.3): what is named in Accept, exact, or 406.

The judge is pydicom: it reads the answer and the source, and their pixels are compared.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from tests.conftest import OWN_SAMPLES
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client

from maypacs import conversion, steps
from maypacs.access.principals import Action
from maypacs.arrivals import new_arrival
from maypacs.dicomweb.routes import ROUTES, Operation
from maypacs.index.contents import InstanceRef
from maypacs.ingest import store_instances
from maypacs.pixels.decode import decode_frame
from maypacs.pixels.encode import JPEG_2000, JPEG_BASELINE, JPEG_LOSSLESS, JPEG_LS, RLE
from maypacs.pixels.image import image_pixel
from maypacs.pixels.transcode import to_transfer_syntax
from maypacs.pixels.whole import WholeInstance
from maypacs.retrieve import retrieve
from maypacs.uids import archive_id

MULTI = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
TARGETS = {
    "RLE": RLE,
    "JPEG lossless": JPEG_LOSSLESS,
    "JPEG-LS": JPEG_LS,
    "JPEG 2000 lossless": JPEG_2000,
    "JPEG 2000": "1.2.840.10008.1.2.4.91",
    "encapsulated uncompressed": "1.2.840.10008.1.2.1.98",
    "deflated": DeflatedExplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
}


def _signed(**changes: Any) -> Dataset:
    """12 bits of 16, negative values too."""
    values = np.random.default_rng(5).integers(-2048, 2048, (40, 40)).astype("<i2")
    facts = {"PixelRepresentation": 1, "BitsStored": 12, "HighBit": 11, "PixelData": values.tobytes()}
    return make.dataset(size=40, **{**facts, **changes})


def _colour(planar: int = 0, photometric: str = "RGB") -> Dataset:
    y, x = np.mgrid[0:40, 0:40]
    rgb = np.stack((x * 6, y * 6, (x + y) * 3), axis=-1).astype("u1")
    pixels = rgb.transpose(2, 0, 1) if planar else rgb
    ds = make.dataset(size=40, BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=3, PixelData=pixels.tobytes())
    ds.PhotometricInterpretation, ds.PlanarConfiguration = photometric, planar
    return ds


def _frames() -> Dataset:
    values = np.random.default_rng(6).integers(0, 4096, (3, 40, 40)).astype("<u2")
    return make.dataset(size=40, NumberOfFrames=3, BitsStored=12, HighBit=11, PixelData=values.tobytes())


def _palette() -> Dataset:
    ds = make.dataset(size=40, BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PhotometricInterpretation = "PALETTE COLOR"
    ds.PixelData = (np.arange(1600) % 251).astype("u1").tobytes()
    for name in ("Red", "Green", "Blue"):
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(ds, f"{name}PaletteColorLookupTableData", bytes(range(256)))
    return ds


SOURCES: dict[str, Callable[[], bytes]] = {
    "signed": lambda: make.part10(_signed()),
    "implicit": lambda: make.part10(_signed(), ImplicitVRLittleEndian),
    "deflated": lambda: make.part10(_frames(), DeflatedExplicitVRLittleEndian),
    "RLE, three frames": lambda: make.part10(_frames(), RLELossless),
    "colour by plane": lambda: make.part10(_colour(planar=1)),
    "YBR": lambda: make.part10(_colour(photometric="YBR_FULL")),
    "palette": lambda: make.part10(_palette()),
    "big endian": lambda: (OWN_SAMPLES / "files" / "MR_small_bigendian.dcm").read_bytes(),
    "JPEG 2000": lambda: (OWN_SAMPLES / "files" / "MR_small_jp2klossless.dcm").read_bytes(),
    "JPEG lossless": lambda: (OWN_SAMPLES / "files" / "JPEG-LL.dcm").read_bytes(),
    "JPEG-LS of a CT": lambda: (OWN_SAMPLES / "studies" / "ct-chest" / "01.dcm").read_bytes(),
}


def _pixels(data: bytes) -> np.ndarray[Any, Any]:
    """By pydicom alone, colours left as they are; encapsulated uncompressed frames, which it does not read, joined."""
    ds = pydicom.dcmread(io.BytesIO(data))
    if ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1.98":
        ds.PixelData = b"".join(generate_frames(ds.PixelData, number_of_frames=ds.get("NumberOfFrames", 1)))
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return pydicom.pixels.pixel_array(ds, raw=True)


def _stow(client: Client, data: bytes) -> str:
    url: str = client.stow(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    return url


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_an_instance_comes_in_the_syntax_that_is_named_and_shows_the_same(
    client: Client, source: Callable[[], bytes], target: str
) -> None:
    """Pixels, UIDs and all other attributes are those of the source."""
    data = source()
    url = _stow(client, data)
    ((kind, content),) = client.get(url, f"{MULTI}; transfer-syntax={target}").parts()
    assert kind.replace('"', "") == f"application/dicom; transfer-syntax={target}"
    before, after = pydicom.dcmread(io.BytesIO(data)), pydicom.dcmread(io.BytesIO(content))
    assert after.file_meta.TransferSyntaxUID == target
    assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID == after.SOPInstanceUID
    assert np.array_equal(_pixels(content), _pixels(data))
    described = {"PixelData", "PlanarConfiguration", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"}
    if target in {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"} and before.PhotometricInterpretation == "RGB":
        assert after.PhotometricInterpretation == "YBR_RCT"  # PS3.5 8.2.4: the reversible colour transform
        described.add("PhotometricInterpretation")
    for element in before:
        if element.tag.element and element.keyword not in described:
            assert after[element.tag].value == element.value, element.tag
    assert "LossyImageCompression" not in after or after.LossyImageCompression == before.LossyImageCompression


MEDIA_TYPES = {"image/dicom-rle": RLE, "image/jpeg": JPEG_LOSSLESS, "image/jls": JPEG_LS, "image/jp2": JPEG_2000}


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_frames_come_in_the_media_type_that_is_named_and_show_the_same(
    client: Client, source: Callable[[], bytes], media_type: str
) -> None:
    """Its default syntax (Table 8.7.3-5), the syntax with octets, and one single part."""
    data = source()
    url = _stow(client, data)
    whole, target = WholeInstance(data), MEDIA_TYPES[media_type]
    if whole.transfer_syntax_uid.startswith(target[:-1]) and target == JPEG_LOSSLESS:
        target = whole.transfer_syntax_uid  # process 14 of another predictor has the same media type
    count = whole.frame_table.number_of_frames
    for accept in (f'multipart/related; type="{media_type}"', f"{OCTETS}; transfer-syntax={target}"):
        numbers = ",".join(map(str, range(count, 0, -1)))
        parts = client.get(f"{url}/frames/{numbers}", accept).parts()
        assert {kind.replace('"', "") for kind, _ in parts} == {f"{media_type}; transfer-syntax={target}"}
        for (_, content), number in zip(parts, range(count, 0, -1), strict=True):
            pixel = image_pixel(whole.attributes)
            back, _ = decode_frame(content, pixel, target, as_rgb=False)
            native, _ = whole.native_frame(number)
            assert back.tobytes() == native or pixel.planar
    single = client.get(f"{url}/frames/1", media_type)
    assert single.headers["content-type"] == f"{media_type}; transfer-syntax={target}"
    assert single.body == parts[-1][1]


def test_frames_that_are_stored_so_are_preferred_to_equals_that_are_not(client: Client) -> None:
    """dicomweb-client lists many types: the stored one needs no conversion, unless q says otherwise."""
    stored = (OWN_SAMPLES / "studies" / "ct-chest" / "01.dcm").read_bytes()
    url = _stow(client, stored)
    types = 'multipart/related; type="image/jp2", multipart/related; type="image/jls"'
    ((kind, content),) = client.get(f"{url}/frames/1", types).parts()
    assert kind.startswith("image/jls")
    assert content == WholeInstance(stored).stored_frame(1)
    ((kind, _),) = client.get(f"{url}/frames/1", f"{types};q=0.5").parts()
    assert kind.startswith("image/jp2")
    explicit = f"{MULTI}; transfer-syntax={JPEG_2000}, {MULTI}; transfer-syntax={JPEG_LS}"
    assert client.get(url, explicit).parts()[0][1] == stored


IMPOSSIBLE = [
    ("HTJ2K: no encoder", lambda: make.instance(size=40), "1.2.840.10008.1.2.4.201"),
    ("JPEG XL: no encoder", lambda: make.instance(size=40), "1.2.840.10008.1.2.4.110"),
    ("big endian (8.7.3)", lambda: make.instance(size=40), ExplicitVRBigEndian),
    ("implicit VR (8.7.3)", lambda: make.instance(size=40), ImplicitVRLittleEndian),
    ("lossy, 16 bits", lambda: make.instance(size=40), JPEG_BASELINE),
    ("unknown", lambda: make.instance(size=40), "1.2.3.4"),
    ("one bit", lambda: make.instance(size=40, BitsAllocated=1, BitsStored=1, HighBit=0), JPEG_LS),
    ("32 bits", lambda: make.instance(size=40, Rows=20, BitsAllocated=32, BitsStored=32, HighBit=31), JPEG_LS),
]


@pytest.mark.parametrize(("why", "source", "target"), IMPOSSIBLE, ids=[case[0] for case in IMPOSSIBLE])
def test_what_cannot_be_had_is_406_and_the_next_in_the_list_is_tried(
    client: Client, why: str, source: Callable[[], bytes], target: str
) -> None:
    """Instances and frames; with something else acceptable it is that."""
    data = source()
    url = _stow(client, data)
    for path, kind in ((url, MULTI), (f"{url}/frames/1", OCTETS)):
        reply = client.get(path, f"{kind}; transfer-syntax={target}")
        assert reply.status == 406, path
        assert reply.json()["detail"]
        assert client.get(path, f"{kind}; transfer-syntax={target}, {kind}; transfer-syntax=*;q=0.1").status == 200
    assert client.get(url, f"application/dicom; transfer-syntax={target}").status == 406


def test_a_study_in_one_syntax_leaves_what_has_no_pixels_uncompressed(client: Client) -> None:
    """A report beside pictures: its part says so; alone it cannot be had in JPEG-LS."""
    report = make.dataset(9, Modality="SR")
    del report.PixelData
    client.stow(make.part10(_signed()), make.part10(report, ImplicitVRLittleEndian))
    parts = client.get(f"/studies/{make.STUDY}", f"{MULTI}; transfer-syntax={JPEG_LS}").parts()
    assert sorted(kind.rpartition("=")[2].strip('"') for kind, _ in parts) == [ExplicitVRLittleEndian, JPEG_LS]
    assert client.get(make.url(9), f"application/dicom; transfer-syntax={JPEG_LS}").status == 406


def test_lossy_compression_is_for_who_names_it_and_makes_a_derived_image(client: Client) -> None:
    """JPEG baseline: a UID of its own, the same each time, and the attributes of PS3.3 C.7.6.1.1.5."""
    source = _colour()
    url = _stow(client, make.part10(source))
    named = f"{MULTI}; transfer-syntax={JPEG_BASELINE}"
    ((_, content),) = client.get(url, named).parts()
    after = pydicom.dcmread(io.BytesIO(content))
    assert after.file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID != source.SOPInstanceUID
    assert (after.LossyImageCompression, after.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert float(after.LossyImageCompressionRatio) > 1
    assert after.ImageType[0] == "DERIVED"
    assert after.PhotometricInterpretation == "YBR_FULL_422"
    ((_, native),) = client.get(url, MULTI).parts()
    assert np.abs(WholeInstance(content).decode(1)[0].astype(int) - _pixels(native)).max() < 40
    assert client.get(url, named).parts()[0][1] == content
    jpeg = f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_BASELINE}'
    ((kind, frame),) = client.get(f"{url}/frames/1", jpeg).parts()
    assert kind.startswith("image/jpeg")
    assert frame[:2] == b"\xff\xd8"
    assert client.get(url, STORED).parts()[0][1] == make.part10(source)


def test_pixels_that_were_lossy_stay_marked_so_when_they_are_compressed_without_loss(client: Client) -> None:
    """JPEG baseline to JPEG-LS: what the decoder makes of it, and once lossy always lossy."""
    data = (OWN_SAMPLES / "files" / "SC_rgb_jpeg_dcmtk.dcm").read_bytes()
    ((_, content),) = client.get(_stow(client, data), f"{MULTI}; transfer-syntax={JPEG_LS}").parts()
    after = pydicom.dcmread(io.BytesIO(content))
    assert after.LossyImageCompression == "01"
    assert after.PhotometricInterpretation == "RGB"
    assert np.array_equal(_pixels(content), pydicom.dcmread(io.BytesIO(data)).pixel_array)


def test_a_large_series_of_compressed_slices_is_converted_in_steps(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 slices of JPEG-LS, asked with the default Accept: 503, Retry-After and how far it is; then a redirect."""
    client = make_client(inline_limit=100_000)
    slices = [to_transfer_syntax(make.instance(number), JPEG_LS) for number in range(1, 501)]
    workspace = client.runtime.unscoped_workspace(archive_id(client.archive))
    store_instances(workspace, new_arrival(), slices)
    done: list[str] = []
    convert = conversion.convert

    def counted(data: bytes, ref: InstanceRef, target: str) -> tuple[bytes, str]:
        done.append(ref.sop_instance_uid)
        return convert(data, ref, target)

    ticks = itertools.count()  # a second whenever the clock is looked at
    ticking = Operation(Action.READ, lambda request: retrieve(request, clock=lambda: float(next(ticks))))
    monkeypatch.setattr(conversion, "convert", counted)
    monkeypatch.setattr(steps, "CONVERSION_SECONDS", 150.0)
    monkeypatch.setitem(ROUTES["/studies/{study}/series/{series}"], "GET", ticking)  # type: ignore[arg-type]
    replies = [client.send("GET", make.url(), {"Accept": MULTI}, follow=False)]
    while replies[-1].status == 503:
        assert replies[-1].headers["retry-after"] == "1"
        assert f"{len(done)} of 500 instances are done" in replies[-1].json()["detail"]
        replies.append(client.send("GET", make.url(), {"Accept": MULTI}, follow=False))
    assert len(replies) >= 4
    assert replies[-1].status == 307
    assert sorted(done) == sorted(make.sop(number) for number in range(1, 501)), "nothing is done twice"
    parts = client.blob(replies[-1]).parts()
    assert [WholeInstance(content).stored_frame(1) for _, content in parts] == [
        make.dataset(number).PixelData for number in range(1, 501)
    ]
    assert (
        client.send("GET", make.url(), {"Accept": MULTI}, follow=False).headers["location"].partition("?")[0]
        == (replies[-1].headers["location"].partition("?")[0])
    )
