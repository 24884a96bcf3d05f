"""Implicit to Explicit VR Little Endian (PS3.5 A.1, A.2): compressed pixels have no implicit VR (A.4).

Values are copied, headers are written anew, with the VRs of PS3.6; what is not in it, private elements above all, is
UN (PS3.5 6.2.2). Sequences and items get undefined lengths; group lengths, retired and wrong afterwards, are left out
(7.2).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from edge_forwarder.dicom.elements import (
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    UNDEFINED,
    element_header,
    skip_sequence,
)

_PIXEL_REPRESENTATION: Final = 0x00280103
_LONG: Final = frozenset(vr.decode() for vr in LONG_VRS)
#: Nobody nests deeper.
_MAX_DEPTH: Final = 100


def explicit(data: bytes, at: int) -> bytes:
    """The data set that starts there and ends with ``data``. Raises struct.error, ValueError."""
    return b"".join(_Rewriter(data, at).pieces)


class _Rewriter:
    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self.pieces: list[bytes] = []
        self._open: list[tuple[int | None, int]] = []
        """Sequences and items: where each ends, if that is said, and the delimiter that it gets."""
        self._signed = [self._representation(at)]
        """Pixel Representation, of the data set and of each item within: some VRs follow it."""
        while self._at < len(data) or self._open:
            self._close()
            if self._at < len(data):
                self._element()
            elif self._open:
                raise ValueError("a sequence that does not end")

    def _close(self) -> None:
        while self._open and self._open[-1][0] is not None and self._at >= self._open[-1][0]:
            if self._at > self._open[-1][0]:
                raise ValueError("an element longer than its item")
            self._end()

    def _end(self) -> None:
        _, delimiter = self._open.pop()
        if delimiter == ITEM_END:
            self._signed.pop()
        self.pieces.append(_header(delimiter, 0))

    def _element(self) -> None:
        tag, _, length, at = element_header(self._data, self._at, explicit=False)
        if tag in (ITEM_END, SEQUENCE_END):
            if not self._open or self._open[-1] != (None, tag):
                raise ValueError("a delimiter of nothing")
            self._at = at
            self._end()
        elif tag == ITEM:
            if not self._open or self._open[-1][1] != SEQUENCE_END:
                raise ValueError("an item outside of a sequence")
            self._signed.append(self._signed[-1])
            self._enter(tag, length, at, ITEM_END, _header(tag, UNDEFINED))
        elif self._open and self._open[-1][1] == SEQUENCE_END:
            raise ValueError("a sequence of something else than items")
        else:
            self._plain(tag, length, at)

    def _plain(self, tag: int, length: int, at: int) -> None:
        vr = _vr(tag, signed=self._signed[-1])
        if length == UNDEFINED and vr == "UN":  # a sequence, whose items stay in implicit VR (PS3.5 6.2.2)
            end = skip_sequence(self._data, at, explicit=False)
            self.pieces += (_header(tag, UNDEFINED, vr), self._data[at:end])
            self._at = end
        elif length == UNDEFINED and vr != "SQ":
            raise ValueError("a value without a length")
        elif vr == "SQ" and length:
            self._enter(tag, length, at, SEQUENCE_END, _header(tag, UNDEFINED, vr))
        else:
            if at + length > len(self._data) or length % 2:
                raise ValueError("a truncated value, or an odd one")
            if tag == _PIXEL_REPRESENTATION and length == 2:
                self._signed[-1] = self._data[at : at + 2] == b"\1\0"
            if tag & 0xFFFF:
                self.pieces += (_header(tag, length, vr), self._data[at : at + length])
            self._at = at + length

    def _enter(self, tag: int, length: int, at: int, delimiter: int, header: bytes) -> None:
        end = None if length == UNDEFINED else at + length
        if len(self._open) >= _MAX_DEPTH or (end or 0) > len(self._data):
            raise ValueError("a sequence that deep, or beyond the end")
        self.pieces.append(header)
        self._open.append((end, delimiter))
        self._at = at

    def _representation(self, at: int) -> bool:
        while at + 8 <= len(self._data):
            tag, _, length, at = element_header(self._data, at, explicit=False)
            if tag > _PIXEL_REPRESENTATION:
                break
            if tag == _PIXEL_REPRESENTATION:
                return self._data[at : at + 2] == b"\1\0"
            at = skip_sequence(self._data, at, explicit=False) if length == UNDEFINED else at + length
        return False


def _header(tag: int, length: int, vr: str = "") -> bytes:
    """In explicit VR; of items and delimiters, which have none, without ``vr``."""
    where = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not vr:
        return where + struct.pack("<I", length)
    if vr not in _LONG and length > 0xFFFF:
        vr = "UN"  # its length needs 32 bits (PS3.5 6.2.2)
    if vr in _LONG:
        return where + vr.encode() + struct.pack("<HI", 0, length)
    return where + vr.encode() + struct.pack("<H", length)


@lru_cache(maxsize=8192)
def _vr(tag: int, *, signed: bool) -> str:
    from pydicom.datadict import dictionary_VR

    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    if element == 0:
        return "UL"
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if "OW" in vr:  # alone, or one of several: in implicit VR it is that one (PS3.5 A.1)
        return "OW"
    if vr == "US or SS":
        return "SS" if signed else "US"
    return vr
