"""A stub cloud, and an edge process enrolled with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pynetdicom.transport import AssociationSocket
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import StubEdge


@pytest.fixture(autouse=True)
def closed_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom leaves a socket open that was refused or reset (its shutdown fails): a warning, and so an error, in
    whatever test runs when it is collected.
    """
    shutdown = AssociationSocket._shutdown_socket

    def shutdown_and_close(self: AssociationSocket) -> None:
        sock = self.socket
        shutdown(self)
        with suppress(OSError):
            if sock is not None:
                sock.close()

    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", shutdown_and_close)


@pytest.fixture
def cloud() -> Iterator[StubCloud]:
    with StubCloud() as stub:
        yield stub


@pytest.fixture
def edge(tmp_path: Path, cloud: StubCloud) -> Iterator[StubEdge]:
    with StubEdge(tmp_path / "edge", cloud) as running:
        yield running
