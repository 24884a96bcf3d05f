"""What the cloud erased is not answered from the edge's cache, once the edge has heard of it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.unit.edge.test_edge_dicomweb import Server

from edge_forwarder import config as configuration
from edge_forwarder.chore import Chore
from edge_forwarder.cloud.dicomweb import DicomWeb
from edge_forwarder.config import Credentials
from edge_forwarder.errors import CloudError
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve.cache import EXPLICIT, STORED, Cache, Instance
from edge_forwarder.query_retrieve.erased import Erased

IMAGES = [
    Instance("1.2", series, f"{series}.{n}", "1.2.840.10008.5.1.4.1.1.2") for series in ("1.3", "1.4") for n in (1, 2)
]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """One study of two series in both kinds, and another study."""
    cache = Cache(tmp_path / "cache", max_bytes=10**6, max_age=1000)
    cache.open()
    for image in (*IMAGES, Instance("1.9", "1.9.1", "1.9.1.1", "1.2")):
        for kind in (STORED, EXPLICIT):
            cache.draft(image, [b"picture"]).replace(cache.path(image, kind))
    cache.remember("1.2", IMAGES)
    return cache


@pytest.fixture
def erased(server: Server, cache: Cache, tmp_path: Path) -> Iterator[Erased]:
    config = configuration.parse({"cloud": {"url": server.url}}, tmp_path)
    archive = DicomWeb(config.cloud, Credentials("hosp1", "e1", "mpk_key"), config.retrieve)
    yield Erased(archive, cache, tmp_path / "cache" / "erased", Log(io.StringIO()))
    archive.close()


def entry(number: int, state: str = "done", **levels: str) -> dict[str, Any]:
    return {"erasure_id": f"0{number}", "study": "1.2", "series": None, "instance": None, "state": state, **levels}


def says(server: Server, *entries: dict[str, Any]) -> None:
    server.replies.append((200, {"Content-Type": "application/json"}, json.dumps({"erasures": entries}).encode()))


def left(cache: Cache) -> set[str]:
    return {image.sop for image in IMAGES for kind in (STORED, EXPLICIT) if cache.get(image, kind)}


@pytest.mark.parametrize(
    ("levels", "gone"),
    [
        ({}, {"1.3.1", "1.3.2", "1.4.1", "1.4.2"}),
        ({"series": "1.3"}, {"1.3.1", "1.3.2"}),
        ({"series": "1.3", "instance": "1.3.1"}, {"1.3.1"}),
        ({"study": "1.5"}, set()),
        ({"study": "../.."}, set()),
        ({"series": "*"}, set()),
        ({"study": ""}, set()),
    ],
)
def test_what_was_erased_goes_from_the_cache_and_the_rest_stays(
    server: Server, cache: Cache, erased: Erased, levels: dict[str, str], gone: set[str]
) -> None:
    """In every kind; without the whole, the study is not answered while the cloud is away."""
    says(server, entry(1, **levels))
    assert erased.look() == 1
    assert left(cache) == {image.sop for image in IMAGES} - gone
    assert (cache.remembered("1.2") is None) is bool(gone)
    assert cache.get(Instance("1.9", "1.9.1", "1.9.1.1", "1.2")), "another study"


def test_only_what_is_done_is_not_asked_for_again(server: Server, cache: Cache, erased: Erased) -> None:
    """An image may have been on its way while it was being erased: it is dropped again until the erasure is done."""
    says(server, entry(1, study="1.5"), entry(2, state="pending"), entry(3, study="1.6"))
    erased.look()
    assert left(cache) == set()
    cache.draft(IMAGES[0], [b"late"]).replace(cache.path(IMAGES[0]))
    says(server, entry(2), entry(3, study="1.6"))
    erased.look()
    assert left(cache) == set()
    says(server)
    erased.look()
    asked = [parse_qs(urlsplit(path).query).get("after", [""])[0] for path, _ in server.seen]
    assert asked == ["", "01", "03"]


@pytest.mark.parametrize(
    "reply", [(200, {}, b"<html>"), (200, {}, b'{"erasures": 1}'), (503, {"Retry-After": "9"}, b"")]
)
def test_a_cloud_that_cannot_say_changes_nothing(
    server: Server, cache: Cache, erased: Erased, reply: tuple[int, dict[str, str], bytes]
) -> None:
    """It is asked again; what is known stays known."""
    server.replies.append(reply)
    with pytest.raises(CloudError):
        erased.look()
    assert left(cache) == {image.sop for image in IMAGES}


def test_a_cloud_that_knows_no_erasures_has_none(server: Server, cache: Cache, erased: Erased) -> None:
    """One of an older version."""
    server.replies.append((404, {}, b""))
    assert erased.look() == 0
    assert left(cache) == {image.sop for image in IMAGES}


def test_a_chore_goes_on_after_anything_and_says_so_once() -> None:
    """An answer that nobody foresaw must not end the thread for good: what the cloud erases would stay in the cache."""
    said, done = io.StringIO(), threading.Event()
    turns: list[int] = []

    def turn() -> float:
        turns.append(1)
        if len(turns) < 4:
            raise AttributeError("not what was expected")
        done.set()
        return 60.0

    chore = Chore("test", turn, Log(said), again=0.01, complaint="it went wrong")
    chore.start()
    assert done.wait(10)
    chore.stop(5.0)
    assert said.getvalue().count("it went wrong") == 1
    assert chore.is_over
