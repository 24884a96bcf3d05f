"""C-MOVE and C-GET: instances of the cloud's archive, sent as they are stored or as the receiver can take them
(PS3.4 C.4.2, C.4.3).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from edge_forwarder.cloud.dicomweb import DicomWeb, value
from edge_forwarder.dicom import rewrite, values
from edge_forwarder.dicom.syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from edge_forwarder.dimse.messages import Suboperations
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.services import Context, Dialogue
from edge_forwarder.dimse.statuses import Command, Status
from edge_forwarder.errors import (
    CloudError,
    EdgeError,
    QueryError,
    TooManyError,
    UnreadableError,
    WireError,
)
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve import query
from edge_forwarder.query_retrieve.cache import EXPLICIT, Instance
from edge_forwarder.query_retrieve.fetch import Fetcher, Target, part_10
from edge_forwarder.query_retrieve.receiver import Receiver, ReceiverGoneError, by_class

_PIECE: Final = 256 * 1024
#: A pending response is sent at most this often (seconds).
_PENDING_SECONDS: Final = 0.5

Contexts = Callable[[str, str], dict[str, Context]]
"""The accepted contexts for a SOP class, by transfer syntax; asked with the syntax that an image has."""
Store = Callable[[Context, str, str, Iterator[bytes]], int]
"""One C-STORE sub-operation; the status."""
Files = Iterator[tuple[Instance, Path | None]]
"""What is to be sent, as it comes; None: it cannot be had."""


@dataclass(slots=True)
class _Tally:
    left: dict[str, None]
    """SOP Instance UIDs that nothing was done about yet, in order."""
    completed: int = 0
    warnings: int = 0
    failed: list[str] = field(default_factory=list)
    told_at: float = 0.0

    def counts(self) -> Suboperations:
        return Suboperations(len(self.left), self.completed, len(self.failed), self.warnings)


class Retrieve:
    """Both services; ``slots`` bounds queries and retrieves at once."""

    def __init__(
        self,
        archive: DicomWeb,
        fetcher: Fetcher,
        peer: Callable[[str], Peer | None],
        slots: threading.Semaphore,
        max_studies: int,
        log: Log,
    ) -> None:
        self._archive, self._fetcher, self._peer, self._slots = archive, fetcher, peer, slots
        self._max_studies, self._log = max_studies, log

    def __call__(self, dialogue: Dialogue) -> None:
        if not self._slots.acquire(blocking=False):
            dialogue.respond(Status.CANNOT_CALCULATE_MATCHES, "too many retrieves at once")
            return
        try:
            self._answer(dialogue)
        except WireError:
            raise
        except Exception as error:
            self._log.error("a retrieve broke", why=type(error).__name__)
            dialogue.respond(Status.UNABLE_TO_PROCESS, "the retrieve broke here")
        finally:
            self._slots.release()
            self._fetcher.done()

    def _answer(self, dialogue: Dialogue) -> None:
        is_move = dialogue.request.command == Command.C_MOVE_RQ
        peer = self._peer(dialogue.request.move_destination) if is_move else None
        if is_move and peer is None:
            self._end(dialogue, Status.MOVE_DESTINATION_UNKNOWN, "no [[device]] of that AE title with host and port")
            return
        try:
            instances, is_away = self._fetcher.instances(self._targets(dialogue))
        except (QueryError, UnreadableError) as error:
            self._end(dialogue, Status.IDENTIFIER_DOES_NOT_MATCH, str(error))
            return
        except (CloudError, TooManyError) as error:
            self._end(dialogue, Status.CANNOT_CALCULATE_MATCHES, str(error))
            return
        tally = _Tally(dict.fromkeys(i.sop for i in instances))
        files = self._fetcher.files(instances, is_away=is_away)
        if not instances:
            self._end(dialogue, Status.SUCCESS, "", tally)
        elif peer is None:
            accepted = by_class(c for c in dialogue.caller.contexts.values() if c.peer_is_scp)
            self._send(dialogue, files, lambda sop_class, _: accepted.get(sop_class, {}), dialogue.store, tally)
        else:
            self._move(dialogue, peer, {i.sop_class for i in instances}, files, tally)

    def _targets(self, dialogue: Dialogue) -> list[Target]:
        """Raises QueryError, UnreadableError, CloudError, TooManyError."""
        if dialogue.data_set is None:
            raise QueryError("no identifier")
        identifier = values.decode(dialogue.data_set, dialogue.context.transfer_syntax)
        level = query.level_of(identifier, dialogue.context.abstract_syntax)
        studies = query.uids(identifier, "StudyInstanceUID")
        series = query.uids(identifier, "SeriesInstanceUID")
        instances = query.uids(identifier, "SOPInstanceUID")
        if level == "PATIENT":
            studies = self._studies_of(values.text(identifier, "PatientID"))
        elif not studies or (level != "STUDY" and not series) or (level == "IMAGE" and not instances):
            raise QueryError("a unique key of this level is missing")
        return [
            Target(study, series if level in ("SERIES", "IMAGE") else (), instances if level == "IMAGE" else ())
            for study in studies
        ]

    def _studies_of(self, patient: str) -> tuple[str, ...]:
        if not patient or "*" in patient or "?" in patient:
            raise QueryError("a patient id is needed at this level")
        found = self._archive.search("/studies", [("PatientID", patient)], limit=self._max_studies)
        if found.more:
            raise TooManyError("that many studies of one patient")
        return tuple(value(item, "0020000D") for item in found.items)

    # Sending

    def _move(self, dialogue: Dialogue, peer: Peer, classes: Iterable[str], files: Files, tally: _Tally) -> None:
        originator = (dialogue.caller.ae_title, dialogue.request.message_id)
        try:
            with Receiver(peer, classes, originator) as receiver:
                self._send(dialogue, files, receiver.contexts, receiver.store, tally)
        except ReceiverGoneError as error:
            self._fail(dialogue, tally, str(error))

    def _fail(self, dialogue: Dialogue, tally: _Tally, why: str) -> None:
        tally.failed += tally.left
        tally.left.clear()
        self._end(dialogue, _last(tally), why, tally)

    def _send(
        self,
        dialogue: Dialogue,
        files: Files,
        contexts: Contexts,
        store: Store,
        tally: _Tally,
    ) -> None:
        tally.told_at = time.monotonic()
        for instance, path in files:
            if dialogue.is_cancelled():
                self._end(dialogue, Status.CANCEL, "", tally)
                return
            status = self._one(instance, path, contexts, store)
            tally.left.pop(instance.sop, None)
            if status == Status.SUCCESS:
                tally.completed += 1
            elif status is not None and 0xB000 <= status < 0xC000:  # warnings: stored all the same (PS3.4 B.2.3)
                tally.warnings += 1
            else:
                tally.failed.append(instance.sop)
            now = time.monotonic()
            if now - tally.told_at >= _PENDING_SECONDS:
                tally.told_at = now
                dialogue.respond(Status.PENDING, done=tally.counts())
        self._end(dialogue, _last(tally), "", tally)

    def _one(self, instance: Instance, path: Path | None, accepted: Contexts, store: Store) -> int | None:
        """The receiver's status; None when it was not sent."""
        if path is None:
            return None
        try:
            syntax, offset = part_10(path)
            contexts = accepted(instance.sop_class, syntax)
            context = contexts.get(syntax)
            if context is not None:
                return store(context, instance.sop_class, instance.sop, _data_set(path, offset))
            if syntax != EXPLICIT_LITTLE_ENDIAN:
                path = self._fetcher.one(instance, EXPLICIT)
                syntax, offset = part_10(path)
            if syntax != EXPLICIT_LITTLE_ENDIAN:
                return None  # lossy: the archive gives it as it is, and so it stays
            if (context := contexts.get(EXPLICIT_LITTLE_ENDIAN)) is not None:
                return store(context, instance.sop_class, instance.sop, _data_set(path, offset))
            if (context := contexts.get(IMPLICIT_LITTLE_ENDIAN)) is not None:
                # Rewritten twice rather than kept: what cannot be rewritten must not be found out in mid-sentence.
                for _ in _implicit(path, offset):
                    pass
                return store(context, instance.sop_class, instance.sop, _implicit(path, offset))
        except (ReceiverGoneError, WireError):
            raise
        except (EdgeError, OSError) as error:
            if isinstance(error, UnreadableError):  # damaged on the disk, perhaps: the next one fetches it anew
                path.unlink(missing_ok=True)
            self._log.warning("an instance could not be sent", why=f"{type(error).__name__}: {error}")
        return None

    def _end(self, dialogue: Dialogue, status: Status, comment: str, tally: _Tally | None = None) -> None:
        failed = None
        if tally is not None and tally.failed and status != Status.SUCCESS:
            report = Dataset()
            report.FailedSOPInstanceUIDList = tally.failed
            failed = values.encode(report, dialogue.context.transfer_syntax)
        done = tally.counts() if tally is not None else None
        self._log.info(
            "retrieve",
            calling=dialogue.caller.ae_title,
            called=dialogue.request.move_destination or dialogue.caller.ae_title,
            state=f"{status:#06x}",
            instances=done.completed + done.warnings if done else 0,
            failed=done.failed if done else 0,
            why=comment,
        )
        dialogue.respond(status, comment, data_set=failed, done=done)


def _last(tally: _Tally) -> Status:
    if not tally.failed:
        return Status.SUBOPERATIONS_WITH_FAILURES if tally.warnings else Status.SUCCESS
    if tally.completed or tally.warnings:
        return Status.SUBOPERATIONS_WITH_FAILURES
    return Status.CANNOT_PERFORM_SUBOPERATIONS


def _data_set(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while piece := file.read(_PIECE):
            yield piece


def _implicit(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        yield from rewrite.implicit(file)
