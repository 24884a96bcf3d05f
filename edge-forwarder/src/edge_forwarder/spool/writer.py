"""One instance on its way to the disk: temp, write, fsync, rename, fsync of the folder; only then is it safe."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final, Protocol

from edge_forwarder.errors import SpoolError, SpoolFullError, TooLargeError
from edge_forwarder.spool.naming import SpooledFile

#: While one instance is written, the disk is looked at again after so many bytes.
_CHECK_EVERY: Final = 8 * 1024 * 1024
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Room(Protocol):
    """`folder.Spool`, as far as a writer needs it."""

    incoming: Path
    received: Path
    max_instance_bytes: int

    def check_room(self, more: int) -> None: ...

    def account(self, difference: int) -> None: ...

    def sync_received(self) -> None: ...


class SpoolWriter:
    """One thread uses it. Either `commit` or `discard` ends it."""

    __slots__ = ("_descriptor", "_spool", "_until_check", "name", "size", "temporary")

    def __init__(self, spool: Room, name: str) -> None:
        self._spool, self.name, self.size = spool, name, 0
        self.temporary = spool.incoming / name
        self._until_check = _CHECK_EVERY
        try:
            self._descriptor = os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise spool_error(error) from None

    def write(self, data: bytes | memoryview) -> None:
        """Raises SpoolFullError, TooLargeError, SpoolError; the writer must then be discarded."""
        length = len(data)
        if self.size + length > self._spool.max_instance_bytes:
            raise TooLargeError("the image is larger than one may be ([spool] max_instance_mib)")
        self._until_check -= length
        if self._until_check < 0:
            self._spool.check_room(length)
            self._until_check = _CHECK_EVERY
        try:
            done = os.write(self._descriptor, data)
            while done < length:
                done += os.write(self._descriptor, memoryview(data)[done:])
        except OSError as error:
            raise spool_error(error) from None
        self.size += length
        self._spool.account(length)

    def commit(self) -> SpooledFile:
        """Make it durable. After this, and not before, the sender may be told success. Raises SpoolFullError,
        SpoolError.
        """
        try:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            os.rename(self.temporary, self._spool.received / self.name)
            self._spool.sync_received()
        except OSError as error:
            raise spool_error(error) from None
        return SpooledFile(self.name, self.size)

    def discard(self) -> None:
        """Forget it: the sender was, or will be, told that it failed, or is gone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with contextlib.suppress(OSError):
            self.temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self._spool.received / self.name).unlink(missing_ok=True)
        self._spool.account(-self.size)
        self.size = 0


def spool_error(error: OSError) -> SpoolError:
    kind = SpoolFullError if error.errno in _FULL else SpoolError
    return kind(f"the spool cannot be written: {os.strerror(error.errno or errno.EIO)}")
