"""UIDs and ids, validated in one place: a raw value from the wire never reaches a key or a path.

Sources: PS3.5 9.1 (UID); protocols: "anything matching [0-9.]{1,64} is taken", since real images have leading zeros.
"""

from __future__ import annotations

import re
from typing import NewType

from maypacs.errors import BadRequestError, UidError

Uid = NewType("Uid", str)
ArchiveId = NewType("ArchiveId", str)

_UID = re.compile(r"(?=\.*[0-9])[0-9.]{1,64}\Z")  # a digit at least: "." and ".." are steps of a path
_ARCHIVE = re.compile(r"[a-z0-9-]{3,32}\Z")


def uid(value: str) -> Uid:
    """A UID trimmed of spaces and NULs. Raises UidError (whose text does not repeat the value)."""
    trimmed = value.strip(" \0")
    if not _UID.match(trimmed):
        raise UidError("not a DICOM UID: 1 to 64 digits and dots are needed")
    return Uid(trimmed)


def archive_id(value: str) -> ArchiveId:
    """The id of an archive (one hospital's data). Raises BadRequestError."""
    if not _ARCHIVE.match(value):
        raise BadRequestError("not an archive id: 3 to 32 of a-z, 0-9 and '-' are needed")
    return ArchiveId(value)
