"""The spool: the folder that is the truth about what was received. What lies where in it: `layout`.

The order is temp, write, fsync, rename, fsync of the folder; only then may anybody say success.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge_forwarder.durable import sync_folder
from edge_forwarder.errors import ConfigError, SpoolError, SpoolFullError
from edge_forwarder.spool import naming
from edge_forwarder.spool.layout import Layout
from edge_forwarder.spool.lock import lock
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.spool.writer import SpoolWriter, spool_error

#: What `attention` holds is counted anew so often (seconds).
_COUNT_SECONDS: Final = 10.0


def free_bytes(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


class Spool:
    """The folder, its allowance and its lock. Threads may share it."""

    max_instance_bytes = 2**63
    """Of one file: what the cloud would not take must not be acknowledged."""
    busy = "another process works on the spool {folder}"

    def __init__(
        self,
        folder: Path,
        *,
        min_free_bytes: int = 0,
        max_bytes: int = 0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.folder = folder
        self.layout = layout = Layout(folder)
        self.incoming, self.received, self.attention = layout.incoming, layout.received, layout.attention
        self.lock_path = layout.lock
        self._min_free, self._max, self._free = min_free_bytes, max_bytes, free
        self._lock = threading.Lock()
        self._held = 0
        """What is in `received` and `incoming`."""
        self._aside, self._aside_at = 0, -_COUNT_SECONDS
        """What is in `attention`, and when it was counted: other processes take from it."""
        self.strange_folders: list[str] = []
        """What somebody put into `incoming`: left there, whatever is in them, for images come all the same."""
        self._process_lock: int | None = None
        self._received_descriptor = -1

    def open(self) -> None:
        """Make the folders, take the lock, drop what was never acknowledged. Raises ConfigError, SpoolError."""
        try:
            for folder in (self.folder, self.incoming, self.received, self.attention):
                _make(folder)
            self._process_lock = lock(self.lock_path)
            if self._process_lock is None:
                raise ConfigError(self.busy.format(folder=self.folder))
            for leftover in self.incoming.iterdir():
                if leftover.is_dir() and not leftover.is_symlink():
                    self.strange_folders.append(leftover.name)
                else:
                    leftover.unlink()
            self._received_descriptor = os.open(self.received, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SpoolError(f"the spool {self.folder} cannot be opened: {error.strerror}") from None
        self._held = sum(file.size for file in self.files())

    def close(self) -> None:
        if self._received_descriptor >= 0:
            os.close(self._received_descriptor)
            self._received_descriptor = -1
        if self._process_lock is not None:
            os.close(self._process_lock)
            self._process_lock = None

    @property
    def held_bytes(self) -> int:
        """What the spool holds, the instances being written included."""
        if time.monotonic() >= self._aside_at + _COUNT_SECONDS:
            self._aside, self._aside_at = _size_below(self.attention), time.monotonic()
        return self._held + self._aside

    def configure(self, *, min_free_bytes: int, max_bytes: int) -> None:
        """Other limits, from now on."""
        self._min_free, self._max = min_free_bytes, max_bytes

    def files(self) -> Iterator[SpooledFile]:
        """Every acknowledged instance that is still here, oldest first."""
        for entry in sorted(os.scandir(self.received), key=lambda e: e.name):
            if naming.is_ours(entry.name) and entry.is_file():
                try:
                    size = entry.stat().st_size
                except FileNotFoundError:  # moved on meanwhile (`handed/`), or taken by hand
                    continue
                except OSError:  # who reads it will see why
                    size = 0
                yield SpooledFile(entry.name, size)

    def path(self, name: str) -> Path:
        return self.received / name

    def begin(self, calling_ae_title: str) -> SpoolWriter:
        """Start one instance. Raises SpoolFullError *before* the disk is full, SpoolError."""
        self.check_room(0)
        return SpoolWriter(self, naming.new(calling_ae_title))

    def check_room(self, more: int) -> None:
        if self._free(self.folder) - more < self._min_free:
            raise SpoolFullError("the disk has less free space than the spool must leave")
        if self._max and self.held_bytes + more >= self._max:
            raise SpoolFullError("the spool holds as much as it may")

    def remove(self, name: str) -> None:
        """Delete a file that is not needed any more; one that is gone already is no error."""
        path = self.path(name)
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self.account(-size)

    def replace(self, name: str, data: bytes) -> None:
        """Other bytes for the same image, whole and durable or not at all. Raises SpoolFullError, SpoolError."""
        self.check_room(len(data))
        temporary = self.incoming / f"{name}.new"
        try:
            before = self.path(name).stat().st_size
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self.path(name))
            self.sync_received()
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise spool_error(error) from None
        self.account(len(data) - before)

    def set_aside(self, name: str, folder: str) -> None:
        """Move a file to ``attention/<folder>/``; one that is gone already is no error."""
        target = self.attention / folder
        target.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path = self.path(name)
            size = path.stat().st_size
            path.rename(target / name)
            with self._lock:
                self._held -= size
                self._aside += size

    def account(self, difference: int) -> None:
        with self._lock:
            self._held += difference

    def sync_received(self) -> None:
        os.fsync(self._received_descriptor)


def _make(folder: Path) -> None:
    """Make it, and what is missing above it. Its name is synced: else a power cut takes what is in it, too."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o750, exist_ok=True)
    with contextlib.suppress(PermissionError):  # one above that is not ours to read was there before
        sync_folder(folder.parent)


def _size_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*.dcm"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
