"""Answers too large for the gateway: composed once below ``blobs/exports/``, then a redirect (protocols §7).

The name of an export is a digest of what is in it, so that the same question finds the same object; storage deletes
exports after a day. Names are keyed with the archive's secret: who knows the content cannot tell the name.
"""

from __future__ import annotations

import hmac
import secrets
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import IO, TypeVar

from maypacs.archive import assembled
from maypacs.archive.objects import CopyRange, Objects
from maypacs.archive.store import ArchiveStore
from maypacs.errors import ObjectNotFoundError

#: Another one when the same question gets other bytes: what was kept of before, and its ETags, is not found then.
_EDITION = "2"
#: What is composed in memory before it goes to a file.
_SPOOL = 16 << 20
#: Of what is composed, as much as may lie in a file: a function has 512 MB for files, and a part may be 256 MiB.
_FILE = 64 << 20
#: Of bytes between two ranges of other objects, what is no object of its own.
_LITERAL = 1 << 20

_Kept = TypeVar("_Kept")


def export_name(store: ArchiveStore, kind: str, *facts: str, study: str) -> str:
    """Below its study: a deletion takes what was made of the study along."""
    message = "\n".join((_EDITION, store.archive_id, kind, *facts)).encode()
    return f"{study}/{kind}-{hmac.digest(store.pack_secret, message, 'sha256').hex()[:40]}"


def drop_exports(store: ArchiveStore, study: str, *, before: datetime | None = None) -> None:
    """Takes away every answer that was composed of a study (until then): what it shows may be gone (protocols §4)."""
    for head in list(store.objects.list(store.export_key(f"{study}/"))):
        if before is None or head.last_modified < before:
            store.objects.delete(head.key)


def export_boundary(name: str) -> str:
    """The boundary of a composed multipart: as hard to guess as the name of the export."""
    return name.rpartition("-")[2]


def exists(store: ArchiveStore, name: str) -> bool:
    try:
        store.objects.head(store.export_key(name))
    except ObjectNotFoundError:
        return False
    return True


def export_bytes(
    store: ArchiveStore, name: str, body: bytes, content_type: str, *, content_encoding: str | None = None
) -> str:
    """The key of an export of these bytes."""
    key = store.export_key(name)
    if not exists(store, name):
        store.objects.put(key, body, content_type=content_type, content_encoding=content_encoding)
    return key


def export_join(
    store: ArchiveStore, name: str, pieces: Callable[[], Sequence[CopyRange | bytes]], content_type: str
) -> str:
    """The key of an export made of ranges of other objects and literal bytes, by copies on the server's side."""
    key = store.export_key(name)
    if not exists(store, name):
        store.objects.join(list(pieces()), key, content_type=content_type, metadata={})
    return key


def export_assembled(
    store: ArchiveStore, etag: str, pieces: Callable[[], Sequence[CopyRange | bytes]], content_type: str, *, study: str
) -> str:
    """The same without a copy, where the host in front of us streams the pieces (`archive.assembled`)."""
    name = export_name(store, assembled.KIND, etag, study=study)
    key = store.export_key(name)
    if not exists(store, name):
        listed = assembled.assembled(content_type, pieces())
        store.objects.put(key, listed.encode(), content_type="application/json")
    return key


def in_a_row(spans: Iterable[tuple[int, int, _Kept]]) -> tuple[list[_Kept], int]:
    """Of what earlier requests have left, each of items [start, end): what follows one another from 0 on, and where it
    ends. Two requests at once leave spans that overlap: of equal starts the longest counts.
    """
    longest: dict[int, tuple[int, _Kept]] = {}
    for start, end, kept in spans:
        if end > longest.get(start, (start,))[0]:
            longest[start] = end, kept
    row: list[_Kept] = []
    reached = 0
    while reached in longest:
        reached, kept = longest[reached]
        row.append(kept)
    return row, reached


def spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_SPOOL)


class Composition:
    """An object that is written piece by piece: bytes of ours, and ranges of other objects, which storage copies.

    The bytes between two ranges are spooled, and are an object of their own beside ``key``, or several, when they are
    many. A context: leaving it drops what was not stored.
    """

    def __init__(self, objects: Objects, key: str) -> None:
        self._objects, self._key = objects, key
        self._file = spool()
        self._pieces: list[CopyRange | bytes] = []

    def __enter__(self) -> Composition:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, piece: CopyRange | bytes | memoryview) -> None:
        if isinstance(piece, CopyRange):
            self._flush()
            self._pieces.append(piece)
        else:
            self._file.write(piece)
            if self._file.tell() > _FILE:
                self._flush()

    @property
    def is_empty(self) -> bool:
        return not self._pieces and not self._file.tell()

    def store(self, key: str, content_type: str) -> None:
        """All that was written, as one object."""
        if not self._pieces:
            self._file.seek(0)
            self._objects.put(key, self._file, content_type=content_type)  # type: ignore[arg-type]
            return
        self._flush()
        self._objects.join(self._pieces, key, content_type=content_type, metadata={})

    def _flush(self) -> None:
        size = self._file.tell()
        self._file.seek(0)
        if size > _LITERAL:
            # A name of its own: another request may be composing the same, and be further.
            key = f"{self._key}.run-{secrets.token_hex(8)}"
            self._objects.put(key, self._file)  # type: ignore[arg-type]
            self._pieces.append(CopyRange(key, 0, size))
            self._file.seek(0)
        elif size:
            self._pieces.append(self._file.read())
            self._file.seek(0)
        self._file.truncate()
