"""Compression at the edge: the same image in fewer bytes, or the image as it came, for a reason that is counted."""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array
from tests.conftest import OWN_SAMPLES, sample_files, sample_id
from tests.support.stub_edge import dataset_bytes, write_ct

from edge_forwarder import checks, config
from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.compression import codecs, proof
from edge_forwarder.compression.codecs import CODECS, Codec
from edge_forwarder.compression.image import PHOTOMETRIC, PIXEL_DATA, PLANAR, find
from edge_forwarder.compression.instance import compress
from edge_forwarder.compression.reasons import LeftAloneError, Reason
from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom import part10
from edge_forwarder.dicom.peek import identify
from edge_forwarder.dicom.syntaxes import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_LS_LOSSLESS,
    NATIVE,
)
from edge_forwarder.errors import CloudAwayError, ConfigError, UnreadableError
from edge_forwarder.logs import Log
from edge_forwarder.spool.folder import Spool
from edge_forwarder.status_report import collect
from edge_forwarder.status_text import as_text
from edge_forwarder.upload import compressor
from edge_forwarder.upload.compressor import Compressor
from edge_forwarder.upload.sender import Sender
from edge_forwarder.upload.settle import Settler
from maypacs.dicom.frames import frame_table
from maypacs.dicom.header import parse_header
from maypacs.sameness import same_content

pytestmark = pytest.mark.filterwarnings("ignore")

JPEG_LS, HTJ2K = CODECS["jpeg-ls"], CODECS["htj2k"]
BOTH = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def as_spooled(path: Path) -> bytes | None:
    """A sample as the edge would have written it; None: it has no UIDs."""
    data = path.read_bytes()
    try:
        i = identify(path)
    except (UnreadableError, OSError):
        return None
    if data[128:140] != b"DICM\2\0\0\0UL\4\0":
        return None
    return part10.file_meta(i.sop_class_uid, i.sop_instance_uid, i.transfer_syntax_uid) + dataset_bytes(data)


def outcome(data: bytes, codec: Codec = JPEG_LS) -> bytes | Reason:
    try:
        return compress(data, codec)
    except LeftAloneError as why:
        return why.reason


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def is_compressible(ds: pydicom.Dataset) -> bool:
    """By pydicom's reading: little endian native pixels of 8 to 16 bits, all there, grey or RGB or YBR_FULL."""
    if ds.file_meta.TransferSyntaxUID not in NATIVE or "PixelData" not in ds:
        return False
    colours = {1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 3: ("RGB", "YBR_FULL")}
    if ds.PhotometricInterpretation not in colours.get(ds.SamplesPerPixel, ()) or ds.BitsAllocated not in (8, 16):
        return False
    size = ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8
    frames = ds.get("NumberOfFrames")
    size *= 1 if frames is None else int(str(frames))
    return ds.HighBit == ds.BitsStored - 1 and len(ds.PixelData) - size in (0, 1)


