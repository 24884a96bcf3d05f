"""The verdict: every success is in the cloud exactly once, or has a name for why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO

import pydicom
from tests.torture.cloud import CloudState
from tests.torture.material import Item
from tests.torture.senders import Answers

from maypacs import incoming
from maypacs.incoming import Incoming
from maypacs.sameness import same_content

#: Why an image may be in quarantine: only for what is in the image.
_OF_THE_IMAGE = {"unreadable", "missing-uid", "not-dicom"}


@dataclass
class Verdict:
    taken: int = 0
    identical: int = 0
    equal: int = 0
    """Stored once in another encoding: the same image sent in two."""
    conflicts: int = 0
    quarantined: int = 0
    not_taken: Counter[str] = field(default_factory=Counter)
    """Never answered success: by reason."""
    faults: list[str] = field(default_factory=list)


def judge(items: list[Item], answers: Answers, state: CloudState) -> Verdict:
    verdict = Verdict(taken=len(answers.taken))
    found = Counter(digest for _, digest in state.current)
    by_key = dict(state.current)
    by_digest = {item.digest: item for item in items}
    distinct = {item.digest: item for item in answers.taken}
    for digest, item in distinct.items():
        if found[digest] == 1:
            verdict.identical += 1
        elif found[digest] > 1:
            verdict.faults.append(f"{item.path.name}: {found[digest]} times in the cloud")
        elif (why := _explained(item, state, by_key, by_digest)) in ("equal", "conflict", "quarantined"):
            if why == "equal":
                verdict.equal += 1
            elif why == "conflict":
                verdict.conflicts += 1
            else:
                verdict.quarantined += 1
        else:
            verdict.faults.append(f"{item.path.name}: answered success, and {why}")
    if verdict.conflicts and state.conflicts == 0:
        verdict.faults.append("there are conflicts, and the console shows none")
    verdict.faults += _strangers(state, {item.digest for item in answers.sent})
    for item in items:
        if item not in answers.taken:
            status = answers.refused.get(item)
            verdict.not_taken["never answered" if status is None else f"status {status:04X}"] += 1
    if "never answered" in verdict.not_taken:
        verdict.faults.append(f"{verdict.not_taken['never answered']} images were never answered")
    if state.inbox:
        verdict.faults.append(f"{len(state.inbox)} objects are left in the inbox")
    return verdict


def _explained(
    item: Item, state: CloudState, by_key: Mapping[tuple[str, str, str], str], by_digest: Mapping[str, Item]
) -> str:
    """Why this very data set is not what a reader gets."""
    data = item.path.read_bytes()
    read = incoming.read(data)
    if (reason := state.quarantined.get(item.digest)) is not None:
        if reason in _OF_THE_IMAGE and not isinstance(read, Incoming):
            return "quarantined"
        return f"in quarantine: {reason}"
    if not isinstance(read, Incoming):
        return f"not in quarantine, though it cannot be read ({read.reason})"
    current = by_key.get((read.study, read.series, read.instance))
    if current is None:
        return "nothing is under its UIDs in the cloud"
    other = by_digest.get(current)
    if other is None:
        return "what is under its UIDs was never sent"
    if item.digest in state.packed:
        return "conflict"
    sent = other.path.read_bytes()
    return "equal" if same_content(sent, data) or _same_by_pixel(sent, data) else "its bytes are nowhere"


def _same_by_pixel(one: bytes, other: bytes) -> bool:
    """Two that differ by Planar Configuration alone: compressed, they are the same file."""
    try:
        a, b = (pydicom.dcmread(BytesIO(data)) for data in (one, other))
        if a.pixel_array.tobytes() != b.pixel_array.tobytes():
            return False
        for ds in (a, b):
            ds.pop("PlanarConfiguration", None)
            del ds.PixelData
        return bool(a == b)
    except Exception:  # no image, or none that can be decoded
        return False


def _strangers(state: CloudState, sent: set[str]) -> Iterator[str]:
    keys = Counter(key for key, _ in state.current)
    if twice := [key for key, count in keys.items() if count > 1]:
        yield f"{len(twice)} instances are there twice"
    if strangers := [digest for _, digest in state.current if digest not in sent]:
        yield f"{len(strangers)} instances in the cloud that nobody sent"
