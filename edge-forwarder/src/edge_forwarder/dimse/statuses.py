"""Every number of the standard that the edge sends, by name."""

from __future__ import annotations

from enum import IntEnum

from edge_forwarder.errors import SpoolError, SpoolFullError, TooLargeError


class Status(IntEnum):
    """DIMSE status codes (PS3.7 C; PS3.4 B.2.3 for C-STORE, C.4 for query and retrieve)."""

    SUCCESS = 0x0000
    """PS3.7 C.1.1."""
    PROCESSING_FAILURE = 0x0110
    """PS3.7 C.5.21: the spool failed for another reason than space."""
    NO_SUCH_SOP_INSTANCE = 0x0112
    """PS3.7 C.5.19: an N-ACTION for another instance than the well-known one."""
    INVALID_ARGUMENT_VALUE = 0x0115
    """PS3.7 C.5.10: the action's information is not what it should be."""
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    """PS3.7 C.5.6: the presentation context was not accepted."""
    NO_SUCH_ACTION = 0x0123
    """PS3.7 C.5.24."""
    NOT_AUTHORIZED = 0x0124
    """PS3.7 C.5.25: this caller has not the right."""
    UNRECOGNIZED_OPERATION = 0x0211
    """PS3.7 C.5.23: a service this edge does not offer."""
    MISTYPED_ARGUMENT = 0x0212
    """PS3.7 C.5.15: the request lacks what it must carry."""
    RESOURCE_LIMITATION = 0x0213
    """PS3.7 C.5.22: the request is longer than what is taken."""
    OUT_OF_RESOURCES = 0xA700
    """PS3.4 table B.2-1: refused, out of resources; the sender keeps the image and tries again. PS3.4 table C.4-1,
    for C-FIND: the cloud is away, or there are more matches than a caller may have.
    """
    CANNOT_CALCULATE_MATCHES = 0xA701
    """PS3.4 tables C.4-2 and C.4-3: the cloud is away, or there are too many instances."""
    CANNOT_PERFORM_SUBOPERATIONS = 0xA702
    """PS3.4 tables C.4-2 and C.4-3: none of the instances could be sent."""
    MOVE_DESTINATION_UNKNOWN = 0xA801
    """PS3.4 table C.4-2: no [[device]] with that AE title, a host and a port."""
    IDENTIFIER_DOES_NOT_MATCH = 0xA900
    """PS3.4 tables C.4-1 to C.4-3: the level or a unique key is missing, or wrong."""
    SUBOPERATIONS_WITH_FAILURES = 0xB000
    """PS3.4 tables C.4-2 and C.4-3: sub-operations complete, one or more failures."""
    UNABLE_TO_PROCESS = 0xC000
    """PS3.4 tables C.4-1 to C.4-3: the cloud refused, or something broke here. PS3.4 table B.2-1, for C-STORE: an image
    that is larger than one may be; to send it again is of no use.
    """
    CANCEL = 0xFE00
    """PS3.4 tables C.4-1 to C.4-3: ended by C-CANCEL."""
    PENDING = 0xFF00
    """PS3.4 tables C.4-1 to C.4-3: more is coming."""


def of_refusal(error: SpoolError) -> Status:
    """What a C-STORE is answered whose image the spool did not take."""
    if isinstance(error, SpoolFullError):
        return Status.OUT_OF_RESOURCES
    return Status.UNABLE_TO_PROCESS if isinstance(error, TooLargeError) else Status.PROCESSING_FAILURE


class FailureReason(IntEnum):
    """(0008,1197) of a storage commitment (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    """The cloud could not take the instance as it is (quarantine), or its file was taken out of the spool."""
    DUPLICATE_SOP_INSTANCE = 0x0111
    """PS3.7 C.5.8, not in the list of C.14.1.1, because that has no word for it: another data set was under this UID
    before; the archive keeps both, and a person decides.
    """
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    """Neither sent through this edge nor in the archive, or deleted from it."""
    CLASS_INSTANCE_CONFLICT = 0x0119
    """The instance is of another SOP class than the request says."""


class EventType(IntEnum):
    """Event Type ID of a storage commitment's N-EVENT-REPORT (PS3.4 J.3.3.1)."""

    COMMITTED = 1
    FAILURES_EXIST = 2


class Command(IntEnum):
    """(0000,0100) Command Field (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_ACTION_RQ = 0x0130
    C_CANCEL_RQ = 0x0FFF
    RESPONSE = 0x8000


class ContextResult(IntEnum):
    """Result of a presentation context (PS3.8 table 9-18)."""

    ACCEPTED = 0
    USER_REJECTION = 1
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class RejectResult(IntEnum):
    """PS3.8 table 9-21, Result."""

    PERMANENT = 1
    TRANSIENT = 2


class RejectSource(IntEnum):
    """PS3.8 table 9-21, Source."""

    SERVICE_USER = 1
    PROVIDER_ACSE = 2
    PROVIDER_PRESENTATION = 3


class RejectReason(IntEnum):
    """PS3.8 table 9-21, Reason. The meaning depends on the source, which the names tell."""

    USER_NO_REASON_GIVEN = 1
    USER_APPLICATION_CONTEXT_NOT_SUPPORTED = 2
    USER_CALLING_AET_NOT_RECOGNIZED = 3
    USER_CALLED_AET_NOT_RECOGNIZED = 7
    ACSE_PROTOCOL_VERSION_NOT_SUPPORTED = 2
    PRESENTATION_TEMPORARY_CONGESTION = 1
    PRESENTATION_LOCAL_LIMIT_EXCEEDED = 2


class AbortSource(IntEnum):
    """PS3.8 table 9-26, Source."""

    SERVICE_USER = 0
    PROVIDER = 2


class AbortReason(IntEnum):
    """PS3.8 table 9-26, Reason, for the provider."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6
