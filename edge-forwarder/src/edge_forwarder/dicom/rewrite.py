"""Explicit VR Little Endian to Implicit VR Little Endian, streamed: for peers that know nothing else (PS3.5 A.1, A.2).

Values are copied, headers are written anew. Sequences and items get undefined lengths, for theirs change with the
headers inside; group lengths, retired and wrong afterwards, are left out (PS3.5 7.2). What VR a private element had is
lost, as it is to everybody who sends Implicit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from edge_forwarder.dicom.elements import ITEM, ITEM_END, LONG_VRS, SEQUENCE_END, UNDEFINED
from edge_forwarder.errors import UnreadableError

_PIECE: Final = 256 * 1024
_END_OF_ITEM: Final = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
_END_OF_SEQUENCE: Final = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
#: Nobody nests deeper.
_MAX_DEPTH: Final = 100


def implicit(source: BinaryIO) -> Iterator[bytes]:
    """The rewritten data set, from where ``source`` stands to its end. Raises UnreadableError, OSError."""
    return _Rewriter(source).pieces()


class _Rewriter:
    def __init__(self, source: BinaryIO) -> None:
        self._source, self._at = source, 0
        self._open: list[tuple[int, bytes]] = []
        """Sequences and items of defined length: where each ends, and the delimiter it gets."""

    def pieces(self) -> Iterator[bytes]:
        out = bytearray()
        for piece in self._elements():
            out += piece
            if len(out) >= _PIECE:
                yield bytes(out)
                out.clear()
        if out:
            yield bytes(out)

    def _elements(self) -> Iterator[bytes]:
        while True:
            while self._open and self._at >= self._open[-1][0]:
                end, delimiter = self._open.pop()
                if self._at > end:
                    raise UnreadableError("an element longer than its item")
                yield delimiter
            head = self._source.read(8)
            if not head:
                break
            self._at += len(head)
            yield from self._element(head)
        if self._open:
            raise UnreadableError("a sequence that does not end")

    def _element(self, head: bytes) -> Iterator[bytes]:
        if len(head) < 8:
            raise UnreadableError("a truncated element")
        group, number = struct.unpack_from("<HH", head)
        if group == 0xFFFE:
            yield from self._delimiter(group << 16 | number, head)
            return
        vr = head[4:6]
        if not vr.isalpha():
            raise UnreadableError("not explicit VR")
        if vr in LONG_VRS:
            (length,) = struct.unpack("<I", self._take(4))
        else:
            (length,) = struct.unpack_from("<H", head, 6)
        if vr == b"SQ" and length not in (0, UNDEFINED):
            self._enter(length, _END_OF_SEQUENCE)
            length = UNDEFINED
        elif length == UNDEFINED and vr not in (b"SQ", b"UN"):
            raise UnreadableError("encapsulated pixels have no implicit VR")
        elif vr != b"SQ" and number == 0:
            self._take(length)
            return
        yield head[:4] + struct.pack("<I", length)
        if vr == b"SQ":
            return
        if length == UNDEFINED:
            yield from self._implicit_already()
        else:
            yield from self._copy(length)

    def _delimiter(self, tag: int, head: bytes) -> Iterator[bytes]:
        (length,) = struct.unpack_from("<I", head, 4)
        if tag == ITEM and length not in (0, UNDEFINED):
            self._enter(length, _END_OF_ITEM)
            yield head[:4] + struct.pack("<I", UNDEFINED)
        else:
            yield head

    def _enter(self, length: int, delimiter: bytes) -> None:
        if len(self._open) >= _MAX_DEPTH:
            raise UnreadableError("sequences that deep")
        self._open.append((self._at + length, delimiter))

    def _implicit_already(self) -> Iterator[bytes]:
        """UN of undefined length holds a sequence in implicit VR (PS3.5 6.2.2): as it is, to its delimiter."""
        depth = 1
        while depth:
            head = self._take(8)
            yield head
            group, number, length = struct.unpack("<HHI", head)
            tag = group << 16 | number
            if tag in (ITEM_END, SEQUENCE_END):
                depth -= 1
            elif length == UNDEFINED:
                depth += 1
            elif tag != ITEM:
                yield from self._copy(length)

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise UnreadableError("a truncated value")
        self._at += size
        return data

    def _copy(self, size: int) -> Iterator[bytes]:
        while size:
            data = self._take(min(size, _PIECE))
            size -= len(data)
            yield data
