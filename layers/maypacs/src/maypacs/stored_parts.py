"""Parts of an answer that lie in storage as they are answered, all or most of their bytes: joined there, never read.

So an instance of a gigabyte is in an answer of any size, whatever stands beside it: what needs no conversion is copied,
and of native pixels in another encoding (Implicit VR) the data set around them alone is written anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from maypacs.archive.objects import CopyRange
from maypacs.bulkdata import find_bulk, read_header
from maypacs.dicom import explicit, transfer_syntaxes
from maypacs.http.multipart import OutPart
from maypacs.index.contents import InstanceRef
from maypacs.selection import MAX_HEADER, pack_key, read_range
from maypacs.workspace import Workspace

#: Smaller ones are read: storage does not copy a part below 5 MiB.
COPY_BYTES = 8 << 20
EXPLICIT = transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN

Pieces = tuple[CopyRange | bytes, ...]


@dataclass(frozen=True, slots=True)
class StoredPart:
    """As `http.multipart.OutPart`; every range in ``pieces`` has its length."""

    content_type: str
    pieces: Pieces
    location: str

    @property
    def length(self) -> int:
        return sum(len(piece) if isinstance(piece, bytes) else piece.length or 0 for piece in self.pieces)


AnyPart = OutPart | StoredPart


def length_of(part: AnyPart) -> int:
    return part.length if isinstance(part, StoredPart) else len(part.content)


def read_parts(workspace: Workspace, parts: Iterable[AnyPart]) -> list[OutPart]:
    """For an answer that is small enough to be given at once."""
    return [
        OutPart(part.content_type, b"".join(_read(workspace, piece) for piece in part.pieces), part.location)
        if isinstance(part, StoredPart)
        else part
        for part in parts
    ]


def _read(workspace: Workspace, piece: CopyRange | bytes) -> bytes:
    if isinstance(piece, bytes):
        return piece
    return workspace.store.objects.get(piece.key, offset=piece.offset, length=piece.length)


def is_large(ref: InstanceRef) -> bool:
    return ref.length >= COPY_BYTES


def as_stored(workspace: Workspace, ref: InstanceRef) -> Pieces:
    return (CopyRange(pack_key(workspace, ref), ref.offset, ref.length),)


def in_explicit(workspace: Workspace, ref: InstanceRef) -> Pieces | None:
    """A large instance in Explicit VR Little Endian, its native pixels where they lie; None when they have to be read:
    small, compressed, deflated, of big endian words, or cut short. Raises HeaderError, TooLargeError."""
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    if not is_large(ref) or stored.encapsulated or stored.deflated:
        return None
    prefix, header = read_header(workspace, ref)
    pixels = header.pixel_data
    if pixels is None or pixels.encapsulated or pixels.word > 1 or pixels.length != pixels.declared_length:
        return None
    end = pixels.offset + pixels.length
    if ref.length - end > MAX_HEADER:
        return None
    tail = read_range(workspace, ref, end, ref.length - end) if end < ref.length else b""
    before, after = explicit.around_pixels(prefix[: pixels.offset], tail, header)
    return before, CopyRange(pack_key(workspace, ref), ref.offset + pixels.offset, pixels.length), after


def bulk_part(workspace: Workspace, ref: InstanceRef, path: str, content_type: str, where: str) -> StoredPart | None:
    """A large value that lies in the pack as it is answered. Raises NotFoundError, TooLargeError."""
    found = find_bulk(workspace, ref, path)
    if found is None or found.length < COPY_BYTES:
        return None
    source = CopyRange(pack_key(workspace, ref), ref.offset + found.offset, found.length)
    return StoredPart(content_type, (source,), where)
