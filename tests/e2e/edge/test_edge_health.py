"""An edge says how it is: to the console each minute, to Prometheus and to whoever asks on loopback, to `status`."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import QUICK_TCP, Child, free_port, wait_until
from tests.support.stub_cloud import Fault, StubCloud
from tests.support.stub_edge import AET, StubEdge, write_ct, write_series

from edge_forwarder.databases.journal import Journal
from edge_forwarder.health.heartbeat import HEALTH

SECONDS = "heartbeat_seconds = 1.0"


class Watched(StubEdge):
    """An edge with /health and /metrics, and devices."""

    def __init__(self, folder: Path, cloud: StubCloud, *, devices: str = "") -> None:
        self.health_port = free_port()
        super().__init__(folder, cloud, devices=devices)

    def _quick(self, extra: str) -> None:
        super()._quick(extra)
        text = self.config.read_text()
        head, section, tail = text.partition("[health]\n")
        for commented, line in (("# heartbeat_seconds = 0.0", SECONDS), ("# port = 0", f"port = {self.health_port}")):
            tail = tail.replace(commented, line, 1)
        self.config.write_text(head + section + tail)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self) -> tuple[int, dict[str, Any]]:
        status, text = self.get("/health")
        return status, json.loads(text)


@pytest.fixture
def edge(tmp_path: Path, cloud: StubCloud) -> Iterator[Watched]:
    with Watched(tmp_path / "edge", cloud) as running:
        yield running


def test_the_console_hears_of_the_machine_the_queue_and_each_device(
    cloud: StubCloud, edge: Watched, tmp_path: Path
) -> None:
    """Numbers, times and AE titles; nothing of a patient in all that leaves the edge."""
    cloud.hold.clear()
    assert edge.storescu(*write_series(tmp_path / "ct", 3), extra=["-aet", "KHOA-CT1"]).returncode == 0
    cloud.wait_for(lambda: any(b["devices"] for b in cloud.heartbeats))
    cloud.wait_for(lambda: cloud.heartbeats[-1]["waiting"] == 3 and cloud.heartbeats[-1]["devices"][0].get("modality"))
    beat = cloud.heartbeats[-1]
    assert {"version", "cpu_percent", "memory_percent", "disk_free", "disk_total", "process_bytes"} <= beat.keys()
    (device,) = beat["devices"]
    assert (device["ae_title"], device["modality"]) == ("KHOA-CT1", "CT")
    assert abs(device["image_at"] - time.time()) < 60
    assert beat["uplink"] == "ok"
    assert beat["received_per_hour"] == 3
    assert abs(beat["clock_offset_seconds"] or 0) < 5
    everything = json.dumps(cloud.heartbeats, ensure_ascii=False) + edge.get("/metrics")[1] + edge.get("/health")[1]
    assert "Nguy" not in everything
    assert "THU-0001" not in everything


def test_metrics_are_prometheus_text_and_health_has_words(cloud: StubCloud, edge: Watched, tmp_path: Path) -> None:
    """Each line of the format; 200 while all is well."""
    assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1")).returncode == 0
    cloud.wait_for(lambda: cloud.heartbeats)
    status, text = edge.get("/metrics")
    assert status == 200
    sample = re.compile(r'maypacs_edge_[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?[0-9.e+]+')
    for line in text.splitlines():
        assert line.startswith(("# HELP maypacs_edge_", "# TYPE maypacs_edge_")) or sample.fullmatch(line), line
    assert "\nmaypacs_edge_received_instances_total 1\n" in text
    assert 'maypacs_edge_uplink{state="ok"} 1' in text
    assert edge.health() == (200, {"status": "green", "findings": []})
    assert edge.get("/")[0] == 404


def test_a_console_that_answers_ends_no_outage_of_uploads(cloud: StubCloud, edge: Watched, tmp_path: Path) -> None:
    """A filter lets the console through and not storage: since when nothing goes up is not begun anew with each
    heartbeat, or nobody would ever be told.
    """

    def uplink() -> tuple[str, float]:
        journal = Journal.read_only(edge.folder / "spool" / "journal.sqlite")
        try:
            told = json.loads(journal.facts().get(HEALTH) or "{}")
        finally:
            journal.close()
        return told.get("uplink", ""), told.get("uplink_since", 0.0)

    with cloud.always(Fault(), "put"):
        assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1")).returncode == 0
        wait_until(lambda: uplink()[0] == "away", what="an outage")
        before, beats = uplink(), len(cloud.heartbeats)
        cloud.wait_for(lambda: len(cloud.heartbeats) >= beats + 3)
        assert uplink() == before
    cloud.wait_for(lambda: cloud.heartbeats[-1]["uplink"] == "ok")


def test_a_revoked_edge_says_so_keeps_everything_and_goes_on_after_enrolment(
    cloud: StubCloud, edge: Watched, tmp_path: Path
) -> None:
    """Plainly, in health and status; what is sent meanwhile is acknowledged, kept, and uploaded later."""
    cloud.wait_for(lambda: cloud.heartbeats)
    cloud.refuse_key = True
    assert edge.storescu(*write_series(tmp_path / "ct", 3)).returncode == 0
    wait_until(lambda: edge.health()[0] == 503, what="what was waited for")
    status, health = edge.health()
    assert (status, health["status"]) == (503, "red")
    assert "was revoked" in health["findings"][0]
    wait_until(lambda: edge.status()["health"]["level"] == "red", what="what was waited for")
    assert "was revoked" in edge.status()["health"]["findings"][0]
    assert len(edge.spooled()) == 3
    cloud.refuse_key = False
    cloud.wait_for(lambda: len(cloud.parts()) == 3)
    wait_until(lambda: edge.health()[0] == 200, what="what was waited for")


def test_a_cloud_whose_clock_differs_is_told_of(cloud: StubCloud, edge: Watched) -> None:
    """The edge's clock may be the one that is wrong: grants and certificates have times."""
    cloud.clock_ahead = 700.0
    wait_until(lambda: edge.health()[1]["status"] == "red", what="what was waited for")
    (words,) = edge.health()[1]["findings"]
    assert "clock differs" in words


