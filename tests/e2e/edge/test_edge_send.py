"""`maypacs-edge send`: folders, zips and discs, beside a running edge and without one, killed and taken up again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest
from tests.support import raw_scu
from tests.support.processes import BIN, wait_until
from tests.support.stub_cloud import Fault, StubCloud
from tests.support.stub_edge import StubEdge, dataset_bytes, sent_dataset, write_ct, write_series
from ulid import ULID

from edge_forwarder.importing.memory import Imports
from edge_forwarder.importing.sources import Source, find

pytestmark = pytest.mark.e2e


def command(edge: StubEdge, *words: object) -> list[str]:
    return [str(BIN / "maypacs-edge"), "send", "--config", str(edge.config), *map(str, words)]


def send(edge: StubEdge, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(edge, *words), capture_output=True, text=True, timeout=60)


def data_sets(paths: Sequence[Path]) -> dict[str, bytes]:
    return {str(pydicom.dcmread(p).SOPInstanceUID): sent_dataset(p) for p in paths}


def in_cloud(cloud: StubCloud) -> dict[str, bytes]:
    parts = cloud.parts()
    assert len({p.sop for p in parts}) == len(parts), "an instance twice"
    return {p.sop: dataset_bytes(p.data) for p in parts}


def test_a_folder_goes_up_to_the_byte_and_what_is_no_image_is_named(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """Sub-folders, headers of all sorts, rubbish with its reason; nothing is changed; a second run sends nothing."""
    files = write_series(tmp_path / "in" / "a b" / "c", 4) + [
        write_ct(tmp_path / "in" / "big", study="2.25.2", series="2.25.21", sop="2.25.21.1", size=6144 * 1024)
    ]
    whole = files[0].read_bytes()
    bare = write_ct(tmp_path / "bare.dcm", study="2.25.3", series="2.25.31", sop="2.25.31.1")
    (tmp_path / "in" / "bare").write_bytes(sent_dataset(bare))
    meta = bare.read_bytes()[144 : -len(sent_dataset(bare))]
    headless = write_ct(tmp_path / "other.dcm", study="2.25.3", series="2.25.31", sop="2.25.31.2")
    (tmp_path / "in" / "no group length").write_bytes(
        b"\0" * 128 + b"DICM" + meta.replace(b"2.25.31.1\0", b"2.25.31.2\0") + sent_dataset(headless)
    )
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    (tmp_path / "in" / "empty").touch()
    (tmp_path / "in" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"rubbish" * 100)
    os.mkfifo(tmp_path / "in" / "pipe")
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in (tmp_path / "in").rglob("*") if p.is_file()}
    done = send(edge, tmp_path / "in")
    assert done.returncode == 1, done.stdout + done.stderr
    assert in_cloud(cloud) == data_sets([*files, bare, headless])
    assert whole in [p.data for p in cloud.parts()]
    for name, reason in (("notes.txt", "not DICOM"), ("empty", "not DICOM"), ("pipe", "not a file")):
        assert re.search(rf"passed over: .*/{name}: {reason}", done.stdout), done.stdout
    assert re.search("FAILED: .*/broken.dcm: ", done.stdout), done.stdout
    assert "7 images sent" in done.stdout
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in before}
    puts = cloud.seen("put")
    (tmp_path / "in" / "broken.dcm").unlink()
    again = send(edge, tmp_path / "in")
    assert again.returncode == 0
    assert "0 images sent (0 B), 7 were there already" in again.stdout
    assert cloud.seen("put") == puts
    assert edge.spooled() == []


def test_a_zip_and_a_disc_are_read_and_their_faults_named(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Members of a zip; a DICOMDIR, which names what is not there, and not all that is; a zip in a zip; a bomb."""
    files = write_series(tmp_path / "a", 3)
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, f"x/{path.name}")
        archive.writestr("../../escape.txt", "no path of a zip is used")
        archive.writestr("inner.zip", b"PK")
    bomb = files[0].read_bytes()[:-2000]
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.dcm", "w", force_zip64=True) as member,
    ):
        member.write(bomb)
        for _ in range(300):
            member.write(bytes(1024 * 1024))
    disc = tmp_path / "disc"
    disc.mkdir()
    for path in write_series(tmp_path / "b", 2, study="2.25.2", series="2.25.21"):
        path.rename(disc / f"IMG{path.stem}")
    files_of_disc = ["IMG0001", "IMG0002"]
    subprocess.run(["dcmmkdir", "+I", "+id", disc, "+D", disc / "DICOMDIR", *files_of_disc], check=True)
    (disc / "IMG0001").unlink()
    (disc / "IMG0002").rename(disc / "img0002")
    (disc / "IMG0003").write_bytes(files[0].read_bytes())
    done = send(edge, tmp_path / "in.zip", tmp_path / "bomb.zip", disc / "DICOMDIR")
    assert done.returncode == 1, done.stderr
    assert set(in_cloud(cloud)) == {"2.25.11.1", "2.25.11.2", "2.25.11.3", "2.25.21.2"}
    assert in_cloud(cloud).items() >= data_sets(files).items()
    for words in (
        "inner.zip: a zip within a zip",
        "bomb.dcm: the zip inflates",
        "named by the DICOMDIR, but not there",
    ):
        assert re.search(f"FAILED: .*{words}", done.stdout), done.stdout
    assert "4 images sent" in done.stdout
    assert not list(tmp_path.rglob("escape.txt"))


