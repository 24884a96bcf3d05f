"""An answer as a list of ranges of other objects: what a node streams one after the other instead of joining them.

The list is the export; nothing of 265 MB is copied and written for a series that is read once. On AWS, where CloudFront
serves objects alone, storage joins them instead (`exports.export_join`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from maypacs.archive.objects import CopyRange
from maypacs.errors import StorageError

#: Names of such exports begin with it (`exports.export_name`), so that the host knows before it reads.
KIND = "assembled"


@dataclass(frozen=True, slots=True)
class Assembled:
    content_type: str
    pieces: tuple[CopyRange | bytes, ...]  #: with lengths

    @property
    def size(self) -> int:
        return sum(map(_length, self.pieces))

    def encode(self) -> bytes:
        pieces = [
            {"bytes": base64.b64encode(piece).decode()}
            if isinstance(piece, bytes)
            else {"key": piece.key, "offset": piece.offset, "length": _length(piece)}
            for piece in self.pieces
        ]
        return orjson.dumps({"v": 1, "content_type": self.content_type, "pieces": pieces})

    @classmethod
    def decode(cls, text: bytes, archive: str) -> Assembled:
        """Raises StorageError for what is no list, and for one that reaches beyond the packs of its archive."""
        try:
            document = orjson.loads(text)
            pieces = tuple(
                base64.b64decode(each["bytes"])
                if "bytes" in each
                else CopyRange(str(each["key"]), int(each["offset"]), int(each["length"]))
                for each in document["pieces"]
            )
            content_type = str(document["content_type"])
        except (ValueError, KeyError, TypeError):
            raise StorageError("the list of an answer cannot be read") from None
        root = f"blobs/packs/{archive}/"
        if not all(isinstance(piece, bytes) or piece.key.startswith(root) for piece in pieces):
            raise StorageError("the list of an answer names another archive's object")
        return cls(content_type, pieces)

    def between(self, start: int, end: int) -> Iterator[CopyRange | bytes]:
        """The pieces of bytes [start, end)."""
        at = 0
        for piece in self.pieces:
            low, high = max(start - at, 0), min(end - at, _length(piece))
            if low < high:
                if isinstance(piece, bytes):
                    yield piece[low:high]
                else:
                    yield CopyRange(piece.key, piece.offset + low, high - low)
            at += _length(piece)


def assembled(content_type: str, pieces: Sequence[CopyRange | bytes]) -> Assembled:
    """Neighbours in an object become one range, literal bytes in a row one piece."""
    merged: list[CopyRange | bytes] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if isinstance(piece, bytes) and isinstance(last, bytes):
            merged[-1] = last + piece
        elif (
            isinstance(piece, CopyRange)
            and isinstance(last, CopyRange)
            and (last.key, last.offset + _length(last)) == (piece.key, piece.offset)
        ):
            merged[-1] = CopyRange(last.key, last.offset, _length(last) + _length(piece))
        else:
            merged.append(piece)
    return Assembled(content_type, tuple(merged))


def _length(piece: CopyRange | bytes) -> int:
    if isinstance(piece, bytes):
        return len(piece)
    if piece.length is None:
        raise ValueError("a piece needs its length")
    return piece.length
