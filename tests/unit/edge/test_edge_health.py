"""How an edge judges itself and its devices, what it remembers of them, and how Prometheus reads it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from edge_forwarder import config as configuration
from edge_forwarder.dimse import sightings
from edge_forwarder.dimse.sightings import MAX_DEVICES, Sightings
from edge_forwarder.errors import ConfigError
from edge_forwarder.health import metrics
from edge_forwarder.health.findings import WORDS, Finding, Limits, judge, level_of
from edge_forwarder.health.host import Host

NOW = 1_795_000_000.0
LIMITS = Limits(min_free_bytes=10**9, quiet_seconds=4 * 86400)
WELL: dict[str, Any] = {
    "version": "0.1.0",
    "waiting": 0,
    "oldest_seconds": None,
    "refusing": False,
    "disk_free": 10**12,
    "uplink": "ok",
    "uplink_since": NOW - 10,
    "failing": 0,
    "not_taken": 0,
    "attention": 0,
    "commitments_untold": 0,
    "ledger_put_aside": 0,
    "clock_offset_seconds": 0.4,
    "has_certificate": False,
    "certificate_days_left": None,
    "memory_percent": 40.0,
    "devices": [{"ae_title": "CT1", "heard_at": NOW - 60}, {"ae_title": "MR1"}],
}


def codes(**changes: Any) -> list[tuple[str, str]]:
    return [(finding.code, finding.level) for finding in judge({**WELL, **changes}, LIMITS, NOW)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"refusing": True, "disk_free": 0}, [("refusing", "red")]),
        ({"disk_free": 15 * 10**8}, [("disk_low", "amber")]),
        ({"disk_free": None}, []),
        ({"uplink": "key_refused"}, [("key_refused", "red")]),
        ({"uplink": "away", "uplink_since": NOW - 299}, []),
        ({"uplink": "away", "uplink_since": NOW - 300}, [("cloud_away", "amber")]),
        ({"uplink": "busy", "uplink_since": NOW - 3600}, [("cloud_away", "red")]),
        ({"uplink": "away", "uplink_since": NOW - 10, "oldest_seconds": 60, "failing": 3}, []),
        (
            {"uplink": "away", "uplink_since": NOW - 40, "oldest_seconds": 3 * 86400, "failing": 12},
            [("uploads_late", "red"), ("failing", "amber")],
        ),
        ({"uplink": "busy", "uplink_since": NOW - 40, "oldest_seconds": 3600}, [("uploads_late", "amber")]),
        ({"uplink": "key_refused", "failing": 1}, [("key_refused", "red"), ("failing", "amber")]),
        ({"oldest_seconds": 3600}, [("uploads_late", "amber")]),
        ({"oldest_seconds": 86400}, [("uploads_late", "red")]),
        ({"failing": 2}, [("failing", "amber")]),
        ({"not_taken": 1}, [("not_taken", "red")]),
        ({"attention": 2}, [("attention", "amber")]),
        ({"commitments_untold": 1}, [("commitments_untold", "amber")]),
        ({"ledger_put_aside": 1}, [("ledger_put_aside", "red")]),
        ({"clock_offset_seconds": -61.0}, [("clock_off", "amber")]),
        ({"clock_offset_seconds": 700.0}, [("clock_off", "red")]),
        ({"clock_offset_seconds": None}, []),
        ({"has_certificate": True, "certificate_days_left": 31.0}, []),
        ({"has_certificate": True, "certificate_days_left": 29.0}, [("certificate_ends", "amber")]),
        ({"has_certificate": True, "certificate_days_left": -1.0}, [("certificate_ended", "red")]),
        ({"has_certificate": True}, [("certificate_ended", "red")]),
        ({"memory_percent": 96.0}, [("memory_low", "amber")]),
        ({"devices": [{"ae_title": "A", "echo_failed_at": NOW - 5}]}, [("echo_failed", "amber")]),
        ({"devices": [{"ae_title": "A", "rejected_at": NOW - 5}]}, [("device_rejected", "amber")]),
        ({"devices": [{"ae_title": "A", "rejected_at": NOW - 2 * 86400}]}, []),
        ({"devices": [{"ae_title": "A", "heard_at": NOW - 4 * 86400}]}, [("device_silent", "amber")]),
        ({"attention": 1, "refusing": True}, [("refusing", "red"), ("attention", "amber")]),
    ],
)
def test_what_is_wrong_and_how_badly(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Red: images cannot come in or go up. Amber: somebody should look. Red first."""
    assert codes(**changes) == expected


def test_a_device_that_may_be_silent_is_not_complained_of() -> None:
    """quiet_hours = 0."""
    silent = {**WELL, "devices": [{"ae_title": "A", "heard_at": 1.0}]}
    assert judge(silent, Limits(0, 0.0), NOW) == []


@pytest.mark.parametrize("code", WORDS)
def test_every_finding_has_words(code: str) -> None:
    """A sentence with its number and its device in it."""
    words = Finding(code, "amber", 7200.0, "CT1").words
    assert not words[0].islower()
    assert "{" not in words
    assert ("CT1" in words) == ("{device}" in WORDS[code])


