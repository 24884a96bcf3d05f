"""The last of a disk is kept for what must still be written when no more images fit: audit, index, log-ins, journals.

A disk that is really full stops reading too (no answer without its audit record), and SeaweedFS does not start on it.
So storing ends before: uploads and STOW are told to come again, the inbox waits, everything else goes on.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 1024**3
#: Below this a start is not tried.
START_BYTES = 16 * 1024**2
RETRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Room:
    """The disk that ``folder`` is on, and how much of it is kept free."""

    folder: Path
    reserve: int

    @classmethod
    def of(cls, folder: Path) -> Room:
        """A twentieth of the disk, 1 GiB at most; MAYPACS_NODE_RESERVE_BYTES instead when it is set."""
        wanted = os.environ.get("MAYPACS_NODE_RESERVE_BYTES")
        return cls(folder, int(wanted) if wanted else min(MOST_BYTES, shutil.disk_usage(folder).total // 20))

    @property
    def free(self) -> int:
        """Bytes; those of an unprivileged process."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def takes_more(self) -> bool:
        """Whether images may come in."""
        return self.free >= self.reserve

    def takes_what_came(self) -> bool:
        """Whether what is in the inbox may be worked on: it is safe there, and copying it is no reason to fill up."""
        return self.free >= self.reserve // 2
