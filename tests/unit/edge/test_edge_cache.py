"""The cache of images: its caps, what it keeps, and what it never gives."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.support.spooled import cached

from edge_forwarder.errors import CloudAwayError
from edge_forwarder.query_retrieve.cache import EXPLICIT, Cache, Instance


def keep(cache: Cache, wanted: Instance, size: int, age: float = 0.0) -> Path:
    path = cache.draft(wanted, [b"x" * size]).replace(cache.path(wanted))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_the_cache_keeps_to_its_size_and_age_and_drops_the_longest_unused_first(tmp_path: Path) -> None:
    """What was asked for last stays."""
    cache = Cache(tmp_path / "cache", max_bytes=350, max_age=1000)
    cache.open()
    paths = [keep(cache, cached(n), 100, age=100 - n) for n in range(3)]
    old = keep(cache, cached(9, "1.9"), 10, age=2000)
    assert cache.get(cached(0)) == paths[0]
    cache.trim()
    assert (not old.exists(), not old.parent.parent.exists()) == (True, True)
    assert all(path.exists() for path in paths)
    keep(cache, cached(3), 100)
    cache.trim()
    assert [cache.get(cached(n)) is not None for n in range(4)] == [True, False, True, True]
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_the_cache_gives_way_to_the_spool(tmp_path: Path) -> None:
    """Too little free: the longest unused go, and nothing is fetched while that is not enough."""
    free = [10**9]
    cache = Cache(tmp_path, max_bytes=10**6, max_age=1000, min_free_bytes=500, free=lambda _: free[0])
    cache.open()
    paths = [keep(cache, cached(n), 100, age=300 - n) for n in range(3)]
    free[0] = 350
    cache.trim()
    assert [path.exists() for path in paths] == [False, False, True]
    with pytest.raises(OSError, match="No space"):
        cache.draft(cached(4), [b"x"])


def test_what_may_be_on_its_way_to_somebody_stays_for_a_moment(tmp_path: Path) -> None:
    """Even in a cache that keeps nothing."""
    cache = Cache(tmp_path, max_bytes=0, max_age=1000)
    fresh, old = keep(cache, cached(1), 100), keep(cache, cached(2), 100, age=100)
    cache.trim()
    assert (fresh.exists(), old.exists()) == (True, False)


def test_a_file_of_the_spool_is_adopted_by_a_second_name(tmp_path: Path) -> None:
    """It stays when the spool lets go."""
    cache = Cache(tmp_path / "cache", max_bytes=1000, max_age=1000)
    cache.open()
    spooled = tmp_path / "spooled.dcm"
    spooled.write_bytes(b"image")
    assert cache.adopt(cached(1), spooled)
    spooled.unlink()
    assert (cache.get(cached(1)) or spooled).read_bytes() == b"image"
    assert not cache.adopt(cached(2), tmp_path / "none")


def test_a_study_is_remembered_only_while_all_of_it_is_there(tmp_path: Path) -> None:
    """Half a study would look like a whole one."""
    cache = Cache(tmp_path, max_bytes=10**6, max_age=1000)
    both = [cached(1), cached(2)]
    cache.remember("1.2", both)
    keep(cache, both[0], 10)
    assert cache.remembered("1.2") is None
    keep(cache, both[1], 10)
    assert cache.remembered("1.2") == both
    assert cache.remembered("1.99") is None
    assert cache.remembered("../1") is None


def test_a_broken_fetch_leaves_nothing_and_a_restart_cleans_up(tmp_path: Path) -> None:
    """No half file is ever given to anybody."""
    cache = Cache(tmp_path, max_bytes=10**6, max_age=1000)

    def pieces() -> object:
        yield b"half"
        raise CloudAwayError("gone")

    with pytest.raises(CloudAwayError):
        cache.draft(cached(1), pieces())  # type: ignore[arg-type]
    assert cache.get(cached(1)) is cache.get(cached(1), EXPLICIT) is None
    cache.draft(cached(1), [b"left"])
    cache.open()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("uid", ["", "..", "1/2", "a"])
def test_no_uid_leaves_the_cache(uid: str) -> None:
    """They are steps of a path."""
    with pytest.raises(ValueError, match="UID"):
        Instance("1.2", "1.3", uid, "")
