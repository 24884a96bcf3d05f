"""What became of an instance that a storage commitment names: the ledger knows what this device sent, and the cloud,
asked by digest, what it has of that.

*Committed* is what the device that asks sent through this edge itself, under its own AE title or one that it is
configured to store as, the latest of it, if what is current in the cloud now is

- the same, byte for byte, or the same as what went up in its place (compressed); or
- of equal content: this device's upload was answered *indexed*, and what is current came no later than that upload, so
  it is what the upload was compared with. What replaced it after a deletion came later. (What a person made current
  instead may have come before; then the equal is kept beside it.)

While an image of its that came cannot be read here, nothing is decided for it: that may be a later version of any.

Of what it did not send here (but through another edge, before this one, or longer ago than the ledger remembers) nobody
here knows the bytes: that is *no such object instance*, and when it is sent again, it costs a question, no upload.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from edge_forwarder.cloud.inbox import ASKED, Held, Version
from edge_forwarder.databases.commitments import Reference
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import Sent, SentState
from edge_forwarder.dicom.syntaxes import was_compressed
from edge_forwarder.dimse.statuses import FailureReason
from edge_forwarder.errors import RefusedError
from edge_forwarder.upload.held import versions

#: Of each there may be two to ask for: as it was sent, and as it went up.
_AT_ONCE: Final = ASKED // 2
#: The cloud will not answer this question, today or tomorrow.
_NO_QUESTION: Final = frozenset({400, 413})


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that is asked for is not in the cloud yet. ``file``: which, of the spool's; empty: not known."""

    file: str = ""


class Archive(Protocol):
    """`inbox.Inbox`, as far as it is needed here."""

    def held(self, study: str, series: str, instances: Iterable[Version]) -> Held: ...


class Evidence:
    """The judge."""

    def __init__(
        self,
        ledger: Ledger,
        archive: Archive,
        is_spooled: Callable[[str], bool],
        caught_up: Callable[[], bool],
        stored_as: Callable[[str], Collection[str]],
        unread: Callable[[], Collection[str]],
    ) -> None:
        """``stored_as``: the AE titles under which a device sends its images; ``unread``: those from which images came
        that are not in the ledger, for they could not be read yet.
        """
        self._ledger, self._archive, self._is_spooled, self._caught_up = ledger, archive, is_spooled, caught_up
        self._stored_as, self._unread = stored_as, unread

    def is_spooled(self, file: str) -> bool:
        return self._is_spooled(file)

    def outcome(self, ae_title: str, wanted: Iterable[Reference]) -> list[FailureReason | None] | Pending:
        """Of each, in order: None (committed) or why not. Raises CloudError."""
        if not self._caught_up() or not set(self._unread()).isdisjoint(self._stored_as(ae_title)):
            return Pending()
        verdicts: dict[Reference, FailureReason | None] = {}
        places: dict[tuple[str, str], list[tuple[Reference, Sent]]] = {}
        for reference in wanted:
            found = self._local(ae_title, reference)
            if isinstance(found, Pending):
                return found
            if isinstance(found, Sent):
                place = found.study_instance_uid, found.series_instance_uid
                places.setdefault(place, []).append((reference, found))
            verdicts[reference] = found if isinstance(found, FailureReason) else None
        for (study, series), some in places.items():
            for at in range(0, len(some), _AT_ONCE):
                verdicts |= self._ask(study, series, some[at : at + _AT_ONCE])
        return list(verdicts.values())

    def _local(self, ae_title: str, reference: Reference) -> Sent | FailureReason | Pending:
        """A failure; or what the cloud must be asked for."""
        sent = self._latest(ae_title, reference)
        if sent is None:
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        if sent.sop_class_uid != reference.sop_class_uid:
            return FailureReason.CLASS_INSTANCE_CONFLICT
        if sent.state == SentState.SPOOLED:
            if self._is_spooled(sent.file):
                return Pending(sent.file)
            # Its fate is written down before the file goes, so look again before calling it lost.
            sent = self._latest(ae_title, reference) or sent
        return sent if sent.digest and sent.study_instance_uid else _failure(sent)

    def _latest(self, ae_title: str, reference: Reference) -> Sent | None:
        titles, sent = self._stored_as(ae_title), self._ledger.sent(reference.sop_instance_uid)
        return next((row for row in reversed(sent) if row.ae_title.strip() in titles), None)

    def _ask(
        self, study: str, series: str, some: list[tuple[Reference, Sent]]
    ) -> dict[Reference, FailureReason | None]:
        try:
            held = self._archive.held(study, series, (each for _, sent in some for each in versions(sent)))
        except RefusedError as error:
            if error.status in _NO_QUESTION:
                return {reference: FailureReason.PROCESSING_FAILURE for reference, _ in some}
            raise
        return {reference: _verdict(sent, held) for reference, sent in some}


def _verdict(sent: Sent, held: Held) -> FailureReason | None:
    if sent.sop_instance_uid in held.known:
        return None
    came = held.others.get(sent.sop_instance_uid)
    if sent.state != SentState.INDEXED:
        return _failure(sent)
    if came is None:
        return FailureReason.NO_SUCH_OBJECT_INSTANCE
    went = sent.sent_as in (None, sent.digest) or was_compressed(sent.syntax, sent.sent_syntax or "")
    is_equal = went and sent.arrival and came <= sent.arrival
    return None if is_equal else FailureReason.DUPLICATE_SOP_INSTANCE


def _failure(sent: Sent) -> FailureReason:
    is_conflict = sent.state == SentState.CONFLICT
    return FailureReason.DUPLICATE_SOP_INSTANCE if is_conflict else FailureReason.PROCESSING_FAILURE
