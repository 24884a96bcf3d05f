"""One upload of one pack: its body, what of it the cloud has already, leave, and the bytes.

Everything may be repeated at any point: the arrival id of the first grant goes with each retry, so the cloud sees one
object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.inbox import ARRIVAL_REFUSED, Inbox, KnownError, Named
from edge_forwarder.databases.journal import InstanceRow, Journal, PackRow
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import identify
from edge_forwarder.dicom.syntaxes import was_compressed
from edge_forwarder.errors import GrantExpiredError, NotAsGrantedError, RefusedError, SpoolError, UnreadableError
from edge_forwarder.logs import Log
from edge_forwarder.packing import packs
from edge_forwarder.spool.folder import Spool
from edge_forwarder.upload import soundness
from edge_forwarder.upload.compressor import Compressor
from edge_forwarder.upload.held import named
from edge_forwarder.upload.in_parts import InParts
from edge_forwarder.upload.settle import Settler
from edge_forwarder.upload.throttle import Throttle

_BOUNDARY: Final = re.compile(r"[A-Za-z0-9-]{1,60}")
#: Bodies above this (bytes) whose upload failed before go up in parts: two parts and more.
_BROKE_OFF: Final = 8 * 1024 * 1024
#: What storage takes in one PUT (S3).
_ONE_PUT: Final = 5 * 1024**3


@dataclass(frozen=True, slots=True)
class Uploaded:
    arrival: str
    instances: int
    bytes: int


class Sender:
    """Threads may share it, each with a pack of its own that it has claimed."""

    def __init__(
        self,
        archive: str,
        spool: Spool,
        journal: Journal,
        cloud: Cloud,
        settler: Settler,
        log: Log,
        ledger: Ledger,
        *,
        throttle: Throttle | None = None,
        compressor: Compressor | None = None,
        in_parts_above: int = 64 * 1024 * 1024,
    ) -> None:
        self._archive, self._spool, self._journal, self._cloud = archive, spool, journal, cloud
        self._settler, self._log, self._ledger = settler, log, ledger
        self._inbox = Inbox(cloud)
        self._throttle, self._in_parts_above = throttle or Throttle(), in_parts_above
        self._compressor = compressor
        self._in_parts = InParts(self._inbox, self._throttle, log)
        self._doubts: dict[str, int] = {}
        """Packs that could not be read, and how often."""

    def doubt(self, pack: str) -> None:
        """What arrived of it was not what was granted: look at each of its files before it is sent again."""
        self._doubts[pack] = soundness.FAILURES

    def send(self, row: PackRow) -> Uploaded | None:
        """None: nothing was left to send. Raises CloudError, OSError, EdgeError."""
        try:
            sent = self._send(row)
        except NotAsGrantedError:
            self.doubt(row.id)
            raise
        except (OSError, SpoolError, UnreadableError):
            self._doubts[row.id] = self._doubts.get(row.id, 0) + 1
            raise
        self._doubts.pop(row.id, None)
        return sent

    def _send(self, row: PackRow) -> Uploaded | None:
        members = self._present(row.id)
        if self._doubts.get(row.id, 0) >= soundness.FAILURES:
            members = self._sound(row, members)
        if not members:
            self._journal.forget_pack(row.id)
            return None
        members = [self._as_it_is(member, row) for member in members]
        if self._compressor is not None and row.arrival is None and row.sha256 is None:
            members = self._compressor.compress(row.id, members)
        row = self._journal.pack(row.id) or row
        body, digest = self._prepare(row, members)
        asked: list[Named] = []
        if not row.arrival:  # what was begun was asked for then
            asked = named(self._ledger, members, as_they_came=True)
        while True:
            try:
                arrival = self._upload(row, body, digest, asked.pop(0) if asked else None)
            except KnownError as answer:
                known = {m: answer.known[uid] for m in members if (uid := _uid(m)) in answer.known}
                if self._settler.known(row.id, members, known):
                    return None
                members = [member for member in members if member not in known]
                body, digest = self._prepare(self._journal.pack(row.id) or row, members)
            else:
                return Uploaded(arrival, len(members), body.length)

    def _present(self, pack: str) -> list[InstanceRow]:
        """The members whose files are there. One that is not was taken by somebody else: said loudly, but no
        obstacle.
        """
        members = self._journal.members(pack)
        missing = [m.name for m in members if not _is_there(self._spool.path(m.name))]
        if missing:
            lost = self._ledger.lost(missing)
            if lost:
                self._log.error("files are gone from the spool", pack=pack, files=len(lost))
            with self._journal.transaction():
                self._journal.forget_instances(missing)
                self._journal.count("missing", len(lost))
                self._journal.update_pack(pack, sha256=None, length=None, arrival=None)
        return [m for m in members if m.name not in missing]

    def _sound(self, row: PackRow, members: list[InstanceRow]) -> list[InstanceRow]:
        """Without those that hold up the others: these are set aside. If none does, the body's digest is taken anew."""
        bad = soundness.unsound(self._spool, members, self._ledger)
        if bad:
            self._settler.spoilt(row.id, bad)
        else:
            self._journal.update_pack(row.id, sha256=None, length=None, arrival=None)
        self._doubts.pop(row.id, None)
        return [member for member in members if member not in bad]

    def _as_it_is(self, member: InstanceRow, row: PackRow) -> InstanceRow:
        """The journal may be older than the file: a power cut came while it was compressed."""
        path = self._spool.path(member.name)
        size = path.stat().st_size
        if size == member.size or member.identity is None:
            return member
        syntax = identify(path).transfer_syntax_uid
        if not was_compressed(member.identity.transfer_syntax_uid, syntax):
            self.doubt(row.id)
            raise SpoolError("a spooled file changed its size")
        return self._journal.changed(member.name, size, syntax)

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
        data_sets = {path.name: sha256 for path, sha256 in digest.data_sets.items()}
        syntaxes = {m.name: m.identity.transfer_syntax_uid if m.identity else None for m in members}
        known = self._ledger.digests_of(syntaxes)
        if any(data_sets[name] != sha256 for name, sha256 in known.items()):
            self.doubt(row.id)
            raise SpoolError("a spooled file is not what it was")
        # Synced, for `_sound` believes it: what the journal knows of a body, the ledger knows of its files.
        self._ledger.digests(data_sets, syntaxes, synced=True)
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

    def _upload(self, row: PackRow, body: packs.Body, digest: packs.Digest, asked: Named | None = None) -> str:
        """The arrival id. Raises KnownError when the cloud has some of what it is asked for."""
        current = self._journal.pack(row.id)
        arrival = current.arrival if current else None
        if body.length > min(self._in_parts_above, _ONE_PUT) or (row.attempts and body.length > _BROKE_OFF):
            done = self._in_parts.upload(body, digest, arrival, partial(self._note, row.id), asked, urgent=row.stat)
            if done is not None:
                return done
        return self._upload_whole(row, body, digest, arrival, asked)

    def _upload_whole(
        self, row: PackRow, body: packs.Body, digest: packs.Digest, arrival: str | None, asked: Named | None
    ) -> str:
        """Grant and PUT. A grant that has expired under way is asked for again, once; then the usual pauses apply."""
        for last in (False, True):
            try:
                grant = self._inbox.grant(digest, body.content_type, arrival, asked)
            except RefusedError as error:
                if not arrival or error.status not in ARRIVAL_REFUSED:
                    raise
                grant = self._inbox.grant(digest, body.content_type, None, asked)
            arrival = grant.arrival
            self._note(row.id, arrival)
            try:
                self._inbox.put(grant, self._throttle.pass_through(body.chunks(), urgent=row.stat), body.length)
                return arrival
            except GrantExpiredError:
                if last:
                    raise
        raise AssertionError("unreachable")

    def _note(self, pack: str, arrival: str) -> None:
        self._journal.update_pack(pack, arrival=arrival)


def _uid(member: InstanceRow) -> str:
    return member.identity.sop_instance_uid if member.identity is not None else ""


def _is_there(path: Path) -> bool:
    """Or cannot be looked at: who reads it will see."""
    try:
        return path.is_file()
    except OSError:
        return True