def test_the_level_is_the_worst() -> None:
    """No finding is green."""
    amber, red = Finding("attention", "amber", 1), Finding("refusing", "red")
    assert [level_of(each) for each in ([], [amber], [amber, red])] == ["green", "amber", "red"]


def test_devices_are_remembered_and_bounded() -> None:
    """Anybody can call under any title: the configured stay, strangers are capped, nonsense is nobody."""
    seen = Sightings()
    for n in range(1000):
        seen.heard(f"STRANGER{n}")
    for title in ("", "  ", "A" * 17, "A\x1b[31m", "Nguyễn"):
        seen.heard(title)
    seen.image("CT1 ")
    seen.is_modality("CT1", "CT")
    seen.is_modality("CT1", "Nguyễn Văn Thử")
    seen.is_modality("maypacs-edge send", "MR")
    devices = seen.devices(["CT1", "NEVER"])
    assert len(devices) == MAX_DEVICES
    by_title = {device.ae_title: device for device in devices}
    assert by_title["CT1"].modality == "CT"
    assert by_title["NEVER"].last == 0
    assert "maypacs-edge send" not in by_title
    again = Sightings()
    again.recall({sightings.FACT: seen.remembered()})
    assert again.devices(["CT1", "NEVER"]) == devices
    for broken in ("", "{", "[1]", '[{"x": 1}]', None):
        again.recall({sightings.FACT: broken})
    assert again.devices(["CT1", "NEVER"]) == devices


def test_an_echo_that_fails_is_timed_from_its_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """And forgotten when it works; a rejection ends with the first acceptance; a stranger, in a fortnight."""
    clock = [NOW]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    seen = Sightings()
    seen.echo_failed("CT1")
    clock[0] += 600
    seen.echo_failed("CT1")
    seen.rejected("CT1")
    (device,) = seen.devices([])
    assert (device.echo_failed_at, device.rejected_at) == (NOW, NOW + 600)
    seen.echoed("CT1")
    seen.heard("CT1")
    (device,) = seen.devices([])
    assert (device.echo_failed_at, device.rejected_at, device.echo_at) == (None, None, NOW + 600)
    clock[0] += 15 * 86400
    assert seen.devices([]) == []
    assert [device.ae_title for device in seen.devices(["CT1"])] == ["CT1"]


def test_labels_are_escaped_for_prometheus() -> None:
    """An AE title may hold quotes and backslashes; what cannot be told has no sample."""
    vitals = {**WELL, "devices": [{"ae_title": 'A"\\B', "image_at": 5.0}]}
    text = metrics.render(vitals, [Finding("echo_failed", "amber", 3, 'A"\\B')])
    assert 'maypacs_edge_device_last_image_time_seconds{ae_title="A\\"\\\\B"} 5\n' in text
    assert 'maypacs_edge_finding{code="echo_failed",level="amber",device="A\\"\\\\B"} 1\n' in text
    assert "certificate_days_left" not in text
    assert text.count("# TYPE") == text.count("# HELP")


def test_a_host_is_looked_at_without_any_library(tmp_path: Path) -> None:
    """Percentages within bounds, sizes above zero."""
    host = Host(tmp_path)
    sum(range(10**6))
    state = host.look()
    assert state.cpu_percent is None or 0 <= state.cpu_percent <= 100
    assert state.memory_percent is not None
    assert 0 < state.memory_percent < 100
    assert state.process_bytes is not None
    assert state.process_bytes > 10**6
    assert state.disk_free is not None
    assert state.disk_total is not None
    assert 0 < state.disk_free <= state.disk_total


def test_the_console_takes_what_an_edge_tells() -> None:
    """The same members under the same names on both sides: nothing of a heartbeat is dropped or refused."""
    from edge_forwarder.health.heartbeat import _LOCAL, as_json
    from maypacs.console import heartbeat as console

    told = as_json({**WELL, "received_at": NOW, "uplink": "ok"}, [Finding("attention", "amber", 2)])
    sent = {name: value for name, value in told.items() if name not in _LOCAL}
    kept = console.unpack(console.pack(json.loads(json.dumps(sent))))
    assert kept is not None
    assert {name for name, value in sent.items() if value is not None} - kept.keys() <= {"version"}
    assert kept["devices"] == WELL["devices"]


def test_quiet_hours_and_ports_are_checked() -> None:
    """[health] port is a port; [stow] needs keys that nobody guesses; the level of the log is one."""
    cloud = {"cloud": {"url": "https://x"}}
    for section, why in (
        ({"health": {"port": 70000}}, "health"),
        ({"stow": {"port": 8080}}, "api_keys"),
        ({"stow": {"port": 8080, "api_keys": ["short"]}}, "32"),
        ({"edge": {"log_level": "loud"}}, "log_level"),
    ):
        with pytest.raises(ConfigError, match=why):
            configuration.parse({**cloud, **section}, Path("/"))
