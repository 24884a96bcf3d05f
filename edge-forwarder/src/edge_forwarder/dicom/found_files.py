"""Files as people have them, made into what the spool holds: Part 10 with a header that can be walked. Pure.

A proper file is taken as it is, to the byte. One without preamble, without header or with a header that does not say
how long it is gets ours; its data set stays as it is, to the byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from edge_forwarder.dicom import part10, peek
from edge_forwarder.dicom.syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from edge_forwarder.errors import UnreadableError

_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_LONG: Final = frozenset({b"OB", b"OW", b"UN", b"SQ", b"UT"})
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018


@dataclass(frozen=True, slots=True)
class Dress:
    """``lead`` is written in place of the first ``skip`` bytes of the file."""

    lead: bytes = b""
    skip: int = 0


def dress(head: bytes) -> Dress | None:
    """What to do with a file that begins so (`peek.HEAD_BYTES`, or all of it); None: it is not DICOM. Raises
    UnreadableError, with a reason, for DICOM that no archive takes.
    """
    start = 132 if head[128:132] == b"DICM" else 0
    meta, end = _meta(head, start)
    if start == 0 and not meta and head[:2] not in (b"\x08\0", b"\x02\0"):
        return None
    if meta.get(0x0002) == _DIRECTORY:
        raise UnreadableError("an index of files, not an image")
    if start and meta.get(0x0010) and part10.dataset_offset(head) == end:
        return Dress()
    return _without_header(head, end, meta, says_dicom=bool(start or meta))


def _without_header(head: bytes, at: int, meta: dict[int, str], *, says_dicom: bool) -> Dress | None:
    explicit = head[at + 4 : at + 6].isalpha() and head[at + 4 : at + 6].isupper()
    syntax = meta.get(0x0010) or (EXPLICIT_LITTLE_ENDIAN if explicit else IMPLICIT_LITTLE_ENDIAN)
    sop_class, sop_instance = meta.get(0x0002, ""), meta.get(0x0003, "")
    if not (sop_class and sop_instance):
        try:
            values = peek.walk(head, at, explicit=explicit)
        except (struct.error, ValueError):
            return _unknown(says_dicom=says_dicom)
        sop_class = sop_class or _text(values.get(_SOP_CLASS))
        sop_instance = sop_instance or _text(values.get(_SOP_INSTANCE))
    if not (sop_class and sop_instance):
        return _unknown(says_dicom=says_dicom)
    return Dress(part10.file_meta(sop_class, sop_instance, syntax), at)


def _unknown(*, says_dicom: bool) -> Dress | None:
    """Without preamble and header, anything may begin with those two bytes."""
    if says_dicom:
        raise UnreadableError("no SOP class or no SOP instance UID in it")
    return None


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip(" \0")


def _meta(head: bytes, at: int) -> tuple[dict[int, str], int]:
    """The UIDs of group 0002 (explicit VR, whatever its length says), and where the group ends."""
    found: dict[int, str] = {}
    while at + 8 <= len(head) and head[at : at + 2] == b"\2\0":
        (number,) = struct.unpack_from("<H", head, at + 2)
        vr = head[at + 4 : at + 6]
        if vr in _LONG:
            if at + 12 > len(head):
                break
            (length,) = struct.unpack_from("<I", head, at + 8)
            at += 12
        else:
            (length,) = struct.unpack_from("<H", head, at + 6)
            at += 8
        if at + length > len(head):
            break
        if vr == b"UI":
            found[number] = _text(head[at : at + length])
        at += length
    return found, at
