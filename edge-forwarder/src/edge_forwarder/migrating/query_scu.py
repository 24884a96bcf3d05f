"""Asking another PACS: C-FIND, C-MOVE and C-GET as the one who asks (PS3.4 C.4, PS3.7 9.1.2 to 9.1.4).

An identifier holds UIDs, dates and numbers only, so no character set is at stake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from edge_forwarder.dicom import part10, values
from edge_forwarder.dimse import messages
from edge_forwarder.dimse.negotiation import MAX_CONTEXTS, PLAIN, compressed
from edge_forwarder.dimse.pdu import ProposedContext, Role
from edge_forwarder.dimse.scu import Requestor
from edge_forwarder.dimse.services import MAX_DATA_SET, Context
from edge_forwarder.dimse.statuses import AbortReason, Command, Status, of_refusal
from edge_forwarder.errors import (
    NotOfferedError,
    SpoolError,
    TooLongError,
    TooManyError,
    UnreadableError,
    WireError,
)
from edge_forwarder.query_retrieve.query import STUDY_ROOT
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.spool.writer import SpoolWriter

FIND: Final = f"{STUDY_ROOT}1"
MOVE: Final = f"{STUDY_ROOT}2"
GET: Final = f"{STUDY_ROOT}3"
#: More answers than this nobody means (PS3.4 gives no bound, and a peer may never end).
MAX_MATCHES: Final = 200_000
SERVICES: Final[Mapping[str, str]] = {
    FIND: "C-FIND (Study Root)",
    MOVE: "C-MOVE (Study Root)",
    GET: "C-GET (Study Root)",
}
_PENDING: Final = frozenset({0xFF00, 0xFF01})


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The end of a C-MOVE or C-GET. ``failed``: the UIDs that the peer names, if it names them (PS3.4 C.4.2.1.4.2)."""

    status: int
    done: messages.Suboperations
    failed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Taker:
    """Where C-GET puts images: how to begin one, and who is told of each that is durable, with its UID."""

    begin: Callable[[], SpoolWriter]
    taken: Callable[[SpooledFile, str], None]


def query_contexts(*services: str) -> list[ProposedContext]:
    return [ProposedContext(2 * n + 1, service, PLAIN) for n, service in enumerate(services)]


def get_contexts(sop_classes: Iterable[str]) -> tuple[list[ProposedContext], list[Role]]:
    """C-GET, and the storage classes that we take by it: plain, and as many compressed syntaxes as have room, of each
    class the likeliest first. All have room of `CLASSES_AT_ONCE`.
    """
    classes = list(dict.fromkeys(sop_classes))[: MAX_CONTEXTS - 1]
    wanted: list[tuple[str, tuple[str, ...]]] = [(uid, PLAIN) for uid in classes]
    for likely in zip(*map(compressed, classes), strict=True):
        wanted += [(uid, (syntax,)) for uid, syntax in zip(classes, likely, strict=True)]
    contexts = query_contexts(GET)
    some = wanted[: MAX_CONTEXTS - 1]
    contexts += [ProposedContext(2 * n + 3, uid, syntaxes) for n, (uid, syntaxes) in enumerate(some)]
    return contexts, [Role(uid, scu=False, scp=True) for uid in classes]