@BOTH
@pytest.mark.parametrize("path", sample_files(), ids=sample_id)
def test_every_sample_is_the_same_image_or_stays_as_it_is(path: Path, codec: Codec) -> None:
    """By pydicom's own decoders and by the cloud's rule of equality. What can be compressed is, or gets no smaller."""
    original = as_spooled(path)
    if original is None:  # nor has the edge an identity for it; but nothing stops
        assert outcome(path.read_bytes(), codec)
        return
    done = outcome(original, codec)
    if isinstance(done, Reason):
        small = path.name == "SC_rgb_small_odd.dcm" or path.name.endswith("__SC_rgb_small_odd.dcm")
        refused = codec is JPEG_LS and small  # three pixels wide: CharLS does not take that
        assert done in (Reason.NO_SMALLER, Reason.NOT_EXACT if refused else None) or not is_compressible(read(original))
        return
    before, after = read(original), read(done)
    assert is_compressible(before)
    assert len(done) < len(original)
    assert after.file_meta.TransferSyntaxUID == codec.syntax
    assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
    assert np.array_equal(pixel_array(after, raw=True), pixel_array(before, raw=True))
    assert same_content(original, done)
    colour = before.PhotometricInterpretation
    assert after.PhotometricInterpretation == ("YBR_RCT" if (colour, codec) == ("RGB", HTJ2K) else colour)
    assert after.get("PlanarConfiguration", 0) == 0
    table = frame_table(done, parse_header(done))
    assert table is not None
    assert table.number_of_frames == int(before.get("NumberOfFrames", 1) or 1)
    for ds in (before, after):
        rewritten = before.file_meta.TransferSyntaxUID == IMPLICIT_LITTLE_ENDIAN
        lengths = [e for e in ds if e.tag.element == 0 and (rewritten or e.tag.group in (0x28, 0x7FE0))]
        for tag in (PIXEL_DATA, PHOTOMETRIC, PLANAR, *(length.tag for length in lengths)):
            ds.pop(tag, None)
    assert before == after


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    path = write_ct(tmp_path / "a.dcm", sop="2.25.111", size=64 * 1024)
    data = as_spooled(path)
    assert data is not None
    return data


def in_words(tmp_path: Path, words: np.ndarray, *, stored: int, syntax: str = EXPLICIT_LITTLE_ENDIAN) -> bytes:
    """An image of these pixels, (rows, columns) or (rows, columns, 3), as the edge has it; with a sequence, a private
    element, and values whose VR depends on the sign of the pixels.
    """
    ds = pydicom.dcmread(write_ct(tmp_path / "words.dcm", sop="2.25.112", size=1024))
    ds.Rows, ds.Columns = words.shape[:2]
    ds.SamplesPerPixel = 1 if words.ndim == 2 else 3
    ds.PhotometricInterpretation = "MONOCHROME2" if words.ndim == 2 else "RGB"
    if words.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * words.itemsize, stored, stored - 1
    ds.PixelRepresentation = int(words.dtype.kind == "i")
    ds.add_new(0x00280120, "SS" if words.dtype.kind == "i" else "US", 7)
    inner = pydicom.Dataset()
    inner.ReferencedSOPInstanceUID = "2.25.99"
    ds.ReferencedImageSequence = [inner, pydicom.Dataset()]
    ds.private_block(0x0029, "MAYPACS TEST", create=True).add_new(1, "UN", b"\1\2\3\4")
    ds.PixelData = words.tobytes()
    ds.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "in-words.dcm"
    ds.save_as(path, implicit_vr=syntax == IMPLICIT_LITTLE_ENDIAN, little_endian=True)
    data = as_spooled(path)
    assert data is not None
    return data


def ramp(kind: str, low: int, high: int, shape: tuple[int, ...] = (40, 50)) -> np.ndarray:
    """Every value of a range that is worth a look, its ends above all."""
    return np.linspace(low, high, int(np.prod(shape))).round().astype(f"<{kind}").reshape(shape)


@BOTH
@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    ("kind", "stored", "low", "high"),
    [("u1", 8, 0, 255), ("u1", 7, 0, 127), ("i1", 8, -128, 127)]
    + [("u2", bits, 0, 2**bits - 1) for bits in (8, 9, 10, 12, 14, 16)]
    + [("i2", bits, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (9, 12, 16)],
)
@pytest.mark.parametrize("shape", [(40, 50), (30, 20, 3)], ids=["grey", "rgb"])
def test_every_depth_comes_back(
    tmp_path: Path, codec: Codec, syntax: str, kind: str, stored: int, low: int, high: int, shape: tuple[int, ...]
) -> None:
    """Signed or not, in each encoding of the source, read by pydicom: every pixel, and every attribute."""
    words = ramp(kind, low, high, shape)
    native = in_words(tmp_path, words, stored=stored, syntax=syntax)
    done = outcome(native, codec)
    if syntax == DEFLATED_LITTLE_ENDIAN and done is Reason.NO_SMALLER:  # a ramp deflates well
        return
    assert isinstance(done, bytes), done
    after = read(done)
    assert np.array_equal(pixel_array(after, raw=True), words)
    assert same_content(native, done)
    padding = after[0x00280120]
    assert (padding.value, padding.VR) == (7, "SS" if kind[0] == "i" else "US")
    assert [item.get("ReferencedSOPInstanceUID") for item in after.ReferencedImageSequence] == ["2.25.99", None]
    assert after[0x00291001].value == b"\1\2\3\4"


