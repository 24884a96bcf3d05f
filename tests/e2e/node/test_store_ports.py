"""The ports of the object store: somebody else may take one between the look and the bind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maypacs_node.seaweed import SeaweedFS


class _Contested(SeaweedFS):
    """Of the ports that it chose for a start, a rival takes ``contested``: once."""

    contested: str
    rival: socket.socket | None = None
    chosen = 0

    def choose_ports(self) -> None:
        super().choose_ports()
        self.chosen += 1
        if self.rival is None:
            self.rival = socket.create_server(("127.0.0.1", self.ports[self.contested]))


@pytest.fixture
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[_Contested]:
    found = _Contested(tmp_path / "objects", run=tmp_path / "run", fsync=False)
    found.contested = request.param
    yield found
    found.stop()
    assert found.rival is not None
    found.rival.close()


@pytest.mark.parametrize("store", ["master", "s3"], indirect=True)
def test_a_port_that_was_taken_meanwhile_is_replaced_at_once(store: _Contested) -> None:
    """Not after half a minute, and not by giving up."""
    store.start(seconds=25)
    assert store.rival is not None
    assert store.rival.getsockname()[1] not in store.ports.values()
    assert store.chosen == 2
    with closing(socket.create_connection(("127.0.0.1", store.ports["s3"]))):
        assert SeaweedFS(store.folder, run=store.run).remembered_environment() == store.environment
