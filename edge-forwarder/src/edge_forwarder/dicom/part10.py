"""Part 10 files around the data sets that C-STORE carries (PS3.10 7.1).

C-STORE carries no File Meta Information, so the edge writes it: the same bytes for the same data set, always. No
time, no AE title, no version: an image sent twice gives one file.
"""

from __future__ import annotations

import struct
from typing import Final

from edge_forwarder.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

PREAMBLE: Final = b"\0" * 128 + b"DICM"
#: Preamble, prefix and the group length element: what precedes the counted bytes.
_COUNTED_FROM: Final = len(PREAMBLE) + 12


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return struct.pack("<HH2s2xI", 2, element, vr, len(value)) + value
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


def _uid(value: str) -> bytes:
    raw = value.encode("ascii", "replace")
    return raw + b"\0" * (len(raw) % 2)


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and group 0002 in Explicit VR Little Endian; the data set follows directly."""
    version_name = IMPLEMENTATION_VERSION_NAME.encode("ascii")
    counted = b"".join(
        (
            _element(0x0001, b"OB", b"\0\1"),
            _element(0x0002, b"UI", _uid(sop_class_uid)),
            _element(0x0003, b"UI", _uid(sop_instance_uid)),
            _element(0x0010, b"UI", _uid(transfer_syntax_uid)),
            _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
            _element(0x0013, b"SH", version_name + b" " * (len(version_name) % 2)),
        )
    )
    return PREAMBLE + _element(0x0000, b"UL", struct.pack("<I", len(counted))) + counted


def dataset_offset(head: bytes) -> int:
    """The first byte after group 0002 of a file that starts with `file_meta`; 0 if it does not."""
    if len(head) < _COUNTED_FROM or head[128:132] != b"DICM" or head[132:138] != b"\2\0\0\0UL":
        return 0
    (length,) = struct.unpack_from("<I", head, _COUNTED_FROM - 4)
    return _COUNTED_FROM + int(length)


def meta_value(head: bytes, element: int) -> str:
    """A UID of group 0002, of a file that starts with `file_meta`; empty if absent."""
    end, at = min(dataset_offset(head), len(head)), _COUNTED_FROM
    while at + 8 <= end:
        _, number, vr, length = struct.unpack_from("<HH2sH", head, at)
        at += 8
        if vr == b"OB":
            if at + 4 > end:
                break
            (length,) = struct.unpack_from("<I", head, at)
            at += 4
        if number == element:
            return head[at : at + length].rstrip(b"\0 ").decode("ascii", "replace")
        at += length
    return ""
