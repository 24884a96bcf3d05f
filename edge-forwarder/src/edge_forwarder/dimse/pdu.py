"""The Upper Layer PDUs of both sides of an association (PS3.8 9.3). Bytes in, values out; bounds are checked.

Unknown items are skipped, as PS3.8 9.3.1 asks. Numbers are big endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from edge_forwarder.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge_forwarder.dimse.statuses import (
    AbortReason,
    AbortSource,
    ContextResult,
    RejectReason,
    RejectResult,
    RejectSource,
)
from edge_forwarder.errors import WireError

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
#: No association request of this world is longer (128 contexts with dozens of syntaxes each are ~150 KB).
MAX_ASSOCIATE_LENGTH: Final = 1024 * 1024
HEADER: Final = struct.Struct(">BxI")
#: Item length, presentation context id, message control header (PS3.8 9.3.5.1, E.2).
PDV_HEADER: Final = struct.Struct(">IBB")

_ASSOCIATE_HEAD: Final = struct.Struct(">H2x16s16s32s")
_ITEM: Final = struct.Struct(">BxH")


class PduType(IntEnum):
    """PS3.8 table 9-11 and on."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class _Item(IntEnum):
    """Item types within the association PDUs (PS3.8 9.3.2, PS3.7 D.3.3)."""

    APPLICATION_CONTEXT = 0x10
    CONTEXT_RQ = 0x20
    CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55


