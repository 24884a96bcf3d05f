"""An edge's heartbeat, the devices page it feeds, and an edge's new key."""

from __future__ import annotations

import hashlib
import json
from types import ModuleType
from typing import Any

import pytest
from tests.functional.console.conftest import Ask
from tests.support.moto_cloud import MotoCloud

from maypacs.access.accounts import partition
from maypacs.access.keys import add_key, digest, find_key
from maypacs.access.principals import Role
from maypacs.console.devices import SILENT_BEATS, SILENT_LONG_BEATS
from maypacs.index.costs import item_size, write_units

BEATS, DEVICES = "/api/archives/hosp1/heartbeats", "/api/archives/hosp1/devices"


@pytest.fixture
def enrolled(ask: Ask, admin: str) -> dict[str, Any]:
    code = ask("POST", "/api/archives/hosp1/enrolment-codes", {"name": "CT room"}, key=admin).json()["code"]
    answer: dict[str, Any] = ask("POST", "/api/edges/enrol", {"code": code, "version": "0.1.0"}).json()
    return answer


@pytest.fixture
def edge(enrolled: dict[str, Any]) -> str:
    return str(enrolled["key"])


def heartbeat(**more: Any) -> dict[str, Any]:
    """What a busy edge of ten devices says."""
    devices = [
        {
            "ae_title": f"KHOA-CDHA-CT{n:02}",
            "modality": "CT",
            "image_at": 1_795_000_000 + 977 * n,
            "heard_at": 1_795_000_100 + 991 * n,
            "echo_at": 1_795_000_200 + 13 * n,
        }
        for n in range(10)
    ]
    return {
        "version": "0.1.1",
        "started_at": 1_794_999_000.5,
        "cpu_percent": 17.3,
        "memory_percent": 41.0,
        "process_bytes": 71_303_168,
        "disk_free": 812_345_678_901,
        "disk_total": 1_000_204_886_016,
        "waiting": 1234,
        "waiting_bytes": 654_321_000,
        "oldest_seconds": 75.2,
        "received_per_hour": 5120,
        "uploaded_bytes_per_hour": 2_712_345_678,
        "received_at": 1_795_000_321.5,
        "uploaded_at": 1_795_000_322.5,
        "indexed_at": 1_795_000_323.5,
        "attention": 0,
        "failing": 0,
        "uplink": "ok",
        "clock_offset_seconds": -0.2,
        "certificate_days_left": 211.4,
        "associations": 3,
        "devices": devices,
        "findings": [{"code": "echo_failed", "level": "amber", "device": "KHOA-CDHA-CT03", "value": 600}],
        **more,
    }


def row(cloud: MotoCloud, edge_id: str) -> dict[str, Any]:
    found = cloud.runtime.accounts.get(partition("hosp1"), f"edge#{edge_id}")  # type: ignore[arg-type]
    assert found is not None
    return found


def test_what_an_edge_says_is_what_the_page_shows(ask: Ask, enrolled: dict[str, Any], edge: str, admin: str) -> None:
    """Numbers, devices, findings and the version; the colour is the worst of the findings."""
    before = ask("GET", DEVICES, key=admin).json()["edges"]
    assert [(e["name"], e["level"], e["health"]) for e in before] == [("CT room", "amber", None)]
    assert [f["code"] for f in before[0]["findings"]] == ["never_heard"]
    answer = ask("POST", BEATS, heartbeat(), key=edge)
    assert answer.status == 200
    page = ask("GET", DEVICES, key=admin).json()
    assert answer.json()["next_seconds"] == 60
    assert abs(answer.json()["now"] - page["now"]) < 60
    (shown,) = page["edges"]
    assert (shown["edge"], shown["version"], shown["level"]) == (enrolled["edge"], "0.1.1", "amber")
    assert [f["code"] for f in shown["findings"]] == ["echo_failed"]
    assert shown["health"]["waiting"] == 1234
    assert shown["health"]["devices"][3]["ae_title"] == "KHOA-CDHA-CT03"
    ask("POST", BEATS, heartbeat(findings=[]), key=edge)
    assert ask("GET", DEVICES, key=admin).json()["edges"][0]["level"] == "green"


def test_a_heartbeat_of_ten_devices_is_one_write_unit(
    ask: Ask, console: ModuleType, edge: str, cloud: MotoCloud, enrolled: dict[str, Any]
) -> None:
    """It is what a month without patients costs; key and archive are remembered for half a minute."""
    ask("POST", BEATS, heartbeat(), key=edge)
    consumed = console.runtime().accounts.consumed
    before = consumed.requests
    ask("POST", BEATS, heartbeat(waiting=7), key=edge)
    assert consumed.requests - before == 1
    assert write_units(item_size(row(cloud, enrolled["edge"]))) == 1


