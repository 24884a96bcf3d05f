"""Lossless compression of what waits, before it goes up and long after it was acknowledged; off unless a rule says so.

The new file replaces the old one under its name, whole and synced, so that a crash leaves one or the other. The ledger
keeps the digest of what the device sent: the cloud's *indexed* is for its equal.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Final

from edge_forwarder.compression.codecs import CODECS, Codec
from edge_forwarder.compression.instance import LARGEST, compress
from edge_forwarder.compression.reasons import LeftAloneError, Reason
from edge_forwarder.databases.journal import InstanceRow, Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom import part10
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.dicom.syntaxes import OURS
from edge_forwarder.errors import SpoolError
from edge_forwarder.logs import Log
from edge_forwarder.spool.folder import Spool

#: Images above this are compressed one at a time, whoever uploads beside: each is in memory three times (bytes).
_LARGE: Final = 32 * 1024 * 1024
#: What the journal's counters of images left alone begin with; a `Reason` follows.
LEFT: Final = "left."


class Compressor:
    """Threads may share it, each with a pack of its own that it has claimed. ``rules``: names of `CODECS`, or none, by
    Modality; ``default`` for every other.
    """

    def __init__(
        self, spool: Spool, journal: Journal, log: Log, ledger: Ledger, rules: Mapping[str, str], default: str
    ) -> None:
        self._spool, self._journal, self._log, self._ledger = spool, journal, log, ledger
        self._rules, self._default = rules, default
        self._one_large = threading.Lock()

    def compress(self, pack: str, members: list[InstanceRow]) -> list[InstanceRow]:
        """The members as they are afterwards. What cannot be compressed, or gets no smaller, stays as it came."""
        left: Counter[Reason] = Counter()
        done = []
        for member in members:
            try:
                done.append(self._one(member))
            except LeftAloneError as why:
                left[why.reason] += 1
                done.append(member)
        for reason, count in left.items():
            self._journal.count(LEFT + reason, count)
        before, after = (sum(member.size for member in some) for some in (members, done))
        if after != before:
            self._journal.count("compressed", sum(a.size != b.size for a, b in zip(members, done, strict=True)))
            self._journal.count("compressed_saved_bytes", before - after)
            self._log.info("compressed", pack=pack, instances=len(done), bytes=after, of=before)
        return done

    def _codec(self, identity: Identity | None) -> Codec | None:
        if identity is None or identity.transfer_syntax_uid in OURS:
            return None
        return CODECS.get(self._rules.get(identity.modality, self._default))

    def _one(self, member: InstanceRow) -> InstanceRow:
        """Raises LeftAloneError, OSError."""
        identity, codec = member.identity, self._codec(member.identity)
        if identity is None or codec is None:
            return member
        if member.size > LARGEST:
            raise LeftAloneError(Reason.TOO_LARGE)
        with self._one_large if member.size > _LARGE else nullcontext():
            return self._compressed(member, identity, codec)

    def _compressed(self, member: InstanceRow, identity: Identity, codec: Codec) -> InstanceRow:
        """Raises as `_one`."""
        data = self._spool.path(member.name).read_bytes()
        compressed = compress(data, codec)
        original = _digest(data)
        if self._ledger.digests_of({member.name: identity.transfer_syntax_uid}).get(member.name, original) != original:
            raise LeftAloneError(Reason.SPOILT)
        self._ledger.digests({member.name: original}, {member.name: identity.transfer_syntax_uid}, synced=True)
        try:
            self._spool.replace(member.name, compressed)
        except SpoolError as error:  # it goes up as it is
            self._log.warning("an image stays as it came", why=str(error))
            raise LeftAloneError(Reason.NO_ROOM) from None
        self._ledger.digests({member.name: _digest(compressed)}, {member.name: codec.syntax})
        return self._journal.changed(member.name, len(compressed), codec.syntax)


def _digest(data: bytes) -> str:
    """Of the data set."""
    return hashlib.sha256(memoryview(data)[part10.dataset_offset(data) :]).hexdigest()
