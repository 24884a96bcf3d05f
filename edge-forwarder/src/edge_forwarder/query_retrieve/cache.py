"""Images fetched for workstations, kept for a while: ``<study>/<series>/<SOP instance>~<kind>.dcm``.

A convenience: it can be deleted at any time, and holds nothing that the cloud has not. Size and age are capped; what
was asked for last stays longest. Its folders are readable by their owner alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_forwarder.dicom.uids import is_uid
from edge_forwarder.spool.folder import free_bytes

_LISTING: Final = "listing.json"
#: Enough is dropped at once that the next images find room.
_TRIM_TO: Final = 0.9
_IN_USE_SECONDS: Final = 60.0
_TRIM_SECONDS: Final = 60.0

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
        if not all(map(is_uid, (self.study, self.series, self.sop))):
            raise ValueError("not a UID")


class Cache:
    """Threads may share it."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        max_age: float,
        min_free_bytes: int = 0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        """``min_free_bytes``: what must stay free on the disk, for the spool comes first."""
        self._folder, self._max_bytes, self._max_age = folder, max_bytes, max_age
        self._min_free, self._free = min_free_bytes, free
        self._lock = threading.Lock()
        self._look, self._stopping = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="cache", daemon=True)

    def open(self) -> None:
        """Drop what an earlier process left half-written, and what is too old. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for half in self._folder.rglob("*.part"):
            half.unlink(missing_ok=True)
        self.trim()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Trim it now and then."""
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        self._stopping = True
        self._look.set()
        self._thread.join(seconds)

    def make_room(self) -> None:
        """The spool has too little: look now. Does not block."""
        self._look.set()

    def _run(self) -> None:
        while not self._stopping:
            self._look.wait(_TRIM_SECONDS)
            self._look.clear()
            with contextlib.suppress(OSError):
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
        if self._free(self._folder) < self._min_free:
            self.trim()
            if self._free(self._folder) < self._min_free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        folder = self.path(beside).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = folder / f"{secrets.token_hex(8)}.part"
        try:
            with draft.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the name that it gets, with half of it or nothing
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return draft

    def discard(self, instance: Instance, *kinds: str) -> None:
        """What there is of it (of these kinds, or of all) is not what the archive has (any more)."""
        for kind in kinds or (STORED, EXPLICIT):
            with contextlib.suppress(OSError):
                self.path(instance, kind).unlink(missing_ok=True)

    def adopt(self, instance: Instance, file: Path) -> bool:
        """Keep a file of the spool that goes: by a second name, or not at all."""
        path = self.path(instance)
        try:
            if self._free(self._folder) < self._min_free:
                return False
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.discard(instance)
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
        if not is_uid(study):
            return None
        try:
            text = (self._folder / study / _LISTING).read_text(encoding="ascii")
            instances = [Instance(study, *map(str, entry)) for entry in json.loads(text)]
        except (OSError, ValueError, TypeError):
            return None
        return instances if all(self.path(i).is_file() for i in instances) else None

    def is_empty(self) -> bool:
        return next(self._folder.glob("*/*/*.dcm"), None) is None

    def drop(self, study: str, series: str = "", sop: str = "") -> int:
        """Forget a study, a series of it or one instance. Returns how many images went. Raises OSError."""
        if not all(map(is_uid, (study, *filter(None, (series, sop))))):
            return 0
        with self._lock:
            folder = self._folder / study
            found = list((folder / series).glob(f"{sop}~*.dcm") if sop else (folder / series).rglob("*.dcm"))
            for path in (*found, folder / _LISTING):  # without the list nobody takes the rest for the whole
                path.unlink(missing_ok=True)
        return len(found)

    def trim(self) -> None:
        """Drop what is too old; then the longest unused, while there is too much. What was used in the last minute
        may be on its way to somebody, and stays.
        """
        with self._lock:
            found = []
            for path in self._folder.rglob("*"):
                with contextlib.suppress(OSError):
                    stat = path.stat()
                    if path.suffix in (".dcm", ".json"):
                        found.append((stat.st_mtime, stat.st_size, path))
            found.sort()
            total, oldest = sum(size for _, size, _ in found), time.time() - self._max_age
            most = min(self._max_bytes, max(0, total + self._free(self._folder) - self._min_free))
            goal = most if total <= most else int(most * _TRIM_TO)
            in_use = time.time() - _IN_USE_SECONDS
            for used, size, path in found:
                if used >= oldest and (total <= goal or used >= in_use):
                    break
                with contextlib.suppress(OSError):
                    path.unlink()
                    total -= size
                for folder in (path.parent, path.parent.parent):
                    if folder != self._folder and self._folder in folder.parents:
                        with contextlib.suppress(OSError):  # it is not empty
                            folder.rmdir()
