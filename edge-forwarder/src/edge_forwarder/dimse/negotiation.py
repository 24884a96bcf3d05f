"""Who may associate, and which presentation contexts are taken in which transfer syntax (PS3.8 7.1, PS3.4 B)."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Final

from edge_forwarder.config import Config
from edge_forwarder.dicom.syntaxes import EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from edge_forwarder.dimse.pdu import APPLICATION_CONTEXT, AnsweredContext, AssociateRequest, ProposedContext, Role
from edge_forwarder.dimse.services import Context
from edge_forwarder.dimse.statuses import Command, ContextResult, RejectReason, RejectResult, RejectSource

VERIFICATION: Final = "1.2.840.10008.1.1"
#: What a device may be allowed: `store` includes storage commitment.
STORE, QUERY, RETRIEVE = "store", "query", "retrieve"
_QR: Final = "1.2.840.10008.5.1.4.1.2."
#: The right that each service's SOP class needs, and the command that makes the service (PS3.4 J.3.1, C.6).
SERVICES: Final = {
    "1.2.840.10008.1.20.1": (STORE, Command.N_ACTION_RQ),
    **{f"{_QR}{root}.1": (QUERY, Command.C_FIND_RQ) for root in (1, 2)},
    **{f"{_QR}{root}.2": (RETRIEVE, Command.C_MOVE_RQ) for root in (1, 2)},
    **{f"{_QR}{root}.3": (RETRIEVE, Command.C_GET_RQ) for root in (1, 2)},
}
#: What is sent or read here by services of our own making, in order of preference: never compressed or big endian.
PLAIN: Final[tuple[str, ...]] = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
#: What else archives hold (PS3.5 A.4), most frequent first; one proposes each in a context of its own.
COMPRESSED: Final = tuple(
    f"1.2.840.10008.1.2.{end}"
    for end in (
        *("4.70", "4.90", "4.50", "4.80", "4.91", "4.51", "5", "4.201", "4.202", "4.203", "4.57", "4.81"),
        *("4.102", "4.103", "4.100", "4.101", "4.104", "4.105", "4.106", "4.107", "4.108"),
        *("2", "1.99", "4.110", "4.112"),
    )
)
#: Presentation contexts of one association: odd numbers of one byte (PS3.8 9.3.2.2).
MAX_CONTEXTS: Final = 128
#: Video of endoscopes, microscopes and cameras: in practice MPEG or HEVC, which nobody decodes for a receiver.
_VIDEO_CLASSES: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.77.1.{kind}.1" for kind in (1, 2, 4))
_VIDEO: Final = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10[0-8](\.1)?")
#: So many SOP classes can be proposed in one association in every syntax, beside a service.
CLASSES_AT_ONCE: Final = (MAX_CONTEXTS - 1) // (len(COMPRESSED) + 1)
_UNCOMPRESSED: Final = (*PLAIN, EXPLICIT_BIG_ENDIAN)
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


def compressed(sop_class: str) -> list[str]:
    """`COMPRESSED`, likeliest first for that class: a camera's video before all, and nobody else's."""
    is_video = sop_class in _VIDEO_CLASSES
    return sorted(COMPRESSED, key=lambda syntax: bool(_VIDEO.fullmatch(syntax)) != is_video)


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


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the acceptance says; ``contexts`` are the accepted ones."""

    answers: tuple[AnsweredContext, ...]
    contexts: dict[int, Context]
    roles: tuple[Role, ...]


def agree(
    request: AssociateRequest, preference: Sequence[str], may: frozenset[str], offered: Set[int] = frozenset()
) -> Agreement:
    """One answer for each proposed context, in order. ``may``: the caller's rights; ``offered``: commands that a
    service answers.

    A requestor that wants to be SCP of a storage class takes images by C-GET (PS3.4 C.5.3): it needs the right to
    retrieve, and gets, of what the context proposes, what needs no decoding; a video, what can be nothing else.
    """
    storage_roles = {
        role.sop_class_uid: role
        for role in request.roles
        if role.scp and role.sop_class_uid not in SERVICES and _retrieves(may, offered)
    }
    answers, contexts = [], {}
    for proposed in request.contexts:
        takes = proposed.abstract_syntax in storage_roles
        answer = _answer(proposed, preference, may, offered, takes=takes)
        answers.append(answer)
        if answer.result == ContextResult.ACCEPTED:
            contexts[answer.id] = Context(answer.id, proposed.abstract_syntax, answer.transfer_syntax, takes)
    accepted = {context.abstract_syntax for context in contexts.values()}
    roles = tuple(
        Role(uid, scu=role.scu and STORE in may, scp=True) for uid, role in storage_roles.items() if uid in accepted
    )
    return Agreement(tuple(answers), contexts, roles)


def _retrieves(may: frozenset[str], offered: Set[int]) -> bool:
    return RETRIEVE in may and Command.C_GET_RQ in offered


def _answer(
    context: ProposedContext, preference: Sequence[str], may: frozenset[str], offered: Set[int], *, takes: bool
) -> AnsweredContext:
    first = context.transfer_syntaxes[0] if context.transfer_syntaxes else _UNCOMPRESSED[1]
    abstract = context.abstract_syntax
    right, command = SERVICES.get(abstract, (STORE, None))
    if command is not None and command in offered:
        if right not in may:
            return AnsweredContext(context.id, ContextResult.USER_REJECTION, first)
        chosen = next((syntax for syntax in PLAIN if syntax in context.transfer_syntaxes), None)
    elif not abstract or abstract in other_classes():
        return AnsweredContext(context.id, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, first)
    elif takes:
        first_choice = [s for s in context.transfer_syntaxes if abstract in _VIDEO_CLASSES and _VIDEO.fullmatch(s)]
        first_choice += [syntax for syntax in PLAIN if syntax in context.transfer_syntaxes]
        chosen = first_choice[0] if first_choice else choose(context.transfer_syntaxes, preference)
    elif abstract != VERIFICATION and STORE not in may:
        return AnsweredContext(context.id, ContextResult.USER_REJECTION, first)
    else:
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
