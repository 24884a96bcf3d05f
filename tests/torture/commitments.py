"""Storage commitments in the storm: each modality asks for what it was told success for, and wants an answer to all."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.support.commitment_scu import CommitmentSCU
from tests.support.processes import wait_until
from tests.torture.cloud import CloudState
from tests.torture.material import Item

from maypacs import incoming

PROCESSING_FAILURE, DUPLICATE, NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0110, 0x0111, 0x0112, 0x0119


class Commitments:
    """One modality's requests, and the reports that came for them."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.scu = CommitmentSCU(0, title)
        self.asked: dict[str, list[Item]] = {}
        """What was asked for by the requests that were answered success, by transaction UID."""
        self.sent: set[Item] = set()
        self.outcomes: Counter[str] = Counter()

    def ask(self, port: int, items: Iterable[Item]) -> bool:
        """Whether it was taken on."""
        wanted = list(items)
        self.scu.edge_port = port
        with contextlib.suppress(AssertionError, AttributeError):  # no association; none, or half, of an answer
            uid, status = self.scu.ask({(item.sop_class, item.sop): None for item in wanted})
            if status == 0:
                self.asked[uid] = wanted
                return True
        return False

    def await_reports(self, seconds: float) -> None:
        what = f"a report for each storage commitment of {self.title}"
        wait_until(lambda: self.asked.keys() <= self.scu.reports.keys(), seconds=seconds, what=what)

    def judge(self, items: Iterable[Item], state: CloudState) -> Iterator[str]:
        """What is wrong with the reports."""
        current: dict[str, set[str]] = {}
        for key, digest in state.current:
            current.setdefault(key[2], set()).add(digest)
        digests: dict[str, set[str]] = {}
        for item in items:
            for sop in {item.sop, _uid_of_data_set(item)}:
                digests.setdefault(sop, set()).add(item.digest)
        for uid, asked in self.asked.items():
            _, good, bad, _ = self.scu.reports[uid]
            if {*good, *bad} != {item.sop for item in asked}:
                yield f"{self.title}: a report on other images than were asked for"
            mine = {sop: [item for item in self.sent if item.sop == sop] for sop in {*good, *bad}}
            for sop in good:
                self.outcomes["committed"] += 1
                there = current.get(sop, set())
                # The same image in another encoding is as good; of what we wrote there is one encoding alone.
                if not there or not (there & {i.digest for i in mine[sop]} or any(not i.plain for i in mine[sop])):
                    yield f"{self.title}: {sop} is committed, and not in the cloud as it was sent"
            for sop, reason in bad.items():
                self.outcomes[f"{reason:04X}"] += 1
                explained = (
                    (reason == DUPLICATE and len(digests[sop]) > 1)
                    # What has no usable UIDs is in quarantine, and nobody knows it by this one.
                    or (reason in (PROCESSING_FAILURE, NO_SUCH_INSTANCE) and digests[sop] & state.quarantined.keys())
                    # Some samples' file meta says another UID than their data set, which is what counts.
                    or (reason == NO_SUCH_INSTANCE and any(_is_under_another_uid(item) for item in mine[sop]))
                    or (reason == CLASS_CONFLICT and not all(i.plain for i in mine[sop]))
                )
                if not explained:
                    yield f"{self.title}: {sop} is not committed, with reason {reason:04X}"


def _is_under_another_uid(item: Item) -> bool:
    return _uid_of_data_set(item) != item.sop


def _uid_of_data_set(item: Item) -> str:
    """What it is known by, when that can be read."""
    read = None if item.plain else incoming.read(item.path.read_bytes())
    return read.instance if isinstance(read, incoming.Incoming) else item.sop
