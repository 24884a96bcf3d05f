"""The instances of one request to the spool, each as safe as by C-STORE before it is said to be stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from edge_forwarder.dicom import peek
from edge_forwarder.dicom.found_files import dress
from edge_forwarder.dimse.statuses import of_refusal
from edge_forwarder.errors import BrokenBodyError, SpoolError, StowError, UnreadableError
from edge_forwarder.packing.intake import ASSOCIATION
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.stow.answer import Outcome, Reason
from edge_forwarder.stow.body import RequestParts

#: Stands where a calling AE title would; longer than one may be, so it is nobody's.
LABEL: Final = "maypacs-edge stow"
#: Associations count upwards, requests downwards, below what is handed over.
_NUMBERS: Final = itertools.count(ASSOCIATION - 1, -1)


@dataclass(frozen=True, slots=True)
class Store:
    """What the requests share. Callbacks must not block."""

    spool: Spool
    stored: Callable[[SpooledFile, int], None]
    """Told of each instance that is safe, and the number of its request."""
    ended: Callable[[int], None]
    """Told when a request is over, however it ended: nothing more comes of its series."""
    refused: Callable[[], None]
    """Told of each instance refused for want of space."""
    max_instances: int

    def check_room(self, more: int) -> None:
        """Raises SpoolFullError."""
        self.spool.check_room(more)

    def take(self, parts: RequestParts, study: str | None) -> list[Outcome]:
        """Store every part; with ``study``, those of that study alone. Raises StowError, OSError: what came whole until
        then is stored.
        """
        number = next(_NUMBERS)
        outcomes: list[Outcome] = []
        try:
            for pieces in parts:
                if len(outcomes) >= self.max_instances:
                    raise StowError(f"more than {self.max_instances} instances: the first ones are stored", 413)
                outcomes.append(self._instance(pieces, study, number))
        except BrokenBodyError as error:
            stored = sum(1 for outcome in outcomes if outcome.reason is None)
            raise BrokenBodyError(f"{error}; {stored} instances before that are stored") from None
        finally:
            self.ended(number)
        if not outcomes:
            raise StowError("the request has no parts")
        return outcomes

    def _instance(self, pieces: Iterator[bytes], study: str | None, number: int) -> Outcome:
        head = b""
        while len(head) < peek.HEAD_BYTES and (piece := next(pieces, b"")):
            head += piece
        try:
            dressed = dress(head[: peek.HEAD_BYTES])
        except UnreadableError:
            dressed = None
        if dressed is None:
            return Outcome(Reason.CANNOT_UNDERSTAND)
        try:
            writer = self.spool.begin(LABEL)
        except SpoolError as error:
            return self._failed(error)
        try:
            writer.write(dressed.lead + head[dressed.skip :])
            for piece in pieces:
                writer.write(piece)
            identity = peek.identify(writer.temporary)
            known = Outcome(
                None,
                identity.sop_class_uid,
                identity.sop_instance_uid,
                identity.study_instance_uid,
                identity.series_instance_uid,
            )
            if study is not None and identity.study_instance_uid != study:
                writer.discard()
                return Outcome(Reason.DATA_SET_DOES_NOT_MATCH_STUDY, identity.sop_class_uid, identity.sop_instance_uid)
            file = writer.commit()
        except UnreadableError:
            writer.discard()
            return Outcome(Reason.CANNOT_UNDERSTAND)
        except SpoolError as error:
            writer.discard()
            return self._failed(error)
        except BaseException:
            writer.discard()
            raise
        self.stored(file, number)
        return known

    def _failed(self, error: SpoolError) -> Outcome:
        """What is left of the part is read over by who iterates over the parts."""
        self.refused()
        return Outcome(Reason(of_refusal(error)))
