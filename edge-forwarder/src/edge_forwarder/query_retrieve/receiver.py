"""The receiver of a C-MOVE: an association for what images mostly are, and another where one is something else.

The archive does not say beforehand which transfer syntax an image is stored in (PS3.18 10.6.3: (0008,3002) is
optional), an association has 128 contexts, and what is not proposed cannot be sent. So a context that turns out to be
missing is proposed by a new association, after the old one was released.

A receiver that breaks off on one image (it crashed on it, or aborts) has failed that one: the others go over another
association, a few times. One that was silent once, for the whole time limit, has a tenth of it for each answer from
then on: it holds up the retrieve for one and a half time limits, not for one of each association.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from edge_forwarder.dimse.negotiation import COMPRESSED, MAX_CONTEXTS, PLAIN
from edge_forwarder.dimse.pdu import ProposedContext
from edge_forwarder.dimse.scu import Peer, Requestor
from edge_forwarder.dimse.services import Context
from edge_forwarder.dimse.statuses import RejectSource, Status
from edge_forwarder.errors import EdgeError, NotAssociatedError, SilentError, WireError

Pair = tuple[str, str]
"""SOP class and transfer syntax."""
#: Between attempts to associate again (seconds).
_PAUSES: Final = (0.1, 0.3, 1.0, 3.0)
#: Who breaks off more often than this is not called again.
_BREAKS: Final = 5
#: Of the time limit, what is left for who was silent once.
_LESS_PATIENCE: Final = 0.1


class ReceiverGoneError(EdgeError):
    """The receiver of a C-MOVE, not its caller, does not associate, or broke off."""


class Receiver:
    """A context manager: associated from its beginning to its end. Everything raises ReceiverGoneError."""

    def __init__(self, peer: Peer, classes: Iterable[str], originator: tuple[str, int]) -> None:
        """``classes``: of all that is to be sent; ``originator``: who asked, and in which message."""
        self._peer, self._originator = peer, originator
        self._classes = sorted(filter(None, set(classes)))
        self._proposed: set[Pair] = set()
        self._needed: list[Pair] = []
        """What turned out to be missing, the last one first."""
        self._association: Requestor | None = None
        self._breaks = 0
        self._was_silent = False

    def __enter__(self) -> Self:
        self._associate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        association, self._association = self._association, None
        if association is not None:
            association.__exit__(kind, error, trace)

    def contexts(self, sop_class: str, syntax: str) -> dict[str, Context]:
        """What it accepts for images of this class, by transfer syntax, once ``syntax`` was proposed to it."""
        if sop_class and (sop_class, syntax) not in self._proposed:
            self._needed = list(dict.fromkeys([(sop_class, syntax), *self._needed]))
            self.__exit__(None, None, None)  # many take one association at a time
        if self._association is None:
            self._associate()
        assert self._association is not None
        return by_class(self._association.contexts.values()).get(sop_class, {})

    def store(self, context: Context, sop_class: str, sop: str, pieces: Iterator[bytes]) -> int:
        """The receiver's status; a failure if it breaks off, a few times: `contexts` then associates anew. Raises what
        reading the pieces raises, too.
        """
        assert self._association is not None
        try:
            return self._association.store(context, sop_class, sop, pieces, self._originator)
        except WireError as error:
            self.__exit__(type(error), error, None)
            self._breaks += 1
            if isinstance(error, SilentError) and not self._was_silent:
                self._was_silent = True
                self._peer = replace(self._peer, timeout=self._peer.timeout * _LESS_PATIENCE)
            if self._breaks > _BREAKS:
                raise ReceiverGoneError(str(error)) from None
            return Status.PROCESSING_FAILURE

    def _associate(self) -> None:
        contexts = proposals(self._classes, self._needed)
        # Who takes one association at a time may need a moment to notice that the last one is over.
        pauses = list(_PAUSES) if self._proposed else []
        while self._association is None:
            try:
                self._association = Requestor.call(self._peer, contexts)
            except NotAssociatedError as error:
                if not pauses or error.rejection is None or error.rejection[0] != RejectSource.PROVIDER_PRESENTATION:
                    raise ReceiverGoneError(str(error)) from None
                time.sleep(pauses.pop(0))
            except WireError as error:
                raise ReceiverGoneError(str(error)) from None
        self._proposed = {(context.abstract_syntax, context.transfer_syntaxes[0]) for context in contexts}


def proposals(classes: Sequence[str], needed: Sequence[Pair] = ()) -> list[ProposedContext]:
    """One context for each class and syntax, so that the receiver can take them all: what is needed, with what it may
    be converted to, then what is likely, while there is room: uncompressed, and what others of them are stored in.
    """
    pairs = [(c, s) for c, syntax in needed for s in (syntax, *PLAIN)]
    pairs += [(c, s) for s in (*PLAIN, *(syntax for _, syntax in needed), *COMPRESSED) for c in classes]
    some = list(dict.fromkeys(pairs))[:MAX_CONTEXTS]
    return [ProposedContext(2 * n + 1, sop_class, (syntax,)) for n, (sop_class, syntax) in enumerate(some)]


def by_class(contexts: Iterable[Context]) -> dict[str, dict[str, Context]]:
    """By SOP class and transfer syntax."""
    found: dict[str, dict[str, Context]] = {}
    for context in contexts:
        found.setdefault(context.abstract_syntax, {}).setdefault(context.transfer_syntax, context)
    return found