class QueryRequestor(Requestor):
    """An association for queries. Raises WireError; NotOfferedError for a service that was not accepted."""

    def service(self, sop_class: str) -> Context | None:
        return next((c for c in self.contexts.values() if c.abstract_syntax == sop_class), None)

    def find(self, identifier: Dataset, take: Callable[[Dataset], None]) -> int:
        """Calls ``take`` for each match; the final status. Raises UnreadableError, TooManyError, WireError."""
        context = self._needed(FIND)
        message_id = self._ask(Command.C_FIND_RQ, context, identifier)
        for _ in range(MAX_MATCHES):
            answer, data = self._heard(Command.C_FIND_RQ, message_id)
            if answer.status not in _PENDING:
                return answer.status
            if data is not None:
                take(values.decode(data, context.transfer_syntax))
        raise TooManyError("more matches than anybody means")

    def move(self, identifier: Dataset, destination: str) -> Retrieved:
        message_id = self._ask(Command.C_MOVE_RQ, self._needed(MOVE), identifier, destination)
        return self._until_done(Command.C_MOVE_RQ, message_id)

    def get(self, identifier: Dataset, taker: Taker) -> Retrieved:
        """Images come on this association, each answered when it is durable. Raises SpoolError of another kind than
        full, which is the peer's to hear.
        """
        message_id = self._ask(Command.C_GET_RQ, self._needed(GET), identifier)
        return self._until_done(Command.C_GET_RQ, message_id, taker)

    def _needed(self, sop_class: str) -> Context:
        context = self.service(sop_class)
        if context is None:
            raise NotOfferedError(f"the peer does not offer {SERVICES[sop_class]}")
        return context

    def _ask(self, command: Command, context: Context, identifier: Dataset, destination: str = "") -> int:
        message_id = self._next_id()
        request = messages.encode_query(command, message_id, context.abstract_syntax, destination)
        self._wire.send_message(context.id, request, values.encode(identifier, context.transfer_syntax))
        return message_id

    def _heard(self, command: Command, message_id: int) -> tuple[messages.Request, bytes | None]:
        context_id, answer = self._wire.command()
        try:
            data = self._wire.data_set(context_id, MAX_DATA_SET) if answer.has_data_set else None
        except TooLongError:
            data = None
        if answer.command != command | Command.RESPONSE or answer.responds_to != message_id:
            raise WireError("an answer to another question", AbortReason.UNEXPECTED_PDU)
        return answer, data

    def _until_done(self, command: Command, message_id: int, taker: Taker | None = None) -> Retrieved:
        while True:
            context_id, message = self._wire.command()
            if message.command == Command.C_STORE_RQ and taker is not None:
                self._take(context_id, message, taker)
                continue
            data = self._wire.data_set(context_id, MAX_DATA_SET) if message.has_data_set else None
            if message.command != command | Command.RESPONSE or message.responds_to != message_id:
                raise WireError("an answer to another question", AbortReason.UNEXPECTED_PDU)
            if message.status not in _PENDING:
                syntax = self.contexts[context_id].transfer_syntax if context_id in self.contexts else PLAIN[0]
                return Retrieved(message.status, message.done or messages.Suboperations(), _failed(data, syntax))

    def _take(self, context_id: int, request: messages.Request, taker: Taker) -> None:
        """A C-STORE sub-operation (PS3.4 C.4.3.3): success after the image is durable, as when a modality sends it."""
        context = self.contexts.get(context_id)
        status, writer = Status.SUCCESS, None
        try:
            if context is None:
                raise WireError("an image by a context that was not accepted", AbortReason.UNEXPECTED_PARAMETER)
            writer = taker.begin()
            writer.write(part10.file_meta(request.sop_class_uid, request.sop_instance_uid, context.transfer_syntax))
            self._wire.fragments(context_id, writer.write)
            taker.taken(writer.commit(), request.sop_instance_uid)
        except SpoolError as error:
            if writer is not None:
                writer.discard()
            self._wire.drain(context_id, resumed=writer is not None)
            status = of_refusal(error)
        except BaseException:
            if writer is not None:
                writer.discard()
            raise
        self._wire.send_message(context_id, messages.encode_response(request, status))


def _failed(data: bytes | None, transfer_syntax: str) -> frozenset[str]:
    """(0008,0058) of a final response."""
    if data is None:
        return frozenset()
    try:
        listed = values.decode(data, transfer_syntax).get("FailedSOPInstanceUIDList") or ()
    except UnreadableError:
        return frozenset()
    return frozenset([listed] if isinstance(listed, str) else (str(uid) for uid in listed))
