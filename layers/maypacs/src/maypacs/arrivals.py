"""Arrivals: the id of an upload (a ULID), and what kind of thing was uploaded, told by its content.

A granted upload has its id in its key: ``{archive}/uploads/{ulid}``. Anything else below ``{archive}/`` is a file that
somebody copied in: its id is made of its LastModified and a hash of key and ETag, so a repeated delivery has the same.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Literal

from maypacs.archive.objects import ObjectHead
from maypacs.errors import BadRequestError
from maypacs.uids import ArchiveId, archive_id

Kind = Literal["pack", "instance", "zip", "tar", "hl7", "empty"]

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
#: So many first bytes tell the kind.
SNIFF = 512


def new_arrival() -> str:
    from ulid import ULID

    return str(ULID())


def is_arrival(text: str) -> bool:
    return bool(_ULID.match(text))


def ulid_at(moment: float) -> str:
    """A new ULID of that time (seconds since the epoch)."""
    from ulid import ULID

    return str(ULID.from_timestamp(float(moment)))  # an int would be milliseconds


def after(cutoff: str, moment: float) -> str:
    """A new ULID of that time, or of a millisecond after the cut-off's when a faster clock made that."""
    from ulid import ULID

    if not cutoff:
        return ulid_at(moment)
    return ulid_at(max(moment, (ULID.from_str(cutoff).milliseconds + 2) / 1000))


def archive_of(inbox_key: str) -> ArchiveId:
    """Raises BadRequestError: the key is below no archive."""
    archive, slash, rest = inbox_key.partition("/")
    if not slash or not rest:
        raise BadRequestError("an inbox key begins with its archive's id")
    return archive_id(archive)


def arrival_of(head: ObjectHead) -> str:
    parts = head.key.split("/")
    if len(parts) == 3 and parts[1] == "uploads" and is_arrival(parts[2]):
        return parts[2]
    return deterministic(head.last_modified, f"{head.key}\0{head.etag}")


def deterministic(moment: datetime, text: str) -> str:
    """A ULID of that time whose random bits are a hash of the text."""
    from ulid import ULID

    milliseconds = int(moment.timestamp() * 1000)
    return str(ULID(milliseconds.to_bytes(6, "big") + hashlib.sha256(text.encode()).digest()[:10]))


def part_of(arrival: str, part: str) -> str:
    """The id of a part of an upload that is taken in by itself: of the same time, the same each time."""
    from ulid import ULID

    whole = ULID.from_str(arrival)
    return str(ULID(whole.bytes[:6] + hashlib.sha256(f"{arrival}\0{part}".encode()).digest()[:10]))


def kind_of(first: bytes) -> Kind:
    """By the first `SNIFF` bytes. What is none of the others may still be an instance without preamble."""
    if not first:
        return "empty"
    if first[128:132] == b"DICM":
        return "instance"
    if first.startswith(b"--"):
        return "pack"
    if first.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return "zip"
    if first.startswith(b"\x1f\x8b") or first[257:262] == b"ustar":
        return "tar"
    if first.lstrip(b"\x0b\r\n").startswith((b"MSH|", b"FHS|", b"BHS|")):
        return "hl7"
    return "instance"
