"""Fetching for a retrieve: the cache, while it is what the archive has."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.spooled import cached
from tests.support.stub_edge import dataset_bytes, write_ct

from edge_forwarder.cloud.dicomweb import Found
from edge_forwarder.errors import CloudAwayError
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve.cache import EXPLICIT, STORED, Cache, Instance
from edge_forwarder.query_retrieve.fetch import Fetcher, Target

EXPLICIT_LE, IMPLICIT_LE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


class Cloud:
    """Both sides that a retrieve asks: what is current, by SOP Instance UID, and the files themselves."""

    def __init__(self, **current: bytes) -> None:
        self.current = {sop.replace("_", "."): data for sop, data in current.items()}
        self.error: Exception | None = None
        self.fetched: list[str] = []
        self.questions = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def known(self, study: str, series: str, asked: list[tuple[str, str, str]]) -> frozenset[str]:
        self.questions += 1
        self.meanwhile()
        if self.error:
            raise self.error
        return frozenset(
            sop
            for sop, syntax, sha256 in asked
            if (syntax, sha256) == (EXPLICIT_LE, hashlib.sha256(dataset_bytes(self.current[sop])).hexdigest())
        )

    def search(self, path: str, query: object, *, limit: int) -> Found:
        self.questions += 1
        if self.error:
            raise self.error
        return Found([])

    @contextmanager
    def retrieve(self, path: str, *, as_stored: bool) -> Iterator[list[list[bytes]]]:
        if self.error:
            raise self.error
        sop = path.rpartition("/")[2]
        self.fetched.append(sop)
        yield [[self.current[sop]]]


def test_a_file_of_the_cache_is_given_only_if_the_archive_would_give_the_same(tmp_path: Path) -> None:
    """A person chose another version, or the corrected image came after a deletion: what is here is of yesterday, and
    so is what was made of it. While the cloud is away it is all there is.
    """
    images = [write_ct(tmp_path / f"{n}.dcm", sop="1.4.1", fill=n).read_bytes() for n in (1, 2)]
    cache = Cache(tmp_path / "cache", max_bytes=10**6, max_age=1000)
    cache.open()
    cloud = Cloud(**{"1_4_1": images[0]})
    fetcher = Fetcher(cloud, cloud, cache, 10, Log(io.StringIO()))  # type: ignore[arg-type]
    wanted = cached(1)

    def given() -> bytes:
        ((_, path),) = fetcher.files([wanted])
        return path.read_bytes() if path else b""

    assert [given(), given()] == [images[0]] * 2
    cache.draft(wanted, [images[0]]).replace(cache.path(wanted, EXPLICIT))
    assert given() == images[0]
    assert cache.get(wanted, EXPLICIT)
    cloud.current["1.4.1"] = images[1]
    cloud.error = CloudAwayError("away")
    assert given() == images[0]
    cloud.error = None
    assert given() == images[1]
    assert cache.get(wanted, EXPLICIT) is None
    assert cloud.fetched == ["1.4.1", "1.4.1"]
    cache.path(wanted).write_bytes(b"")
    assert given() == images[1]


def test_a_cloud_that_is_away_is_asked_once_for_a_retrieve_from_the_cache(tmp_path: Path) -> None:
    """Each question may take as long as a connection that nobody answers, and somebody waits for the images."""
    data = write_ct(tmp_path / "1.dcm", sop="1.4.1").read_bytes()
    cache = Cache(tmp_path / "cache", max_bytes=10**6, max_age=1000)
    cache.open()
    wanted = [Instance(f"1.2.{study}", f"1.3.{series}", "1.4.1", "") for study in range(2) for series in range(5)]
    for each in wanted:
        cache.draft(each, [data]).replace(cache.path(each))
        cache.remember(each.study, [i for i in wanted if i.study == each.study])
    cloud = Cloud()
    cloud.error = CloudAwayError("away")
    fetcher = Fetcher(cloud, cloud, cache, 10, Log(io.StringIO()))  # type: ignore[arg-type]
    assert fetcher.instances([Target("1.2.0"), Target("1.2.1")]) == (wanted, True)
    assert cloud.questions == 1
    assert [path is not None for _, path in fetcher.files(wanted, is_away=True)] == [True] * 10
    assert cloud.questions == 1
    assert [path is not None for _, path in fetcher.files(wanted)] == [True] * 10
    assert cloud.questions == 2


def test_what_another_retrieve_has_just_fetched_is_not_thrown_away(tmp_path: Path) -> None:
    """It was missing, damaged or of yesterday when this one looked, and the other one is about to send it."""
    old, new = (write_ct(tmp_path / f"{n}.dcm", sop="1.4.1", fill=n).read_bytes() for n in (1, 2))
    current = write_ct(tmp_path / "3.dcm", sop="1.4.2").read_bytes()
    for before in (None, b"damaged", old):
        cache = Cache(tmp_path / "cache", max_bytes=10**6, max_age=1000)
        cache.open()
        wanted = [cached(1), cached(2)]
        cache.path(wanted[0]).unlink(missing_ok=True)
        for each, there in zip(wanted, (before, current), strict=True):
            if there is not None:
                cache.draft(each, [there]).replace(cache.path(each))
        cloud = Cloud(**{"1_4_1": new, "1_4_2": current})

        def fetch(cache: Cache = cache) -> None:
            for kind in (STORED, EXPLICIT):
                cache.draft(cached(1), [new]).replace(cache.path(cached(1), kind))

        cloud.meanwhile = fetch
        fetcher = Fetcher(cloud, cloud, cache, 10, Log(io.StringIO()))  # type: ignore[arg-type]
        given = {each.sop: path for each, path in fetcher.files(wanted)}
        assert cloud.fetched == []
        assert [path and path.read_bytes() for path in given.values()] == [current, new]
        assert cache.get(cached(1), EXPLICIT)