def changed(data: bytes, **attributes: object) -> bytes:
    """Other values for attributes, by keyword."""
    ds, out = read(data), io.BytesIO()
    for name, value in attributes.items():
        setattr(ds, name, value)
    ds.save_as(out)
    return out.getvalue()


@BOTH
def test_colours_and_frames_of_every_kind_come_back(tmp_path: Path, codec: Codec) -> None:
    """By pixel and by plane, palettes, YBR without loss, and many frames: by pydicom and by the cloud's rule."""
    rgb = in_words(tmp_path, ramp("u1", 0, 255, (30, 20, 3)), stored=8)
    grey = in_words(tmp_path, ramp("u1", 0, 255, (90, 80)), stored=8)
    cine = ramp("u2", 0, 4095, (5 * 30, 20, 3))
    cases = {
        "by plane": (changed(rgb, PlanarConfiguration=1), 1),
        "YBR": (changed(rgb, PhotometricInterpretation="YBR_FULL"), 1),
        "inverse": (changed(grey, PhotometricInterpretation="MONOCHROME1"), 1),
        "palette": (changed(grey, PhotometricInterpretation="PALETTE COLOR"), 1),
        "frames": (changed(grey, Rows=30, NumberOfFrames=3), 3),
        "frames of colour": (changed(in_words(tmp_path, cine, stored=12), Rows=30, NumberOfFrames=5), 5),
    }
    for name, (native, frames) in cases.items():
        done = outcome(native, codec)
        assert isinstance(done, bytes), (name, done)
        before, after = read(native), read(done)
        assert np.array_equal(pixel_array(after, raw=True), pixel_array(before, raw=True)), name
        assert len([*proof._fragments(done)]) == frames, name
        assert after.get("PlanarConfiguration", 0) == 0
        assert same_content(native, done), name
        assert same_content(done, native), name


def test_a_stream_says_how_many_bits_are_stored(tmp_path: Path) -> None:
    """SIZ of HTJ2K as Bits Stored and Pixel Representation (PS3.5 8.2.4), which the binding alone does not."""
    for kind, low, high, ssiz in (("u2", 0, 4095, 11), ("i2", -2048, 2047, 0x80 | 11)):
        done = compress(in_words(tmp_path, ramp(kind, low, high), stored=12), HTJ2K)
        assert done[done.index(b"\xff\x4f\xff\x51") + 42] == ssiz


def test_group_lengths_that_hold_no_more_go(tmp_path: Path) -> None:
    """(0028,0000) and (7FE0,0000), retired, of the groups that change; nothing else (PS3.5 7.2)."""
    native = in_words(tmp_path, ramp("u1", 0, 255, (30, 20, 3)), stored=8)

    def with_length(data: bytes, group: int, first: bytes) -> bytes:
        at = data.index(first)
        return data[:at] + struct.pack("<HH2sHI", group, 0, b"UL", 4, 1000) + data[at:]

    older = with_length(with_length(native, 0x0028, b"\x28\0\2\0US"), 0x7FE0, b"\xe0\x7f\x10\0O")
    assert {0x00280000, 0x7FE00000} <= read(older).keys()
    assert compress(older, HTJ2K) == compress(native, HTJ2K)


def replaced(data: bytes, element: int, value: int) -> bytes:
    """Another value for a US of group 0028."""
    head = struct.pack("<HH", 0x0028, element) + b"US\2\0"
    at = data.index(head) + len(head)
    return data[:at] + struct.pack("<H", value) + data[at + 2 :]


