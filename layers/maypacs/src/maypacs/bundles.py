"""Zip, tar and multipart bodies, member by member: by range or as a stream, never whole, within limits.

Members are known by their number alone: their names may hold a patient's.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from maypacs import receipts
from maypacs.archive.objects import Objects
from maypacs.errors import MayPACSError, PackError
from maypacs.parts import Parts

#: A "pack" is here any multipart body.
BundleKind = Literal["zip", "tar", "pack"]
MAX_MEMBERS = 100_000
MAX_TOTAL = 64 * 1024**3
#: Deflate's own limit is 1:1032 (blank images come near it); a bundle as a whole that inflates so much is a bomb.
MAX_RATIO = 200
#: Below this the ratio is not looked at.
RATIO_FREE = 256 * 1024 * 1024
_RANGE = 1024 * 1024

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)


class BundleError(MayPACSError):
    """The bundle cannot be read on; ``reason`` is a receipt's."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a bundle cannot be read: {reason}")
        self.reason = reason


class MemberError(BundleError):
    """One member of a zip is damaged; those after it can be read."""


@dataclass(frozen=True, slots=True)
class Member:
    part: str  #: its number in the bundle, 1 the first
    size: int  #: as declared; what is read is counted
    body: BinaryIO
    reason: str = ""  #: why it cannot be read, "" when it can


def _metered(inner: Any, budget: Budget, damage: type[BundleError]) -> BinaryIO:
    """Buffered: a read of n bytes gives n unless the member ends (a raw one may give fewer)."""
    return io.BufferedReader(Metered(inner, budget, damage), 64 * 1024)


class RangeReader(io.RawIOBase):
    """A seekable file over an object, read by ranges; the object must not change (``etag``)."""

    def __init__(self, objects: Objects, key: str, size: int, etag: str) -> None:
        self._objects, self._key, self._size, self._etag = objects, key, size, etag
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        data = self._objects.get(self._key, offset=self._at, length=length, if_match=self._etag)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Budget:
    """Counts what comes out of a bundle. Raises BundleError above the limits."""

    def __init__(self, compressed: int) -> None:
        self._allowed = min(MAX_TOTAL, max(RATIO_FREE, compressed * MAX_RATIO))

    def spend(self, count: int) -> None:
        self._allowed -= count
        if self._allowed < 0:
            raise BundleError(receipts.TOO_LARGE)


class Metered(io.RawIOBase):
    """A member's stream that spends a budget as it is read."""

    def __init__(self, inner: BinaryIO, budget: Budget, damage: type[BundleError]) -> None:
        self._inner, self._budget, self._damage = inner, budget, damage

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._inner.read(len(buffer))
        except PackError:
            raise self._damage(receipts.BAD_PACK) from None
        except _DAMAGED:
            raise self._damage(receipts.BAD_BUNDLE) from None
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)


def members(kind: BundleKind, reader: RangeReader, size: int) -> Iterator[Member]:
    """The files of a bundle, one after the other; each must be read before the next. Raises BundleError."""
    budget = Budget(size)
    try:
        yield from {"zip": _zip, "tar": _tar, "pack": _parts}[kind](reader, budget)
    except PackError:
        raise BundleError(receipts.BAD_PACK) from None
    except _DAMAGED:
        raise BundleError(receipts.BAD_BUNDLE) from None


def _parts(reader: RangeReader, budget: Budget) -> Iterator[Member]:
    source = io.BufferedReader(reader, _RANGE)
    for number, body in enumerate(Parts(source), 1):
        if number > MAX_MEMBERS:
            raise BundleError(receipts.TOO_LARGE)
        yield Member(str(number), 0, _metered(body, budget, BundleError))


def _zip(reader: RangeReader, budget: Budget) -> Iterator[Member]:
    with zipfile.ZipFile(io.BufferedReader(reader, _RANGE)) as bundle:
        for number, info in enumerate(bundle.infolist(), 1):
            if number > MAX_MEMBERS:
                raise BundleError(receipts.TOO_LARGE)
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                yield Member(str(number), info.file_size, io.BytesIO(), receipts.ENCRYPTED)
                continue
            try:
                body = bundle.open(info)
            except _DAMAGED:
                yield Member(str(number), info.file_size, io.BytesIO(), receipts.BAD_BUNDLE)
                continue
            with body:
                yield Member(str(number), info.file_size, _metered(body, budget, MemberError))


def _tar(reader: RangeReader, budget: Budget) -> Iterator[Member]:
    source = io.BufferedReader(reader, _RANGE)
    with tarfile.open(fileobj=source, mode="r|*") as bundle:
        for number, info in enumerate(bundle, 1):
            if number > MAX_MEMBERS:
                raise BundleError(receipts.TOO_LARGE)
            bundle.members.clear()  # type: ignore[attr-defined]  # else a stream's members pile up in memory
            if not info.isfile():
                continue
            body = bundle.extractfile(info)
            assert body is not None
            yield Member(str(number), info.size, _metered(body, budget, BundleError))
