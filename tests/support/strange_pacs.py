"""A PACS that misbehaves on request: pynetdicom answers C-FIND, C-GET and C-MOVE from data sets in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from tests.support.ports import ReservedPort

FIND, GET, MOVE = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
_KEY = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


@dataclass
class StrangePacs:
    """Use as a context manager. ``destination``: where C-MOVE sends to."""

    images: list[Dataset]
    destination: tuple[str, int] | None = None
    cap: int = 0
    """A query has at most so many matches …"""
    cap_status: int = 0x0000
    """… and ends then with this status."""
    counts: bool = True
    """Whether studies come with the number of their images."""
    unlisted: frozenset[str] = frozenset()
    """Studies whose images no query lists."""
    withheld: frozenset[str] = frozenset()
    """Images that are listed and never sent."""
    drops: int = 0
    """So many retrieves break off after one image."""
    is_unable: bool = False
    """C-MOVE ends with a status of the kind C000 (unable to process), and no image was tried."""
    known: str = ""
    """The only AE title that may call."""
    queries: list[Dataset] = field(default_factory=list)
    retrieves: list[Dataset] = field(default_factory=list)
    retrieved_at: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        ae = AE(ae_title="STRANGE")
        for model in (FIND, GET, MOVE):
            ae.add_supported_context(model)
        # As they are in the files that tests write, for who compares bytes.
        syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        ae.add_supported_context(CTImageStorage, syntaxes, scu_role=True, scp_role=True)
        ae.add_requested_context(CTImageStorage, syntaxes)
        if self.known:
            ae.require_calling_aet = [self.known]
        self._reserved = ReservedPort()
        self.port = self._reserved.number
        handlers: list[Any] = [
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
        ]
        self._server: Any = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._reserved.close()

    def _matching(self, keys: Dataset) -> list[Dataset]:
        def match(image: Dataset) -> bool:
            for keyword in _KEY.values():
                if keys.get(keyword) and image[keyword].value != keys[keyword].value:
                    return False
            return _within(image.get("StudyDate", ""), keys.get("StudyDate", "")) and _within(
                image.get("StudyTime", ""), keys.get("StudyTime", "")
            )

        return [image for image in self.images if match(image)]

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        keys = event.identifier
        self.queries.append(keys)
        level = keys.QueryRetrieveLevel
        found: dict[str, list[Dataset]] = {}
        for image in self._matching(keys):
            found.setdefault(str(image[_KEY[level]].value), []).append(image)
        if level == "IMAGE" and keys.StudyInstanceUID in self.unlisted:
            yield 0xC000, None
            return
        for n, group in enumerate(found.values()):
            if self.cap and n == self.cap:
                if self.cap_status:
                    yield self.cap_status, None
                return
            answer = Dataset()
            for keyword in ("QueryRetrieveLevel", "StudyDate", *_KEY.values(), "SOPClassUID"):
                if keyword in keys:
                    setattr(answer, keyword, level if keyword == "QueryRetrieveLevel" else group[0].get(keyword, ""))
            if level == "STUDY" and self.counts:
                answer.NumberOfStudyRelatedInstances = len(group)
            yield 0xFF00, answer

    def _get(self, event: Any) -> Iterator[Any]:
        found = self._matching(event.identifier)
        self.retrieves.append(event.identifier)
        self.retrieved_at.append(time.monotonic())
        yield len(found)
        yield from self._send(event, found)

    def _move(self, event: Any) -> Iterator[Any]:
        found = self._matching(event.identifier)
        self.retrieves.append(event.identifier)
        self.retrieved_at.append(time.monotonic())
        if self.is_unable:
            raise RuntimeError("unable to process")
        yield self.destination or (None, None)
        yield len(found)
        yield from self._send(event, found)

    def _send(self, event: Any, found: list[Dataset]) -> Iterator[Any]:
        dropping, self.drops = self.drops > 0, max(0, self.drops - 1)
        for n, image in enumerate(found):
            if dropping and n == 1:
                event.assoc.abort()
                return
            if image.SOPInstanceUID in self.withheld:
                continue
            yield 0xFF00, image


def _within(value: str, wanted: str) -> bool:
    if not wanted:
        return True
    first, dash, last = wanted.partition("-")
    return first <= value <= (last or value) if dash else value == wanted