@pytest.mark.parametrize(
    ("element", "value", "reason"),
    [
        pytest.param(0x0002, 3, Reason.COLOUR, id="grey of three samples"),
        pytest.param(0x0010, 513, Reason.GEOMETRY, id="more rows than pixels"),
        pytest.param(0x0010, 1, Reason.GEOMETRY, id="fewer rows than pixels"),
        pytest.param(0x0100, 32, Reason.DEPTH, id="too deep"),
        pytest.param(0x0101, 12, Reason.DEPTH, id="a high bit that does not fit"),
        pytest.param(0x0103, 2, Reason.DEPTH, id="neither signed nor not"),
    ],
)
def test_what_does_not_fit_stays_as_it_came(image: bytes, element: int, value: int, reason: Reason) -> None:
    assert isinstance(outcome(image), bytes)
    assert outcome(replaced(image, element, value)) is reason


@BOTH
def test_bits_beyond_those_stored_are_never_lost(tmp_path: Path, codec: Codec) -> None:
    """An overlay in the high bits: whole words go into the stream, and come back."""
    words = ramp("u2", 0, 4095)
    words[::7, ::5] |= 0x8000
    done = outcome(in_words(tmp_path, words, stored=12), codec)
    assert isinstance(done, bytes)
    like = words.copy()
    (fragment,) = proof._fragments(done)
    assert np.array_equal(codec.decode(fragment, like), words)


@BOTH
@pytest.mark.parametrize("syntax", NATIVE)
def test_a_broken_file_stays_as_it_is(tmp_path: Path, codec: Codec, syntax: str) -> None:
    """Cut anywhere, or begun anywhere: no error, and no image of half the pixels."""
    data = in_words(tmp_path, ramp("u2", 0, 4095), stored=12, syntax=syntax)
    for cut in range(140, len(data) - 2, 41):  # the last byte may be padding
        assert isinstance(outcome(data[:cut], codec), Reason)
        assert isinstance(outcome(data[cut:], codec), Reason)


def test_a_deflated_bomb_is_not_blown_up(image: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_forwarder.compression.instance.LARGEST", 100_000)
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    meta = part10.file_meta("1.2", "2.25.1", DEFLATED_LITTLE_ENDIAN)
    assert outcome(meta + engine.compress(bytes(10**7)) + engine.flush()) is Reason.TOO_LARGE


@BOTH
def test_noise_that_gets_no_smaller_stays(tmp_path: Path, codec: Codec) -> None:
    noise = np.random.default_rng(7).integers(0, 2**16, (128, 128), dtype=np.uint16)
    assert outcome(in_words(tmp_path, noise, stored=16), codec) is Reason.NO_SMALLER


class Liar:
    """A codec that gives back one bit too few, or nothing it knows, or one frame for another."""

    syntax, module, extra = JPEG_LS_LOSSLESS, "jpeg_ls", "compress"

    def __init__(self, lie: str) -> None:
        self.lie = lie

    def photometric(self, photometric: str) -> str:
        return photometric

    def encode(self, frame: np.ndarray, precision: int) -> bytes:
        if self.lie == "encode":
            raise MemoryError
        changed = frame.copy()
        changed[-1, -1] ^= self.lie == "bit"
        return JPEG_LS.encode(changed, precision)

    def decode(self, stream: bytes, like: np.ndarray) -> np.ndarray:
        if self.lie == "decode":
            raise RuntimeError("no such stream")
        return JPEG_LS.decode(stream, like)


@pytest.mark.parametrize("lie", ["encode", "decode", "bit"])
def test_a_codec_is_not_believed(image: bytes, lie: str) -> None:
    assert outcome(image, Liar(lie)) is Reason.NOT_EXACT
    assert isinstance(outcome(image, Liar("")), bytes)


def test_a_file_with_a_frame_too_few_or_too_many_proves_nothing(image: bytes) -> None:
    data_set, done = image[part10.dataset_offset(image) :], compress(image, JPEG_LS)
    found = find(data_set, 0)
    proof.pixels(done, data_set, found, JPEG_LS)
    (fragment,) = proof._fragments(done)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)) + fragment
    assert done.count(item) == 1
    for other in (b"", item * 2):
        with pytest.raises(LeftAloneError, match="not exact"):
            proof.pixels(done.replace(item, other), data_set, found, JPEG_LS)


