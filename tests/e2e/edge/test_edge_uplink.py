"""Pauses, windows and priorities, on real processes."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from tests.support import raw_scu
from tests.support.processes import wait_until
from tests.support.stub_cloud import StubCloud, Upload
from tests.support.stub_edge import StubEdge, write_ct, write_series

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("how", ["pause = true", 'windows = ["00:00-24:00 pause"]'])
def test_a_paused_edge_takes_images_and_sends_none(tmp_path: Path, cloud: StubCloud, how: str) -> None:
    """They wait, the status says why; after the pause they go up by themselves."""
    files = write_series(tmp_path / "in", 3)
    with StubEdge(tmp_path / "edge", cloud, extra=how) as edge:
        assert raw_scu.send(edge.port, files) == dict.fromkeys(files, 0)
        wait_until(lambda: edge.status()["queue"]["packed"]["instances"] == 3, what="a pack that waits")
        report = edge.status()
        assert "pause" in report["upload"]["limit"]
        assert not report["failing"]
        assert cloud.seen("uploads") == 0
        assert edge.stop() == 0
        edge.config.write_text(edge.config.read_text().replace(how, ""))
        edge.run()
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert edge.status()["upload"]["limit"] == "unlimited"
    assert len(cloud.parts()) == 3


def test_a_reload_opens_and_closes_the_tap(tmp_path: Path, cloud: StubCloud) -> None:
    """Under way at 8 kbit/s; paused, it ends at once and is no failure; without a limit it is there in a moment."""
    path = write_ct(tmp_path / "in.dcm", sop="2.25.11.1", size=4 * 1024 * 1024)
    slow = 'windows = ["00:00-24:00 8kbit/s"]'
    with StubEdge(tmp_path / "edge", cloud, extra=slow) as edge:

        def reload(old: str, new: str) -> None:
            edge.config.write_text(edge.config.read_text().replace(old, new))
            assert edge.process is not None
            edge.process.send_signal(signal.SIGHUP)

        assert raw_scu.send(edge.port, [path]) == {path: 0}
        cloud.wait_for(lambda: cloud.seen("put"))
        assert edge.status()["queue"]["uploading"]["instances"] == 1
        reload("# pause = false", "pause = true")
        wait_until(lambda: edge.status()["queue"]["packed"]["instances"] == 1, what="an upload that ended")
        wait_until(lambda: edge.status()["upload"]["limit"] == "paused", what="the pause in the status")
        reload("pause = true\n", "pause = false\n")
        wait_until(lambda: edge.status()["queue"]["uploading"]["instances"] == 1, what="an upload that goes on")
        reload(slow, "")
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert edge.status()["totals"]["failed_uploads"] == 0
        assert len(cloud.parts()) == 1


def test_a_stop_waits_for_no_slow_upload(tmp_path: Path, cloud: StubCloud) -> None:
    """At 8 kbit/s it would take hours; it is no failure of anybody's, and goes up later."""
    path = write_ct(tmp_path / "in.dcm", sop="2.25.11.1", size=4 * 1024 * 1024)
    slow = 'windows = ["00:00-24:00 8kbit/s"]'
    with StubEdge(tmp_path / "edge", cloud, extra=slow) as edge:
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        cloud.wait_for(lambda: cloud.seen("put"))
        assert edge.stop() == 0
        edge.config.write_text(edge.config.read_text().replace(slow, ""))
        edge.run()
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert edge.status()["totals"]["failed_uploads"] == 0


def test_a_stat_image_goes_before_the_backlog(tmp_path: Path, cloud: StubCloud) -> None:
    """Every uploader is busy and many packs wait: the device of the emergency room has a lane of its own."""
    stuck, go_on = threading.Semaphore(0), threading.Event()

    def hang(upload: Upload) -> None:
        stuck.release()
        cloud.lock.release()
        try:
            go_on.wait(30)
        finally:
            cloud.lock.acquire()

    cloud.decide = hang
    extra = 'stat_devices = ["ER-CT"]'
    with StubEdge(tmp_path / "edge", cloud, extra=extra) as edge:
        backlog = [
            write_ct(tmp_path / f"{n}.dcm", study=f"2.25.{n}", series=f"2.25.{n}.1", sop=f"2.25.{n}.1.1")
            for n in range(10, 20)
        ]
        assert raw_scu.send(edge.port, backlog) == dict.fromkeys(backlog, 0)
        assert stuck.acquire(timeout=30)
        assert stuck.acquire(timeout=30)  # both uploaders
        cloud.decide = lambda upload: None
        urgent = write_ct(tmp_path / "er.dcm", study="2.25.99", series="2.25.99.1", sop="2.25.99.1.1")
        assert raw_scu.send(edge.port, [urgent], calling="ER-CT") == {urgent: 0}
        cloud.wait_for(lambda: len(cloud.stored()) == 3)
        assert [part.sop for part in cloud.packs()[-1]] == ["2.25.99.1.1"]
        assert edge.status()["totals"]["failed_uploads"] == 0  # neither of the two gave up for it
        go_on.set()
        wait_until(lambda: not edge.spooled(), what="an empty spool")
