"""The uploader: a few threads that take packs to the cloud, one after the other, by `sender.Sender`.

A pack that is *sent* is not done: its files stay until the watcher hears that the cloud has indexed it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from edge_forwarder.cloud import retry
from edge_forwarder.config import CloudConfig
from edge_forwarder.databases.journal import Journal, PackRow, PackState
from edge_forwarder.errors import CloudAwayError, CloudError, EdgeError, PausedError
from edge_forwarder.logs import Log
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.upload.line import Line
from edge_forwarder.upload.sender import Sender
from edge_forwarder.upload.throttle import Throttle
from edge_forwarder.upload.waiting import ALL, Lane, Order, Waiting
from edge_forwarder.upload.watcher import Watcher

#: A pack that the cloud refuses is tried again after at most so many times the longest pause: a person may have helped.
_REFUSED_FACTOR: Final = 5
_UNMARKED_SECONDS: Final = 5.0
#: While the tap is closed it is looked at this often, and what `status` shows of it at least this often (seconds).
_PAUSED_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 5.0


def _lanes(parallel: int) -> list[Sequence[Lane]]:
    """Of each thread. One of several leaves imports alone, and one more takes STAT alone: so no import makes a modality
    wait, and no backlog what is urgent.
    """
    first: Sequence[Lane] = ALL if parallel == 1 else (Lane.STAT, Lane.ROUTINE)
    return [first, *[ALL] * (parallel - 1), (Lane.STAT,)]


class Uploader:
    """Threads of its own; `submit`, `hurry` and `stop` may be called from any."""

    def __init__(
        self,
        config: CloudConfig,
        journal: Journal,
        sender: Sender,
        line: Line,
        watcher: Watcher,
        log: Log,
        *,
        throttle: Throttle,
        order: Order = "oldest",
    ) -> None:
        self._config, self._journal, self._sender, self._throttle = config, journal, sender, throttle
        self._line, self._watcher, self._log = line, watcher, log
        self._wake = threading.Condition()
        self._waiting = Waiting(order)
        self._unmarked: set[str] = set()
        """Packs whose failure could not be written down: the journal still says *uploading*."""
        self._went_at = float("-inf")
        """When an upload last went, by the clock of `time.monotonic`."""
        self._broke_at: dict[str, float] = {}
        """Packs whose upload broke the connection, and when it first did."""
        self._judging = threading.Lock()
        """Held while an outcome is judged and told to the line: one that was judged before another upload went must
        not be told after it, or the line would be away until something else goes.
        """
        self._stopping = False
        self.is_bulk: Callable[[str], bool] = lambda ae_title: False
        """Whether nobody waits for what this sender sends; set by the composition."""
        self._told: str | None = None
        """What `status` shows of the tap."""
        self._threads = [
            threading.Thread(target=self._run, args=(lanes,), name=f"uploader {n}", daemon=True)
            for n, lanes in enumerate(_lanes(config.parallel_uploads))
        ]

    @property
    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        self._journal.reopen()
        for pack in self._journal.packs(PackState.PACKED):
            self._push(pack, 0.0)
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """Start nothing new; an upload that takes longer is abandoned: it will be repeated."""
        self._throttle.close()
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, pack: str, delay: float = 0.0) -> None:
        if (row := self._journal.pack(pack)) is not None:
            self._push(row, delay)

    def _push(self, row: PackRow, delay: float) -> None:
        lane = self._lane(row)
        with self._wake:
            self._waiting.push(row.id, time.monotonic() + delay, created_at=row.created_at, lane=lane)
            self._wake.notify_all()

    def _lane(self, row: PackRow) -> Lane:
        if row.stat:
            return Lane.STAT
        file = SpooledFile(self._journal.a_member(row.id) or "", 0)
        return Lane.BULK if file.is_import or self.is_bulk(file.calling_ae_title) else Lane.ROUTINE

    def hurry(self) -> None:
        """Try everything now that would be tried later: a person has helped."""
        self._line.hurry()
        with self._wake:
            self._waiting.hurry(time.monotonic())
            self._wake.notify_all()

    def _run(self, lanes: Sequence[Lane]) -> None:
        while (pack := self._next(lanes)) is not None:
            try:
                self._attempt(pack)
            except Exception as error:
                # The journal cannot be written, for one: the pack must not be forgotten for that.
                self._log.error("the uploader could not do its work", pack=pack, why=f"{type(error).__name__}: {error}")
                with self._wake:
                    self._unmarked.add(pack)
                    self._waiting.push(pack, time.monotonic() + _UNMARKED_SECONDS, created_at=0.0, lane=Lane.ROUTINE)

    def _attempt(self, pack: str) -> None:
        if pack in self._unmarked:
            self._journal.update_pack(pack, PackState.FAILED)
            self._unmarked.discard(pack)
        try:
            went = self._upload(pack)
            idle = not went and not self._journal.has_packs(PackState.PACKED, PackState.FAILED)
            with self._judging:
                self._broke_at.pop(pack, None)
                if went or idle:
                    self._line.worked()
                else:
                    self._line.answered()
        except PausedError:
            self._journal.update_pack(pack, PackState.PACKED)
            self.submit(pack)
        except CloudError as error:
            with self._judging:
                its_own = isinstance(error, CloudAwayError) and self._breaks(pack)
                everywhere = not its_own and self._line.failed(error, upload=True)
            self._again(pack, str(error), everywhere=everywhere)
        except (OSError, EdgeError) as error:
            self._again(pack, str(error) or type(error).__name__, everywhere=False)

    def _breaks(self, pack: str) -> bool:
        """Whether it is this pack that breaks connections (a proxy may not like its bytes), and not the line: another
        one went up since it first failed.
        """
        return self._went_at > self._broke_at.setdefault(pack, time.monotonic())

    def _next(self, lanes: Sequence[Lane]) -> str | None:
        """The next pack that is due, once line and tap are free; None at a stop."""
        with self._wake:
            while not self._stopping:
                wait = self._line.pause_left()
                if self._throttle.limit == 0:
                    wait = max(wait, _PAUSED_SECONDS)
                self._tell()
                due = self._waiting.next_due(lanes)
                if due is not None:
                    wait = max(wait, due - time.monotonic())
                    if wait <= 0 and (pack := self._waiting.pop(time.monotonic(), lanes)):
                        return pack
                # The tap's windows go by the clock of the day.
                self._wake.wait(min(max(wait, 0.0) if due is not None else _LOOK_SECONDS, _LOOK_SECONDS))
        return None

    def _tell(self) -> None:
        told = self._throttle.told
        if told != self._told:
            self._told = told
            self._log.info("uploads may go", limit=told)
            with suppress(sqlite3.Error):
                self._journal.set_fact("upload_limit", told)

    def _again(self, pack: str, why: str, *, everywhere: bool) -> None:
        row = self._journal.pack(pack)
        if row is None or self._stopping:
            return
        attempts = row.attempts + 1
        self._journal.update_pack(pack, PackState.FAILED, attempts=attempts, error=why)
        self._journal.count("failed_uploads")
        if everywhere:
            delay = self._behind_others(attempts)
        else:
            delay = retry.pause(attempts, self._config.retry_max_seconds * _REFUSED_FACTOR)
        if not everywhere:
            self._log.warning("an upload failed", pack=pack, why=why, attempts=attempts, seconds=round(delay, 1))
        self.submit(pack, delay)

    def _behind_others(self, attempts: int) -> float:
        """While the cloud is away, the line's own pause is the one that counts; but after it a pack that failed before
        lets others try first: it may be the one that fails.
        """
        with self._wake:
            alone = not len(self._waiting)
        if attempts < 2 or alone:
            return 0.0
        return self._line.pause_left() + retry.pause(attempts, self._config.retry_max_seconds)

    def _upload(self, pack: str) -> bool:
        """Whether anything had to go."""
        row = self._journal.claim(pack)
        if row is None:
            return False
        started = time.monotonic()
        sent = self._sender.send(row)
        if sent is None:
            return False
        self._went_at = time.monotonic()
        self._journal.update_pack(
            pack, PackState.SENT, arrival=sent.arrival, sent_at=time.time(), attempts=0, error=None
        )
        self._journal.set_fact("last_upload_at", time.time())
        self._journal.count("uploads")
        self._journal.count("uploaded_bytes", sent.bytes)
        seconds = round(time.monotonic() - started, 3)
        self._log.info(
            "uploaded", pack=pack, arrival=sent.arrival, instances=sent.instances, bytes=sent.bytes, seconds=seconds
        )
        self._watcher.watch(pack, sent.arrival)
        return True
