"""DIMSE command sets: Implicit VR Little Endian, group 0000 (PS3.7 6.3, 9.3, E.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from edge_forwarder.errors import WireError
from edge_forwarder.statuses import Command, Status

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
#: (0000,0800) of a message without a data set (PS3.7 E.1-1); any other value means that one follows.
NO_DATA_SET: Final = 0x0101
#: No command set is longer.
MAX_LENGTH: Final = 64 * 1024
_ELEMENT: Final = struct.Struct("<HHI")


@dataclass(frozen=True, slots=True)
class Request:
    """A command set. UIDs are empty when absent; ``command`` is the raw Command Field."""

    command: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str


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


def encode_response(request: Request, status: Status, comment: str = "") -> bytes:
    """The response to a request, without a data set. ``comment``: (0000,0902), at most 64 characters, no
    patient data.
    """
    raw = comment[:64].encode("ascii", "replace")
    body = b"".join(
        (
            _ui(_AFFECTED_SOP_CLASS_UID, request.sop_class_uid),
            _us(_COMMAND_FIELD, request.command | Command.RESPONSE),
            _us(_MESSAGE_ID_RESPONDED, request.message_id),
            _us(_DATA_SET_TYPE, NO_DATA_SET),
            _us(_STATUS, status),
            _element(_ERROR_COMMENT, raw + b" " * (len(raw) % 2)) if raw else b"",
            _ui(_AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid),
        )
    )
    return _element(0x0000, struct.pack("<I", len(body))) + body
