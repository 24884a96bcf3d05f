"""What `send` finds below a path: the files of a folder, of a zip, or those that a DICOMDIR names (PS3.10 8).

Nothing is written or changed here. Links to folders are not followed, so there is no circle. A zip is read member by
member, within limits: what it holds is never whole in memory, and a small one that holds enormous files ends early.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from edge_forwarder.errors import SourceError

#: A zip that inflates to more than this many times its size is a bomb; below the free amount nobody counts (bytes).
MAX_RATIO: Final = 200
RATIO_FREE: Final = 256 * 1024 * 1024
#: The directory of a zip is read as a whole (bytes): ~600,000 members.
MAX_DIRECTORY: Final = 64 * 1024 * 1024
_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_END64_LOCATOR: Final = b"PK\x06\x07"
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, OSError)


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one member of a zip: a name for people, size in bytes."""

    name: str
    key: bytes
    """Path, place in the zip, time of change and size: the same key, the same bytes."""
    size: int
    open: Callable[[], IO[bytes]]
    """May raise OSError, SourceError; so may reading."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """What was found and cannot be sent; not ``wrong``: it need not be. Its name is for people."""

    name: str
    reason: str
    wrong: bool = True


def printable(name: str | Path) -> str:
    """A file's name may hold anything, escape sequences of terminals included."""
    return "".join(c if c.isprintable() else "?" for c in str(name).encode("utf-8", "replace").decode())


def _key(path: Path, status: os.stat_result, place: int, size: int) -> bytes:
    return b"%s\0%d %d %d" % (os.fsencode(path.absolute()), place, status.st_mtime_ns, size)


def find(paths: Iterable[Path]) -> Iterator[Source | Unusable]:
    """In the order of names, folder by folder. Members of a zip must be read before the next one is asked for."""
    for path in paths:
        if path.is_dir():
            yield from _folder(path)
        elif path.name.upper() == "DICOMDIR" and path.is_file():
            yield from _listed(path)
        else:
            yield from _file(path)


def _folder(top: Path) -> Iterator[Source | Unusable]:
    errors: list[OSError] = []
    for folder, folders, files in os.walk(top, onerror=errors.append):
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if name.upper() == "DICOMDIR":
                yield Unusable(printable(path), "an index of files, not an image", wrong=False)
                yield from (item for item in _listed(path) if isinstance(item, Unusable))
            else:
                yield from _file(path)
        while errors:
            error = errors.pop()
            yield Unusable(printable(error.filename), error.strerror or "cannot be read")


def _file(path: Path) -> Iterator[Source | Unusable]:
    try:
        status = path.stat()
    except OSError as error:
        yield Unusable(printable(path), error.strerror or "cannot be read")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Unusable(printable(path), "not a file", wrong=False)
    elif path.suffix.lower() == ".zip":
        yield from _zip(path, status)
    else:
        key = _key(path, status, -1, status.st_size)
        yield Source(printable(path), key, status.st_size, lambda: path.open("rb"))


# DICOMDIR


def _listed(path: Path) -> Iterator[Source | Unusable]:
    """The files that a DICOMDIR names, relative to its folder, each once."""
    try:
        wanted = _references(path)
    except Exception as error:  # pydicom raises nearly anything on bytes that are not DICOM
        yield Unusable(printable(path), f"the DICOMDIR cannot be read ({type(error).__name__})")
        return
    listings: dict[Path, dict[str, str]] = {}
    for parts in wanted:
        found = _resolve(path.parent, parts, listings)
        if found is None:
            yield Unusable(printable(path.parent.joinpath(*parts)), "named by the DICOMDIR, but not there")
        else:
            yield from _file(found)


def _references(path: Path) -> list[tuple[str, ...]]:
    import pydicom

    directory = pydicom.dcmread(path)
    found: dict[tuple[str, ...], None] = {}
    for record in directory.DirectoryRecordSequence:
        held = record.get("ReferencedFileID")
        if held:
            parts = (held,) if isinstance(held, str) else tuple(str(part) for part in held)
            found[tuple(part.strip() for part in parts)] = None
    return list(found)


def _resolve(folder: Path, parts: tuple[str, ...], listings: dict[Path, dict[str, str]]) -> Path | None:
    """A disc's names are capitals; a copy of it may have others. Never leads out of the folder."""
    for part in parts:
        if folder not in listings:
            try:
                listings[folder] = {
                    name.upper().removesuffix(";1").removesuffix("."): name for name in os.listdir(folder)
                }
            except OSError:
                return None
        name = listings[folder].get(part.upper())  # "..", "/" and the like are no name of a listing
        if name is None:
            return None
        folder = folder / name
    return folder if parts and folder.is_file() else None


# Zip


def _zip(path: Path, status: os.stat_result) -> Iterator[Source | Unusable]:
    try:
        with path.open("rb") as file:
            if _directory_size(file, status.st_size) > MAX_DIRECTORY:
                yield Unusable(printable(path), "a zip of too many files: unpack it first")
                return
            with zipfile.ZipFile(file) as archive:
                budget = _Budget(max(RATIO_FREE, status.st_size * MAX_RATIO))
                for info in archive.infolist():
                    if not info.is_dir():
                        yield _member(path, status, archive, info, budget)
    except _DAMAGED as error:
        yield Unusable(printable(path), f"the zip is damaged ({type(error).__name__})")


def _member(
    path: Path, status: os.stat_result, archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: _Budget
) -> Source | Unusable:
    name = printable(f"{path}: {info.filename}")
    if info.flag_bits & 1:
        return Unusable(name, "encrypted: unpack the zip first")
    if info.filename.lower().endswith(".zip"):
        return Unusable(name, "a zip within a zip: unpack it first")
    key = _key(path, status, info.header_offset, info.file_size)
    return Source(name, key, info.file_size, partial(_open_member, archive, info, budget))


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: _Budget) -> IO[bytes]:
    try:
        return io.BufferedReader(_Metered(archive.open(info), budget), 64 * 1024)
    except _DAMAGED as error:
        raise SourceError(f"cannot be unpacked ({type(error).__name__})") from None


class _Budget:
    def __init__(self, allowed: int) -> None:
        self._left = allowed

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise SourceError(f"the zip inflates to more than {MAX_RATIO} times its size")


class _Metered(io.RawIOBase):
    """A member's stream that spends the zip's budget."""

    def __init__(self, inner: IO[bytes], budget: _Budget) -> None:
        self._inner, self._budget = inner, budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except _DAMAGED as error:
            raise SourceError(f"cannot be unpacked ({type(error).__name__})") from None
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _directory_size(file: IO[bytes], size: int) -> int:
    """Of a zip's central directory in bytes, from where `zipfile` will read it (APPNOTE 4.3.14, 4.3.16); 0: none."""
    file.seek(max(0, size - 65_557 - 76))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        return 0
    end64 = tail[at - 76 : at - 20] if at >= 76 and tail[at - 20 : at - 16] == _END64_LOCATOR else b""
    if end64[:4] == _END64:
        return int(struct.unpack_from("<Q", end64, 40)[0])
    return int(struct.unpack_from("<I", tail, at + 12)[0])
