"""What became of an upload: one outcome an instance, and the receipt that says it to the edge, STOW senders and people.

A receipt is written before the inbox object is deleted. It names reasons by code and instances by UID, never patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from maypacs.index.rows import SCHEMA_VERSION, receipt_pk
from maypacs.index.table import Item, Table
from maypacs.uids import ArchiveId

Result = Literal["stored", "duplicate", "conflict", "failed", "ignored"]
State = Literal["indexed", "partial", "quarantined"]

# Reasons of failed, conflicting and ignored instances.
NOT_DICOM = "not-dicom"
UNREADABLE = "unreadable"
MISSING_UID = "missing-uid"
STUDY_MISMATCH = "study-mismatch"
DIFFERS = "differs-from-current"
DELETED = "study-deleted"
REFUSED = "refused"  #: rejected or erased by a person, until that is lifted
BAD_PACK = "bad-pack"
BAD_BUNDLE = "bad-bundle"
TOO_LARGE = "too-large"
ENCRYPTED = "encrypted"
HL7 = "hl7-not-yet"
EMPTY = "empty"
POISON = "poison"
NO_ARCHIVE = "no-such-archive"
DAMAGED = "damaged-on-the-way"  #: not the bytes that were granted: to be sent again

#: A receipt lists so many instances of each kind; the counts are always whole.
LISTED = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance; UIDs are "" when they could not be read."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    result: Result
    reason: str = ""
    part: str = ""  #: which of the parts of the upload: its number in a pack, bundle or request


def failure(reason: str, part: str = "") -> Outcome:
    return Outcome("", "", "", "", "failed", reason, part)


@dataclass(frozen=True, slots=True)
class Receipt:
    arrival: str
    state: State
    counts: dict[str, int]  #: by result
    conflicts: tuple[str, ...] = ()  #: SOP Instance UIDs kept but not current
    failures: tuple[tuple[str, str, str], ...] = ()  #: (SOP Instance UID or "", reason, part)
    studies: tuple[str, ...] = ()

    @classmethod
    def of(cls, arrival: str, outcomes: Iterable[Outcome]) -> Receipt:
        outcomes = list(outcomes)
        counts = Counter(outcome.result for outcome in outcomes)
        failed = [outcome for outcome in outcomes if outcome.result == "failed"]
        state: State = "indexed"
        if failed or not outcomes:
            state = "quarantined" if len(failed) == len(outcomes) else "partial"
        return cls(
            arrival=arrival,
            state=state,
            counts={str(result): count for result, count in sorted(counts.items())},
            conflicts=tuple(o.sop_instance_uid for o in outcomes if o.result == "conflict")[:LISTED],
            failures=tuple((o.sop_instance_uid, o.reason, o.part) for o in failed)[:LISTED],
            studies=tuple(sorted({o.study_instance_uid for o in outcomes if o.study_instance_uid}))[:LISTED],
        )

    def to_item(self, archive_id: ArchiveId) -> Item:
        return {
            "pk": receipt_pk(archive_id, self.arrival),
            "sk": "0",
            "v": SCHEMA_VERSION,
            "state": self.state,
            "counts": dict(self.counts),
            "conflicts": list(self.conflicts),
            "failures": [list(failed) for failed in self.failures],
            "studies": list(self.studies),
        }

    @classmethod
    def from_item(cls, item: Item) -> Receipt:
        return cls(
            arrival=item["pk"].partition("#U#")[2],
            state=item["state"],
            counts={name: int(count) for name, count in item["counts"].items()},
            conflicts=tuple(item["conflicts"]),
            failures=tuple((uid, reason, part) for uid, reason, part in item["failures"]),
            studies=tuple(item["studies"]),
        )


def read_receipt(table: Table, archive_id: ArchiveId, arrival: str) -> Receipt | None:
    """None: not ingested yet, or never uploaded (the inbox tells which)."""
    item = table.get(receipt_pk(archive_id, arrival), "0")
    return Receipt.from_item(item) if item else None
