"""What runs beside the requests: `python -m maypacs_node.background ingest|chores|bulk KEY`.

- `ingest` looks at the inbox (at once after a nudge, else every second) and calls `functions/ingest` for each object
  with the SQS message that AWS would deliver. Objects that take long (zip, tar, above 256 MiB) go to a `bulk`
  process of their own, one at a time, as they have a queue of their own on AWS.
- `chores` makes thumbnails, calls the functions that go by the clock (`SCHEDULED`), and takes backups: ingest waits for
  none.

A delivery is counted in a file before the function is called, so that an object whose function dies (with the whole
process) comes back with a higher ApproximateReceiveCount, until ingest puts it into quarantine unread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from maypacs_node import notifications, processes, upkeep
from maypacs_node.handlers import Functions
from maypacs_node.logs import log_fault
from maypacs_node.room import Room

POLL_SECONDS = 1.0
#: Above this an object has a process of its own (protocols: ingest).
BULK_BYTES = 256 * 1024 * 1024
BULK_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz")
INGEST_SECONDS = 120.0
BULK_SECONDS = 900.0
HOUSEKEEPER_SECONDS = 300.0
SCHEDULED = ("housekeeper", "compactor", "eraser")
_LONGEST_BACKOFF = 60.0
_LEFT_ALONE = 60.0
#: It fails while the series is not in the index yet (a sidecar is written first); 2, 4, 8 … 60 seconds apart.
THUMBNAIL_TRIES = 8


class Head(Protocol):
    key: str
    size: int
    etag: str


@dataclass(slots=True)
class Delivery:
    count: int = 0  #: deliveries begun
    not_before: float = 0.0  #: time.time()


class Deliveries:
    """How often each object of the inbox was delivered without success; a file, for the deaths of this process."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._open: dict[str, Delivery] = {}
        with suppress(OSError, ValueError):
            # The file is from a process that ended; whatever was under way then may be tried at once.
            self._open = {key: Delivery(count) for key, count in json.loads(file.read_text()).items()}

    def begin(self, key: str) -> int:
        """Counts a delivery, durably against our own death; returns ApproximateReceiveCount."""
        delivery = self._open.setdefault(key, Delivery())
        delivery.count += 1
        self._write()
        return delivery.count

    def succeeded(self, key: str) -> None:
        if self._open.pop(key, None) is not None:
            self._write()

    def failed(self, key: str) -> None:
        """It comes again after a while: 1, 2, 4 … 60 seconds."""
        delivery = self._open.setdefault(key, Delivery(1))
        delivery.not_before = self._clock() + min(_LONGEST_BACKOFF, 2.0 ** (delivery.count - 1))

    def is_due(self, key: str) -> bool:
        delivery = self._open.get(key)
        return delivery is None or self._clock() >= delivery.not_before

    def forget_all_but(self, keys: set[str]) -> None:
        """Those that are not in the inbox any more."""
        gone = self._open.keys() - keys
        for key in gone:
            del self._open[key]
        if gone:
            self._write()

    def _write(self) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps({key: delivery.count for key, delivery in self._open.items()}))
        draft.replace(self._file)


class Inbox(Protocol):
    bucket: str

    def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> Iterator[Any]: ...

    def head(self, key: str) -> Any: ...


