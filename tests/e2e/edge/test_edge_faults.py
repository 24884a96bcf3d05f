"""Everything that can go wrong between a hospital and its cloud, on real processes: nothing acknowledged is lost."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.support import raw_scu
from tests.support.processes import BIN, wait_until
from tests.support.stub_cloud import Fault, StubCloud, Upload
from tests.support.stub_edge import StubEdge, dataset_bytes, sent_dataset, write_ct, write_series

pytestmark = pytest.mark.e2e

#: C-STORE: refused, out of resources (PS3.4 table B.2-1).
OUT_OF_RESOURCES = 0xA700

CUT = Fault()
CUT_AFTER = Fault(after=True)
HTML = (("Content-Type", "text/html"),)


@pytest.mark.parametrize(
    ("route", "faults"),
    [
        pytest.param("boundaries", (Fault(500), CUT), id="boundaries fail"),
        pytest.param("uploads", (Fault(500), Fault(503, (("Retry-After", "1"),)), CUT), id="grants fail"),
        pytest.param("uploads", (CUT_AFTER,), id="a grant's answer is lost"),
        pytest.param("uploads", (Fault(404), Fault(409)), id="a grant is refused"),
        pytest.param("put", (Fault(500), Fault(429, (("Retry-After", "1"),)), CUT), id="uploads fail"),
        pytest.param("put", (CUT_AFTER,), id="an upload's answer is lost, so the next try meets 412"),
        pytest.param("put", (Fault(500, after=True),), id="an upload fails after it was stored"),
        pytest.param("put", (Fault(403),) * 3, id="the granted URL has expired, again and again"),
        pytest.param("status", (Fault(500), CUT, Fault(200, body=b"{}")), id="status fails"),
        pytest.param("uploads", (Fault(200, HTML, b"<html>log in</html>"),), id="a captive portal answers"),
        pytest.param("uploads", (Fault(302, (("Location", "http://127.0.0.1:1/"),)),), id="a captive portal redirects"),
        pytest.param("put", (Fault(302, (("Location", "http://127.0.0.1:1/"),)),), id="an upload is redirected"),
        pytest.param("put", (Fault(200, HTML, b"<html>log in</html>"),), id="a captive portal takes an upload"),
        pytest.param("status", (Fault(200, HTML, b"<html>log in</html>"),), id="a captive portal tells the fate"),
        pytest.param("uploads", (Fault(401),), id="the key is refused for a while"),
    ],
)
def test_a_pack_arrives_once_whatever_the_cloud_answers(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path, route: str, faults: tuple[Fault, ...]
) -> None:
    """Each fault is retried until the pack is there, and it is there as one object."""
    cloud.fail(route, *faults)
    files = write_series(tmp_path / "in", 3)
    assert edge.storescu(*files).returncode == 0
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    (pack,) = cloud.packs()
    assert [dataset_bytes(part.data) for part in pack] == [sent_dataset(path) for path in files]
    assert not cloud.faults[route]


@pytest.mark.parametrize(
    ("route", "size"),
    [
        pytest.param("uploads", 2000, id="no answer to a question"),
        pytest.param("put", 2000, id="no answer to an upload"),
        pytest.param("put", 4 * 1024 * 1024, id="nobody takes the bytes"),
    ],
)
def test_a_half_open_connection_is_given_up(tmp_path: Path, cloud: StubCloud, route: str, size: int) -> None:
    """The other end is gone and nobody said so: after the timeout the next try has a connection of its own."""
    cloud.fail(route, Fault(-1))
    path = write_ct(tmp_path / "in.dcm", sop="2.25.11.1", size=size)
    short = "read_timeout_seconds = 0.5\nconnect_timeout_seconds = 0.5"
    with StubEdge(tmp_path / "edge", cloud, extra=short) as edge:
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(path)]


def test_a_busy_cloud_is_left_alone_as_long_as_it_asks(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """503 with Retry-After of a second: no part of an upload is tried before."""
    moments: list[float] = []

    def busy(route: str) -> Fault | None:
        if route not in ("uploads", "put"):
            return None
        moments.append(time.monotonic())
        return Fault(503, (("Retry-After", "1"),)) if len(moments) == 2 else None

    cloud.standing_fault = busy
    path = write_ct(tmp_path / "a.dcm", sop="2.25.11.1")
    assert raw_scu.send(edge.port, [path]) == {path: 0}
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert moments[2] - moments[1] >= 1


def test_a_slow_cloud_slows_no_sender(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """C-STORE is answered while uploads hang: the two sides share nothing but the disk."""
    stuck, go_on = threading.Event(), threading.Event()

    def hang(upload: Upload) -> None:
        stuck.set()
        cloud.lock.release()
        try:
            go_on.wait(30)
        finally:
            cloud.lock.acquire()

    cloud.decide = hang
    assert edge.storescu(*write_series(tmp_path / "a", 2)).returncode == 0
    assert stuck.wait(10)
    more = write_series(tmp_path / "b", 20, study="2.25.2", series="2.25.21")
    assert raw_scu.send(edge.port, more) == dict.fromkeys(more, 0)
    go_on.set()
    wait_until(lambda: not edge.spooled(), what="an empty spool")


def test_a_cloud_that_is_away_gets_everything_when_it_is_back(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Images are taken, kept, and told of in the status; then they go up by themselves."""
    cloud.go_away()
    files = write_series(tmp_path / "in", 5)
    assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    wait_until(lambda: edge.status()["cloud"]["error"], what="a cloud error in the status")
    report = edge.status()
    assert report["cloud"]["reachable"] in (False, None)
    assert report["waiting"]["instances"] == 5
    cloud.come_back()
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert len(cloud.parts()) == 5
    assert edge.status()["cloud"]["error"] is None


