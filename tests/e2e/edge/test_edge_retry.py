"""`maypacs-edge retry` and `quarantine`, beside a running edge."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.processes import BIN, wait_until
from tests.support.stub_cloud import Fault, StubCloud, Upload
from tests.support.stub_edge import StubEdge, dataset_bytes, sent_dataset, write_series

pytestmark = pytest.mark.e2e


def maypacs_edge(edge: StubEdge, command: str, *words: object) -> subprocess.CompletedProcess[str]:
    line = [str(BIN / "maypacs-edge"), command, "--config", str(edge.config), *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


def refusing(*uids: str) -> Callable[[Upload], None]:
    def decide(upload: Upload) -> None:
        upload.state = "partial"
        upload.failures = [{"sop_instance_uid": uid, "reason": "not-today"} for uid in uids]

    return decide


def set_aside(edge: StubEdge) -> list[str]:
    return sorted(path.name for path in (edge.folder / "spool" / "attention").glob("*/*.dcm"))


@pytest.fixture
def refused(edge: StubEdge, cloud: StubCloud, tmp_path: Path) -> list[Path]:
    """Three images, of which the cloud takes one; it would take the others now."""
    files = write_series(tmp_path / "in", 3)
    cloud.decide = refusing("2.25.11.2", "2.25.11.3")
    assert edge.storescu(*files).returncode == 0
    wait_until(lambda: len(set_aside(edge)) == 2, what="two images set aside")
    cloud.decide = lambda upload: None
    return files


def test_what_was_not_taken_is_uploaded_again_one_or_all(edge: StubEdge, cloud: StubCloud, refused: list[Path]) -> None:
    """By UID, then the rest; each arrives to the byte, and nothing is left behind."""
    listed = maypacs_edge(edge, "quarantine")
    assert "2 images of 1 uploads" in listed.stdout
    assert "not-today" in listed.stdout
    one = maypacs_edge(edge, "retry", "2.25.11.3")
    assert one.returncode == 0, one.stderr
    assert "1 images that were set aside" in one.stdout
    assert len(set_aside(edge)) == 1
    wait_until(lambda: len(cloud.parts()) == 4 and not edge.spooled(), what="one image again")
    assert maypacs_edge(edge, "retry", "2.25.404").returncode == 1
    assert "1 images" in maypacs_edge(edge, "retry").stdout
    wait_until(lambda: len(cloud.parts()) == 5 and not edge.spooled(), what="the other one again")
    assert [dataset_bytes(part.data) for part in cloud.parts()[3:]] == [
        sent_dataset(refused[2]),
        sent_dataset(refused[1]),
    ]
    assert list((edge.folder / "spool" / "attention").iterdir()) == []
    assert edge.status()["waiting"]["instances"] == 0


def test_what_is_released_while_no_edge_runs_goes_up_at_the_next_start(
    edge: StubEdge, cloud: StubCloud, refused: list[Path]
) -> None:
    """It is as safe in between as what was received, through kill -9, and not forgotten by the status."""
    edge.kill()
    done = maypacs_edge(edge, "quarantine", "release", "--all")
    assert "2 images are uploaded again when the edge is started" in done.stdout
    assert edge.status()["waiting"]["instances"] == 2
    edge.run()
    wait_until(lambda: len(cloud.parts()) == 5 and not edge.spooled(), what="both again")


def test_a_person_sees_exports_and_discards(edge: StubEdge, refused: list[Path], tmp_path: Path) -> None:
    """Each image with its reason; a copy elsewhere; deletion only when somebody says so."""
    (entry,) = edge.status()["attention"]
    shown = maypacs_edge(edge, "quarantine", "show", entry["pack"][:20])
    assert "2.25.11.2" in shown.stdout
    assert "2.25.11.1 " not in shown.stdout
    assert "Nguy" not in shown.stdout
    assert maypacs_edge(edge, "quarantine", "export", "--all", "--to", tmp_path / "out").returncode == 0
    copies = sorted((tmp_path / "out" / entry["pack"]).glob("*.dcm"))
    assert [dataset_bytes(path.read_bytes()) for path in copies] == [sent_dataset(path) for path in refused[1:]]
    unanswered = maypacs_edge(edge, "quarantine", "discard", "--all")
    assert (unanswered.returncode, len(set_aside(edge))) == (1, 2)
    assert maypacs_edge(edge, "quarantine", "discard", "ZZZ", "--yes").returncode == 1
    assert maypacs_edge(edge, "quarantine", "discard", entry["pack"], "--yes").returncode == 0
    assert edge.status()["attention"] == []


def test_retry_does_not_wait_for_the_next_try(tmp_path: Path, cloud: StubCloud) -> None:
    """A pause of ten minutes ends at once when a person has helped."""
    with StubEdge(tmp_path / "edge", cloud, extra="retry_max_seconds = 600.0") as edge:
        with cloud.always(Fault(503, (("Retry-After", "600"),)), "uploads", "boundaries", "known"):
            assert edge.storescu(*write_series(tmp_path / "in", 2)).returncode == 0
            wait_until(lambda: edge.status()["cloud"]["error"], what="a failure")
        assert maypacs_edge(edge, "retry").returncode == 0
        wait_until(lambda: not edge.spooled(), what="an empty spool")