def test_a_heartbeat_that_is_well_leaves_no_line_in_the_log(
    ask: Ask, edge: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Four million a month, for a hundred edges: lines cost, too. What goes wrong is written down."""
    caplog.clear()
    ask("POST", BEATS, heartbeat(), key=edge)
    assert caplog.records == []
    ask("POST", BEATS, heartbeat(), key="mpk_wrong")
    assert [record.message for record in caplog.records] == ["request"]


def test_an_edge_that_is_silent_is_amber_and_then_red(
    ask: Ask, edge: str, admin: str, cloud: MotoCloud, enrolled: dict[str, Any]
) -> None:
    """Whatever it said before; and for how long is told."""
    ask("POST", BEATS, heartbeat(findings=[]), key=edge)
    heard_at = row(cloud, enrolled["edge"])["heard_at"]
    for silence, level in ((60 * SILENT_BEATS, "amber"), (60 * SILENT_LONG_BEATS, "red")):
        cloud.runtime.accounts.update(
            partition("hosp1"),  # type: ignore[arg-type]
            f"edge#{enrolled['edge']}",
            set={"heard_at": heard_at - silence - 5},
        )
        (shown,) = ask("GET", DEVICES, key=admin).json()["edges"]
        assert shown["level"] == level
        assert [f["code"] for f in shown["findings"]] == ["silent"]
        assert silence <= shown["findings"][0]["value"] < silence + 60


def test_who_sees_devices(ask: Ask, cloud: MotoCloud) -> None:
    """Technicians, radiologists and admins; not viewers, not another hospital."""
    accounts = cloud.runtime.accounts
    for role, status in (
        (Role.VIEWER, 403),
        (Role.TECHNICIAN, 200),
        (Role.RADIOLOGIST, 200),
        (Role.ADMIN, 200),
    ):
        assert ask("GET", DEVICES, key=add_key(accounts, "hosp1", role).key).status == status
    assert ask("GET", DEVICES, key=add_key(accounts, "hosp10", Role.ADMIN).key).status == 404


def test_only_an_edge_speaks_and_only_for_itself(ask: Ask, admin: str, edge: str, enrolled: dict[str, Any]) -> None:
    """No key of a person or a third party is an edge's."""
    assert ask("POST", BEATS, heartbeat(), key=admin).status == 403
    key = f"/api/archives/hosp1/edges/{'0' * 16}/key"
    assert ask("POST", key, {"sha256": "0" * 64}, key=edge).status == 403
    assert ask("POST", key, {"sha256": "0" * 64}, key=admin).status == 403


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("waiting", "many"),
        ("waiting", True),
        ("waiting", 10**30),
        ("uplink", "x" * 65),
        ("uplink", "\x1b[31m"),
        ("devices", {}),
        ("devices", [{"modality": "CT"}]),
        ("devices", [{"ae_title": "CT1"}] * 65),
        ("findings", [{"code": "x", "level": "green"}]),
        ("findings", [{"level": "red"}]),
        ("findings", ["red"]),
        ("version", 7),
    ],
)
def test_nonsense_is_refused_by_name(ask: Ask, edge: str, admin: str, member: str, value: Any) -> None:
    """400 that names the member, and never says what was in it; what was known stays."""
    ask("POST", BEATS, heartbeat(), key=edge)
    answer = ask("POST", BEATS, heartbeat(**{member: value}), key=edge)
    assert answer.status == 400
    assert member in answer.json()["detail"]
    assert ask("GET", DEVICES, key=admin).json()["edges"][0]["health"]["waiting"] == 1234


def test_infinite_numbers_are_refused(ask: Ask, edge: str) -> None:
    """JSON has none, Python's reader takes them."""
    assert ask("POST", BEATS, heartbeat(waiting=float("inf")), key=edge).status == 400


def test_what_a_newer_edge_adds_is_dropped(ask: Ask, edge: str, admin: str) -> None:
    """Not stored, not shown: nothing gets in that was not thought about."""
    assert ask("POST", BEATS, heartbeat(patient_name="Nguyễn^Văn Thử"), key=edge).status == 200
    assert "Nguy" not in json.dumps(ask("GET", DEVICES, key=admin).json(), ensure_ascii=False)


def test_a_removed_edge_cannot_speak_even_if_its_key_was_left(
    ask: Ask, edge: str, admin: str, cloud: MotoCloud, enrolled: dict[str, Any]
) -> None:
    """What a removal that was cut short left behind ends with the next heartbeat, and no row appears anew."""
    cloud.runtime.accounts.delete(partition("hosp1"), f"edge#{enrolled['edge']}")  # type: ignore[arg-type]
    assert ask("POST", BEATS, heartbeat(), key=edge).status == 401
    assert find_key(cloud.runtime.accounts, edge) is None
    assert ask("GET", DEVICES, key=admin).json()["edges"] == []


def test_an_edge_replaces_its_key(ask: Ask, edge: str, admin: str, cloud: MotoCloud, enrolled: dict[str, Any]) -> None:
    """The old one ends, the new one is the same edge; repeating it with either is harmless; it is in the audit log."""
    path, new = f"/api/archives/hosp1/edges/{enrolled['edge']}/key", "mpk_" + "n" * 43
    wanted = {"sha256": hashlib.sha256(new.encode()).hexdigest()}
    assert ask("POST", path, {"sha256": "short"}, key=edge).status == 400
    assert ask("POST", path, {"sha256": digest(admin)}, key=edge).status == 400, "another's secret"
    assert ask("GET", "/api/me", key=edge).status == 200, "still good"
    assert ask("POST", path, wanted, key=edge).status == 204
    assert ask("GET", "/api/me", key=edge).status == 401
    assert ask("POST", path, wanted, key=new).status == 204
    assert ask("POST", BEATS, heartbeat(), key=new).status == 200
    details = [r["detail"] for r in ask("GET", "/api/archives/hosp1/audit", key=admin).json()["records"]]
    assert "edge key replaced" in details
    assert ask("DELETE", f"/api/archives/hosp1/edges/{enrolled['edge']}", key=admin).status == 204
    assert ask("GET", "/api/me", key=new).status == 401
