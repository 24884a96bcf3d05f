"""Asking a peer that may be away for a while, and knowing when no patience helps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from edge_forwarder.cloud import retry
from edge_forwarder.dimse.statuses import RejectSource
from edge_forwarder.errors import (
    AbortedError,
    ConfigError,
    DeclinedError,
    EdgeError,
    NotAssociatedError,
    NotOfferedError,
    WireError,
)

T = TypeVar("T")

#: A peer that cannot be reached is called so often, with growing pauses of at most so long (seconds).
CALLS: Final = 12
LONGEST_PAUSE: Final = 300.0
#: One that aborts so often in a row does so on purpose.
_ABORTS: Final = 4


class Patience:
    """``say`` is told what is waited for."""

    def __init__(self, own_title: str, longest_pause: float, say: Callable[[str], None]) -> None:
        self._own_title, self._longest, self._say = own_title, longest_pause, say

    def ask(self, question: Callable[[], T]) -> T:
        """The answer, once there is one. Raises EdgeError: what the peer declines at once, the rest in the end."""
        aborts = 0
        for failures in range(1, CALLS + 1):
            try:
                return question()
            except DeclinedError:
                raise
            except WireError as error:
                give_up_for_good(error)
                aborts = aborts + 1 if isinstance(error, AbortedError) else 0
                if aborts == _ABORTS:
                    raise ConfigError(
                        f"the source aborts what we ask: does it know our AE title {self._own_title}?"
                    ) from None
                if failures == CALLS:
                    raise
                self._say(f"{error}; tries again")
            time.sleep(retry.pause(failures, self._longest))
        raise AssertionError("unreachable")


def give_up_for_good(error: EdgeError) -> None:
    """Raise what no patience helps against: it does not know us, or does not offer what is needed."""
    if isinstance(error, NotOfferedError):
        raise error
    if isinstance(error, NotAssociatedError) and error.rejection and error.rejection[0] == RejectSource.SERVICE_USER:
        raise error
