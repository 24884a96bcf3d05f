"""The uplink's tap: limits, pauses, and what goes first."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_forwarder.config import windows
from edge_forwarder.errors import PausedError
from edge_forwarder.upload.throttle import Throttle


def moment(day: int, clock: str) -> datetime:
    """Of a week that begins on a Monday, day 0."""
    hour, minute = clock.split(":")
    return datetime(2026, 11, 23 + day, int(hour), int(minute), tzinfo=UTC)


class Tap(Throttle):
    """On a clock of the test's: whoever waits makes it go on."""

    def __init__(self, *texts: str, paused: bool = False, day: str = "12:00") -> None:
        self.now, self.day = 100.0, moment(0, day)
        super().__init__(windows.parse(texts), paused=paused, clock=lambda: self.now, local=lambda: self.day)

    def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.lists(st.binary(max_size=300_000), max_size=5), st.sampled_from(["unlimited", "8kbit/s", "2Mbit/s"]))
def test_what_passes_is_what_came(chunks: list[bytes], rate: str) -> None:
    """In smaller pieces, in order."""
    tap = Tap(f"00:00-24:00 {rate}")
    assert b"".join(tap.pass_through(chunks)) == b"".join(chunks)


@pytest.mark.parametrize("rate", ["64kbit/s", "2Mbit/s", "1Gbit/s"])
def test_a_limit_holds_over_all_who_share_it(rate: str) -> None:
    """Two uploads together take as long as one of their bytes, to a quarter of a second; pieces come often enough that
    nobody takes the line for dead.
    """
    tap = Tap(f"00:00-24:00 {rate}")
    limit = tap.limit
    assert limit
    size = int(4 * limit)
    streams = [tap.pass_through([bytes(size)]) for _ in range(2)]
    started, passed, last = tap.now, 0, tap.now
    while streams:
        for stream in list(streams):
            piece = next(stream, None)
            if piece is None:
                streams.remove(stream)
                continue
            passed += len(piece)
            assert tap.now - last < 1
            last = tap.now
    assert passed == 2 * size
    assert 7.5 <= tap.now - started <= 8.5


def test_a_window_that_begins_under_way_is_felt_at_once() -> None:
    """And one that ends."""
    tap = Tap("12:00-13:00 80kbit/s", day="11:59")
    stream = tap.pass_through([bytes(1_000_000)])
    assert len(next(stream)) > 100_000
    tap.day = moment(0, "12:00")
    assert len(next(stream)) <= 10_000
    tap.day = moment(0, "13:00")
    assert len(next(stream)) > 100_000


@pytest.mark.parametrize("how", ["configured", "window", "closed"])
def test_a_pause_ends_what_is_under_way(how: str) -> None:
    """Nothing passes until it is over."""
    tap = Tap("13:00-14:00 pause")
    stream = tap.pass_through([bytes(1_000_000)])
    next(stream)
    if how == "configured":
        tap.configure(windows.parse(["12:00-13:00 1Mbit/s"]), paused=True)
    elif how == "window":
        tap.day = moment(0, "13:30")
    else:
        tap.close()
    assert tap.limit == 0
    with pytest.raises(PausedError):
        next(stream)
    with pytest.raises(PausedError):
        next(tap.pass_through([b"x"], urgent=True))
    if how == "configured":
        assert tap.told == "paused"
        tap.configure(windows.parse(["12:00-13:00 1Mbit/s"]), paused=False)
        assert tap.told == "12:00-13:00 1Mbit/s"
        assert next(tap.pass_through([b"x"])) == b"x"


def test_a_pause_wakes_who_waits() -> None:
    """With the real clock: a thread that waits for its turn at a slow rate hears of it."""
    tap = Throttle(windows.parse(["00:00-24:00 8kbit/s"]))
    over = threading.Event()

    def upload() -> None:
        with pytest.raises(PausedError):
            list(tap.pass_through([bytes(10_000_000)]))
        over.set()

    thread = threading.Thread(target=upload)
    thread.start()
    tap.configure((), paused=True)
    assert over.wait(10)
    thread.join()


def test_urgent_bytes_go_before_others() -> None:
    """While any wait, nothing else passes, even when there is room."""
    tap = Tap("00:00-24:00 80kbit/s")
    routine = tap.pass_through([bytes(100_000)])
    next(routine)

    class Patient(Exception): ...

    def sleep(seconds: float) -> None:
        tap.now += 10
        raise Patient

    tap.now += 10
    tap._urgent = 1  # another thread waits
    tap._sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(Patient):
        next(routine)
    assert next(tap.pass_through([b"stat"], urgent=True)) == b"stat"
