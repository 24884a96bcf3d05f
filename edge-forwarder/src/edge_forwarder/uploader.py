"""The uploader: a few threads that take packs to the cloud, each as grant, PUT, *sent*.

A pack that is *sent* is not done: its files stay until the watcher hears that the cloud has indexed it. An upload may
be repeated at any point: the arrival id of its first grant goes with each retry, so the cloud sees one object.
"""

from __future__ import annotations

import heapq
import re
import threading
import time
from typing import Final

from edge_forwarder import packs, retry
from edge_forwarder.cloud import Cloud
from edge_forwarder.config import CloudConfig
from edge_forwarder.errors import CloudError, EdgeError, GrantExpiredError, RefusedError
from edge_forwarder.journal import InstanceRow, Journal, PackRow, PackState
from edge_forwarder.ledger import Ledger, SentState
from edge_forwarder.line import Line
from edge_forwarder.logs import Log
from edge_forwarder.spool import Spool
from edge_forwarder.watcher import Watcher

_BOUNDARY: Final = re.compile(r"[A-Za-z0-9-]{1,60}")
#: The cloud's answers that mean: not with that arrival id. A fresh grant is asked for.
_ARRIVAL_REFUSED: Final = frozenset({404, 409})
#: A pack that the cloud refuses is tried again after at most so many times the longest pause: a person may have helped.
_REFUSED_FACTOR: Final = 5
_UNMARKED_SECONDS: Final = 5.0


