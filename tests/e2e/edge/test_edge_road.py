"""Real senders, a real edge process, a stub of the cloud: what arrives is what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import StubEdge, dataset_bytes, sent_dataset, write_series

pytestmark = pytest.mark.e2e


@pytest.fixture
def cloud() -> Iterator[StubCloud]:
    with StubCloud() as stub:
        yield stub


@pytest.fixture
def edge(tmp_path: Path, cloud: StubCloud) -> Iterator[StubEdge]:
    with StubEdge(tmp_path / "edge", cloud) as running:
        yield running


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