class Poller:
    """Delivers what is in the inbox; one object at a time, so none is delivered twice at once."""

    def __init__(
        self,
        inbox: Inbox,
        deliveries: Deliveries,
        deliver: Callable[[Mapping[str, Any]], bool],
        bulk: Callable[[str], subprocess.Popen[bytes]],
        nudged: Callable[[], Iterator[str]] = lambda: iter(()),
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._inbox = inbox
        self._deliveries = deliveries
        self._deliver = deliver
        self._start_bulk = bulk
        self._nudged = nudged
        self._has_room = has_room
        self._bulk: tuple[str, subprocess.Popen[bytes]] | None = None
        #: Taken with success and still there: what ingest leaves alone (below no archive). Key → ETag, time.time().
        self._left: dict[str, tuple[str, float]] = {}

    def look(self) -> None:
        """One pass over the inbox. What was nudged about comes first, also in the middle of a long pass."""
        seen: set[str] = set()
        self._look_after_bulk()
        for head in self._inbox.list(""):
            self._take_nudges(seen)
            if head.key not in seen:
                seen.add(head.key)
                etag, until = self._left.get(head.key, ("", 0.0))
                if etag != head.etag or time.time() >= until:
                    self._handle(head)
        self._deliveries.forget_all_but(seen)
        self._left = {key: left for key, left in self._left.items() if key in seen}

    def _take_nudges(self, seen: set[str]) -> None:
        for key in self._nudged():
            if key and key not in seen:
                seen.add(key)
                with suppress(Exception):  # gone already, or the store is away: the listing will tell
                    self._handle(self._inbox.head(key))

    def _handle(self, head: Head) -> None:
        if not self._deliveries.is_due(head.key) or not self._has_room():
            return
        if head.size > BULK_BYTES or head.key.lower().endswith(BULK_SUFFIXES):
            if self._bulk is None:
                self._deliveries.begin(head.key)
                self._bulk = (head.key, self._start_bulk(head.key))
            return
        count = self._deliveries.begin(head.key)
        event = notifications.s3_event(self._inbox.bucket, head.key, size=head.size, etag=head.etag)
        success = self._deliver(notifications.sqs_event(event, queue="ingest", receive_count=count))
        if success:
            self._left[head.key] = (head.etag, time.time() + _LEFT_ALONE)
        self._done(head.key, success)

    def _look_after_bulk(self) -> None:
        if self._bulk is not None and self._bulk[1].poll() is not None:
            key, process = self._bulk
            self._bulk = None
            self._done(key, process.returncode == 0)

    def _done(self, key: str, success: bool) -> None:
        if success:
            self._deliveries.succeeded(key)
        else:
            self._deliveries.failed(key)


def deliver(
    functions: Functions,
    name: str,
    event: Mapping[str, Any],
    *,
    seconds: float,
    heard: Callable[[Any], None] = lambda told: None,
) -> bool:
    """Calls a function with an event of one message; whether it took the message. ``heard`` gets what it answers.
    Never raises."""
    try:
        told = functions.call(name, dict(event), seconds=seconds)
        heard(told)
        return not notifications.failed(told)
    except Exception as error:
        log_fault(error, function=name)
        return False


def ingest(functions: Functions, run: Path) -> None:
    from maypacs.runtime import Runtime

    nudges = notifications.Nudges("ingest.sock")
    parent = os.getppid()

    def start_bulk(key: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "maypacs_node.background", "bulk", key]
        return processes.spawn(command, env=os.environ, cwd=run, log=Path(os.environ["MAYPACS_NODE_BULK_LOG"]))

    poller = Poller(
        Runtime.from_environment().inbox_objects,
        Deliveries(run / "deliveries.json"),
        lambda event: deliver(functions, "ingest", event, seconds=INGEST_SECONDS),
        start_bulk,
        nudges.take,
        Room.of(run).takes_what_came,
    )
    while os.getppid() == parent:
        # Nudges that came before this look are answered by it.
        for _ in nudges.take():
            pass
        try:
            poller.look()
        except Exception as error:  # the store restarts: look again
            log_fault(error, doing="listing the inbox")
        nudges.wait(POLL_SECONDS)


def bulk(functions: Functions, key: str) -> int:
    from maypacs.runtime import Runtime

    inbox = Runtime.from_environment().inbox_objects
    head = inbox.head(key)
    deliveries = json.loads(Path("deliveries.json").read_text())
    event = notifications.s3_event(inbox.bucket, key, size=head.size, etag=head.etag)
    message = notifications.sqs_event(event, queue="ingest-bulk", receive_count=deliveries.get(key, 1))
    return 0 if deliver(functions, "ingest", message, seconds=BULK_SECONDS) else 1


def chores(functions: Functions, thumbnails: Path) -> None:
    os.nice(5)
    nudges = notifications.Nudges("chores.sock")
    queue = notifications.FileQueue(thumbnails)
    queue.restore()
    tries: dict[Path, int] = {}
    retry_at: dict[Path, float] = {}
    bucket = os.environ["MAYPACS_ARCHIVE_BUCKET"]
    every = float(os.environ.get("MAYPACS_NODE_HOUSEKEEPER_SECONDS", HOUSEKEEPER_SECONDS))
    next_housekeeping = time.monotonic() + min(every, 20)
    next_backup = time.monotonic() + min(every, 20)
    parent = os.getppid()
    room = Room.of(Path.cwd())
    while os.getppid() == parent:
        for _ in nudges.take():
            pass
        for path in queue.waiting():
            if time.monotonic() < retry_at.get(path, 0.0):
                continue
            tries[path] = tries.get(path, 0) + 1
            created = notifications.s3_event(bucket, queue.take(path))
            event = notifications.sqs_event(created, queue="thumbnails", receive_count=tries[path])
            if deliver(functions, "thumbnails", event, seconds=INGEST_SECONDS) or tries[path] >= THUMBNAIL_TRIES:
                tries.pop(path, None)
                retry_at.pop(path, None)
                queue.done(path)
            else:
                queue.put_back(path)
                retry_at[path] = time.monotonic() + min(_LONGEST_BACKOFF, 2.0 ** tries[path])
        if time.monotonic() >= next_housekeeping:
            full = {"clean_only": not room.takes_more()}  # the compactor's: it writes before it takes away
            for name in SCHEDULED:
                event = notifications.schedule_event(name) | full
                heard = upkeep.vacuum if name == "eraser" else lambda told: None
                deliver(functions, name, event, seconds=BULK_SECONDS, heard=heard)
            next_housekeeping = time.monotonic() + every
            upkeep.abort_old_uploads()
        if time.monotonic() >= next_backup:
            next_backup = time.monotonic() + upkeep.back_up()
        nudges.wait(POLL_SECONDS)


def main() -> None:
    """Runs in DATA/run. Environment: the settings of the functions and the MAYPACS_NODE_* names used above."""
    functions = Functions(Path(os.environ["MAYPACS_NODE_FUNCTIONS"]))
    thumbnails = Path(os.environ["MAYPACS_NODE_THUMBNAILS"])
    notifications.hook_boto(thumbnails)
    match sys.argv[1:]:
        case ["ingest"]:
            ingest(functions, Path.cwd())
        case ["chores"]:
            chores(functions, thumbnails)
        case ["bulk", key]:
            sys.exit(bulk(functions, key))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