@pytest.mark.parametrize("running", [True, False], ids=["beside a running edge", "by itself"])
def test_killed_and_started_again_sends_nothing_twice_and_loses_nothing(
    tmp_path: Path, cloud: StubCloud, running: bool
) -> None:
    """kill -9 of the command, three times at various points, with an edge running and with none."""
    files = write_series(tmp_path / "in", 120, size=60_000)
    edge = StubEdge(tmp_path / "edge", cloud)
    if running:
        edge.run()
    try:
        for handed in (5, 40, 90):
            with subprocess.Popen(
                command(edge, tmp_path / "in"), stdout=subprocess.PIPE, start_new_session=True
            ) as run:
                wait_until(lambda handed=handed: _remembered(edge) >= handed, what="some files handed over")
                os.killpg(run.pid, signal.SIGKILL)
        done = send(edge, tmp_path / "in")
    finally:
        if running:
            edge.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert in_cloud(cloud) == data_sets(files)
    assert edge.spooled() == []


def test_what_the_cloud_has_already_is_not_uploaded_and_counted_as_such(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """A modality sent two of them before, byte for byte."""
    files = write_series(tmp_path / "in", 4)
    assert raw_scu.send(edge.port, files[:2]) == dict.fromkeys(files[:2], 0)
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    done = send(edge, tmp_path / "in")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"2 images sent \(.*\), 2 were there already", done.stdout), done.stdout
    assert in_cloud(cloud) == data_sets(files)


def test_what_was_written_down_and_never_handed_over_is_sent(tmp_path: Path, cloud: StubCloud) -> None:
    """The run before was killed between the two; nobody has the file, so it goes now."""
    files = write_series(tmp_path / "in", 2)
    edge = StubEdge(tmp_path / "edge", cloud)
    (edge.folder / "spool").mkdir()
    imports = Imports.open(edge.folder / "spool" / "imports.sqlite")
    for source in find([tmp_path / "in"]):
        assert isinstance(source, Source)
        imports.handing(source, f"{ULID()}~maypacs-edge%20send.dcm")
    imports.close()
    done = send(edge, tmp_path / "in")
    assert done.returncode == 0, done.stdout + done.stderr
    assert in_cloud(cloud) == data_sets(files)


def _remembered(edge: StubEdge) -> int:
    path = edge.folder / "spool" / "imports.sqlite"
    if not path.is_file():
        return 0
    try:
        imports = Imports.read_only(path)
        rows = imports._rows("select count(*) as n from files")
        imports.close()
        return int(rows[0]["n"])
    except Exception:
        return 0


def test_it_waits_for_room_and_for_the_uplink_and_then_goes_on(tmp_path: Path, cloud: StubCloud) -> None:
    """With the cloud away the spool fills up to its allowance and no further; nothing fails."""
    files = write_series(tmp_path / "in", 40, size=100_000)
    with (
        StubEdge(tmp_path / "edge", cloud, extra="max_mib = 2") as edge,
        subprocess.Popen(
            command(edge, tmp_path / "in"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run,
    ):
        with cloud.always(Fault(503), "uploads", "boundaries", "put", "status", "known"):
            wait_until(lambda: _spool_bytes(edge) > 1_500_000, what="a spool that is nearly full")
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(3)
            assert _spool_bytes(edge) <= 2 * 1024 * 1024 + 100_000
        out, _ = run.communicate(timeout=60)
        assert run.returncode == 0, out
    assert in_cloud(cloud) == data_sets(files)


def _spool_bytes(edge: StubEdge) -> int:
    folders = (edge.received, edge.folder / "spool" / "handed")
    return sum(p.stat().st_size for folder in folders if folder.is_dir() for p in folder.glob("*.dcm") if p.exists())


def test_what_the_cloud_does_not_take_is_told_by_file(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """A conflict in a pack: the other images are in, the file is named, and set aside."""
    files = write_series(tmp_path / "in", 3)

    def decide(upload: object) -> None:
        upload.state = "partial"  # type: ignore[attr-defined]
        upload.conflicts = [{"sop_instance_uid": "2.25.11.2", "reason": "differs"}]  # type: ignore[attr-defined]

    cloud.decide = decide
    done = send(edge, tmp_path / "in")
    assert done.returncode == 1
    assert re.search(rf"FAILED: {files[1]}: the archive has another image", done.stdout), done.stdout
    assert "2 images sent" in done.stdout
