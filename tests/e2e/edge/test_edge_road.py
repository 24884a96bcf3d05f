"""Real senders, a real edge process, a stub of the cloud: what arrives is what was sent."""

from __future__ import annotations

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE
from tests.conftest import OWN_SAMPLES, sample_files
from tests.support import raw_scu
from tests.support.processes import BIN, QUICK_TCP, wait_until
from tests.support.stub_cloud import StubCloud, boundary_of
from tests.support.stub_edge import AET, StubEdge, dataset_bytes, sent_dataset, write_ct, write_series

pytestmark = pytest.mark.e2e


def test_a_series_becomes_one_pack_of_identical_data_sets(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """What storescu sends in one association arrives as one pack, in order, and then leaves the spool."""
    files = write_series(tmp_path / "in", 20)
    sent = edge.storescu(*reversed(files))
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    (pack,) = cloud.packs()
    assert [dataset_bytes(part.data) for part in pack] == [sent_dataset(path) for path in files]
    report = edge.status()
    assert report["totals"]["received"] == report["totals"]["indexed"] == 20
    assert report["cloud"]["reachable"] is True


def test_the_pack_uses_the_archives_boundary_unless_the_data_contain_it(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """A pack with the archive's boundary can be joined by the cloud; one whose data contain it gets another."""
    good = write_ct(tmp_path / "good.dcm", study="2.25.5", series="2.25.51", sop="2.25.511")
    bad = write_ct(tmp_path / "bad.dcm", study="2.25.6", series="2.25.61", sop="2.25.611")
    ds = pydicom.dcmread(bad)
    ds.ImageComments = f"--{boundary_of('2.25.6')}"
    ds.save_as(bad)
    assert edge.storescu(good, bad).returncode == 0
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert len(cloud.packs()) == 2
    used = {u.content_type.rpartition("boundary=")[2] for u in cloud.stored()}
    assert boundary_of("2.25.5") in used
    assert boundary_of("2.25.6") not in used


def test_every_sample_arrives_byte_for_byte(edge: StubEdge, cloud: StubCloud) -> None:
    """Every transfer syntax and SOP class at hand, private ones too: the data set is never touched."""
    usable = []
    for path in sample_files():
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
            assert ds.file_meta.MediaStorageSOPClassUID
            assert ds.file_meta.TransferSyntaxUID
            assert ds.SOPInstanceUID
            assert path.read_bytes()[132:140] == b"\2\0\0\0UL\4\0"
        except Exception:
            continue
        usable.append(path)
    assert len(usable) > 10
    expected = set()
    for start in range(0, len(usable), 40):
        batch = usable[start : start + 40]
        results = raw_scu.send(edge.port, batch)
        assert results == dict.fromkeys(batch, 0)
        expected |= {sent_dataset(path) for path in batch}
    wait_until(lambda: not edge.spooled(), seconds=60, what="an empty spool")
    arrived = {dataset_bytes(part.data) for part in cloud.parts()} | {dataset_bytes(data) for data in cloud.files()}
    assert arrived == expected
    assert all(part.data[:132] == b"\0" * 128 + b"DICM" for part in cloud.parts())


def test_compressed_images_stay_compressed(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """dcmsend proposes a file's own syntax and uncompressed ones together: compressed is taken, then Explicit LE."""
    files = [path for path in sample_files() if path.suffix == ".dcm" and path.is_relative_to(OWN_SAMPLES / "studies")]
    syntaxes = {str(pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID) for path in files}
    assert any(syntax.startswith("1.2.840.10008.1.2.4.") for syntax in syntaxes)
    line = ["dcmsend", "-aec", AET, "--no-halt", "127.0.0.1", str(edge.port), *map(str, files)]
    assert subprocess.run(line, env=QUICK_TCP, timeout=60).returncode == 0
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    implicit, explicit = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
    sent = {
        (str(ds.SOPInstanceUID), str(ds.file_meta.TransferSyntaxUID))
        for ds in (pydicom.dcmread(path, stop_before_pixels=True) for path in files)
    }
    sent = {(sop, explicit if syntax == implicit else syntax) for sop, syntax in sent}
    assert {(part.sop, part.transfer_syntax_uid) for part in cloud.parts()} == sent


def test_the_same_image_always_gives_the_same_file(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """File meta has no time and no AE title: two senders, two days, one file."""
    (path,) = write_series(tmp_path / "in", 1)
    for calling in ("CT1", "CT2"):
        raw_scu.send(edge.port, [path], calling=calling)
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        cloud.deleted.add("2.25.11.1")  # or the second would not be sent: the cloud has it
    first, second = cloud.parts()
    assert first.data == second.data


def test_echo_is_answered(edge: StubEdge) -> None:
    """C-ECHO, as every installer tries first."""
    done = subprocess.run(["echoscu", "-aec", AET, "127.0.0.1", str(edge.port)], env=QUICK_TCP, timeout=30)
    assert done.returncode == 0


def test_another_called_ae_title_is_rejected_with_the_reason(edge: StubEdge, tmp_path: Path) -> None:
    """A-ASSOCIATE-RJ: permanent, service user, called AE title not recognized."""
    refused = edge.storescu(*write_series(tmp_path / "in", 1), aet="SOMEBODY")
    assert refused.returncode != 0
    assert "Called AE Title Not Recognized" in refused.stdout + refused.stderr


def test_a_caller_that_is_no_known_device_is_rejected_when_asked_so(tmp_path: Path, cloud: StubCloud) -> None:
    """The allow-list goes by AE title and, where given, by address."""
    with StubEdge(tmp_path / "edge", cloud, extra="only_known_devices = true") as edge:
        edge.stop()
        with edge.config.open("a") as config:
            config.write('[[device]]\nae_title = "THU-CT1"\nhost = "127.0.0.1"\n')
            config.write('[[device]]\nae_title = "THU-CT2"\nhost = "192.0.2.1"\n')
        edge.run()
        (path,) = write_series(tmp_path / "in", 1)
        assert raw_scu.send(edge.port, [path], calling="THU-CT1") == {path: 0}
        assert raw_scu.send(edge.port, [path], calling="THU-CT2") == {}
        assert raw_scu.send(edge.port, [path], calling="THU-CT3") == {}


def test_more_associations_than_allowed_are_rejected_and_later_served(tmp_path: Path, cloud: StubCloud) -> None:
    """A local limit is transient: the sender may try again, and then succeeds."""
    with StubEdge(tmp_path / "edge", cloud, extra="max_associations = 1") as edge:
        (path,) = write_series(tmp_path / "in", 1)
        with socket.create_connection(("127.0.0.1", edge.port)):
            wait_until(lambda: raw_scu.send(edge.port, [path]) == {}, what="a rejection")
        wait_until(lambda: raw_scu.send(edge.port, [path]) == {path: 0}, what="a success")


def test_two_senders_at_once_lose_nothing(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Two series by four associations at the same time: every instance arrives once, each pack of one series."""
    sets = [
        write_series(tmp_path / name, 30, study=f"2.25.{n}", series=f"2.25.{n}1") for n, name in ((7, "a"), (8, "b"))
    ]
    jobs = [sets[0][:15], sets[0][15:], sets[1][:15], sets[1][15:]]
    with ThreadPoolExecutor(4) as pool:
        assert all(done.returncode == 0 for done in pool.map(lambda job: edge.storescu(*job), jobs))
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert sorted(part.sop for part in cloud.parts()) == sorted(f"2.25.{n}1.{i}" for n in (7, 8) for i in range(1, 31))


def test_a_series_closes_by_itself_when_its_association_stays_open(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """Modalities keep associations open for hours: the quiet time sends what they have sent."""
    (path,) = write_series(tmp_path / "in", 1)
    ae = AE()
    ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2")
    association = ae.associate("127.0.0.1", edge.port, ae_title=AET)
    assert association.send_c_store(pydicom.dcmread(path)).Status == 0
    cloud.wait_for(lambda: cloud.seen("put") == 1)
    assert association.is_established
    association.release()


def test_a_large_instance_is_streamed_and_travels_alone(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """150 MB never are in memory at once, neither received nor uploaded; too large to inline is a pack of its own."""
    size = 150_000_000 // 16384 * 16384
    large = write_ct(tmp_path / "large.dcm", sop="2.25.11.900", number=900, size=size)
    small = write_series(tmp_path / "in", 2)
    assert raw_scu.send(edge.port, [small[0], large, small[1]]) == dict.fromkeys((small[0], large, small[1]), 0)
    wait_until(lambda: not edge.spooled(), seconds=60, what="an empty spool")
    assert [len(pack) for pack in cloud.packs() if any(len(part.data) > size for part in pack)] == [1]
    assert len(cloud.parts()) == 3
    assert edge.process is not None
    peak = next(
        int(line.split()[1])
        for line in Path(f"/proc/{edge.process.pid}/status").read_text().splitlines()
        if "VmHWM" in line
    )
    assert peak < 100_000, "kilobytes at the highest"


def test_status_and_check_speak_to_people(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Both commands work beside the running service, and say what is the matter when it is not well."""
    edge.storescu(*write_series(tmp_path / "in", 3))
    wait_until(lambda: not edge.spooled(), what="an empty spool")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "maypacs-edge"), *words, "--config", str(edge.config)],
            capture_output=True,
            text=True,
            timeout=30,
        )

    text = command("status").stdout
    assert f"listens as {AET} on port {edge.port}" in text
    assert "3 received, 3 indexed" in text
    checked = command("check")
    assert checked.returncode == 0, checked.stdout
    cloud.refuse_key = True
    refused = command("check")
    assert refused.returncode == 1
    assert "enrol again: maypacs-edge enroll" in refused.stdout
    edge.stop()
    assert "is not running" in command("status").stdout


def test_enrolment_keeps_the_key_private_and_refuses_a_wrong_code(tmp_path: Path, cloud: StubCloud) -> None:
    """credentials.json is 0600; a wrong code leaves nothing behind."""
    edge = StubEdge(tmp_path / "edge", cloud)
    assert (edge.folder / "credentials.json").stat().st_mode & 0o777 == 0o600
    wrong = subprocess.run(
        [
            BIN / "maypacs-edge",
            "enroll",
            "--url",
            cloud.url,
            "--code",
            "WRONG",
            "--config",
            tmp_path / "new" / "edge.toml",
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert wrong.returncode == 1
    assert "does not accept" in wrong.stderr
    assert list((tmp_path / "new").iterdir()) == []
