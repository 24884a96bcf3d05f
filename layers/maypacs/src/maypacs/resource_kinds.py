"""What an instance is for rendering (PS3.18 8.7.2, resource categories) and the media types it has (8.7.4).

Told by SOP class and transfer syntax alone, so that a choice is made before anything is read.
"""

from __future__ import annotations

from enum import StrEnum

from maypacs.dicom import transfer_syntaxes
from maypacs.index.contents import InstanceRef

_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: Structured reports, key object selections and the other content trees of PS3.3 A.35.
_REPORTS = _STORAGE + "88."
_PDF, _CDA = _STORAGE + "104.1", _STORAGE + "104.2"
#: Grayscale, colour, pseudo-colour and blending softcopy presentation states … (PS3.3 A.33).
_PRESENTATIONS = _STORAGE + "11."


class Kind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    TEXT = "text"
    PDF = "pdf"
    XML = "xml"
    PRESENTATION = "presentation"


IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif")
_TYPES = {
    Kind.IMAGE: IMAGE_TYPES,
    Kind.PRESENTATION: IMAGE_TYPES,
    Kind.TEXT: ("text/html", "text/plain"),
    Kind.PDF: ("application/pdf",),
    Kind.XML: ("text/xml",),
}


def kind_of(ref: InstanceRef) -> Kind:
    if transfer_syntaxes.info(ref.transfer_syntax_uid).video:
        return Kind.VIDEO
    for prefix, kind in ((_REPORTS, Kind.TEXT), (_PRESENTATIONS, Kind.PRESENTATION)):
        if ref.sop_class_uid.startswith(prefix):
            return kind
    return {_PDF: Kind.PDF, _CDA: Kind.XML}.get(ref.sop_class_uid, Kind.IMAGE)


def available_types(ref: InstanceRef) -> tuple[str, ...]:
    """Media types of its rendering, the default first (Table 8.7.4-1)."""
    kind = kind_of(ref)
    if kind is Kind.VIDEO:
        return (transfer_syntaxes.info(ref.transfer_syntax_uid).frame_media_type,)
    return _TYPES[kind]
