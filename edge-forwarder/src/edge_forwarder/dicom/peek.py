"""The few values a pack needs from the head of a data set, read tolerantly and without decoding the rest.

A walk over the first kilobytes for the two common encodings; pydicom for the others (big endian, deflated, or a
sender whose data set is not what its presentation context said). What neither can read is for the cloud to
quarantine.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_forwarder.dicom import part10
from edge_forwarder.dicom.elements import UNDEFINED, element_header, skip_sequence
from edge_forwarder.dicom.syntaxes import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPIP_REFERENCED_DEFLATE,
)
from edge_forwarder.dicom.uids import is_uid
from edge_forwarder.errors import UnreadableError

HEAD_BYTES: Final = 64 * 1024
_DEFLATED: Final = frozenset({DEFLATED_LITTLE_ENDIAN, JPIP_REFERENCED_DEFLATE})

_SOP_CLASS: Final = 0x00080016
_SOP_INSTANCE: Final = 0x00080018
_MODALITY: Final = 0x00080060
_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_INSTANCE_NUMBER: Final = 0x00200013
_STUDY_PRIORITY: Final = 0x0032000C
_PROCEDURE_PRIORITY: Final = 0x00401003
_WANTED: Final = frozenset(
    {_SOP_CLASS, _SOP_INSTANCE, _MODALITY, _STUDY, _SERIES, _INSTANCE_NUMBER, _STUDY_PRIORITY, _PROCEDURE_PRIORITY}
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What one instance is; UIDs trimmed of spaces and NULs, each matching ``[0-9.]{1,64}`` with a digit in it.
    ``priority`` as far as the image says: STAT, HIGH, ROUTINE …
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    instance_number: int
    priority: str = ""


def identify(path: Path) -> Identity:
    """Read the identity of a spooled file. Raises UnreadableError, OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    syntax = part10.meta_value(head, 0x0010)
    values: dict[int, bytes] = {}
    if syntax != EXPLICIT_BIG_ENDIAN and syntax not in _DEFLATED:
        # A walk off the rails means that the data set is not what the presentation context said: pydicom may know
        # better.
        with suppress(struct.error, ValueError):
            values = walk(head, part10.dataset_offset(head), explicit=syntax != IMPLICIT_LITTLE_ENDIAN)
    if not {_STUDY, _SERIES, _SOP_INSTANCE} <= values.keys():
        values = _by_pydicom(path)
    return _identity(values, head, syntax)


def claimed(path: Path) -> Identity | None:
    """What the sender called a file whose data set cannot be read (group 0002; of a C-STORE what its command said):
    without study and series. None when it says nothing. Raises OSError.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    sop_class, sop, syntax = (part10.meta_value(head, element) for element in (0x0002, 0x0003, 0x0010))
    return Identity("", "", sop, sop_class, syntax, "", 0) if is_uid(sop) else None


def _identity(values: dict[int, bytes], head: bytes, syntax: str) -> Identity:
    def uid(tag: int, name: str) -> str:
        text = values.get(tag, b"").decode("ascii", "replace").strip(" \0")
        if not is_uid(text):
            raise UnreadableError(f"no usable {name}")
        return text

    if not is_uid(syntax):
        raise UnreadableError("no usable transfer syntax")
    try:
        number = int(values.get(_INSTANCE_NUMBER, b"").strip(b" \0") or b"0")
    except ValueError:
        number = 0
    if abs(number) >= 2**31:  # no IS (PS3.5 6.2); and no database takes any number
        number = 0
    return Identity(
        study_instance_uid=uid(_STUDY, "StudyInstanceUID"),
        series_instance_uid=uid(_SERIES, "SeriesInstanceUID"),
        sop_instance_uid=uid(_SOP_INSTANCE, "SOPInstanceUID"),
        sop_class_uid=(values.get(_SOP_CLASS) or part10.meta_value(head, 0x0002).encode())
        .decode("ascii", "replace")
        .strip(" \0"),
        transfer_syntax_uid=syntax,
        modality=_code(values, _MODALITY),
        instance_number=number,
        priority=_code(values, _PROCEDURE_PRIORITY) or _code(values, _STUDY_PRIORITY),
    )


def _code(values: dict[int, bytes], tag: int) -> str:
    """A value of VR CS, as clean as it should be."""
    return re.sub(r"[^A-Z0-9_ ]", "", values.get(tag, b"").decode("ascii", "ignore").upper()).strip()[:16]


def walk(head: bytes, at: int, *, explicit: bool) -> dict[int, bytes]:
    """The wanted ones of the top-level elements, as far as they can be walked. Raises struct.error or ValueError when
    the walk goes off the rails before (0020,0013).
    """
    found: dict[int, bytes] = {}
    tag = 0
    try:
        while at + 8 <= len(head):
            tag, vr, length, at = element_header(head, at, explicit=explicit)
            if tag > _PROCEDURE_PRIORITY:
                break
            if length == UNDEFINED:
                at = skip_sequence(head, at, explicit=explicit and vr != b"UN")
                continue
            if tag in _WANTED:
                if at + length > len(head) or length > 256:
                    raise ValueError("a value too long to be what its tag says")
                found[tag] = head[at : at + length]
            at += length
    except (struct.error, ValueError):
        if tag <= _INSTANCE_NUMBER:
            raise
    return found


def _by_pydicom(path: Path) -> dict[int, bytes]:
    import pydicom
    from pydicom.tag import Tag

    try:
        dataset = pydicom.dcmread(path, specific_tags=[Tag(tag) for tag in sorted(_WANTED)], stop_before_pixels=True)
        return {tag: str(dataset[tag].value).encode("ascii", "replace") for tag in _WANTED if tag in dataset}
    except Exception as error:  # pydicom raises nearly anything on bytes that are not DICOM
        raise UnreadableError(f"the data set cannot be walked ({type(error).__name__})") from None
