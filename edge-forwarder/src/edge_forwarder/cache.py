"""Images fetched for workstations, kept for a while: ``<study>/<series>/<SOP instance>~<kind>.dcm``.

A convenience: it can be deleted at any time, and holds nothing that the cloud has not. Size and age are capped; what
was asked for last stays longest. Its folders are readable by their owner alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_UID: Final = re.compile(r"(?=.*[0-9])[0-9.]{1,64}")
_LISTING: Final = "listing.json"
#: Enough is dropped at once that the next images find room.
_TRIM_TO: Final = 0.9

STORED, EXPLICIT = "stored", "explicit"
"""The kinds: as the archive has it, or in Explicit VR Little Endian."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the archive; each UID matches ``[0-9.]{1,64}``, so that it can be a path's step."""

    study: str
    series: str
    sop: str
    sop_class: str

    def __post_init__(self) -> None:
        if not all(_UID.fullmatch(uid) for uid in (self.study, self.series, self.sop)):
            raise ValueError("not a UID")


class Cache:
    """Threads may share it."""

    def __init__(self, folder: Path, *, max_bytes: int, max_age: float) -> None:
        self._folder, self._max_bytes, self._max_age = folder, max_bytes, max_age
        self._lock = threading.Lock()

    def open(self) -> None:
        """Drop what an earlier process left half-written, and what is too old. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for half in self._folder.rglob("*.part"):
            half.unlink(missing_ok=True)
        self.trim()

    def path(self, instance: Instance, kind: str = STORED) -> Path:
        return self._folder / instance.study / instance.series / f"{instance.sop}~{kind}.dcm"

    def get(self, instance: Instance, kind: str = STORED) -> Path | None:
        """Its file, which is used by this: it stays longer."""
        path = self.path(instance, kind)
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def draft(self, beside: Instance, pieces: Iterable[bytes]) -> Path:
        """Write these bytes beside the file of an instance, to be renamed to `path`. Raises OSError, and what reading
        the pieces raises; then nothing is kept.
        """
        folder = self.path(beside).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = folder / f"{secrets.token_hex(8)}.part"
        try:
            with draft.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return draft

    def adopt(self, instance: Instance, file: Path) -> bool:
        """Keep a file of the spool that goes: by a second name, or not at all."""
        path = self.path(instance)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.unlink(missing_ok=True)
            os.link(file, path)
            os.utime(path)
        except OSError:  # another file system: not worth a copy
            return False
        return True

    def remember(self, study: str, instances: Sequence[Instance]) -> None:
        """What a study consists of, for when the cloud is away; failing to is no harm."""
        with contextlib.suppress(OSError):
            folder = self._folder / study
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = folder / f"{secrets.token_hex(8)}.part"
            temporary.write_text(json.dumps([[i.series, i.sop, i.sop_class] for i in instances]), encoding="ascii")
            temporary.replace(folder / _LISTING)

    def remembered(self, study: str) -> list[Instance] | None:
        """None when it is not known, or one of its images is not here (any more)."""
        if not _UID.fullmatch(study):
            return None
        try:
            text = (self._folder / study / _LISTING).read_text(encoding="ascii")
            instances = [Instance(study, *map(str, entry)) for entry in json.loads(text)]
        except (OSError, ValueError, TypeError):
            return None
        return instances if all(self.path(i).is_file() for i in instances) else None

    def trim(self) -> None:
        """Drop what is too old; then the longest unused, while there is too much."""
        with self._lock:
            found = []
            for path in self._folder.rglob("*"):
                with contextlib.suppress(OSError):
                    stat = path.stat()
                    if path.suffix in (".dcm", ".json"):
                        found.append((stat.st_mtime, stat.st_size, path))
            found.sort()
            total, oldest = sum(size for _, size, _ in found), time.time() - self._max_age
            goal = self._max_bytes if total <= self._max_bytes else int(self._max_bytes * _TRIM_TO)
            for used, size, path in found:
                if used >= oldest and total <= goal:
                    break
                with contextlib.suppress(OSError):
                    path.unlink()
                    total -= size
                for folder in (path.parent, path.parent.parent):
                    if folder != self._folder and self._folder in folder.parents:
                        with contextlib.suppress(OSError):  # it is not empty
                            folder.rmdir()
