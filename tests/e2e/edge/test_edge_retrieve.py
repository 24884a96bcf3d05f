"""Old workstations read the cloud's archive: dcmtk's findscu, movescu and getscu, and images come as they were sent."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000MC,
    MPEG4HP41,
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLossless,
    JPEGLSLossless,
    VideoEndoscopicImageStorage,
)
from pynetdicom import AE, evt
from tests.support import raw_scu
from tests.support.ports import ReservedPort
from tests.support.processes import QUICK_TCP, Child, wait_until
from tests.support.stub_cloud import Fault, StubCloud
from tests.support.stub_edge import AET, StubEdge, dataset_bytes, sent_dataset, write_ct, write_series

pytestmark = pytest.mark.e2e

#: CR, CT, MR, US, XA, PET and so on: 14 image storage classes.
KINDS = (*("1", "1.1", "1.2", "1.3", "2", "2.1", "3.1", "4"), *("4.1", "6.1", "7", "12.1", "20", "128"))


@dataclass
class Readers:
    """An edge, with two studies of one patient and one of another in its cloud."""

    edge: StubEdge
    folder: Path
    sent: dict[str, Path]
    """By SOP Instance UID."""

    def run(
        self, tool: str, *keys: str, calling: str = "WS1", extra: Sequence[str] = (), env: dict[str, str] | None = None
    ) -> str:
        """The tool's output, both streams."""
        words = [word for key in keys for word in ("-k", key)]
        done = subprocess.run(
            [tool, "-d", "-aet", calling, "-aec", AET, *extra, *words, "127.0.0.1", str(self.edge.port)],
            env={**QUICK_TCP, **(env or {})},
            capture_output=True,
            timeout=60,
            cwd=self.folder,
        )
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    def find(self, root: str, *keys: str, calling: str = "WS1") -> list[pydicom.Dataset]:
        """Every answer of findscu."""
        out = self.folder / "answers"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        text = self.run("findscu", *keys, calling=calling, extra=[root, "-X", "-od", str(out)])
        assert "Success" in text, text
        return [pydicom.dcmread(path, force=True) for path in sorted(out.iterdir())]

    def get(self, *keys: str, extra: Sequence[str] = ()) -> tuple[dict[str, Path], str]:
        """What getscu received, by SOP Instance UID, and what it said."""
        out = self.folder / "got"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        text = self.run("getscu", *keys, extra=["-S", "+B", "-od", str(out), *extra])
        return {str(pydicom.dcmread(p).SOPInstanceUID): p for p in out.iterdir()}, text


@pytest.fixture
def readers(tmp_path: Path, cloud: StubCloud) -> Iterator[Readers]:
    dest, nowhere = ReservedPort(), ReservedPort()
    devices = f"""
[[device]]
ae_title = "WS1"
rights = ["query", "retrieve"]
[[device]]
ae_title = "DEST"
host = "127.0.0.1"
port = {dest.number}
[[device]]
ae_title = "NOWHERE"
host = "127.0.0.1"
port = {nowhere.number}
"""
    extra = "connect_timeout_seconds = 1.0\nkeep_uploaded = false"
    with dest, nowhere, StubEdge(tmp_path / "edge", cloud, extra=extra, devices=devices) as edge:
        files = write_series(tmp_path / "in" / "a", 5)
        files += write_series(tmp_path / "in" / "b", 2, study="2.25.2", series="2.25.21")
        other = write_ct(tmp_path / "in" / "c.dcm", study="2.25.3", series="2.25.31", sop="2.25.31.1")
        ds = pydicom.dcmread(other)
        ds.PatientID, ds.PatientName, ds.StudyDate = "THU-0002", "Trần^Thị Mẫu", "20240229"
        ds.save_as(other)
        assert edge.storescu(*files, other).returncode == 0
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        sent = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p for p in [*files, other]}
        yield Readers(edge, tmp_path, sent)


@contextmanager
def destination(readers: Readers, *options: str) -> Iterator[Path]:
    """dcmtk's storescp as the C-MOVE destination; the folder where it puts what comes."""
    port = destination_port(readers)
    moved = readers.folder / "moved"
    moved.mkdir()
    command = ["storescp", "-aet", "DEST", "-od", str(moved), "+B", *options, str(port)]
    child = Child(command, log=readers.folder / "storescp.log", env=QUICK_TCP)
    child.spawn()
    try:
        wait_until(lambda: _listens(port), what="storescp")
        yield moved
    finally:
        child.kill()


