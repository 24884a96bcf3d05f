"""Data sets as application/dicom+xml: one document, or a multipart with a document a data set (PS3.18 8.7.3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maypacs.dicom.native_model import to_xml
from maypacs.errors import NotAcceptableError
from maypacs.http.answers import Answer
from maypacs.http.media_types import DICOM_XML, MediaType
from maypacs.http.multipart import OutPart, content_type, new_boundary, write_parts


def xml_body(
    datasets: Sequence[Mapping[str, Any]],
    accept: Sequence[MediaType],
    *,
    boundary: str = "",
    locations: Sequence[str] = (),
) -> tuple[bytes, str]:
    """(body, Content-Type). Multipart unless a bare application/dicom+xml was asked for, which holds one data set.

    Raises NotAcceptableError when several do not fit one document.
    """
    if not in_parts(accept):
        if len(datasets) != 1:
            raise NotAcceptableError(f'several data sets are multipart/related; type="{DICOM_XML}"')
        return to_xml(datasets[0]), DICOM_XML
    boundary = boundary or new_boundary()
    where = [*locations, *[""] * (len(datasets) - len(locations))]
    parts = [OutPart(DICOM_XML, to_xml(each), place) for each, place in zip(datasets, where, strict=True)]
    return b"".join(write_parts(parts, boundary)), content_type(DICOM_XML, boundary)


def in_parts(accept: Sequence[MediaType]) -> bool:
    """Whether a multipart is what was asked for: anything but a bare application/dicom+xml."""
    return next((wanted.multipart for wanted in accept if wanted.part == DICOM_XML), True)


def xml_answer(
    datasets: Sequence[Mapping[str, Any]],
    accept: Sequence[MediaType],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    body, media_type = xml_body(datasets, accept)
    return Answer(status, {"Content-Type": media_type, **(headers or {})}, body)
