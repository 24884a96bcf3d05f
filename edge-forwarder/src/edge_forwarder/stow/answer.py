"""What became of each instance, as PS3.18 10.5.3 wants to be told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Final

_SOP_CLASS, _SOP_INSTANCE = "00081150", "00081155"
_RETRIEVE_URL, _FAILED, _REFERENCED, _REASON = "00081190", "00081198", "00081199", "00081197"


class Reason(IntEnum):
    """(0008,1197), PS3.18 Table I.2-2."""

    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_STUDY = 0xA901
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True)
class Outcome:
    """One instance of a request; UIDs are empty as far as they are not known. No reason: it is stored."""

    reason: Reason | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""


NO_ROOM: Final = HTTPStatus.SERVICE_UNAVAILABLE


def status_of(outcomes: Sequence[Outcome]) -> HTTPStatus:
    """PS3.18 Table 10.5.3-1; 503 when there was room for nothing: the sender keeps it and tries again."""
    failed = [outcome.reason for outcome in outcomes if outcome.reason is not None]
    if not failed:
        return HTTPStatus.OK
    if len(failed) < len(outcomes):
        return HTTPStatus.ACCEPTED
    return NO_ROOM if set(failed) == {Reason.OUT_OF_RESOURCES} else HTTPStatus.CONFLICT


def document(outcomes: Sequence[Outcome], root: str) -> dict[str, Any]:
    """A data set in the DICOM JSON model (PS3.18 F, Table 10.5.3-2); ``root``: where the archive's DICOMweb is."""
    stored = [_stored(outcome, root) for outcome in outcomes if outcome.reason is None]
    failed = [_failed(outcome) for outcome in outcomes if outcome.reason is not None]
    answer: dict[str, Any] = {}
    studies = {outcome.study_instance_uid for outcome in outcomes if outcome.reason is None}
    if len(studies) == 1:
        answer[_RETRIEVE_URL] = _value("UR", f"{root}/studies/{studies.pop()}")
    if failed:
        answer[_FAILED] = {"vr": "SQ", "Value": failed}
    if stored:
        answer[_REFERENCED] = {"vr": "SQ", "Value": stored}
    return answer


def _named(outcome: Outcome) -> dict[str, Any]:
    named = ((_SOP_CLASS, outcome.sop_class_uid), (_SOP_INSTANCE, outcome.sop_instance_uid))
    return {tag: _value("UI", uid) for tag, uid in named if uid}


def _stored(outcome: Outcome, root: str) -> dict[str, Any]:
    url = (
        f"{root}/studies/{outcome.study_instance_uid}/series/{outcome.series_instance_uid}"
        f"/instances/{outcome.sop_instance_uid}"
    )
    return {**_named(outcome), _RETRIEVE_URL: _value("UR", url)}


def _failed(outcome: Outcome) -> dict[str, Any]:
    assert outcome.reason is not None
    return {**_named(outcome), _REASON: _value("US", int(outcome.reason))}


def _value(vr: str, value: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
