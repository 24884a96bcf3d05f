"""DIMSE command sets: Implicit VR Little Endian, group 0000 (PS3.7 6.3, 9.3, E.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from edge_forwarder.dimse.statuses import Command, Status
from edge_forwarder.errors import WireError

_AFFECTED_SOP_CLASS_UID: Final = 0x0002
_REQUESTED_SOP_CLASS_UID: Final = 0x0003
_COMMAND_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_MESSAGE_ID_RESPONDED: Final = 0x0120
_DATA_SET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_ERROR_COMMENT: Final = 0x0902
_AFFECTED_SOP_INSTANCE_UID: Final = 0x1000
_REQUESTED_SOP_INSTANCE_UID: Final = 0x1001
_EVENT_TYPE_ID: Final = 0x1002
_ACTION_TYPE_ID: Final = 0x1008
_MOVE_DESTINATION: Final = 0x0600
_PRIORITY: Final = 0x0700
_SUBOPERATIONS: Final = (0x1020, 0x1021, 0x1022, 0x1023)
_MOVE_ORIGINATOR: Final = 0x1030
_MOVE_ORIGINATOR_MESSAGE_ID: Final = 0x1031
#: (0000,0800) of a message without a data set (PS3.7 E.1-1); any other value means that one follows.
NO_DATA_SET: Final = 0x0101
DATA_SET: Final = 0x0001
#: No command set is longer.
MAX_LENGTH: Final = 64 * 1024
_ELEMENT: Final = struct.Struct("<HHI")


@dataclass(frozen=True, slots=True)
class Suboperations:
    """How far a C-MOVE or C-GET is (PS3.7 9.1.4.1.7 and on)."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warnings: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A command set, of a request or a response. UIDs are empty when absent; ``command`` is the raw Command Field."""

    command: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str
    action_type: int = 0
    move_destination: str = ""
    responds_to: int = 0
    """(0000,0120) of a response."""
    status: int = 0
    """(0000,0900) of a response."""
    done: Suboperations | None = None
    """(0000,1020) and on of a response, when it has them."""


def decode(data: bytes) -> Request:
    """Raises WireError for what is not a command set."""
    values: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise WireError("a truncated command set")
        group, element, length = _ELEMENT.unpack_from(data, at)
        at += 8
        if group != 0 or at + length > len(data):
            raise WireError("not a command set")
        values[element] = data[at : at + length]
        at += length

    def number(element: int) -> int:
        return int.from_bytes(values.get(element, b"")[:2], "little")

    def uid(*elements: int) -> str:
        raw = next((values[e] for e in elements if e in values), b"")
        return raw.strip(b"\0 ").decode("ascii", "replace")

    if _COMMAND_FIELD not in values:
        raise WireError("a command set without a command")
    return Request(
        command=number(_COMMAND_FIELD),
        message_id=number(_MESSAGE_ID),
        has_data_set=_DATA_SET_TYPE in values and number(_DATA_SET_TYPE) != NO_DATA_SET,
        sop_class_uid=uid(_AFFECTED_SOP_CLASS_UID, _REQUESTED_SOP_CLASS_UID),
        sop_instance_uid=uid(_AFFECTED_SOP_INSTANCE_UID, _REQUESTED_SOP_INSTANCE_UID),
        action_type=number(_ACTION_TYPE_ID),
        move_destination=uid(_MOVE_DESTINATION),
        responds_to=number(_MESSAGE_ID_RESPONDED),
        status=number(_STATUS),
        done=Suboperations(*(number(e) for e in _SUBOPERATIONS)) if values.keys() & set(_SUBOPERATIONS) else None,
    )


def _element(element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, element, len(value)) + value


def _us(element: int, value: int) -> bytes:
    return _element(element, struct.pack("<H", value))


def _ui(element: int, value: str) -> bytes:
    if not value:
        return b""
    raw = value.encode("ascii", "replace")
    return _element(element, raw + b"\0" * (len(raw) % 2))


def _set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return _element(0x0000, struct.pack("<I", len(body))) + body


