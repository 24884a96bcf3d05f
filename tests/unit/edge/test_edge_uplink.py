"""When and how fast images go up, and which first: windows of the day, the tap, the order of packs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_forwarder.config import UploadConfig, windows
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.errors import ConfigError, PausedError
from edge_forwarder.upload.throttle import Throttle
from edge_forwarder.upload.uploader import _lanes
from edge_forwarder.upload.urgency import Urgency
from edge_forwarder.upload.waiting import Lane, Waiting

MBIT = 1e6 / 8


def moment(day: int, clock: str) -> datetime:
    """Of a week that begins on a Monday, day 0."""
    hour, minute = clock.split(":")
    return datetime(2026, 11, 23 + day, int(hour), int(minute), tzinfo=UTC)


@pytest.mark.parametrize(
    ("texts", "day", "clock", "limit"),
    [
        (["07:00-18:00 2Mbit/s"], 0, "06:59", None),
        (["07:00-18:00 2Mbit/s"], 0, "07:00", 2 * MBIT),
        (["07:00-18:00 2Mbit/s"], 6, "17:59", 2 * MBIT),
        (["07:00-18:00 2Mbit/s"], 0, "18:00", None),
        (["22:00-06:00 512 kbit/s"], 0, "23:00", 64_000),
        (["22:00-06:00 512 kbit/s"], 0, "05:59", 64_000),
        (["22:00-06:00 512 kbit/s"], 0, "12:00", None),
        (["00:00-24:00 1.5Gbit/s"], 0, "23:59", 1.5e9 / 8),
        (["mon-fri 08:00-17:00 pause"], 4, "12:00", 0),
        (["mon-fri 08:00-17:00 pause"], 5, "12:00", None),
        (["sat-mon 08:00-17:00 pause"], 0, "12:00", 0),
        (["sat-mon 08:00-17:00 pause"], 1, "12:00", None),
        (["fri 22:00-06:00 pause"], 5, "05:00", 0),
        (["fri 22:00-06:00 pause"], 4, "05:00", None),
        (["12:00-13:00 unlimited", "07:00-18:00 2Mbit/s"], 0, "12:30", None),
        (["12:00-13:00 unlimited", "07:00-18:00 2Mbit/s"], 0, "13:00", 2 * MBIT),
    ],
)
def test_the_first_window_that_holds_decides(texts: list[str], day: int, clock: str, limit: float | None) -> None:
    """Its end excluded; past midnight too, by the day on which it began."""
    window = windows.at(windows.parse(texts), moment(day, clock))
    assert (window.limit if window else None) == limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "07:00-18:00",
        "07:00 2Mbit/s",
        "07:00-18:00 2",
        "07:00-18:00 2MB/s",
        "24:00-01:00 2Mbit/s",
        "25:00-26:00 2Mbit/s",
        "07:60-18:00 2Mbit/s",
        "07:00-07:00 2Mbit/s",
        "day 07:00-18:00 2Mbit/s",
        "mon-day 07:00-18:00 2Mbit/s",
        "07:00-18:00 0Mbit/s",
        "07:00-18:00 1kbit/s",
        "07:00-18:00 -2Mbit/s",
    ],
)
def test_a_window_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[upload\] windows"):
        windows.parse([text])


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


def drain(waiting: Waiting, now: float) -> Iterator[str]:
    while (pack := waiting.pop(now)) is not None:
        yield pack


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_stat_first_then_by_order(order: str) -> None:
    """Of what is due; what is tried again later waits, whatever it is."""
    waiting = Waiting("newest" if order == "newest" else "oldest")
    waiting.push("old", 0.0, created_at=1.0, lane=Lane.ROUTINE)
    waiting.push("new", 0.0, created_at=3.0, lane=Lane.ROUTINE)
    waiting.push("middle", 0.0, created_at=2.0, lane=Lane.ROUTINE)
    waiting.push("stat old", 0.0, created_at=1.5, lane=Lane.STAT)
    waiting.push("stat new", 0.0, created_at=9.0, lane=Lane.STAT)
    waiting.push("stat later", 10.0, created_at=0.0, lane=Lane.STAT)
    assert len(waiting) == 6
    by_age = ["stat old", "stat new"], ["old", "middle", "new"]
    if order == "newest":
        by_age = by_age[0][::-1], by_age[1][::-1]
    assert list(drain(waiting, 5.0)) == [*by_age[0], *by_age[1]]
    assert waiting.next_due() == 10.0
    assert list(drain(waiting, 10.0)) == ["stat later"]
    assert waiting.next_due() is None


def test_a_backlog_never_keeps_a_fresh_stat_pack_waiting() -> None:
    """Ten thousand wait; it is next, for everybody; who takes STAT alone takes nothing else."""
    waiting = Waiting()
    for n in range(10_000):
        waiting.push(str(n), 0.0, created_at=float(n), lane=Lane.ROUTINE)
    assert waiting.pop(1.0, (Lane.STAT,)) is None
    assert waiting.next_due((Lane.STAT,)) is None
    waiting.push("stat", 0.0, created_at=99_999.0, lane=Lane.STAT)
    assert waiting.next_due((Lane.STAT,)) == 0.0
    assert waiting.pop(1.0) == "stat"
    assert waiting.pop(1.0) == "0"


def test_an_import_waits_for_every_modality() -> None:
    """However old it is, and a retried one too."""
    waiting = Waiting()
    waiting.push("import", 0.0, created_at=0.0, lane=Lane.BULK)
    waiting.push("ct", 0.0, created_at=5.0, lane=Lane.ROUTINE)
    waiting.push("stat", 0.0, created_at=9.0, lane=Lane.STAT)
    assert waiting.pop(1.0, (Lane.STAT, Lane.ROUTINE)) == "stat"
    assert list(drain(waiting, 1.0)) == ["ct", "import"]


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_every_lane_has_a_thread_and_no_lane_has_all(parallel: int) -> None:
    """STAT has one of its own; of several, one never takes an import."""
    threads = _lanes(parallel)
    assert len(threads) == parallel + 1
    assert all(any(lane in lanes for lanes in threads) for lane in Lane)
    assert (Lane.STAT,) in threads
    assert parallel == 1 or any(Lane.ROUTINE in lanes and Lane.BULK not in lanes for lanes in threads)


def test_hurry_makes_everything_due() -> None:
    waiting = Waiting()
    waiting.push("later", 1000.0, created_at=1.0, lane=Lane.ROUTINE)
    waiting.push("stat later", 2000.0, created_at=2.0, lane=Lane.STAT)
    waiting.hurry(5.0)
    assert list(drain(waiting, 5.0)) == ["stat later", "later"]


def identity(modality: str = "CT", priority: str = "") -> Identity:
    return Identity("2.25.1", "2.25.11", "2.25.111", "1.2", "1.2.840.10008.1.2.1", modality, 1, priority)


def test_what_is_stat_is_said_by_device_modality_or_image() -> None:
    """And an old PACS that is emptied goes last."""
    urgency = Urgency.of(UploadConfig(stat_devices=("ER-CT ",), stat_modalities=("xa",), bulk_devices=("OLDPACS",)))
    assert urgency.is_stat("ER-CT", identity())
    assert urgency.is_stat("LAB", identity("XA"))
    assert urgency.is_stat("CT1", identity(priority="STAT"))
    assert not urgency.is_stat("CT1", identity(priority="HIGH"))
    assert not urgency.is_stat("CT1", identity())
    assert (urgency.is_bulk("OLDPACS "), urgency.is_bulk("CT1")) == (True, False)
    assert not Urgency.of(UploadConfig(stat_priorities=())).is_stat("CT1", identity(priority="STAT"))
