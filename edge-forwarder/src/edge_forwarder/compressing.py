"""Lossless compression of what waits, before it goes up and long after it was acknowledged; off unless a rule says so.

The new file replaces the old one under its name, whole and synced, so that a crash leaves one or the other. The ledger
keeps the digest of what the device sent: the cloud's *indexed* is for its equal.
"""

from __future__ import annotations

import hashlib
from typing import Final

from edge_forwarder import jpegls, part10
from edge_forwarder.errors import SpoolError
from edge_forwarder.journal import InstanceRow, Journal
from edge_forwarder.ledger import Ledger
from edge_forwarder.logs import Log
from edge_forwarder.spool import Spool

#: What is larger is sent as it is: it would have to be held in memory three times.
_LARGEST: Final = 256 * 1024 * 1024


class Compressor:
    """Threads may share it, each with a pack of its own that it has claimed."""

    def __init__(self, spool: Spool, journal: Journal, log: Log, ledger: Ledger, modalities: frozenset[str]) -> None:
        self._spool, self._journal, self._log, self._ledger = spool, journal, log, ledger
        self._modalities = modalities

    def compress(self, pack: str, members: list[InstanceRow]) -> list[InstanceRow]:
        """The members as they are afterwards. What cannot be compressed, or gets no smaller, stays as it came."""
        done = [self._one(member) for member in members]
        before, after = (sum(member.size for member in some) for some in (members, done))
        if after != before:
            self._journal.count("compressed", sum(a.size != b.size for a, b in zip(members, done, strict=True)))
            self._journal.count("compressed_saved_bytes", before - after)
            self._log.info("compressed", pack=pack, instances=len(done), bytes=after, of=before)
        return done

    def _one(self, member: InstanceRow) -> InstanceRow:
        identity = member.identity
        if identity is None or identity.modality not in self._modalities or member.size > _LARGEST:
            return member
        if identity.transfer_syntax_uid != jpegls.EXPLICIT_LITTLE_ENDIAN:
            return member
        data = self._spool.path(member.name).read_bytes()
        compressed = jpegls.compress(data)
        if compressed is None:
            return member
        original = hashlib.sha256(memoryview(data)[part10.dataset_offset(data) :]).hexdigest()
        if self._ledger.digests_of({member.name: identity.transfer_syntax_uid}).get(member.name, original) != original:
            return member  # it rotted: whoever sends it sees that, too
        self._ledger.digests({member.name: original}, synced=True)
        try:
            self._spool.replace(member.name, compressed)
        except SpoolError as error:  # no room for both, for one: it goes up as it is
            self._log.warning("an image stays as it came", why=str(error))
            return member
        data_set = memoryview(compressed)[part10.dataset_offset(compressed) :]
        self._ledger.digests({member.name: hashlib.sha256(data_set).hexdigest()})
        return self._journal.changed(member.name, len(compressed), jpegls.JPEG_LS_LOSSLESS)
