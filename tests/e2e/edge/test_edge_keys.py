"""An edge's key: replaced without a moment in which none works, revoked, and got anew while the service runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import BIN, wait_until
from tests.support.stub_cloud import CODE, KEY, Fault, StubCloud
from tests.support.stub_edge import StubEdge, write_ct, write_series


def enroll(edge: StubEdge, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "maypacs-edge"), "enroll", "--config", str(edge.config), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def credentials(edge: StubEdge) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((edge.folder / "credentials.json").read_text())
    return held


def test_a_running_edge_goes_on_with_the_key_that_a_command_replaced(
    cloud: StubCloud, edge: StubEdge, tmp_path: Path
) -> None:
    """No restart, no code; the old key is good for nothing any more, and nowhere on the disk."""
    assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1")).returncode == 0
    cloud.wait_for(lambda: len(cloud.parts()) == 1)
    rotated = enroll(edge, "--rotate")
    assert rotated.returncode == 0, rotated.stderr
    held = credentials(edge)
    assert held["key"] != KEY
    assert "next" not in held
    assert (edge.folder / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert edge.storescu(write_ct(tmp_path / "b.dcm", sop="2.25.1.2")).returncode == 0
    cloud.wait_for(lambda: len(cloud.parts()) == 2)
    assert KEY not in edge.log.read_text() + rotated.stdout + rotated.stderr
    assert held["key"] not in edge.log.read_text() + rotated.stdout + rotated.stderr


@pytest.mark.parametrize("swapped", [True, False], ids=["the cloud had swapped", "the cloud had not"])
def test_an_edge_is_not_locked_out_when_the_power_goes_in_between(
    cloud: StubCloud, edge: StubEdge, tmp_path: Path, swapped: bool
) -> None:
    """Both secrets are written down by then: whichever is good is used, also by the next process, and finished."""
    cloud.fail("key", Fault(after=swapped))
    assert enroll(edge, "--rotate").returncode == 1
    held = credentials(edge)
    assert held["key"] == KEY
    assert held["next"].startswith("mpk_")
    edge.kill()
    edge.run()
    assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1")).returncode == 0
    cloud.wait_for(lambda: len(cloud.parts()) == 1)
    assert enroll(edge, "--rotate").returncode == 0
    assert credentials(edge)["key"] == held["next"], "the one that was begun, not a third"
    assert edge.storescu(write_ct(tmp_path / "b.dcm", sop="2.25.1.2")).returncode == 0
    cloud.wait_for(lambda: len(cloud.parts()) == 2)


def test_a_cloud_that_replaces_no_keys_changes_nothing(cloud: StubCloud, edge: StubEdge) -> None:
    """An older one answers 404: the key stays, and no second one lies about."""
    cloud.fail("key", Fault(404))
    assert enroll(edge, "--rotate").returncode == 1
    held = credentials(edge)
    assert held["key"] == KEY
    assert "next" not in held


def test_an_old_key_is_replaced_by_the_service_itself(cloud: StubCloud, tmp_path: Path) -> None:
    """By the age that the file tells, or its own."""
    edge = StubEdge(tmp_path / "edge", cloud)
    held = credentials(edge)
    (edge.folder / "credentials.json").write_text(json.dumps({**held, "since": held["since"] - 91 * 86400}))
    with edge:
        wait_until(lambda: credentials(edge)["key"] != KEY, what="a new key")
        assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1")).returncode == 0
        cloud.wait_for(lambda: len(cloud.parts()) == 1)


def test_a_revoked_edge_that_enrols_again_loses_nothing_and_is_not_restarted(
    cloud: StubCloud, edge: StubEdge, tmp_path: Path
) -> None:
    """What was acknowledged while no key was good goes up with the new one."""
    cloud.key_digests = set()
    assert edge.storescu(*write_series(tmp_path / "ct", 3)).returncode == 0
    cloud.wait_for(lambda: cloud.seen("boundaries") + cloud.seen("uploads") > 0)
    assert len(edge.spooled()) == 3
    rotated = enroll(edge, "--rotate")
    assert (rotated.returncode, "Get a code in the console" in rotated.stderr) == (1, True)
    again = enroll(edge, "--url", cloud.url, "--code", CODE)
    assert again.returncode == 0, again.stderr
    cloud.wait_for(lambda: len(cloud.parts()) == 3, 90)
    wait_until(lambda: edge.spooled() == [], what="an empty spool")


def test_enrolment_says_what_it_needs(edge: StubEdge) -> None:
    """Neither a code nor --rotate."""
    done = enroll(edge)
    assert done.returncode == 1
    assert "--code" in done.stderr


def test_images_of_one_archive_never_go_to_another(cloud: StubCloud, edge: StubEdge, tmp_path: Path) -> None:
    """A code of the wrong hospital: refused while images wait, by enrolment and by the service's start."""
    cloud.hold.clear()
    assert edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1")).returncode == 0
    before = credentials(edge)
    edge.stop()
    (edge.folder / "spool" / "archive").write_text("hosp2\n")
    refused = enroll(edge, "--url", cloud.url, "--code", CODE)
    assert refused.returncode == 1
    assert "hosp2" in refused.stderr
    assert credentials(edge) == before
    with pytest.raises(AssertionError, match="wait for archive hosp2"):
        edge.run()
    cloud.hold.set()
