"""The composed edge: whether all of it lives, and what a reload reaches."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from tests.support.ports import ReservedPort
from tests.support.processes import free_port

from edge_forwarder import config as configuration
from edge_forwarder.config import DeviceConfig
from edge_forwarder.databases.journal import InstanceRow
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.errors import EdgeError
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve.cache import Instance
from edge_forwarder.service import Service
from edge_forwarder.spool.lock import is_locked

Make = Callable[[], Service]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A service that has every part there is; its cloud is away."""
    made: list[Service] = []
    stow, health = ReservedPort(), ReservedPort()
    raw = {
        "cloud": {"url": f"http://127.0.0.1:{free_port()}"},
        "edge": {"bind": "127.0.0.1", "port": 0},
        "spool": {"min_free_mib": 0},
        "stow": {"port": stow.number, "api_keys": ["thu-nghiem-0123456789abcdef0123456789"]},
        "health": {"port": health.number},
    }
    configuration.save_credentials(
        tmp_path / "credentials.json", configuration.Credentials("hosp1", "edge-1", "mpk_test")
    )

    def make() -> Service:
        service = Service(configuration.parse(raw, tmp_path), Log(io.StringIO()))
        made.append(service)
        service.start()
        return service

    yield make
    for service in made:
        service.stop()
    stow.close()
    health.close()


def test_an_edge_lives_while_all_its_parts_do(make: Make) -> None:
    """Each thread that it starts belongs to a part that is looked at: none may die unseen."""
    before = set(threading.enumerate())
    service = make()
    assert service.is_alive()
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert names == {name for name, _ in THREADS}


THREADS = [
    ("keeper", "Keeper"),
    ("uploader 0", "Uploader"),
    ("uploader 1", "Uploader"),
    ("uploader 2", "Uploader"),
    ("watcher", "Watcher"),
    ("commitments", "Commitments"),
    ("intake", "Intake"),
    ("cache", "Cache"),
    ("erased", "Erased"),
    ("tidying", "Tidying"),
    ("heartbeat", "Monitor"),
    ("echoes", "Monitor"),
    ("health", "Monitor"),
    ("stow", "StowServer"),
    ("listener", "Listener"),
]


@pytest.mark.parametrize(("thread", "part"), THREADS)
def test_a_part_that_died_is_noticed(make: Make, monkeypatch: pytest.MonkeyPatch, thread: str, part: str) -> None:
    """Whichever it is: images would wait, or come in no more, with nobody knowing."""
    run = threading.Thread.run

    def dies(self: threading.Thread, *args: Any) -> None:
        if self.name != thread:
            run(self)

    monkeypatch.setattr(threading.Thread, "run", dies)
    service = make()
    deadline = time.monotonic() + 30
    while service.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.dead == [part]
    assert not service.is_alive()


def test_an_edge_that_cannot_be_made_leaves_nothing_open(make: Make, tmp_path: Path) -> None:
    """A port that somebody else has: what was opened before it is free again, for whoever tries next."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = free_port()
        raw = {
            "cloud": {"url": "http://127.0.0.1:1"},
            "edge": {"bind": "127.0.0.1", "port": port},
            "spool": {"min_free_mib": 0},
            "health": {"port": taken.getsockname()[1]},
        }
        with pytest.raises((OSError, EdgeError), match="in use"):
            Service(configuration.parse(raw, tmp_path), Log(io.StringIO()))
    assert not is_locked(tmp_path / "spool")
    socket.create_server(("127.0.0.1", port)).close()
    make()


def test_a_right_to_retrieve_that_comes_later_keeps_what_is_uploaded(make: Make, tmp_path: Path) -> None:
    """And the last such right that goes ends it: no images stay here for nobody."""
    service = make()
    instance = Instance("2.25.1", "2.25.11", "2.25.111", CTImageStorage)
    identity = Identity(instance.study, instance.series, instance.sop, CTImageStorage, ExplicitVRLittleEndian, "CT", 1)
    spooled = service.spool.begin("THU-CT1")
    spooled.write(b"an image")
    member = InstanceRow(spooled.name, spooled.size, identity, None, False)
    spooled.commit()
    for devices, kept in ((), False), ((DeviceConfig("XEM-1", rights=("retrieve",)),), True), ((), False):
        service.configure(replace(service.config, devices=devices))
        service.uploads.settler.keep(member)
        assert (service.readers.cache.get(instance) is not None) == kept
        service.readers.cache.discard(instance)
