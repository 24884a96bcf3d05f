"""Find and Retrieve without a network: what an archive that misbehaves, or has too much, makes of an answer."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from edge_forwarder import config as configuration
from edge_forwarder.cloud.dicomweb import Found
from edge_forwarder.dicom import values
from edge_forwarder.dimse import messages
from edge_forwarder.dimse.services import Caller, Context
from edge_forwarder.dimse.statuses import Command, Status
from edge_forwarder.errors import CloudAwayError, CloudBusyError, RefusedError, TooManyError
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve.cache import Instance
from edge_forwarder.query_retrieve.fetch import Target
from edge_forwarder.query_retrieve.find import Find
from edge_forwarder.query_retrieve.retrieve import Retrieve

EXPLICIT_LE = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
FIND_S, GET_S, MOVE_S = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 3, 2))


@dataclass
class Talk:
    """A dialogue that remembers what was said; every C-STORE gets the next of ``statuses``."""

    request: messages.Request
    context: Context
    data_set: bytes | None
    statuses: list[int] = field(default_factory=list)
    said: list[tuple[int, Dataset | None, messages.Suboperations | None]] = field(default_factory=list)
    stored: list[tuple[str, bytes]] = field(default_factory=list)
    cancelled_after: int = 10**6

    @property
    def caller(self) -> Caller:
        takes = {n: Context(n, CT, syntax, True) for n, syntax in ((3, EXPLICIT_LE), (5, "1.2.840.10008.1.2"))}
        return Caller(1, "WS1", "127.0.0.1", takes)

    def respond(
        self,
        status: int,
        comment: str = "",
        *,
        data_set: bytes | None = None,
        done: messages.Suboperations | None = None,
    ) -> None:
        self.said.append((status, None if data_set is None else values.decode(data_set, EXPLICIT_LE), done))

    def is_cancelled(self) -> bool:
        return len(self.stored) + len(self.said) >= self.cancelled_after

    def store(self, context: Context, sop_class: str, sop: str, pieces: Iterator[bytes]) -> int:
        self.stored.append((sop, b"".join(pieces)))
        return self.statuses.pop(0) if self.statuses else 0


def talk(command: Command, model: str, statuses: Sequence[int] = (), **keys: object) -> Talk:
    ds = Dataset()
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    request = messages.Request(command, 7, True, model, "", move_destination="DEST")
    return Talk(request, Context(1, model, EXPLICIT_LE), values.encode(ds, EXPLICIT_LE), list(statuses))


class Archive:
    """Says what it is told to; keeps the limits it was asked with."""

    def __init__(self, *answers: Found | Exception) -> None:
        self.answers = list(answers)

    def search(self, path: str, query: Sequence[tuple[str, str]] = (), *, limit: int) -> Found:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def study(uid: str) -> dict[str, object]:
    return {"0020000D": {"vr": "UI", "Value": [uid]}}


def find(tmp_path: Path, archive: Archive, *, slots: int = 1) -> Find:
    config = configuration.parse({"cloud": {"url": "https://x"}, "retrieve": {"max_matches": 2}}, tmp_path)
    return Find(config, archive, threading.Semaphore(slots), Log(io.StringIO()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "status", "pending"),
    [
        pytest.param(Found([study("1.2")]), Status.SUCCESS, 1, id="one match"),
        pytest.param(Found([study("1.2"), study("1.3")], more=True), Status.OUT_OF_RESOURCES, 2, id="too many matches"),
        pytest.param(CloudAwayError("away"), Status.OUT_OF_RESOURCES, 0, id="away"),
        pytest.param(CloudBusyError("busy"), Status.OUT_OF_RESOURCES, 0, id="busy"),
        pytest.param(RefusedError("no", 400), Status.IDENTIFIER_DOES_NOT_MATCH, 0, id="a key it does not know"),
        pytest.param(RefusedError("no", 413), Status.OUT_OF_RESOURCES, 0, id="too much to look at"),
        pytest.param(RefusedError("no", 500), Status.UNABLE_TO_PROCESS, 0, id="broken"),
        pytest.param(RuntimeError("no"), Status.UNABLE_TO_PROCESS, 0, id="broken here"),
    ],
)
def test_every_end_of_a_query_has_its_status(
    tmp_path: Path, answer: Found | Exception, status: Status, pending: int
) -> None:
    """PS3.4 table C.4-1; what was found is told before."""
    dialogue = talk(Command.C_FIND_RQ, FIND_S, QueryRetrieveLevel="STUDY", StudyInstanceUID="")
    find(tmp_path, Archive(answer))(dialogue)  # type: ignore[arg-type]
    assert [said[0] for said in dialogue.said] == [Status.PENDING] * pending + [status]


def test_a_cancelled_query_ends_with_cancel_and_too_many_at_once_are_refused(tmp_path: Path) -> None:
    """FE00; A700."""
    matches = Found([study("1.2"), study("1.3")])
    dialogue = talk(Command.C_FIND_RQ, FIND_S, QueryRetrieveLevel="STUDY", StudyInstanceUID="")
    dialogue.cancelled_after = 1
    find(tmp_path, Archive(matches))(dialogue)  # type: ignore[arg-type]
    assert [said[0] for said in dialogue.said] == [Status.PENDING, Status.CANCEL]
    refused = talk(Command.C_FIND_RQ, FIND_S, QueryRetrieveLevel="STUDY")
    find(tmp_path, Archive(), slots=0)(refused)  # type: ignore[arg-type]
    assert refused.said[0][0] == Status.OUT_OF_RESOURCES


class Fetcher:
    """Has these files; None for one that cannot be had."""

    def __init__(self, files: dict[str, Path | None], error: Exception | None = None) -> None:
        self._files, self._error = files, error

    def instances(self, targets: Sequence[Target]) -> tuple[list[Instance], bool]:
        if self._error:
            raise self._error
        return [Instance("1.2", "1.3", sop, CT) for sop in self._files], False

    def files(self, instances: Sequence[Instance], *, is_away: bool) -> Iterator[tuple[Instance, Path | None]]:
        for instance in instances:
            yield instance, self._files[instance.sop]

    def done(self) -> None: ...


def retrieve(fetcher: Fetcher) -> Retrieve:
    log = Log(io.StringIO())
    return Retrieve(Archive(), fetcher, lambda _: None, threading.Semaphore(1), 10, log)  # type: ignore[arg-type]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    from tests.support.stub_edge import write_ct

    return write_ct(tmp_path / "1.dcm", sop="1.4.1")


@pytest.mark.parametrize(
    ("statuses", "missing", "status", "failed"),
    [
        pytest.param([0, 0], 0, Status.SUCCESS, [], id="all"),
        pytest.param([0, 0xB000], 0, Status.SUBOPERATIONS_WITH_FAILURES, [], id="a warning"),
        pytest.param([0, 0xA700], 0, Status.SUBOPERATIONS_WITH_FAILURES, ["1.4.2"], id="one refused"),
        pytest.param([0xA700, 0xC000], 0, Status.CANNOT_PERFORM_SUBOPERATIONS, ["1.4.1", "1.4.2"], id="all refused"),
        pytest.param([0, 0], 1, Status.SUBOPERATIONS_WITH_FAILURES, ["1.4.3"], id="one not to be had"),
    ],
)
def test_every_end_of_a_retrieve_has_its_status_its_counts_and_who_failed(
    image: Path, statuses: list[int], missing: int, status: Status, failed: list[str]
) -> None:
    """PS3.4 table C.4-3 and C.4.3.1.4.2."""
    files: dict[str, Path | None] = {"1.4.1": image, "1.4.2": image} | ({"1.4.3": None} if missing else {})
    dialogue = talk(Command.C_GET_RQ, GET_S, statuses, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2")
    retrieve(Fetcher(files))(dialogue)  # type: ignore[arg-type]
    last, report, done = dialogue.said[-1]
    assert last == status
    listed = [] if report is None else report.FailedSOPInstanceUIDList
    assert ([listed] if isinstance(listed, str) else list(listed)) == failed
    assert done is not None
    assert (done.completed + done.warnings + done.failed, done.failed) == (2 + missing, len(failed))


@pytest.mark.parametrize(
    ("keys", "error", "status"),
    [
        ({"QueryRetrieveLevel": "STUDY"}, None, Status.IDENTIFIER_DOES_NOT_MATCH),
        ({"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2"}, None, Status.IDENTIFIER_DOES_NOT_MATCH),
        ({"QueryRetrieveLevel": "PATIENT", "PatientID": "1"}, None, Status.IDENTIFIER_DOES_NOT_MATCH),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2"}, CloudAwayError("x"), 0xA701),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2"}, TooManyError("x"), 0xA701),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2"}, RuntimeError("x"), Status.UNABLE_TO_PROCESS),
    ],
)
def test_a_retrieve_that_cannot_begin_says_why(keys: dict[str, object], error: Exception | None, status: int) -> None:
    """And sends nothing."""
    dialogue = talk(Command.C_GET_RQ, GET_S, **keys)
    retrieve(Fetcher({}, error))(dialogue)  # type: ignore[arg-type]
    assert [said[0] for said in dialogue.said] == [status]


def test_a_move_to_nobody_and_a_cancelled_get(image: Path) -> None:
    """A801 without a look at the archive; FE00 with what is left."""
    move = talk(Command.C_MOVE_RQ, MOVE_S, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2")
    retrieve(Fetcher({}, RuntimeError("not to be asked")))(move)  # type: ignore[arg-type]
    assert [said[0] for said in move.said] == [Status.MOVE_DESTINATION_UNKNOWN]
    dialogue = talk(Command.C_GET_RQ, GET_S, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2")
    dialogue.cancelled_after = 1
    retrieve(Fetcher({"1.4.1": image, "1.4.2": image}))(dialogue)  # type: ignore[arg-type]
    status, _, done = dialogue.said[-1]
    assert done is not None
    assert (status, done.completed, done.remaining) == (Status.CANCEL, 1, 1)


def test_a_damaged_file_of_the_cache_is_no_image_and_does_not_stay(image: Path) -> None:
    """It is said to have failed; the next retrieve fetches it anew."""
    damaged = image.with_name("2.dcm")
    damaged.write_bytes(b"")
    dialogue = talk(Command.C_GET_RQ, GET_S, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2")
    retrieve(Fetcher({"1.4.1": image, "1.4.2": damaged}))(dialogue)  # type: ignore[arg-type]
    status, report, _ = dialogue.said[-1]
    assert report is not None
    assert (status, report.FailedSOPInstanceUIDList) == (Status.SUBOPERATIONS_WITH_FAILURES, "1.4.2")
    assert (image.exists(), damaged.exists()) == (True, False)