class Collector:
    """Another destination: pynetdicom, which takes any SOP class in these syntaxes; one association at a time."""

    def __init__(self, readers: Readers, classes: Sequence[str], syntaxes: Sequence[str]) -> None:
        self.came: dict[str, bytes] = {}
        self.associations = 0
        self.aborts_on: set[str] = set()
        """SOP Instance UIDs that it does not survive."""
        self._port = destination_port(readers)
        self._ae = AE("DEST")
        self._ae.maximum_associations = 1
        for sop_class in classes:
            self._ae.add_supported_context(sop_class, [*syntaxes, str(ExplicitVRLittleEndian)])

    def __enter__(self) -> Self:
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._accepted)]
        self._server = self._ae.start_server(("127.0.0.1", self._port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _accepted(self, event: Any) -> None:
        self.associations += 1

    def _store(self, event: Any) -> int:
        if str(event.request.AffectedSOPInstanceUID) in self.aborts_on:
            event.assoc.abort()
        self.came[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0


def destination_port(readers: Readers) -> int:
    (port,) = re.findall(r"ae_title = \"DEST\"\nhost = .*\nport = (\d+)", readers.edge.config.read_text())
    return int(port)


def _listens(port: int) -> bool:
    return subprocess.run(["echoscu", "127.0.0.1", str(port)], env=QUICK_TCP, capture_output=True).returncode == 0


def test_patients_studies_series_and_images_are_found(readers: Readers) -> None:
    """Each level of both models, with names in UTF-8, keys without a value, and keys nobody has."""
    patients = readers.find("-P", "QueryRetrieveLevel=PATIENT", "PatientName", "PatientID", "0020,1200")
    assert {(str(p.PatientName), p.PatientID, p.NumberOfPatientRelatedStudies) for p in patients} == {
        ("Nguyễn^Văn Thử", "THU-0001", 2),
        ("Trần^Thị Mẫu", "THU-0002", 1),
    }
    (study,) = readers.find(
        "-S", "QueryRetrieveLevel=STUDY", "StudyDate=20240101-20241231", "StudyInstanceUID", "PatientName", "0008,1030"
    )
    assert (study.StudyInstanceUID, str(study.PatientName)) == ("2.25.3", "Trần^Thị Mẫu")
    assert (study.SpecificCharacterSet, study.RetrieveAETitle) == ("ISO_IR 192", AET)
    assert study["StudyDescription"].is_empty
    series = readers.find("-S", "QueryRetrieveLevel=SERIES", "StudyInstanceUID=2.25.1", "SeriesInstanceUID", "Modality")
    assert [(s.SeriesInstanceUID, s.Modality) for s in series] == [("2.25.11", "CT")]
    images = readers.find(
        "-P",
        *("QueryRetrieveLevel=IMAGE", "PatientID=THU-0001", "StudyInstanceUID=2.25.1", "SeriesInstanceUID=2.25.11"),
        *("SOPInstanceUID", "InstanceNumber"),
    )
    assert sorted(i.InstanceNumber for i in images) == [1, 2, 3, 4, 5]
    assert readers.find("-S", "QueryRetrieveLevel=STUDY", "PatientID=NOBODY", "StudyInstanceUID") == []


def test_a_query_that_cannot_be_answered_says_why_at_once(readers: Readers, cloud: StubCloud) -> None:
    """Wrong level, no study at series level: A900. The cloud away, or ours the wrong key: A700. A caller without the
    right has its contexts rejected.
    """
    assert "0xa900" in readers.run("findscu", "QueryRetrieveLevel=PATIENT", "PatientID", extra=["-S"]).lower()
    assert "0xa900" in readers.run("findscu", "QueryRetrieveLevel=SERIES", "Modality", extra=["-S"]).lower()
    key = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID")
    refused = readers.run("findscu", *key, extra=["-S"], calling="THU-CT1")
    assert "No Acceptable Presentation Contexts" in refused
    cloud.refuse_key = True
    assert "0xa700" in readers.run("findscu", *key, extra=["-S"]).lower()
    cloud.refuse_key = False
    with cloud.always(Fault(), "dicomweb"):
        assert "0xa700" in readers.run("findscu", *key, extra=["-S"]).lower()


def test_c_get_brings_what_was_sent_byte_for_byte(readers: Readers, cloud: StubCloud) -> None:
    """A study, a series, an image; then again from the cache while the cloud is away, but not what is not in it."""
    got, text = readers.get("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.1")
    assert set(got) == {f"2.25.11.{n}" for n in range(1, 6)}, text
    for uid, path in got.items():
        assert dataset_bytes(path.read_bytes()) == sent_dataset(readers.sent[uid])
    series, _ = readers.get("QueryRetrieveLevel=SERIES", "StudyInstanceUID=2.25.2", "SeriesInstanceUID=2.25.21")
    assert set(series) == {"2.25.21.1", "2.25.21.2"}
    image, _ = readers.get(
        "QueryRetrieveLevel=IMAGE",
        *("StudyInstanceUID=2.25.1", "SeriesInstanceUID=2.25.11", "SOPInstanceUID=2.25.11.3"),
    )
    assert set(image) == {"2.25.11.3"}
    with cloud.always(Fault(), "dicomweb"):
        again, _ = readers.get("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.1")
        assert set(again) == set(got)
        none, text = readers.get("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.3")
        assert none == {}
        assert "0xa701" in text.lower(), text


def test_a_peer_that_knows_implicit_alone_gets_implicit(readers: Readers) -> None:
    """What is stored explicit is rewritten; the values are the same."""
    with destination(readers, "+xi") as moved:
        text = readers.run(
            "movescu", "QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.2", extra=["-S", "-aem", "DEST"]
        )
        got = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in moved.iterdir()}
    assert set(got) == {"2.25.21.1", "2.25.21.2"}, text
    for uid, path in got.items():
        ours, theirs = pydicom.dcmread(path), pydicom.dcmread(readers.sent[uid])
        assert ours.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert theirs.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert ours == theirs


def test_c_move_sends_to_a_configured_destination_and_to_no_other(readers: Readers, cloud: StubCloud) -> None:
    """By patient, both studies; unknown destination A801; a deaf one A702; the cloud away A701."""
    key = ("QueryRetrieveLevel=PATIENT", "PatientID=THU-0001")
    assert "0xa801" in readers.run("movescu", *key, extra=["-P", "-aem", "UNKNOWN"]).lower()
    assert "0xa702" in readers.run("movescu", *key, extra=["-P", "-aem", "NOWHERE"]).lower()
    with destination(readers, "+xa") as folder:
        done = readers.run("movescu", *key, extra=["-P", "-aem", "DEST"])
        assert "0x0000: Success" in done, done
        moved = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in folder.iterdir()}
    assert set(moved) == {uid for uid in readers.sent if not uid.startswith("2.25.31")}
    for uid, path in moved.items():
        assert dataset_bytes(path.read_bytes()) == sent_dataset(readers.sent[uid])
    with cloud.always(Fault(), "dicomweb"):
        other = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.3")
        assert "0xa701" in readers.run("movescu", *other, extra=["-S", "-aem", "DEST"]).lower()


def test_compressed_images_arrive_compressed_or_decompressed_as_the_peer_can(
    readers: Readers, cloud: StubCloud, tmp_path: Path
) -> None:
    """JPEG-LS to who takes it; the archive decompresses for who does not. What fails half way is told by name."""
    plain = write_ct(tmp_path / "ls.dcm", study="2.25.4", series="2.25.41", sop="2.25.41.1", size=4096)
    ds = pydicom.dcmread(plain)
    ds.Rows, ds.Columns, ds.PixelData = 32, 64, bytes(range(256)) * 16
    ds.save_as(plain)
    packed = tmp_path / "ls-packed.dcm"
    subprocess.run(["dcmcjpls", str(plain), str(packed)], check=True)
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID == JPEGLSLossless
    assert readers.edge.storescu(packed, extra=["-xt"]).returncode == 0
    wait_until(lambda: not readers.edge.spooled(), what="an empty spool")
    got, text = readers.get("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.4")
    (path,) = got.values()
    found = pydicom.dcmread(path)
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian, text
    assert found.PixelData == ds.PixelData
    kept = {path.name for path in (readers.edge.folder / "spool" / "cache" / "2.25.4" / "2.25.41").iterdir()}
    assert kept == {"2.25.41.1~stored.dcm", "2.25.41.1~explicit.dcm"}
    cloud.fail("dicomweb", Fault(500))
    assert "0xa701" in readers.get("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.3")[1].lower()


def encapsulated(path: Path, sop_class: UID, syntax: UID, study: str) -> Path:
    """An image that nobody here decodes: some bytes as the only fragment."""
    sop = f"{study}.{path.stem}"
    ds = pydicom.dcmread(write_ct(path, study=study, series=f"{study}.0", sop=sop))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([bytes(range(256)) * 4])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.save_as(path, enforce_file_format=True)
    return path


def test_video_goes_to_who_takes_it_by_c_move_and_by_c_get(readers: Readers, tmp_path: Path) -> None:
    """The archive cannot convert it: it is offered as it is, or it does not arrive."""
    video = encapsulated(tmp_path / "1.dcm", VideoEndoscopicImageStorage, MPEG4HP41, "2.25.5")
    assert set(raw_scu.send(readers.edge.port, [video]).values()) == {0}
    wait_until(lambda: not readers.edge.spooled(), what="an empty spool")
    key = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.5")
    with destination(readers, "+xa") as folder:
        done = readers.run("movescu", *key, extra=["-S", "-aem", "DEST"])
        assert "0x0000: Success" in done, done
        (moved,) = (path.read_bytes() for path in folder.iterdir())
    assert dataset_bytes(moved) == sent_dataset(video)
    got, text = readers.get(*key, extra=["+xn"])
    assert [pydicom.dcmread(path) for path in got.values()] == [pydicom.dcmread(video)], text
    plain, text = readers.get(*key)
    assert plain == {}, "who takes nothing but uncompressed images is told that it failed"
    assert "Failed Suboperations          : 1" in text, text


def test_more_kinds_of_images_than_one_association_can_propose_all_arrive(readers: Readers, tmp_path: Path) -> None:
    """14 SOP classes in a syntax that is seldom met, and one in a syntax that we do not know: others are associated
    for.
    """
    classes = [UID(f"1.2.840.10008.5.1.4.1.1.{end}") for end in KINDS]
    files = [encapsulated(tmp_path / f"{n}.dcm", uid, JPEGLossless, "2.25.6") for n, uid in enumerate(classes, 1)]
    files.append(encapsulated(tmp_path / "15.dcm", classes[0], JPEG2000MC, "2.25.6"))
    assert set(raw_scu.send(readers.edge.port, files).values()) == {0}
    wait_until(lambda: not readers.edge.spooled(), what="an empty spool")
    key = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.6")
    with Collector(readers, [str(uid) for uid in classes], [str(JPEGLossless), str(JPEG2000MC)]) as collector:
        done = readers.run("movescu", *key, extra=["-S", "-aem", "DEST"])
    assert "0x0000: Success" in done, done
    assert collector.came == {f"2.25.6.{path.stem}": sent_dataset(path) for path in files}
    assert collector.associations == 3, "as many as are needed"


def test_a_receiver_that_breaks_off_on_one_image_gets_the_others(readers: Readers, cloud: StubCloud) -> None:
    """The one has failed, by name. Who breaks off on each image is left alone after a few."""
    key = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.1")
    ct = str(pydicom.dcmread(readers.sent["2.25.11.1"]).SOPClassUID)
    with Collector(readers, [ct], []) as collector:
        collector.aborts_on = {"2.25.11.2", "2.25.11.5"}
        done = readers.run("movescu", *key, extra=["-S", "-aem", "DEST"])
        assert "0xb000" in done.lower(), done
        assert re.search(r"Completed Suboperations +: 3\b", done), done
        assert re.search(r"Failed Suboperations +: 2\b", done), done
        assert set(collector.came) - collector.aborts_on == {"2.25.11.1", "2.25.11.3", "2.25.11.4"}
        assert collector.associations == 2, "nothing is left to do after the last one"
    more = write_series(readers.folder / "in" / "d", 9, study="2.25.8", series="2.25.81")
    assert readers.edge.storescu(*more).returncode == 0
    wait_until(lambda: not readers.edge.spooled(), what="an empty spool")
    with Collector(readers, [ct], []) as collector:
        collector.aborts_on = {f"2.25.81.{n}" for n in range(1, 10)}
        done = readers.run(
            "movescu", "QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.8", extra=["-S", "-aem", "DEST"]
        )
    assert "0xa702" in done.lower(), done
    assert collector.associations == 6


def test_what_was_uploaded_here_is_read_from_here(tmp_path: Path, cloud: StubCloud) -> None:
    """The cloud says what there is; the images themselves need not come back."""
    devices = '\n[[device]]\nae_title = "WS1"\nrights = ["retrieve"]\n'
    with StubEdge(tmp_path / "edge", cloud, devices=devices) as edge:
        files = write_series(tmp_path / "in", 4)
        assert edge.storescu(*files).returncode == 0
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        sent = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in files}
        got, text = Readers(edge, tmp_path, sent).get("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.1")
        assert set(got) == set(sent), text
        assert {uid: dataset_bytes(p.read_bytes()) for uid, p in got.items()} == {
            uid: sent_dataset(p) for uid, p in sent.items()
        }
        assert cloud.seen("dicomweb") == 2, "the series of the study, and the instances of the series"


def test_an_edge_without_a_place_for_its_cache_takes_and_sends_images_all_the_same(
    tmp_path: Path, cloud: StubCloud
) -> None:
    """Storing must never depend on reading: after an upgrade the folder may be one that cannot be written."""
    (tmp_path / "file").write_text("not a folder")
    devices = '\n[[device]]\nae_title = "WS1"\nrights = ["store", "query", "retrieve"]\n'
    extra = f'cache = "{tmp_path / "file" / "cache"}"'
    with StubEdge(tmp_path / "edge", cloud, extra=extra, devices=devices) as edge:
        assert edge.storescu(*write_series(tmp_path / "in", 2)).returncode == 0
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        got, text = Readers(edge, tmp_path, {}).get("QueryRetrieveLevel=STUDY", "StudyInstanceUID=2.25.1")
        assert got == {}
        assert "0xa702" in text.lower()
