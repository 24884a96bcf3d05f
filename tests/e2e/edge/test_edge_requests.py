"""What an edge asks of its cloud, by the host's own log: the counts that costs are made of suppose these requests."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.support.processes import Edge, Node, wait_until
from tests.support.stub_edge import AET, write_series

pytestmark = pytest.mark.e2e


def requests(node: Path) -> Counter[str]:
    """By what is below the archive; uploads themselves as PUT."""
    asked: Counter[str] = Counter()
    for log in (node / "log").glob("web-*.log"):
        for line in log.read_text().splitlines():
            path = re.sub(r"^/uploads/.*", "PUT", json.loads(line)["path"])
            asked[path.removeprefix("/api/archives/hosp1/")] += 1
    return asked


def test_a_series_is_a_boundary_a_grant_an_upload_and_few_questions(tmp_path: Path) -> None:
    """No request more: each is a call of a function (tests/bench/cost/activities.py counts these)."""
    with Node(tmp_path / "node") as node:
        node.archive()
        with Edge(tmp_path / "edge", node, ae_title=AET) as edge:
            before = requests(tmp_path / "node")
            assert edge.send(*write_series(tmp_path / "in", 4)).returncode == 0
            wait_until(lambda: edge.status()["totals"]["indexed"] == 4, what="the series is indexed")
        asked = requests(tmp_path / "node") - before
    asked.pop("heartbeats", None)
    asked.pop("/api/me", None)  # whose edge it is, once it has started
    questions = asked.pop("uploads/status")
    asked.pop("uploads/known", None)  # now and then
    assert asked == {"boundaries": 1, "uploads": 1, "PUT": 1}
    assert 1 <= questions <= 6  # of an edge that does not know this cloud's pace yet, on a machine that is busy