def test_devices_are_asked_by_c_echo(cloud: StubCloud, tmp_path: Path) -> None:
    """One that is there, one that is not: told apart, and by name."""
    there, gone = free_port(), free_port()
    blocks = "".join(
        f'[[device]]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n'
        for title, port in (("MAY-CT", there), ("MAY-XA", gone))
    )
    scp = ["storescp", "-aet", "MAY-CT", "-od", str(tmp_path), str(there)]
    listener = Child(scp, log=tmp_path / "scp.log", env=QUICK_TCP)
    listener.spawn()
    try:
        with Watched(tmp_path / "edge", cloud, devices=blocks):
            cloud.wait_for(lambda: [d for d in cloud.heartbeats[-1:] for d in d["devices"] if "echo_failed_at" in d])
            beat = cloud.heartbeats[-1]
    finally:
        listener.kill()
    by_title = {device["ae_title"]: device for device in beat["devices"]}
    assert "echo_at" in by_title["MAY-CT"]
    assert "echo_at" not in by_title["MAY-XA"]
    assert [(f["code"], f["device"]) for f in beat["findings"]] == [("echo_failed", "MAY-XA")]


def test_a_device_that_is_turned_away_is_seen(cloud: StubCloud, edge: Watched, tmp_path: Path) -> None:
    """A wrong called AE title is the commonest mistake of all."""
    image = write_ct(tmp_path / "a.dcm", sop="2.25.1.1")
    assert edge.storescu(image, aet="WRONG", extra=["-aet", "KHOA-MR"]).returncode != 0
    cloud.wait_for(lambda: cloud.heartbeats and cloud.heartbeats[-1]["findings"])
    (finding,) = cloud.heartbeats[-1]["findings"]
    assert (finding["code"], finding["device"]) == ("device_rejected", "KHOA-MR")
    assert edge.storescu(image, aet=AET, extra=["-aet", "KHOA-MR"]).returncode == 0
    cloud.wait_for(lambda: not cloud.heartbeats[-1]["findings"])


def test_devices_are_remembered_across_kill_9(cloud: StubCloud, edge: Watched, tmp_path: Path) -> None:
    """What was seen before the last heartbeat is known to the next process."""
    assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1"), extra=["-aet", "KHOA-CT1"]).returncode == 0
    cloud.wait_for(lambda: cloud.heartbeats and cloud.heartbeats[-1]["devices"])
    edge.kill()
    seen = len(cloud.heartbeats)
    edge.run()
    cloud.wait_for(lambda: len(cloud.heartbeats) > seen)
    assert [d["ae_title"] for d in cloud.heartbeats[-1]["devices"]] == ["KHOA-CT1"]


def test_a_console_that_knows_no_heartbeats_does_no_harm(cloud: StubCloud, tmp_path: Path) -> None:
    """An older cloud answers 404, a broken one nonsense: images go up all the same."""
    with (
        cloud.always(Fault(404), "heartbeats"),
        Watched(tmp_path / "edge", cloud) as edge,
    ):
        assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1")).returncode == 0
        cloud.wait_for(lambda: len(cloud.parts()) == 1 and cloud.seen("heartbeats"))
        cloud.fail("heartbeats", Fault(200, body=b"<html>log in</html>"), Fault(200, body=b'{"now": "late"}'))
        assert edge.health()[0] == 200
