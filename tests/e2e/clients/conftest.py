"""One node under the gateway's limits for all clients, archives for each: answers above 4.4 MB are redirects."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests
from tests.support.processes import Node

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive of the node, and an API key of it that may do everything."""

    name: str
    origin: str
    key: str

    @property
    def root(self) -> str:
        return f"{self.origin}/dicomweb/{self.name}"

    def session(self) -> requests.Session:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.key}"
        return session


@pytest.fixture(scope="session")
def gateway_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("clients") / "node", limits="gateway") as node:
        yield node


@pytest.fixture(scope="session")
def new_archive(gateway_node: Node) -> Callable[[], Archive]:
    def make() -> Archive:
        name = f"clients-{next(_numbers)}"
        return Archive(name, gateway_node.url, gateway_node.archive(name))

    return make