@dataclass(frozen=True, slots=True)
class ProposedContext:
    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """SCP/SCU role selection for one SOP class (PS3.7 D.3.3.4): what the association's requestor is, or may be."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class AnsweredContext:
    """``transfer_syntax`` is not significant unless the result is ACCEPTED (PS3.8 9.3.3.2)."""

    id: int
    result: ContextResult
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. ``max_pdu`` is the longest P-DATA the peer takes, 0 for no limit; ``echo`` are the bytes
    to give back.
    """

    protocol_version: int
    called_ae_title: str
    calling_ae_title: str
    application_context: str
    contexts: tuple[ProposedContext, ...]
    max_pdu: int
    echo: bytes
    roles: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. ``max_pdu`` as in the request."""

    contexts: tuple[AnsweredContext, ...]
    max_pdu: int
    roles: tuple[Role, ...]


def _items(data: bytes, what: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise WireError(f"{what}: a truncated item", AbortReason.INVALID_PARAMETER)
        kind, length = _ITEM.unpack_from(data, at)
        at += 4
        if at + length > len(data):
            raise WireError(f"{what}: an item longer than its parent", AbortReason.INVALID_PARAMETER)
        yield kind, data[at : at + length]
        at += length


def _uid(data: bytes) -> str:
    return data.rstrip(b"\0 ").decode("ascii", "replace")


def decode_associate_request(body: bytes) -> AssociateRequest:
    """The A-ASSOCIATE-RQ whose PDU body (all after the six bytes of header) this is. Raises WireError."""
    if len(body) < _ASSOCIATE_HEAD.size:
        raise WireError("a truncated association request", AbortReason.INVALID_PARAMETER)
    version, called, calling, _ = _ASSOCIATE_HEAD.unpack_from(body)
    application_context, contexts = "", []
    max_pdu = 0
    roles: tuple[Role, ...] = ()
    for kind, value in _items(body[_ASSOCIATE_HEAD.size :], "association request"):
        if kind == _Item.APPLICATION_CONTEXT:
            application_context = _uid(value)
        elif kind == _Item.CONTEXT_RQ:
            contexts.append(_context(value))
        elif kind == _Item.USER_INFORMATION:
            max_pdu, roles = _user_information(value)
    return AssociateRequest(
        protocol_version=version,
        called_ae_title=called.decode("ascii", "replace").strip(" \0"),
        calling_ae_title=calling.decode("ascii", "replace").strip(" \0"),
        application_context=application_context,
        contexts=tuple(contexts),
        max_pdu=max_pdu,
        echo=body[: _ASSOCIATE_HEAD.size],
        roles=roles,
    )


def decode_associate_accept(body: bytes) -> AssociateAccept:
    """The A-ASSOCIATE-AC whose PDU body this is (PS3.8 9.3.3). Raises WireError."""
    if len(body) < _ASSOCIATE_HEAD.size:
        raise WireError("a truncated association acceptance", AbortReason.INVALID_PARAMETER)
    contexts = []
    max_pdu = 0
    roles: tuple[Role, ...] = ()
    for kind, value in _items(body[_ASSOCIATE_HEAD.size :], "association acceptance"):
        if kind == _Item.CONTEXT_AC and len(value) >= 4:
            syntaxes = [_uid(item) for sub, item in _items(value[4:], "context") if sub == _Item.TRANSFER_SYNTAX]
            result = ContextResult.ACCEPTED if value[2] == 0 else ContextResult.USER_REJECTION
            contexts.append(AnsweredContext(value[0], result, syntaxes[0] if syntaxes else ""))
        elif kind == _Item.USER_INFORMATION:
            max_pdu, roles = _user_information(value)
    return AssociateAccept(tuple(contexts), max_pdu, roles)


def _user_information(value: bytes) -> tuple[int, tuple[Role, ...]]:
    max_pdu, roles = 0, []
    for kind, item in _items(value, "user information"):
        if kind == _Item.MAXIMUM_LENGTH and len(item) == 4:
            max_pdu = int.from_bytes(item, "big")
        elif kind == _Item.ROLE_SELECTION and len(item) >= 4:
            length = int.from_bytes(item[:2], "big")
            if len(item) == length + 4:
                roles.append(Role(_uid(item[2:-2]), bool(item[-2]), bool(item[-1])))
    return max_pdu, tuple(roles)


def _context(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise WireError("a truncated presentation context", AbortReason.INVALID_PARAMETER)
    abstract, transfer = "", []
    for kind, item in _items(value[4:], "presentation context"):
        if kind == _Item.ABSTRACT_SYNTAX:
            abstract = _uid(item)
        elif kind == _Item.TRANSFER_SYNTAX:
            transfer.append(_uid(item))
    return ProposedContext(value[0], abstract, tuple(transfer))


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _pdu(kind: PduType, body: bytes) -> bytes:
    return HEADER.pack(kind, len(body)) + body


def _user(max_pdu: int, roles: Sequence[Role]) -> bytes:
    return _item(
        _Item.USER_INFORMATION,
        _item(_Item.MAXIMUM_LENGTH, max_pdu.to_bytes(4, "big"))
        + _item(_Item.IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID.encode("ascii"))
        + b"".join(_role(role) for role in roles)
        + _item(_Item.IMPLEMENTATION_VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode("ascii")),
    )


def _role(role: Role) -> bytes:
    uid = role.sop_class_uid.encode("ascii", "replace")
    return _item(_Item.ROLE_SELECTION, len(uid).to_bytes(2, "big") + uid + bytes((role.scu, role.scp)))


def encode_associate_accept(
    request: AssociateRequest, contexts: Sequence[AnsweredContext], max_pdu: int, roles: Sequence[Role] = ()
) -> bytes:
    """A-ASSOCIATE-AC (PS3.8 9.3.3). ``max_pdu``: the longest P-DATA body we take, in bytes."""
    answered = b"".join(
        _item(
            _Item.CONTEXT_AC,
            bytes((c.id, 0, c.result, 0)) + _item(_Item.TRANSFER_SYNTAX, c.transfer_syntax.encode("ascii", "replace")),
        )
        for c in contexts
    )
    # The AE titles and the reserved bytes of the request go back as they came (PS3.8 table 9-17).
    return _pdu(
        PduType.ASSOCIATE_AC,
        b"\0\1"
        + request.echo[2:]
        + _item(_Item.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode("ascii"))
        + answered
        + _user(max_pdu, roles),
    )


def encode_associate_request(
    called: str, calling: str, contexts: Sequence[ProposedContext], max_pdu: int, roles: Sequence[Role] = ()
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    proposed = b"".join(
        _item(
            _Item.CONTEXT_RQ,
            bytes((c.id, 0, 0, 0))
            + _item(_Item.ABSTRACT_SYNTAX, c.abstract_syntax.encode("ascii"))
            + b"".join(_item(_Item.TRANSFER_SYNTAX, syntax.encode("ascii")) for syntax in c.transfer_syntaxes),
        )
        for c in contexts
    )
    head = _ASSOCIATE_HEAD.pack(1, _title(called), _title(calling), b"")
    application = _item(_Item.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode("ascii"))
    return _pdu(PduType.ASSOCIATE_RQ, head + application + proposed + _user(max_pdu, roles))


def _title(title: str) -> bytes:
    return title.strip().encode("ascii", "replace")[:16].ljust(16)


def encode_associate_reject(result: RejectResult, source: RejectSource, reason: RejectReason) -> bytes:
    return _pdu(PduType.ASSOCIATE_RJ, bytes((0, result, source, reason)))


def encode_release_request() -> bytes:
    return _pdu(PduType.RELEASE_RQ, b"\0\0\0\0")


def encode_release_response() -> bytes:
    return _pdu(PduType.RELEASE_RP, b"\0\0\0\0")


def encode_abort(source: AbortSource, reason: int = 0) -> bytes:
    return _pdu(PduType.ABORT, bytes((0, 0, source, reason)))


def encode_values(context_id: int, data: bytes, max_pdu: int, *, command: bool, last: bool = True) -> bytes:
    """P-DATA-TF PDUs that carry one command set, or a part of a data set, within what the peer takes (0: no limit)."""
    room = max(max_pdu - PDV_HEADER.size, 2) if max_pdu else len(data)
    out = []
    for at in range(0, len(data) or 1, room or 1):
        piece = data[at : at + room]
        control = (0x01 if command else 0) | (0x02 if last and at + room >= len(data) else 0)
        out.append(_pdu(PduType.P_DATA_TF, PDV_HEADER.pack(len(piece) + 2, context_id, control) + piece))
    return b"".join(out)