def encode_response(
    request: Request,
    status: int,
    comment: str = "",
    *,
    has_data_set: bool = False,
    done: Suboperations | None = None,
) -> bytes:
    """The response to a request. ``comment``: (0000,0902), at most 64 characters, no patient data."""
    raw = comment[:64].encode("ascii", "replace")
    counts: list[bytes] = []
    if done is not None:
        values = (done.remaining, done.completed, done.failed, done.warnings)
        # Remaining is for pending and cancelled responses only (PS3.4 C.4.2.1.6).
        counts = [
            _us(element, min(value, 0xFFFF))
            for element, value in zip(_SUBOPERATIONS, values, strict=True)
            if element != _SUBOPERATIONS[0] or status in (Status.PENDING, Status.CANCEL)
        ]
    return _set(
        _ui(_AFFECTED_SOP_CLASS_UID, request.sop_class_uid),
        _us(_COMMAND_FIELD, request.command | Command.RESPONSE),
        _us(_MESSAGE_ID_RESPONDED, request.message_id),
        _us(_DATA_SET_TYPE, DATA_SET if has_data_set else NO_DATA_SET),
        _us(_STATUS, status),
        _element(_ERROR_COMMENT, raw + b" " * (len(raw) % 2)) if raw else b"",
        _ui(_AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid),
        _us(_ACTION_TYPE_ID, request.action_type) if request.command == Command.N_ACTION_RQ else b"",
        *counts,
    )


def encode_query(command: Command, message_id: int, sop_class_uid: str, destination: str = "") -> bytes:
    """C-FIND-RQ, C-MOVE-RQ (with its destination) or C-GET-RQ, with an identifier (PS3.7 9.3.2, 9.3.3, 9.3.4)."""
    title = destination.encode("ascii", "replace")
    return _set(
        _ui(_AFFECTED_SOP_CLASS_UID, sop_class_uid),
        _us(_COMMAND_FIELD, command),
        _us(_MESSAGE_ID, message_id),
        _element(_MOVE_DESTINATION, title + b" " * (len(title) % 2)) if title else b"",
        _us(_PRIORITY, 0),
        _us(_DATA_SET_TYPE, DATA_SET),
    )


def encode_event_report(message_id: int, sop_class_uid: str, sop_instance_uid: str, event_type: int) -> bytes:
    """N-EVENT-REPORT-RQ with a data set (PS3.7 10.3.1.1)."""
    return _set(
        _ui(_AFFECTED_SOP_CLASS_UID, sop_class_uid),
        _us(_COMMAND_FIELD, Command.N_EVENT_REPORT_RQ),
        _us(_MESSAGE_ID, message_id),
        _us(_DATA_SET_TYPE, DATA_SET),
        _ui(_AFFECTED_SOP_INSTANCE_UID, sop_instance_uid),
        _us(_EVENT_TYPE_ID, event_type),
    )


def encode_echo(message_id: int) -> bytes:
    """C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return _set(
        _ui(_AFFECTED_SOP_CLASS_UID, "1.2.840.10008.1.1"),
        _us(_COMMAND_FIELD, Command.C_ECHO_RQ),
        _us(_MESSAGE_ID, message_id),
        _us(_DATA_SET_TYPE, NO_DATA_SET),
    )


def encode_store(
    message_id: int, sop_class_uid: str, sop_instance_uid: str, originator: tuple[str, int] | None = None
) -> bytes:
    """C-STORE-RQ (PS3.7 9.3.1.1). ``originator``: AE title and message id of the C-MOVE that it is done for."""
    origin: tuple[bytes, ...] = ()
    if originator is not None:
        title = originator[0].encode("ascii", "replace")
        title += b" " * (len(title) % 2)
        origin = (_element(_MOVE_ORIGINATOR, title), _us(_MOVE_ORIGINATOR_MESSAGE_ID, originator[1]))
    return _set(
        _ui(_AFFECTED_SOP_CLASS_UID, sop_class_uid),
        _us(_COMMAND_FIELD, Command.C_STORE_RQ),
        _us(_MESSAGE_ID, message_id),
        _us(_PRIORITY, 0),
        _us(_DATA_SET_TYPE, DATA_SET),
        _ui(_AFFECTED_SOP_INSTANCE_UID, sop_instance_uid),
        *origin,
    )
