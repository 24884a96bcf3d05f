"""Compression at the edge: the same image in fewer bytes, or the image as it came."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import pydicom
import pytest
from tests.conftest import sample_files, sample_id
from tests.support.stub_edge import dataset_bytes, write_ct

from edge_forwarder import jpegls, part10
from edge_forwarder.compressing import Compressor
from edge_forwarder.errors import UnreadableError
from edge_forwarder.journal import Journal
from edge_forwarder.ledger import Ledger
from edge_forwarder.logs import Log
from edge_forwarder.peek import identify
from edge_forwarder.spool import Spool
from maypacs.dicom.frames import frame_table
from maypacs.dicom.header import parse_header
from maypacs.sameness import same_content

pytestmark = pytest.mark.filterwarnings("ignore")


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


def compressible() -> list[Path]:
    return [path for path in sample_files() if (data := as_spooled(path)) and jpegls.compress(data)]


@pytest.mark.parametrize("path", compressible(), ids=sample_id)
def test_every_sample_that_is_compressed_is_the_same_image(path: Path) -> None:
    """By pydicom's own decoders and by the cloud's rule of equality; every other byte of the data set is untouched."""
    original = as_spooled(path)
    assert original is not None
    compressed = jpegls.compress(original)
    assert compressed is not None
    assert len(compressed) < len(original)
    before, after = pydicom.dcmread(io.BytesIO(original)), pydicom.dcmread(io.BytesIO(compressed))
    assert after.file_meta.TransferSyntaxUID == jpegls.JPEG_LS_LOSSLESS
    assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
    assert (after.pixel_array == before.pixel_array).all()
    del before.PixelData, after.PixelData
    assert before == after
    assert same_content(original, compressed)
    header = parse_header(compressed)
    table = frame_table(compressed, header)
    assert table is not None
    assert table.number_of_frames == int(before.get("NumberOfFrames", 1) or 1)


def test_some_samples_are_compressed_and_some_are_not() -> None:
    """Grey CT, MR and CR are; colour and what is compressed already are not."""
    done = {str(pydicom.dcmread(path, stop_before_pixels=True).Modality) for path in compressible()}
    assert {"CT", "MR"} <= done
    assert len(compressible()) < len([path for path in sample_files() if as_spooled(path)])


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    path = write_ct(tmp_path / "a.dcm", sop="2.25.111", size=64 * 1024)
    data = as_spooled(path)
    assert data is not None
    return data


def replaced(data: bytes, element: int, value: int) -> bytes:
    """Another value for a US of group 0028."""
    head = struct.pack("<HH", 0x0028, element) + b"US\2\0"
    at = data.index(head) + len(head)
    return data[:at] + struct.pack("<H", value) + data[at + 2 :]


@pytest.mark.parametrize(
    ("element", "value"),
    [
        pytest.param(0x0002, 3, id="colour"),
        pytest.param(0x0010, 513, id="more rows than pixels"),
        pytest.param(0x0010, 1, id="fewer rows than pixels"),
        pytest.param(0x0100, 32, id="too deep"),
        pytest.param(0x0101, 12, id="bits in use beyond those stored, and a high bit that does not fit"),
    ],
)
def test_what_does_not_fit_stays_as_it_came(image: bytes, element: int, value: int) -> None:
    assert jpegls.compress(image) is not None
    assert jpegls.compress(replaced(image, element, value)) is None


def test_bits_beyond_those_stored_are_never_lost(image: bytes) -> None:
    """An overlay in the high bits: the frame does not come back bit for bit, so it stays."""
    twelve = replaced(replaced(image, 0x0101, 12), 0x0102, 11)
    assert jpegls.compress(twelve) is None


@pytest.mark.parametrize("cut", [200, 400, 700, 1000])
def test_a_broken_file_stays_as_it_is(image: bytes, cut: int) -> None:
    assert jpegls.compress(image[:cut]) is None
    assert jpegls.compress(image[cut:]) is None


def test_noise_that_gets_no_smaller_stays(tmp_path: Path, image: bytes) -> None:
    at = image.index(b"\xe0\x7f\x10\x00OW") + 12
    noise = bytes((n * n * 2654435761 >> 7) % 256 for n in range(len(image) - at))
    assert jpegls.compress(image[:at] + noise) is None


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
    compressor = Compressor(spool, journal, Log(io.StringIO()), ledger, frozenset({"CT"}))
    (member,) = compressor.compress("p", journal.members("p"))
    path = spool.path(file.name)
    assert path.stat().st_size == member.size == spool.held_bytes < file.size
    assert member.identity is not None
    assert member.identity.transfer_syntax_uid == jpegls.JPEG_LS_LOSSLESS == identify(path).transfer_syntax_uid
    assert journal.members("p") == [member]
    row = journal.pack("p")
    assert row is not None
    assert (row.boundary, row.sha256) == (None, None)
    assert not list(spool.incoming.iterdir())
    (sent,) = ledger.sent("2.25.111")
    assert sent.digest == hashlib.sha256(dataset_bytes(image)).hexdigest()
    ledger.digests({file.name: "of what goes up"})
    assert ledger.sent("2.25.111")[0].digest == sent.digest
    assert ledger.digests_of({file.name: jpegls.JPEG_LS_LOSSLESS}) == {file.name: "of what goes up"}
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
    compressor = Compressor(spool, journal, Log(io.StringIO()), ledger, frozenset({"CT"}))
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
    compressor = Compressor(spool, journal, Log(io.StringIO()), ledger, frozenset({"MR"}))
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
    compressor = Compressor(spool, journal, Log(io.StringIO()), ledger, frozenset({"CT"}))
    assert compressor.compress("p", journal.members("p")) == journal.members("p")
    assert spool.path(file.name).read_bytes() == image
    spool.close()