def test_attributes_that_differ_are_seen(tmp_path: Path) -> None:
    """Of what was rewritten from Implicit VR."""
    native = in_words(tmp_path, ramp("u2", 0, 4095), stored=12, syntax=IMPLICIT_LITTLE_ENDIAN)
    done = compress(native, JPEG_LS)
    pixels = pydicom.dcmread(io.BytesIO(native)).PixelData
    proof.attributes(done, native, pixels)
    with pytest.raises(LeftAloneError, match="data set"):
        proof.attributes(done, native, pixels[:-1] + b"\xff")
    for before, other in ((b"2.25.99\0", b"2.25.98\0"), (b"\x01\x02\x03\x04", b"\x01\x02\x03\x05")):
        assert done.count(before) == 1
        with pytest.raises(LeftAloneError, match="data set"):
            proof.attributes(done.replace(before, other), native, pixels)


@pytest.mark.parametrize(
    ("compress", "named"),
    [
        ({"default": "jpeg"}, "[compress] knows no jpeg: a rule is one of none, jpeg-ls, htj2k"),
        ({"by_modality": {"CT": "zip"}}, "[compress] knows no zip"),
        ({"by_modality": {"CT": 1}}, "[compress] by_modality"),
        ({"by_modality": "CT"}, "[compress] by_modality"),
        ({"CT": "jpeg-ls"}, "[compress] has no key CT"),
    ],
)
def test_a_rule_that_is_none_is_named(tmp_path: Path, compress: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.parse({"cloud": {"url": "https://x"}, "compress": compress}, tmp_path)
    assert named in str(error.value)


@pytest.mark.parametrize(("rule", "extra"), [("jpeg-ls", "compress"), ("htj2k", "htj2k")])
def test_a_codec_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, extra: str
) -> None:
    """At `check` and at the start, with what to do. Nobody who asks for no compression needs one."""
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as error:
        config.parse({"cloud": {"url": "https://x"}, "compress": {"by_modality": {"CT": rule}}}, tmp_path)
    assert f'pip install "maypacs-edge[{extra}]"' in str(error.value)
    assert not config.parse({"cloud": {"url": "https://x"}}, tmp_path).compress.codecs


def test_a_codec_is_tried_before_it_is_relied_on() -> None:
    assert all(codecs.works(codec) for codec in CODECS.values())
    assert not any(codecs.works(Liar(lie)) for lie in ("encode", "decode", "bit"))


@pytest.mark.parametrize("lie", ["encode", "decode", "bit"])
def test_a_codec_that_does_not_work_here_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """At `check` and at the start, in the same words."""
    raw: dict[str, object] = {"cloud": {"url": "https://x"}, "compress": {"default": "jpeg-ls"}}
    settings = config.parse(raw, tmp_path)
    assert checks._compression(settings).level is checks.Level.OK
    monkeypatch.setattr(config.compress, "CODECS", {**CODECS, "jpeg-ls": Liar(lie)})
    with pytest.raises(
        ConfigError, match="jpeg-ls does not work here: install its codec anew, or change the rule"
    ) as e:
        settings.compress.try_out()
    assert checks._compression(settings) == checks.Check(checks.Level.WRONG, str(e.value))


def rules(spool: Spool, journal: Journal, ledger: Ledger, default: str = "none", **by_modality: str) -> Compressor:
    return Compressor(spool, journal, Log(io.StringIO()), ledger, by_modality, default)


