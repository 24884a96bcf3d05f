"""The day itself: the devices send, the edge is watched, the cloud counts what came."""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulate.devices import FIRST_HOUR, HOUR, KINDS, Device, fleet, images
from tests.support.instances import EXPLICIT_LE
from tests.support.processes import Edge, Node, wait_until
from tests.support.raw_scu import transmit

from maypacs_node.bench import object_store_client

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """The edge at one moment: seconds of the day, bytes, counts."""

    at: float
    memory: int
    files: int
    threads: int
    waiting: int


@dataclass
class Sent:
    """What one modality sent."""

    images: int = 0
    bytes: int = 0
    series: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    associations: int = 0
    refused: int = 0
    busiest: float = 0.0
    """The most images a second within one association of ten images or more."""
    packs: int = 0


@dataclass
class Day:
    factor: float
    """Seconds of the day in one second of ours."""
    sent: dict[str, Sent] = field(default_factory=lambda: defaultdict(Sent))
    samples: list[Sample] = field(default_factory=list)
    cpu: float = 0.0
    """Of the edge, seconds."""
    seconds: float = 0.0
    """Of ours, from the first association to an empty spool."""
    late: float = 0.0
    """The longest that a device was behind its day, in seconds of ours."""
    searchable: float = 0.0
    """From the end of the day to an empty spool, seconds of ours."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def images(self) -> int:
        return sum(sent.images for sent in self.sent.values())

    def hours(self) -> dict[int, list[Sample]]:
        """By hour of the day's course, 0 the first."""
        found = defaultdict(list)
        for sample in self.samples:
            found[int(sample.at // HOUR)].append(sample)
        return dict(found)

    def growth(self, warm_up: float = 5 * HOUR) -> tuple[float, int]:
        """How much the memory grew after the warm-up, as a part of it, and the open files by number: the highest
        median of an hour after it against the last one of it. The morning's rush is part of the warm-up.
        """
        hours = {hour: samples for hour, samples in self.hours().items() if len(samples) > 2}
        before = [samples for hour, samples in hours.items() if (hour + 1) * HOUR <= warm_up]
        after = [samples for hour, samples in hours.items() if hour * HOUR >= warm_up]

        def most(of: Callable[[Sample], int], some: list[list[Sample]]) -> float:
            return max(statistics.median(map(of, samples)) for samples in some)

        memory = most(lambda s: s.memory, after) / most(lambda s: s.memory, before) - 1
        return memory, round(most(lambda s: s.files, after) - most(lambda s: s.files, before))


def simulate(folder: Path, *, minutes: float, seed: int, share: float = 1.0) -> Day:
    """24 hours in so many minutes."""
    day = Day(factor=24 * HOUR / (minutes * 60))
    noise = random.Random(seed).randbytes(8 * 1024 * 1024)
    with Node(folder / "node") as node:
        node.archive()
        edge = Edge(folder / "edge", node)
        settle(edge, day.factor)
        with edge:
            over = threading.Event()
            began = time.monotonic()
            watcher = threading.Thread(target=watch, args=(edge, day, began, over, minutes), daemon=True)
            watcher.start()
            devices = [
                threading.Thread(target=send, args=(device, edge, day, began, noise), daemon=True)
                for device in fleet(seed, share)
            ]
            for thread in devices:
                thread.start()
            for thread in devices:
                thread.join()
            time.sleep(max(0.0, began + minutes * 60 - time.monotonic()))
            ended = time.monotonic()
            received = edge.folder / "spool" / "received"
            wait_until(lambda: not any(received.iterdir()), seconds=600, what="an empty spool")
            day.searchable, day.seconds = time.monotonic() - ended, time.monotonic() - began
            over.set()
            watcher.join()
            assert edge.process is not None
            day.cpu = cpu_seconds(edge.process.pid)
            count_packs(node, day)
    return day


def settle(edge: Edge, factor: float) -> None:
    """A pause between two images of an ultrasound is as short as the day is, so the edge's patience is, too."""
    lines = []
    for line in edge.config.read_text().splitlines():
        name = line.removeprefix("# ").partition(" = ")[0]
        if name == "quiet_seconds_by_modality":
            line = f"{name} = {{ US = {60 / factor:.4f} }}"
        elif name == "status_poll_seconds":
            line = f"{name} = 1.0"
        lines.append(line)
    edge.config.write_text("\n".join(lines) + "\n")


def send(device: Device, edge: Edge, day: Day, began: float, noise: bytes) -> None:
    """A device's day; one that is behind sends at once."""
    kind, pairs = device.kind, [(device.kind.sop_class, EXPLICIT_LE)]
    for association in device.day:
        due = began + association.due / day.factor
        time.sleep(max(0.0, due - time.monotonic()))
        start, size = time.monotonic(), 0

        def measured() -> Any:
            nonlocal size
            for image in images(kind, association, noise):  # noqa: B023 - used up before the next
                size += len(image.data_set)
                yield image

        statuses = transmit(edge.port, pairs, measured(), called=edge.ae_title, calling=device.title)
        taken, seconds = statuses.count(0), time.monotonic() - start
        with day.lock:
            sent = day.sent[kind.modality]
            sent.images += taken
            sent.refused += association.count - taken
            sent.bytes += size
            sent.series.add(association.series)
            sent.studies.add(association.study)
            sent.associations += 1
            if association.count >= 10:
                sent.busiest = max(sent.busiest, taken / seconds)
            day.late = max(day.late, start - due)


def watch(edge: Edge, day: Day, began: float, over: threading.Event, minutes: float) -> None:
    """Ten samples in each hour of the day."""
    assert edge.process is not None
    place, received = Path(f"/proc/{edge.process.pid}"), edge.folder / "spool" / "received"
    while not over.wait(minutes * 60 / 240):
        memory = int((place / "statm").read_text().split()[1]) * _PAGE
        files, threads = len(os.listdir(place / "fd")), len(os.listdir(place / "task"))
        at = (time.monotonic() - began) * day.factor
        if at < 24 * HOUR:
            day.samples.append(Sample(at, memory, files, threads, len(os.listdir(received))))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def count_packs(node: Node, day: Day) -> None:
    """How many packs came of each modality's series."""
    client, bucket = object_store_client(node.data)
    found: Counter[str] = Counter()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="blobs/packs/"):
        for entry in page.get("Contents", ()):
            found[entry["Key"].split("/")[4]] += 1
    for sent in day.sent.values():
        sent.packs = sum(found.pop(series, 0) for series in sent.series)
    assert not found, "packs of series that nobody sent"


def hour_name(hour: int) -> str:
    return f"{(hour + FIRST_HOUR) % 24:02}:00"


MODALITIES = tuple(KINDS)
