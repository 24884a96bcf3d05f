"""All frames of one instance in another form, made in steps: runs of them wait in storage until the last one is there.

A request that runs out of time leaves the runs that it has made and answers 503; the next one goes on behind them. No
more than one run is in memory. Runs lie beside the exports, are named after the content, and go as exports do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from maypacs.archive.objects import CopyRange
from maypacs.archive.store import ArchiveStore
from maypacs.errors import BusyError
from maypacs.exports import in_a_row

#: Bytes of one run.
RUN_BYTES = 32 << 20
_LIST = re.compile(r"\.([0-9]{7})-([0-9]{7})\.json\Z")


@dataclass(frozen=True, slots=True)
class Runs:
    """Frames, one after the other, in objects."""

    pieces: tuple[CopyRange, ...]
    lengths: tuple[int, ...]  #: of each frame
    photometric: str  #: of the last frame

    @property
    def size(self) -> int:
        return sum(self.lengths)


def frames_in_runs(
    store: ArchiveStore,
    name: str,
    numbers: Sequence[int],
    make: Callable[[int], tuple[bytes, str]],
    late: Callable[[], bool],
) -> Runs:
    """The frames of these numbers as `make` makes them, with their photometric interpretation, below the export `name`.

    At least one frame is made by each call. Raises BusyError when it is late and not all are there.
    """
    runs = _runs(store, name)
    done = len(runs.lengths)
    while done < len(numbers):
        frames: list[bytes] = []
        photometric, size = runs.photometric, 0
        while not frames or (done + len(frames) < len(numbers) and size < RUN_BYTES and not late()):
            frame, photometric = make(numbers[done + len(frames)])
            frames.append(frame)
            size += len(frame)
        key = store.export_key(f"{name}.{done:07}-{done + len(frames):07}")
        store.objects.put(key, b"".join(frames), content_type="application/octet-stream")
        lengths = [len(frame) for frame in frames]
        entry = orjson.dumps({"lengths": lengths, "photometric": photometric})
        store.objects.put(f"{key}.json", entry, content_type="application/json")  # last: with it the run is there
        runs = Runs((*runs.pieces, CopyRange(key, 0, size)), (*runs.lengths, *lengths), photometric)
        done += len(frames)
        if done < len(numbers) and late():
            raise BusyError(f"being converted: {done} of {len(numbers)} frames are done", retry_after=1)
    return runs


def _runs(store: ArchiveStore, name: str) -> Runs:
    """What earlier requests have left, without gaps."""
    pieces: list[CopyRange] = []
    lengths: list[int] = []
    photometric = ""
    sizes = {head.key: head.size for head in store.objects.list(store.export_key(f"{name}."))}
    row, _ = in_a_row((int(s[1]), int(s[2]), key) for key in sizes if (s := _LIST.search(key)))
    for key in row:
        entry, data = orjson.loads(store.objects.get(key)), key.removesuffix(".json")
        size = sum(entry["lengths"])
        if sizes.get(data) != size:  # its bytes expired first
            break
        lengths += entry["lengths"]
        photometric = entry["photometric"]
        pieces.append(CopyRange(data, 0, size))
    return Runs(tuple(pieces), tuple(lengths), photometric)