def test_the_file_is_replaced_and_everybody_knows(tmp_path: Path, spool: Spool, image: bytes) -> None:
    """Spool, journal and ledger agree; the digest of what the device sent stays known beside that of what goes up."""
    writer = spool.begin("CT1")
    writer.write(image)
    file = writer.commit()
    identity = identify(spool.path(file.name))
    journal, ledger = Journal.open(tmp_path / "j.sqlite"), Ledger.open(tmp_path / "l.sqlite")
    journal.add_instance(file.name, file.size, identity)
    journal.add_pack("p", [file.name])
    journal.update_pack("p", boundary="b", sha256="x", length=1)
    ledger.add(file.name, "CT1", identity)
    compressor = rules(spool, journal, ledger, CT="jpeg-ls")
    (member,) = compressor.compress("p", journal.members("p"))
    path = spool.path(file.name)
    assert path.stat().st_size == member.size == spool.held_bytes < file.size
    assert member.identity is not None
    assert member.identity.transfer_syntax_uid == JPEG_LS_LOSSLESS == identify(path).transfer_syntax_uid
    assert journal.members("p") == [member]
    row = journal.pack("p")
    assert row is not None
    assert (row.boundary, row.sha256) == (None, None)
    assert not list(spool.incoming.iterdir())
    (sent,) = ledger.sent("2.25.111")
    assert sent.digest == hashlib.sha256(dataset_bytes(image)).hexdigest()
    assert (sent.syntax, sent.sent_syntax) == (EXPLICIT_LITTLE_ENDIAN, JPEG_LS_LOSSLESS)
    assert sent.sent_as == hashlib.sha256(dataset_bytes(path.read_bytes())).hexdigest()
    ledger.digests({file.name: "of what goes up"})
    assert ledger.sent("2.25.111")[0].digest == sent.digest
    assert ledger.digests_of({file.name: JPEG_LS_LOSSLESS}) == {file.name: "of what goes up"}
    assert compressor.compress("p", [member]) == [member]
    assert journal.facts()["compressed"] == 1


def test_what_rotted_is_not_compressed(tmp_path: Path, spool: Spool, image: bytes) -> None:
    """It would be a sound image afterwards, of other pixels."""
    writer = spool.begin("CT1")
    writer.write(image)
    file = writer.commit()
    identity = identify(spool.path(file.name))
    journal, ledger = Journal.open(tmp_path / "j.sqlite"), Ledger.open(tmp_path / "l.sqlite")
    journal.add_instance(file.name, file.size, identity)
    journal.add_pack("p", [file.name])
    ledger.add(file.name, "CT1", identity)
    ledger.digests({file.name: hashlib.sha256(dataset_bytes(image)).hexdigest()})
    rotten = image[:-7] + bytes([image[-7] ^ 1]) + image[-6:]
    spool.path(file.name).write_bytes(rotten)
    compressor = rules(spool, journal, ledger, CT="jpeg-ls")
    assert compressor.compress("p", journal.members("p")) == journal.members("p")
    assert spool.path(file.name).read_bytes() == rotten
    (sent,) = ledger.sent("2.25.111")
    assert sent.sent_as == sent.digest


def test_another_modality_is_left_alone(tmp_path: Path, spool: Spool, image: bytes) -> None:
    writer = spool.begin("CT1")
    writer.write(image)
    file = writer.commit()
    journal, ledger = Journal.open(tmp_path / "j.sqlite"), Ledger.open(tmp_path / "l.sqlite")
    journal.add_instance(file.name, file.size, identify(spool.path(file.name)))
    journal.add_pack("p", [file.name])
    compressor = rules(spool, journal, ledger, MR="jpeg-ls")
    assert compressor.compress("p", journal.members("p")) == journal.members("p")
    assert spool.path(file.name).read_bytes() == image