def test_the_same_images_sent_twice_while_they_wait_go_up_once(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """Identical bytes under one key are one instance; the second is a success that stores nothing."""
    cloud.go_away()
    files = write_series(tmp_path / "in", 5)
    for _ in range(2):
        assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    wait_until(lambda: edge.status()["totals"]["duplicates"] == 5, what="five duplicates")
    assert len(edge.spooled()) == 5
    cloud.come_back()
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert len(cloud.parts()) == 5


def test_another_image_under_the_same_uid_goes_up_too_and_is_kept_for_a_person(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """A different instance under one key is for the cloud to judge; its verdict is shown here, with the file."""

    def judge(upload: Upload) -> None:
        if len(cloud.stored()) == 2:
            upload.conflicts = [{"sop_instance_uid": "2.25.11.1", "reason": "differs from the one that is current"}]

    cloud.decide = judge
    first = write_ct(tmp_path / "a.dcm", sop="2.25.11.1")
    second = write_ct(tmp_path / "b.dcm", sop="2.25.11.1", fill=1)
    assert raw_scu.send(edge.port, [first, second]) == {first: 0, second: 0}
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert [len(pack) for pack in cloud.packs()] == [1, 1]
    (entry,) = edge.status()["attention"]
    assert entry["instances"] == 1
    assert "differs from the one that is current" in entry["reasons"][0]
    (kept,) = (edge.folder / "spool" / "attention").glob("*/*.dcm")
    assert dataset_bytes(kept.read_bytes()) in (sent_dataset(first), sent_dataset(second))


def test_what_has_no_uids_goes_up_as_a_file_and_its_quarantine_is_shown(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """A data set that cannot be walked was acknowledged all the same: it goes up, and a person is told."""

    def judge(upload: Upload) -> None:
        if upload.content_type == "application/dicom":
            upload.state, upload.reason = "quarantined", "unreadable"

    cloud.decide = judge
    path = write_ct(tmp_path / "bad.dcm", sop="2.25.11.1")
    data = bytearray(path.read_bytes())
    start = 144 + int.from_bytes(data[140:144], "little")
    data[start:] = b"\x08\x00\x05\x00CS\xff\xff" + bytes(100)
    path.write_bytes(data)
    assert raw_scu.send(edge.port, [path]) == {path: 0}
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    (file,) = cloud.files()
    assert dataset_bytes(file) == bytes(data[start:])
    (entry,) = edge.status()["attention"]
    assert (entry["state"], entry["reasons"]) == ("quarantined", ["unreadable"])


def test_an_upload_the_cloud_has_forgotten_is_sent_again(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """*Unknown* after a success: the files are still here, so they go up once more."""
    cloud.hold.clear()
    files = write_series(tmp_path / "in", 2)
    assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    cloud.wait_for(lambda: cloud.stored() and cloud.seen("status") > 1)
    with cloud.lock:
        cloud.uploads.clear()
        cloud.hold.set()
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert len(cloud.parts()) == 2


def test_what_the_cloud_refuses_is_shown_and_never_given_up(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """A grant that is refused is tried again for ever; meanwhile the status says why."""
    path = write_ct(tmp_path / "a.dcm", sop="2.25.11.1")
    with cloud.always(Fault(413), "uploads"):
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        wait_until(lambda: edge.status()["failing"], what="a failing upload in the status")
        assert "HTTP 413" in edge.status()["failing"][0]["error"]
        refusals = cloud.seen("uploads")
        cloud.wait_for(lambda: cloud.seen("uploads") > refusals + 1)
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert [part.sop for part in cloud.parts()] == ["2.25.11.1"]


def test_files_stay_until_the_cloud_says_indexed(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Uploaded is not indexed: nothing is deleted on a 200."""
    cloud.hold.clear()
    files = write_series(tmp_path / "in", 2)
    assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    cloud.wait_for(lambda: cloud.seen("status") >= 3)
    assert len(edge.spooled()) == 2
    assert edge.status()["queue"]["sent"]["instances"] == 2
    cloud.hold.set()
    wait_until(lambda: not edge.spooled(), what="an empty spool")


def test_a_full_spool_refuses_with_a700_and_recovers(tmp_path: Path, cloud: StubCloud) -> None:
    """Refused before the disk is full, in the very association that goes on; taken again when there is room."""
    with StubEdge(tmp_path / "edge", cloud, extra="max_mib = 1") as edge:
        cloud.go_away()
        files = write_series(tmp_path / "in", 5, size=300 * 1024)
        results = raw_scu.send(edge.port, files)
        assert list(results.values()) == [0, 0, 0, 0, OUT_OF_RESOURCES]
        assert edge.status()["disk"]["refusing"] is True
        assert edge.status()["totals"]["refused"] == 1
        cloud.come_back()
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert raw_scu.send(edge.port, files[4:]) == {files[4]: 0}
        wait_until(lambda: len(cloud.parts()) == 5, what="all five in the cloud")


def test_a_large_image_is_refused_midway_when_the_spool_fills_up(tmp_path: Path, cloud: StubCloud) -> None:
    """The size of an image is not known beforehand: room is looked for while it arrives, and nothing is left behind."""
    with StubEdge(tmp_path / "edge", cloud, extra="max_mib = 24") as edge:
        large = write_ct(tmp_path / "large.dcm", sop="2.25.11.9", size=40 * 1024 * 1024)
        small = write_ct(tmp_path / "small.dcm", sop="2.25.11.1")
        assert raw_scu.send(edge.port, [large, small]) == {large: OUT_OF_RESOURCES, small: 0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert not list((edge.folder / "spool" / "incoming").iterdir())
        assert [part.sop for part in cloud.parts()] == ["2.25.11.1"]


def test_an_image_larger_than_one_may_be_is_refused_for_good(tmp_path: Path, cloud: StubCloud) -> None:
    """C000, which no modality tries again, and not success for what could never go up; the association goes on. `send`
    names the file and sends the others.
    """
    with StubEdge(tmp_path / "edge", cloud, extra="max_instance_mib = 1") as edge:
        large = write_ct(tmp_path / "large.dcm", sop="2.25.11.9", size=2 * 1024 * 1024)
        small = write_ct(tmp_path / "small.dcm", sop="2.25.11.1", size=900 * 1024)
        assert raw_scu.send(edge.port, [large, small]) == {large: 0xC000, small: 0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        command = [str(BIN / "maypacs-edge"), "send", "--config", str(edge.config), str(large), str(small)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "large.dcm" in done.stdout + done.stderr
        assert "max_instance_mib" in done.stdout + done.stderr
        assert not list((edge.folder / "spool" / "incoming").iterdir())
    assert [part.sop for part in cloud.parts()] == ["2.25.11.1"]


def test_a_stop_in_mid_upload_is_graceful_and_the_next_start_goes_on(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """SIGTERM ends it with 0; what waited goes up after the next start."""
    cloud.go_away()
    files = write_series(tmp_path / "in", 5)
    assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    assert edge.stop() == 0
    cloud.come_back()
    edge.run()
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert len(cloud.parts()) == 5


@pytest.mark.parametrize("damage", ["deleted", "garbage", "truncated"])
def test_a_lost_journal_is_rebuilt_from_the_files(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path, damage: str
) -> None:
    """The files are the truth: an edge without its journal uploads them all the same."""
    cloud.go_away()
    files = write_series(tmp_path / "in", 5)
    assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    edge.kill()
    journal = edge.folder / "spool" / "journal.sqlite"
    for side in ("-wal", "-shm"):
        journal.with_name(journal.name + side).unlink(missing_ok=True)
    if damage == "deleted":
        journal.unlink()
    else:
        journal.write_bytes(b"garbage" * 5000 if damage == "garbage" else journal.read_bytes()[:5000])
    cloud.come_back()
    edge.run()
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert sorted(part.sop for part in cloud.parts()) == sorted(f"2.25.11.{n}" for n in range(1, 6))


def test_a_second_process_on_the_same_spool_refuses_to_start(edge: StubEdge) -> None:
    """Two writers on one journal would be trouble: the second says so and ends."""
    second = subprocess.run(
        [str(BIN / "maypacs-edge"), "run", "--config", str(edge.config)], capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert "another process works on the spool" in second.stderr


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_at_random_points_loses_nothing_acknowledged(tmp_path: Path, cloud: StubCloud, seed: int) -> None:
    """Killed again and again while it receives and uploads, through cloud faults: every success reaches the cloud."""
    dice = random.Random(seed)
    faults = (CUT, CUT_AFTER, Fault(500), Fault(503))
    files = write_series(tmp_path / "in", 60, size=20 * 1024)
    acknowledged: set[Path] = set()
    edge = StubEdge(tmp_path / "edge", cloud)
    for _ in range(4):
        for route in ("uploads", "put", "status"):
            cloud.fail(route, *(dice.choice(faults) for _ in range(dice.randrange(3))))
        edge.run()
        # A sender that got no answer sends again, others send what they have sent before.
        batch = [path for path in files if path not in acknowledged] + dice.sample(files, 10)
        last, delay = dice.randrange(1, len(batch)), dice.choice((0.0, 0.002, 0.05, 0.3))

        def kill_at(count: int, last: int = last, delay: float = delay) -> None:
            if count == last:
                threading.Timer(delay, edge.kill).start()

        results = raw_scu.send(edge.port, batch, acknowledged=kill_at)
        acknowledged |= {path for path, status in results.items() if status == 0}
        assert len(results) >= len(set(batch[:last]))  # some are sent twice
        assert edge.process is not None
        edge.process.wait(10)
    edge.run()
    try:
        wait_until(lambda: not edge.spooled(), seconds=60, what="an empty spool")
        arrived = {dataset_bytes(part.data) for part in cloud.parts()}
        assert {sent_dataset(path) for path in acknowledged} <= arrived
        assert arrived <= {sent_dataset(path) for path in files}
        assert edge.status()["totals"]["missing"] == 0
        assert not edge.status()["attention"]
    finally:
        edge.stop()


def test_no_patient_data_is_in_logs_or_status(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """Names and ids stay in the images: not in the log, not in the journal, not in the status."""
    cloud.fail("put", Fault(500), Fault(400))
    files = write_series(tmp_path / "in", 2)
    assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    report = json.dumps(edge.status(), ensure_ascii=False)
    edge.stop()
    log = edge.log.read_text(encoding="utf-8")
    journal = b"".join(path.read_bytes() for path in (edge.folder / "spool").glob("journal.sqlite*"))
    assert all(json.loads(line)["message"] for line in log.splitlines() if line.startswith("{"))
    for secret in ("Nguyễn", "THU-0001", "mpk_stub"):
        assert secret not in log
        assert secret not in report
        assert secret.encode() not in journal
