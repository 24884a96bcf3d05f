"""One node for the tests that only use it, its object store, and its signers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import Node

from maypacs_node.bench import object_store_client
from maypacs_node.home import Home


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("running") / "node") as node:
        node.archive("hosp1")
        yield node


@pytest.fixture(scope="module")
def s3(running: Node) -> Any:
    client, _ = object_store_client(running.data)
    return client


@pytest.fixture(scope="module")
def secrets(running: Node) -> dict[str, bytes]:
    """The HMAC keys of this node's URLs."""
    document = Home(Path(running.data)).secrets
    return {name: bytes.fromhex(document[name]) for name in ("blob_key", "upload_key")}
