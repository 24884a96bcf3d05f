"""One instance on its way in: parsed, digested, with what its rows and its sidecar line need. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maypacs import receipts
from maypacs.dicom.equality import dataset_digest
from maypacs.dicom.frames import frame_table, number_of_frames
from maypacs.dicom.header import Header, parse_header
from maypacs.errors import DicomError, HeaderError, MissingUidError, NotDicomError, PixelError
from maypacs.index.rows import first_value
from maypacs.receipts import Outcome, Result
from maypacs.uids import Uid

_log = logging.getLogger(__name__)

#: Digests in tables and decisions are the first 16 bytes of SHA-256.
DIGEST_SIZE = 16


@dataclass(frozen=True, slots=True)
class Incoming:
    study: Uid
    series: Uid
    instance: Uid
    sop_class: str
    transfer_syntax: str
    digest: bytes
    number_of_frames: int
    instance_number: int | None
    frames: bytes | None = field(repr=False)  #: encoded frame table
    dataset: Mapping[str, Any] = field(repr=False)  #: DICOM JSON
    data: bytes | memoryview = field(repr=False)  #: the Part 10 file; b"" when it is too large to be held
    length: int = 0
    part: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """The order of instances in a pack."""
        return self.instance_number or 0, self.instance

    @property
    def version(self) -> str:
        """As `maypacs.index.resolution.version`."""
        return f"{self.transfer_syntax}:{self.digest.hex()}"

    def outcome(self, result: Result, reason: str = "") -> Outcome:
        return Outcome(self.sop_class, self.instance, self.study, self.series, result, reason, self.part)


def read(data: bytes | memoryview, part: str = "") -> Incoming | Outcome:
    """The instance, or why it cannot be one. Never raises: whatever the bytes are, they end with a name."""
    try:
        whole = bytes(data)  # of a window of a mapped file: while it is parsed, one at a time
        header = parse_header(whole)
        return of_header(header, dataset_digest(whole, header), frames_of(whole, header), data, part)
    except Exception as error:
        return receipts.failure(reason_of(error), part)


def frames_of(data: bytes | memoryview, header: Header) -> bytes | None:
    """The encoded frame table; None without pixel data, or when the frames cannot be told apart (kept all the same)."""
    try:
        table = frame_table(data, header)
    except PixelError:
        return None
    return table.encode() if table else None


def of_header(
    header: Header,
    digest: bytes,
    frames: bytes | None,
    data: bytes | memoryview,
    part: str = "",
    length: int | None = None,
) -> Incoming:
    return Incoming(
        study=header.study_instance_uid,
        series=header.series_instance_uid,
        instance=header.sop_instance_uid,
        sop_class=header.sop_class_uid,
        transfer_syntax=header.transfer_syntax_uid,
        digest=digest[:DIGEST_SIZE],
        number_of_frames=number_of_frames(header.dataset) if header.pixel_data else 0,
        instance_number=_integer(header.dataset, "00200013"),
        frames=frames,
        dataset=header.dataset,
        data=data,
        length=len(data) if length is None else length,
        part=part,
    )


def reason_of(error: Exception) -> str:
    if isinstance(error, NotDicomError):
        return receipts.NOT_DICOM
    if isinstance(error, MissingUidError):
        return receipts.MISSING_UID
    if isinstance(error, (HeaderError, DicomError)):
        return receipts.UNREADABLE
    _log.warning("a parser was surprised: %s", type(error).__name__)
    return receipts.UNREADABLE


def _integer(dataset: Mapping[str, Any], tag: str) -> int | None:
    try:
        return int(first_value(dict(dataset), tag))
    except ValueError:
        return None