def test_without_room_for_both_it_goes_up_as_it_is(tmp_path: Path, image: bytes) -> None:
    """A nearly full disk is no time for experiments."""
    free = [10**9]
    spool = Spool(tmp_path / "spool", min_free_bytes=1000, free=lambda _: free[0])
    spool.open()
    writer = spool.begin("CT1")
    writer.write(image)
    file = writer.commit()
    free[0] = 1001
    journal, ledger = Journal.open(tmp_path / "j.sqlite"), Ledger.open(tmp_path / "l.sqlite")
    journal.add_instance(file.name, file.size, identify(spool.path(file.name)))
    journal.add_pack("p", [file.name])
    compressor = rules(spool, journal, ledger, CT="jpeg-ls")
    assert compressor.compress("p", journal.members("p")) == journal.members("p")
    assert spool.path(file.name).read_bytes() == image
    assert journal.facts() == {"left.no room": 1}
    spool.close()


def test_what_stays_as_it_came_is_counted_and_told(tmp_path: Path, image: bytes) -> None:
    """By reason, in `status`; of one member, when the others are compressed. What no rule is for is not."""
    settings = config.parse({"cloud": {"url": "https://pacs.thu.vn"}, "edge": {"spool": "spool"}}, tmp_path)
    spool = Spool(settings.spool_folder)
    spool.open()
    journal, ledger = Journal.open(spool.folder / "journal.sqlite"), Ledger.open(spool.folder / "ledger.sqlite")
    for data in (image, replaced(image, 0x0100, 32), replaced(image, 0x0010, 1)):
        writer = spool.begin("CT1")
        writer.write(data)
        file = writer.commit()
        journal.add_instance(file.name, file.size, identify(spool.path(file.name)))
        ledger.add(file.name, "CT1", identify(spool.path(file.name)))
    journal.add_pack("p", [file.name for file in spool.files()])
    members = journal.members("p")
    assert rules(spool, journal, ledger, "jpeg-ls", CT="none").compress("p", members) == members
    assert not collect(settings)["not_compressed"]
    done = rules(spool, journal, ledger, "jpeg-ls").compress("p", members)
    assert [a == b for a, b in zip(members, done, strict=True)] == [False, True, True]
    report = collect(settings)
    assert report["not_compressed"] == {"bits": 1, "pixels do not fit": 1}
    assert report["totals"]["compressed"] == 1
    assert "Not compressed, though a rule is for them: bits 1, pixels do not fit 1." in as_text(report)
    spool.close()


def test_of_large_images_one_is_in_memory_at_a_time(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch, image: bytes
) -> None:
    """Four threads upload; small images do not wait for one another."""
    journal, ledger = Journal.open(tmp_path / "j.sqlite"), Ledger.open(tmp_path / "l.sqlite")
    small, large = image, in_words(tmp_path, ramp("u2", 0, 4095, (512, 256)), stored=12)
    for data in (small, small, large, large):
        writer = spool.begin("CT1")
        writer.write(data)
        file = writer.commit()
        journal.add_instance(file.name, file.size, identify(spool.path(file.name)))
        journal.add_pack(file.name, [file.name])
    monkeypatch.setattr(compressor, "_LARGE", len(small))
    met, under_way, most = threading.Barrier(2), Counter[int](), Counter[int]()

    def watched(data: bytes, codec: Codec) -> bytes:
        under_way[len(data)] += 1
        most[len(data)] = max(most[len(data)], under_way[len(data)])
        if len(data) == len(small):
            met.wait(30)
        else:
            time.sleep(0.05)  # the other one would come in now
        under_way[len(data)] -= 1
        raise LeftAloneError(Reason.NO_SMALLER)

    monkeypatch.setattr(compressor, "compress", watched)
    shared = rules(spool, journal, ledger, "jpeg-ls")
    with ThreadPoolExecutor(4) as pool:
        packs = [row.id for row in journal.packs(PackState.PACKED)]
        list(pool.map(lambda pack: shared.compress(pack, journal.members(pack)), packs))
    assert most == {len(small): 2, len(large): 1}


