"""Every number of the standard that the edge sends, by name."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """DIMSE status codes (PS3.7 C, PS3.4 B.2.3 for C-STORE)."""

    SUCCESS = 0x0000
    """PS3.7 C.1.1."""
    PROCESSING_FAILURE = 0x0110
    """PS3.7 C.5.21: the spool failed for another reason than space."""
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    """PS3.7 C.5.22: the presentation context was not accepted."""
    UNRECOGNIZED_OPERATION = 0x0211
    """PS3.7 C.5.20: a service this edge does not offer."""
    MISTYPED_ARGUMENT = 0x0212
    """PS3.7 C.5.12: the request lacks what it must carry."""
    OUT_OF_RESOURCES = 0xA700
    """PS3.4 table B.2-1: refused, out of resources. The sender keeps the image and tries again."""


class Command(IntEnum):
    """(0000,0100) Command Field (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_ECHO_RQ = 0x0030
    C_CANCEL_RQ = 0x0FFF
    RESPONSE = 0x8000


class ContextResult(IntEnum):
    """Result of a presentation context (PS3.8 table 9-18)."""

    ACCEPTED = 0
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
