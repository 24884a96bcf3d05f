"""Store of instances (STOW-RS, PS3.18 10.5): multipart/related or one bare application/dicom body.

Each instance has its own result; the status says the sum (Table 10.5.3-1). What is stored is what was sent, to the
byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from maypacs import receipts
from maypacs.arrivals import new_arrival
from maypacs.dicom.native_model import to_xml
from maypacs.dicomweb.request import Request
from maypacs.errors import BadRequestError, TooLargeError, UnsupportedMediaTypeError
from maypacs.http.answers import Answer, json_answer
from maypacs.http.media_types import DICOM, DICOM_JSON, DICOM_XML, MULTIPART, metadata_choice, parse_media_type
from maypacs.http.multipart import read_multipart
from maypacs.http.urls import instance_url, study_url
from maypacs.receipts import Outcome

if TYPE_CHECKING:
    from maypacs.store_metadata import Built

SOP_CLASS, SOP_INSTANCE = "00081150", "00081155"
RETRIEVE_URL, FAILED, REFERENCED = "00081190", "00081198", "00081199"
FAILURE_REASON = "00081197"
WARNING_REASON = "00081196"


class FailureReason(IntEnum):
    """(0008,1197), PS3.18 Table I.2-2 and PS3.4 Table B.2-1.

    Not A700: an archive without room takes no request at all (503), and no instance is too large for storage.
    """

    PROCESSING_FAILURE = 0x0110  #: and what was deleted or refused by a person
    DUPLICATE_SOP_INSTANCE = 0x0111  #: the UID exists with other content; what was sent is kept for a person to decide
    DATA_SET_DOES_NOT_MATCH_STUDY = 0xA901  #: the Study Instance UID is not the one of the URL
    CANNOT_UNDERSTAND = 0xC000
    MISSING_UID = 0xC001


class WarningReason(IntEnum):
    """(0008,1196), PS3.18 Table I.2-1: of instances that are stored, but not quite as they were sent."""

    COERCED = 0xB000  #: a VR, or the character set, is another one than was said
    DISCARDED = 0xB006  #: attributes were left out: their values are not of their VR
    NOT_OF_ITS_CLASS = 0xB007  #: its pixel data are not as long as its attributes say


_REASONS = {
    receipts.DIFFERS: FailureReason.DUPLICATE_SOP_INSTANCE,
    receipts.STUDY_MISMATCH: FailureReason.DATA_SET_DOES_NOT_MATCH_STUDY,
    receipts.MISSING_UID: FailureReason.MISSING_UID,
    receipts.NOT_DICOM: FailureReason.CANNOT_UNDERSTAND,
    receipts.UNREADABLE: FailureReason.CANNOT_UNDERSTAND,
    receipts.EMPTY: FailureReason.CANNOT_UNDERSTAND,
}


def store(request: Request) -> Answer:
    """POST /studies, POST /studies/{s}: 200 all stored, 202 some, 409 none.

    Raises BadRequestError, UnsupportedMediaTypeError, NotAcceptableError, TooLargeError.
    """
    as_xml = metadata_choice(request.accept) == DICOM_XML
    limit = request.settings.inline_limit
    if request.settings.limits == "gateway" and len(request.body) > limit:
        archive = request.workspace.archive_id
        raise TooLargeError(
            f"bodies above {limit} bytes go by an upload grant: POST /api/archives/{archive}/uploads, then PUT the "
            "same body to the URL that it gives"
        )
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaTypeError("a compressed body is not taken (Content-Encoding)")  # RFC 9110 8.4
    expected = request.study if "study" in request.has else None
    sent = read_instances(request.headers.get("content-type", ""), request.body)
    from maypacs.ingest import store_instances

    instances = [each.data for each in sent]
    outcomes = store_instances(request.workspace, new_arrival(), instances, expect_study=expected)
    # What could not be put together is named all the same.
    outcomes = [
        outcome
        if outcome.sop_instance_uid or not each.sop_instance_uid
        else replace(outcome, sop_class_uid=each.sop_class_uid, sop_instance_uid=each.sop_instance_uid)
        for each, outcome in zip(sent, outcomes, strict=True)
    ]
    warnings = [each.warning for each in sent]
    document, status = response(request.root, outcomes, warnings), status_of(outcomes, warnings)
    if as_xml:
        body = to_xml(document)
        return Answer(status, {"Content-Type": DICOM_XML}, body)
    return json_answer(document, status=status)


@dataclass(frozen=True, slots=True)
class Sent:
    """An instance of a request: a Part 10 file, a window of the body (b"" when it could not be put together)."""

    data: bytes | memoryview
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    warning: WarningReason | None = None


def read_instances(content_type: str, body: bytes | memoryview) -> list[Sent]:
    """The instances of a request body. Raises UnsupportedMediaTypeError, BadRequestError."""
    if not content_type:
        raise UnsupportedMediaTypeError('a Content-Type is needed: multipart/related; type="application/dicom"')
    media = parse_media_type(content_type)
    if media.name == DICOM:
        if not body:
            raise BadRequestError("the request has no body")
        return [Sent(body)]
    if media.name != MULTIPART:
        raise UnsupportedMediaTypeError(f'taken here: multipart/related; type="{DICOM}", or {DICOM}')
    root_type = media.parameters.get("type", DICOM).split(";")[0].strip().lower()
    if root_type in {DICOM_JSON, DICOM_XML}:
        from maypacs.store_metadata import build_instances

        parts = list(read_multipart(body, media.parameters.get("boundary", "")))
        return [_built(each) for each in build_instances(parts, root_type)]
    if root_type != DICOM:
        raise UnsupportedMediaTypeError(
            f'taken here: multipart/related; type="{DICOM}", "{DICOM_JSON}" or "{DICOM_XML}"'
        )
    instances = []
    for part in read_multipart(body, media.parameters.get("boundary", "")):
        stated = part.headers.get("content-type", "")
        if stated and parse_media_type(stated).name != DICOM:
            raise UnsupportedMediaTypeError(f"a part is not {DICOM}")
        instances.append(Sent(part.content))
    if not instances:
        raise BadRequestError("the request has no parts")
    return instances


def _built(each: Built) -> Sent:
    warning = None
    if each.mismatch:
        warning = WarningReason.NOT_OF_ITS_CLASS
    elif each.notes.discarded:
        warning = WarningReason.DISCARDED
    elif each.notes.coerced:
        warning = WarningReason.COERCED
    return Sent(each.data, each.sop_class_uid, each.sop_instance_uid, warning)


def status_of(outcomes: Sequence[Outcome], warnings: Sequence[WarningReason | None] = ()) -> int:
    """Table 10.5.3-1: 200 all are stored, 409 none is, 202 otherwise, and when something is to be told of what is."""
    failed = sum(1 for outcome in outcomes if not _stored(outcome))
    return 409 if failed == len(outcomes) else 202 if failed or any(warnings) else 200


def response(root: str, outcomes: Sequence[Outcome], warnings: Sequence[WarningReason | None] = ()) -> dict[str, Any]:
    """The Store Instances Response (PS3.18 I.2) as DICOM JSON."""
    studies = Counter(outcome.study_instance_uid for outcome in outcomes if _stored(outcome))
    document: dict[str, Any] = {RETRIEVE_URL: {"vr": "UR"}}
    if len(studies) == 1:
        document[RETRIEVE_URL]["Value"] = [study_url(root, next(iter(studies)))]
    failed = [_item(outcome) | _reason(outcome) for outcome in outcomes if not _stored(outcome)]
    if failed:
        document[FAILED] = {"vr": "SQ", "Value": failed}
    referenced = [
        _item(outcome) | _url(root, outcome) | _warning(warning)
        for outcome, warning in zip_longest(outcomes, warnings)
        if _stored(outcome)
    ]
    if referenced:
        document[REFERENCED] = {"vr": "SQ", "Value": referenced}
    return document


def _stored(outcome: Outcome) -> bool:
    return outcome.result in {"stored", "duplicate"}


def _item(outcome: Outcome) -> dict[str, Any]:
    item: dict[str, Any] = {}
    for tag, value in ((SOP_CLASS, outcome.sop_class_uid), (SOP_INSTANCE, outcome.sop_instance_uid)):
        item[tag] = {"vr": "UI", "Value": [value]} if value else {"vr": "UI"}
    return item


def _reason(outcome: Outcome) -> dict[str, Any]:
    reason = _REASONS.get(outcome.reason.partition(":")[0], FailureReason.PROCESSING_FAILURE)
    if outcome.result == "conflict":
        reason = FailureReason.DUPLICATE_SOP_INSTANCE
    return {FAILURE_REASON: {"vr": "US", "Value": [int(reason)]}}


def _warning(warning: WarningReason | None) -> dict[str, Any]:
    return {WARNING_REASON: {"vr": "US", "Value": [int(warning)]}} if warning else {}


def _url(root: str, outcome: Outcome) -> dict[str, Any]:
    url = instance_url(root, outcome.study_instance_uid, outcome.series_instance_uid, outcome.sop_instance_uid)
    return {RETRIEVE_URL: {"vr": "UR", "Value": [url]}}