def test_what_no_rule_takes_is_told_by_its_kind(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch, image: bytes
) -> None:
    """Big endian, half of the colours, one bit, and what is too large: each in words that the manual explains."""
    grey = in_words(tmp_path, np.zeros((64, 64), "u1"), stored=8)
    rgb = in_words(tmp_path, np.zeros((64, 64, 3), "u1"), stored=8)
    monkeypatch.setattr("edge_forwarder.upload.compressor.LARGEST", len(image) - 1)
    kinds = {
        "big endian": as_spooled(OWN_SAMPLES / "files/MR_small_bigendian.dcm"),
        "colour of another kind": changed(rgb, PhotometricInterpretation="YBR_FULL_422", PixelData=bytes(2 * 64 * 64)),
        "bits": changed(grey, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=bytes(64 * 64 // 8)),
        "too large": image,
    }
    journal, ledger = Journal.open(tmp_path / "j.sqlite"), Ledger.open(tmp_path / "l.sqlite")
    for data in kinds.values():
        writer = spool.begin("CT1")
        writer.write(data or b"")
        file = writer.commit()
        journal.add_instance(file.name, file.size, identify(spool.path(file.name)))
    journal.add_pack("p", [file.name for file in spool.files()])
    members = journal.members("p")
    assert rules(spool, journal, ledger, "jpeg-ls").compress("p", members) == members
    assert journal.facts() == {f"left.{kind}": 1 for kind in kinds}
    manual = (Path(__file__).parents[3] / "edge-forwarder/README.md").read_text()
    assert all(f"`{reason}`" in manual for reason in Reason)


class Away:
    """A cloud that cannot be reached."""

    def __getattr__(self, name: str) -> object:
        raise CloudAwayError("no route")


@BOTH
@pytest.mark.parametrize("syntax", NATIVE)
def test_a_power_cut_while_a_file_is_replaced_costs_nothing(
    tmp_path: Path, spool: Spool, codec: Codec, syntax: str
) -> None:
    """The new file is there; journal and ledger know of the old one alone. It goes up, as evidence of that."""
    native = in_words(tmp_path, ramp("u2", 0, 4095, (64, 64)), stored=12, syntax=syntax)
    smaller = outcome(native, codec)
    if isinstance(smaller, Reason):  # a ramp deflates well
        assert syntax == DEFLATED_LITTLE_ENDIAN
        return
    writer = spool.begin("CT1")
    writer.write(native)
    file = writer.commit()
    identity = identify(spool.path(file.name))
    journal, ledger = Journal.open(tmp_path / "j.sqlite"), Ledger.open(tmp_path / "l.sqlite")
    journal.add_instance(file.name, file.size, identity)
    journal.add_pack("p", [file.name])
    journal.remember_boundaries({identity.study_instance_uid: "boundary"})
    ledger.add(file.name, "CT1", identity)
    ledger.digests({file.name: hashlib.sha256(dataset_bytes(native)).hexdigest()}, {file.name: syntax})
    spool.path(file.name).write_bytes(smaller)
    log, cloud = Log(io.StringIO()), cast("Cloud", Away())
    settler = Settler(spool, journal, log, ledger, Inbox(cloud))
    compressor = rules(spool, journal, ledger, default="jpeg-ls")
    sender = Sender("hosp1", spool, journal, cloud, settler, log, ledger, compressor=compressor)
    (pack,) = journal.packs(PackState.PACKED)
    with pytest.raises(CloudAwayError):
        sender.send(pack)
    assert spool.path(file.name).read_bytes() == smaller
    (sent,) = ledger.sent("2.25.112")
    assert (sent.syntax, sent.digest) == (syntax, hashlib.sha256(dataset_bytes(native)).hexdigest())
    assert (sent.sent_syntax, sent.sent_as) == (codec.syntax, hashlib.sha256(dataset_bytes(smaller)).hexdigest())
    assert not journal.facts()
