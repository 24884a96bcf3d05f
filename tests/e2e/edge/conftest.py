"""A stub cloud, and an edge process enrolled with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import StubEdge


@pytest.fixture
def cloud() -> Iterator[StubCloud]:
    with StubCloud() as stub:
        yield stub


@pytest.fixture
def edge(tmp_path: Path, cloud: StubCloud) -> Iterator[StubEdge]:
    with StubEdge(tmp_path / "edge", cloud) as running:
        yield running
