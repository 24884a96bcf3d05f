"""Names of the spool's files, ``<ULID>~<calling AE title, quoted>.dcm``: time and sender outlive the journal.

A file of another name was put there by hand. It means an image all the same: it is taken in under a name of ours, once
nobody writes to it any more.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from ulid import ULID

#: Whom a file is said to be from that a person put there: longer than an AE title, so it waits as imports do.
BY_HAND: Final = "maypacs-edge by hand"
#: A copy is whole when it was not touched for so long (seconds).
SETTLED_SECONDS: Final = 10.0
_OURS: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}~[!-~]*\.dcm")


def new(sender: str) -> str:
    """For what begins to arrive now."""
    return f"{ULID()}~{quote(sender, safe='')}.dcm"


def is_ours(name: str) -> bool:
    return _OURS.fullmatch(name) is not None


def sender(name: str) -> str:
    """The calling AE title, or the label of a command."""
    return unquote(name.removesuffix(".dcm").partition("~")[2])


def received_at(name: str) -> float | None:
    """Seconds since the epoch; None: the name is not ours."""
    return ULID.from_str(name[:26]).timestamp if is_ours(name) else None


def is_settled(stat: os.stat_result) -> bool:
    """By the time of its last change, which no copying program can set."""
    return abs(time.time() - stat.st_ctime) >= SETTLED_SECONDS


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """One acknowledged instance. ``name`` is its file's name in ``received/``; ``size`` in bytes."""

    name: str
    size: int

    @property
    def calling_ae_title(self) -> str:
        return sender(self.name)

    @property
    def is_import(self) -> bool:
        """Brought by a command, under a label that is too long for an AE title (PS3.5 6.2)."""
        return len(self.calling_ae_title) > 16

    @property
    def received_at(self) -> float | None:
        """Seconds since the epoch, by the clock of this machine when it began to arrive; None: not by its name."""
        return received_at(self.name)
