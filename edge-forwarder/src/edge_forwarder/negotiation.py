"""Who may associate, and which presentation contexts are taken in which transfer syntax (PS3.8 7.1, PS3.4 B)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from edge_forwarder.config import Config
from edge_forwarder.pdu import APPLICATION_CONTEXT, AnsweredContext, AssociateRequest, ProposedContext
from edge_forwarder.statuses import ContextResult, RejectReason, RejectResult, RejectSource

VERIFICATION: Final = "1.2.840.10008.1.1"
_UNCOMPRESSED: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
#: Syntaxes that cannot lose anything (PS3.5 A.4). Deflated is one: the whole data set is compressed.
LOSSLESS: Final = frozenset(
    {
        "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
        "1.2.840.10008.1.2.5",  # RLE
        "1.2.840.10008.1.2.4.57",  # JPEG Lossless
        "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
        "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
        "1.2.840.10008.1.2.4.92",  # JPEG 2000 Part 2 Lossless
        "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
        "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
        "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    }
)
_UID: Final = re.compile(r"[0-9.]{1,64}")
_COMPRESSED_ROOT: Final = "1.2.840.10008.1.2.4."
#: JPIP and other syntaxes whose pixels are elsewhere: the bytes sent would not be the picture (PS3.5 A.6, A.7).
_NOT_HERE: Final = frozenset(
    {
        "1.2.840.10008.1.2.4.94",
        "1.2.840.10008.1.2.4.95",
        "1.2.840.10008.1.2.4.204",
        "1.2.840.10008.1.2.4.205",
    }
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A-ASSOCIATE-RJ, and why, for the log."""

    result: RejectResult
    source: RejectSource
    reason: RejectReason
    why: str


@cache
def other_classes() -> frozenset[str]:
    """SOP classes of the standard that are not for storage: their contexts are not accepted until their service
    exists.
    """
    from pynetdicom import sop_class

    tables = {name: table for name, table in vars(sop_class).items() if name.endswith("_CLASSES") and name[0] == "_"}
    # Palettes, hanging protocols and the like belong to no patient (PS3.4 GG) but are sent by C-STORE all the same.
    storage = {*tables["_STORAGE_CLASSES"].values(), *tables["_NON_PATIENT_OBJECT_CLASSES"].values()}
    every = {str(uid) for table in tables.values() if isinstance(table, dict) for uid in table.values()}
    return frozenset(every - storage - {VERIFICATION})


def admit(request: AssociateRequest, config: Config, peer_host: str) -> Rejection | None:
    """None when this caller may associate."""

    def user(reason: RejectReason, why: str) -> Rejection:
        return Rejection(RejectResult.PERMANENT, RejectSource.SERVICE_USER, reason, why)

    if not request.protocol_version & 1:
        return Rejection(
            RejectResult.PERMANENT,
            RejectSource.PROVIDER_ACSE,
            RejectReason.ACSE_PROTOCOL_VERSION_NOT_SUPPORTED,
            "protocol version",
        )
    if request.application_context != APPLICATION_CONTEXT:
        return user(RejectReason.USER_APPLICATION_CONTEXT_NOT_SUPPORTED, "application context")
    if config.dimse.check_called_aet and request.called_ae_title != config.edge.ae_title.strip():
        return user(RejectReason.USER_CALLED_AET_NOT_RECOGNIZED, "called AE title")
    devices = [d for d in config.devices if d.ae_title.strip() == request.calling_ae_title]
    if not devices and config.dimse.only_known_devices:
        return user(RejectReason.USER_CALLING_AET_NOT_RECOGNIZED, "calling AE title")
    if devices and not any(d.host in ("", peer_host) for d in devices):
        return user(RejectReason.USER_CALLING_AET_NOT_RECOGNIZED, "calling AE title from another address")
    return None


def answer(contexts: Sequence[ProposedContext], preference: Sequence[str]) -> list[AnsweredContext]:
    """One answer for each proposed context, in order."""
    return [_answer(context, preference) for context in contexts]


def _answer(context: ProposedContext, preference: Sequence[str]) -> AnsweredContext:
    first = context.transfer_syntaxes[0] if context.transfer_syntaxes else _UNCOMPRESSED[1]
    if not context.abstract_syntax or context.abstract_syntax in other_classes():
        return AnsweredContext(context.id, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, first)
    chosen = choose(context.transfer_syntaxes, preference)
    if chosen is None:
        return AnsweredContext(context.id, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, first)
    return AnsweredContext(context.id, ContextResult.ACCEPTED, chosen)


def choose(proposed: Sequence[str], preference: Sequence[str]) -> str | None:
    """The syntax to take: the first preference that is proposed, in the proposer's order within a group.

    What no preference names (a private syntax) is taken when nothing else is proposed: the bytes are kept as they are.
    """
    usable = [syntax for syntax in proposed if _UID.fullmatch(syntax) and syntax not in _NOT_HERE]
    for wish in preference:
        for syntax in usable:
            if syntax == wish or wish == _group(syntax):
                return syntax
    return usable[0] if usable else None


def _group(syntax: str) -> str:
    if syntax in LOSSLESS:
        return "lossless"
    return "lossy" if syntax.startswith(_COMPRESSED_ROOT) else ""
