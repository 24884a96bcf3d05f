"""Handing over: how other processes of this machine give instances to the spool, whichever process works on it.

Only who holds the spool's lock touches ``received/`` and the journal. The commands (`send`, `retry`, `migrate`) put
whole Part 10 files into ``handed/`` by way of a folder in there, with the same care as a C-STORE: write, fsync,
rename, fsync of the folder. From then on a file is as safe as one that was acknowledged. With no edge running it waits
for the next start.

A file's name is that of a spooled one; instead of a calling AE title it has a label of more than 16 characters, which
no AE title can be.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from edge_forwarder.config import MIB, Config
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.layout import Layout

#: A file of this name asks the edge to try again now what it would try later.
HURRY: Final = "hurry"
#: What a command knows of the spool's size is at most so old (seconds).
_COUNT_SECONDS: Final = 2.0


class Handover(Spool):
    """The side of a command: a spool whose files another process takes. One command of a kind at a time holds it.

    It leaves twice the free space that the spool must leave: the modalities' images come first.
    """

    busy = "another of this command works on the spool {folder}"

    def __init__(self, config: Config, command: str) -> None:
        super().__init__(
            config.spool_folder,
            min_free_bytes=2 * config.spool.min_free_mib * MIB,
            max_bytes=config.spool.max_mib * MIB,
        )
        self.max_instance_bytes = config.spool.max_instance_mib * MIB
        handed = self.layout.handed
        self.lock_path = handed / f"{command}.lock"
        self.incoming, self.received = handed / f"{command}.writing", handed
        self._counted_at = -_COUNT_SECONDS

    def check_room(self, more: int) -> None:
        if self._max and time.monotonic() > self._counted_at + _COUNT_SECONDS:
            self._held = sum(_size(folder) for folder in (self.layout.received, self.received, self.incoming))
            self._counted_at = time.monotonic()
        super().check_room(more)


def _size(folder: Path) -> int:
    """Of the files right in it."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # the edge may move or delete it at any time
                total += entry.stat().st_size if entry.is_file() else 0
    return total


def folder(spool: Path) -> Path:
    """Where another process hands over what is complete, by one rename within the file system. Raises OSError."""
    handed = Layout(spool).handed
    handed.mkdir(parents=True, exist_ok=True, mode=0o750)
    return handed


def hurry(spool: Path) -> None:
    """Ask the edge that works, or will work, on this spool to try at once what it would try later. Raises OSError."""
    (folder(spool) / HURRY).touch(mode=0o640)
