"""What became of an instance that a storage commitment names: the ledger, the spool, and the cloud for what neither
can know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from edge_forwarder.dicomweb import Found, value
from edge_forwarder.errors import RefusedError
from edge_forwarder.ledger import Ledger, Reference, SentState
from edge_forwarder.statuses import FailureReason

#: UIDs of one question: their URL stays below 8 KB.
_AT_ONCE: Final = 60


class Archive(Protocol):
    """`dicomweb.DicomWeb`, as far as it is needed here."""

    def search(self, path: str, query: Sequence[tuple[str, str]] = (), *, limit: int) -> Found: ...


class Evidence:
    """The judge: the ledger, the spool, and the cloud for what neither can know."""

    def __init__(
        self, ledger: Ledger, archive: Archive, is_spooled: Callable[[str], bool], caught_up: Callable[[], bool]
    ) -> None:
        self._ledger, self._archive, self._is_spooled, self._caught_up = ledger, archive, is_spooled, caught_up

    def outcome(self, ae_title: str, wanted: Iterable[Reference]) -> list[FailureReason | None] | None:
        """None while any is pending. Raises CloudError."""
        if not self._caught_up():
            return None
        found: dict[Reference, FailureReason | tuple[str, str]] = {}
        for reference in wanted:
            verdict = self._local(ae_title, reference)
            if verdict is None:
                return None
            found[reference] = verdict
        places: dict[tuple[str, str], list[Reference]] = {}
        for reference, verdict in found.items():
            if isinstance(verdict, tuple):
                places.setdefault(verdict, []).append(reference)
        decided = {r: v for r, v in found.items() if isinstance(v, FailureReason)}
        committed: dict[Reference, FailureReason | None] = dict(decided)
        for (study, series), references in places.items():
            path = f"/studies/{study}/series/{series}/instances" if study else "/instances"
            for at in range(0, len(references), _AT_ONCE):
                committed |= self._ask(path, references[at : at + _AT_ONCE])
        return [committed[reference] for reference in found]

    def _local(self, ae_title: str, reference: Reference) -> FailureReason | tuple[str, str] | None:
        """A failure; or where in the cloud it must be, ("", "") for anywhere; or None: pending."""
        rows = self._ledger.sent(reference.sop_instance_uid)
        if not rows:
            return ("", "")
        mine = [row for row in rows if row.ae_title == ae_title] or rows
        row = mine[-1]
        if row.sop_class_uid != reference.sop_class_uid:
            return FailureReason.CLASS_INSTANCE_CONFLICT
        place = (row.study_instance_uid, row.series_instance_uid)
        equal = (r for r in rows if r.state == SentState.INDEXED and r.digest and r.digest == row.digest)
        there = row if row.state == SentState.INDEXED else next(equal, None)
        if there is not None:
            return (there.study_instance_uid, there.series_instance_uid)
        if row.state == SentState.SPOOLED:
            if self._is_spooled(row.file):
                return None
            # Its fate is written down before the file goes, so look again before calling it lost.
            again = next((r for r in self._ledger.sent(reference.sop_instance_uid) if r.name == row.name), row)
            if again.state == SentState.INDEXED:
                return place
            row = again
        if row.state == SentState.CONFLICT:
            return FailureReason.DUPLICATE_SOP_INSTANCE
        return FailureReason.PROCESSING_FAILURE

    def _ask(self, path: str, references: list[Reference]) -> dict[Reference, FailureReason | None]:
        uids = ",".join(r.sop_instance_uid for r in references)
        try:
            found = self._archive.search(path, [("SOPInstanceUID", uids)], limit=10 * _AT_ONCE)
        except RefusedError as error:
            if error.status == 404:
                return dict.fromkeys(references, FailureReason.NO_SUCH_OBJECT_INSTANCE)
            if error.status in (400, 413):  # it will not say, today or tomorrow
                return dict.fromkeys(references, FailureReason.PROCESSING_FAILURE)
            raise
        classes: dict[str, set[str]] = {}
        for item in found.items:
            classes.setdefault(value(item, "00080018"), set()).add(value(item, "00080016"))
        missing = FailureReason.PROCESSING_FAILURE if found.warned else FailureReason.NO_SUCH_OBJECT_INSTANCE
        return {
            r: missing
            if r.sop_instance_uid not in classes
            else None
            if r.sop_class_uid in classes[r.sop_instance_uid]
            else FailureReason.CLASS_INSTANCE_CONFLICT
            for r in references
        }
