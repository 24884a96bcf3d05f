"""Whether it pays to ask, before a pack is sent, which of it the cloud has already. Pure; nothing here is kept.

A question costs the cloud one read and the pack a round trip, and a fresh examination is never there: so not every
pack asks. One does when there is a reason (its instances were sent before, its upload may have been forgotten, it is
large), while its sender's last question was worth it (a migration, a repeated import), and once in a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Without any reason every so many packs of one sender ask.
PROBE: Final = 8
#: So many senders are remembered.
_SENDERS: Final = 1000


@dataclass(slots=True)
class _Sender:
    worth_it: bool = False
    since: int = PROBE
    """Packs since the last question."""


class Asking:
    """By sender: the AE title that an image came from."""

    def __init__(self) -> None:
        self._senders: dict[str, _Sender] = {}

    def pays(self, sender: str, *, reason: bool) -> bool:
        if len(self._senders) >= _SENDERS and sender not in self._senders:
            self._senders.clear()
        habit = self._senders.setdefault(sender, _Sender())
        habit.since += 1
        return reason or habit.worth_it or habit.since > PROBE

    def learned(self, sender: str, *, some: bool) -> None:
        """The answer to a question: whether the cloud had any of it."""
        self._senders[sender] = _Sender(worth_it=some, since=0)