class Uploader:
    def __init__(
        self,
        config: CloudConfig,
        archive: str,
        spool: Spool,
        journal: Journal,
        cloud: Cloud,
        line: Line,
        watcher: Watcher,
        log: Log,
        ledger: Ledger | None = None,
    ) -> None:
        self._ledger = ledger
        self._config, self._archive, self._spool, self._journal = config, archive, spool, journal
        self._cloud, self._line, self._watcher, self._log = cloud, line, watcher, log
        self._wake = threading.Condition()
        self._waiting: list[tuple[float, str]] = []
        """A heap of (when it is due, pack)."""
        self._unmarked: set[str] = set()
        """Packs whose failure could not be written down: the journal still says *uploading*."""
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, name=f"uploader {n}", daemon=True)
            for n in range(config.parallel_uploads)
        ]

    def start(self) -> None:
        self._journal.reopen()
        for pack in self._journal.packs(PackState.PACKED):
            self.submit(pack.id)
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """Start nothing new; an upload that takes longer is abandoned: it will be repeated."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, pack: str, delay: float = 0.0) -> None:
        with self._wake:
            heapq.heappush(self._waiting, (time.monotonic() + delay, pack))
            self._wake.notify()

    def hurry(self) -> None:
        """Try everything now that would be tried later: a person has helped."""
        self._line.hurry()
        with self._wake:
            now = time.monotonic()
            self._waiting = [(min(due, now), pack) for due, pack in self._waiting]
            heapq.heapify(self._waiting)
            self._wake.notify_all()

    def _run(self) -> None:
        while (pack := self._next()) is not None:
            try:
                self._attempt(pack)
            except (
                Exception
            ) as error:  # the journal cannot be written, for one: the pack must not be forgotten for that
                self._log.error("the uploader could not do its work", pack=pack, why=f"{type(error).__name__}: {error}")
                self._unmarked.add(pack)
                self.submit(pack, _UNMARKED_SECONDS)

    def _attempt(self, pack: str) -> None:
        if pack in self._unmarked:
            self._journal.update_pack(pack, PackState.FAILED)
            self._unmarked.discard(pack)
        try:
            self._upload(pack)
            self._line.worked()
        except CloudError as error:
            self._again(pack, str(error), everywhere=self._line.failed(error))
        except (OSError, EdgeError) as error:
            self._again(pack, str(error) or type(error).__name__, everywhere=False)

    def _next(self) -> str | None:
        """The next pack that is due, once the line is free; None at a stop."""
        with self._wake:
            while not self._stopping:
                wait = self._line.pause_left()
                if self._waiting:
                    wait = max(wait, self._waiting[0][0] - time.monotonic())
                    if wait <= 0:
                        return heapq.heappop(self._waiting)[1]
                    self._wake.wait(wait)
                else:
                    self._wake.wait()
        return None

    def _again(self, pack: str, why: str, *, everywhere: bool) -> None:
        row = self._journal.pack(pack)
        if row is None or self._stopping:
            return
        attempts = row.attempts + 1
        self._journal.update_pack(pack, PackState.FAILED, attempts=attempts, error=why)
        self._journal.count("failed_uploads")
        # While the cloud is away, the line's own pause is the one that counts.
        delay = 0.0 if everywhere else retry.pause(attempts, self._config.retry_max_seconds * _REFUSED_FACTOR)
        if not everywhere:
            self._log.warning("an upload failed", pack=pack, why=why, attempts=attempts, seconds=round(delay, 1))
        self.submit(pack, delay)

    def _upload(self, pack: str) -> None:
        row = self._journal.claim(pack)
        if row is None:
            return
        members = self._present(pack)
        if not members:
            self._journal.forget_pack(pack)
            return
        body, digest = self._prepare(row, members)
        started = time.monotonic()
        arrival = self._send(row, body, digest)
        self._journal.update_pack(pack, PackState.SENT, arrival=arrival, sent_at=time.time(), attempts=0, error=None)
        self._journal.set_fact("last_upload_at", time.time())
        self._journal.count("uploads")
        self._journal.count("uploaded_bytes", body.length)
        seconds = round(time.monotonic() - started, 3)
        self._log.info(
            "uploaded", pack=pack, arrival=arrival, instances=len(members), bytes=body.length, seconds=seconds
        )
        self._watcher.watch(pack, arrival)

    def _present(self, pack: str) -> list[InstanceRow]:
        """The members whose files are there. One that is not was taken by somebody else: said loudly, but no
        obstacle.
        """
        members = self._journal.members(pack)
        missing = [m.name for m in members if not self._spool.path(m.name).is_file()]
        if missing:
            self._log.error("files are gone from the spool", pack=pack, files=len(missing))
            if self._ledger is not None:
                self._ledger.settle(missing, SentState.REFUSED)
            with self._journal.transaction():
                self._journal.forget_instances(missing)
                self._journal.count("missing", len(missing))
                self._journal.update_pack(pack, sha256=None, length=None, arrival=None)
        return [m for m in members if m.name not in missing]

    def _prepare(self, row: PackRow, members: list[InstanceRow]) -> tuple[packs.Body, packs.Digest]:
        """The body and its digest; computed once a pack, remembered in the journal."""
        first = members[0]
        if first.identity is None:
            body = packs.single(self._spool.path(first.name), first.size)
        else:
            parts = tuple(self._part(member) for member in members)
            boundary = row.boundary or self._boundary(first.identity.study_instance_uid)
            body = packs.pack(self._archive, parts, boundary)
            if not row.boundary and body.boundary_occurs():
                body = packs.pack(self._archive, parts, packs.other_boundary())
        if row.sha256 and row.length == body.length:
            return body, packs.Digest(row.length, row.sha256)
        digest = body.digest()
        if self._ledger is not None:
            self._ledger.digests({path.name: sha256 for path, sha256 in digest.data_sets.items()})
        self._journal.update_pack(
            row.id, boundary=body.boundary or None, length=digest.length, sha256=digest.sha256, arrival=None
        )
        return body, digest

    def _part(self, member: InstanceRow) -> packs.Part:
        assert member.identity is not None
        i = member.identity
        return packs.Part(
            i.study_instance_uid,
            i.series_instance_uid,
            i.sop_instance_uid,
            i.transfer_syntax_uid,
            self._spool.path(member.name),
            member.size,
        )

    def _boundary(self, study: str) -> str:
        known = self._journal.boundary(study)
        if known is None:
            known = self._cloud.boundaries([study]).get(study, "")
            if _BOUNDARY.fullmatch(known):
                self._journal.remember_boundaries({study: known})
        return known if _BOUNDARY.fullmatch(known) else packs.other_boundary()

    def _send(self, row: PackRow, body: packs.Body, digest: packs.Digest) -> str:
        """Grant and PUT. A grant that has expired under way is asked for again, once; then the usual pauses apply."""
        current = self._journal.pack(row.id)
        arrival = current.arrival if current else None
        for last in (False, True):
            try:
                grant = self._cloud.grant(digest, body.content_type, arrival)
            except RefusedError as error:
                if not arrival or error.status not in _ARRIVAL_REFUSED:
                    raise
                grant = self._cloud.grant(digest, body.content_type, None)
            arrival = grant.arrival
            self._journal.update_pack(row.id, arrival=arrival)
            try:
                self._cloud.put(grant, body)
                return arrival
            except GrantExpiredError:
                if last:
                    raise
        raise AssertionError("unreachable")
