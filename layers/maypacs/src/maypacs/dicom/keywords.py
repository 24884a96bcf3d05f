"""Keywords of PS3.6 to tags (``PatientName`` to ``00100010``), and tags to VRs as a search needs them.

What clients ask for most is at hand; the rest comes from pydicom's dictionary file, read on its own when first needed,
so that a search does not import pydicom and numpy.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from maypacs.dicom.dictionary import public_vr

_COMMON = {
    "SpecificCharacterSet": "00080005",
    "SOPClassUID": "00080016",
    "SOPInstanceUID": "00080018",
    "StudyDate": "00080020",
    "SeriesDate": "00080021",
    "StudyTime": "00080030",
    "SeriesTime": "00080031",
    "AccessionNumber": "00080050",
    "InstanceAvailability": "00080056",
    "Modality": "00080060",
    "ModalitiesInStudy": "00080061",
    "SOPClassesInStudy": "00080062",
    "InstitutionName": "00080080",
    "ReferringPhysicianName": "00080090",
    "TimezoneOffsetFromUTC": "00080201",
    "StudyDescription": "00081030",
    "SeriesDescription": "0008103E",
    "RetrieveURL": "00081190",
    "PatientName": "00100010",
    "PatientID": "00100020",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
    "BodyPartExamined": "00180015",
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "StudyID": "00200010",
    "SeriesNumber": "00200011",
    "InstanceNumber": "00200013",
    "NumberOfStudyRelatedSeries": "00201206",
    "NumberOfStudyRelatedInstances": "00201208",
    "NumberOfSeriesRelatedInstances": "00201209",
    "NumberOfFrames": "00280008",
    "Rows": "00280010",
    "Columns": "00280011",
    "BitsAllocated": "00280100",
    "PerformedProcedureStepStartDate": "00400244",
    "PerformedProcedureStepStartTime": "00400245",
    "RequestAttributesSequence": "00400275",
    "ScheduledProcedureStepID": "00400009",
    "RequestedProcedureID": "00401001",
}


def tag(keyword: str) -> str | None:
    """8 upper-case hex digits, None when PS3.6 has no such keyword."""
    return _COMMON.get(keyword) or _all().get(keyword)


def vr(tag_text: str) -> str:
    """The VR of a public tag (the first, where PS3.6 leaves a choice), "" of a private or unknown one."""
    return (public_vr(int(tag_text, 16)) or "").partition("|")[0]


@cache
def _all() -> dict[str, str]:
    package = importlib.util.find_spec("pydicom")
    if package is None or package.origin is None:
        return {}
    path = Path(package.origin).with_name("_dicom_dict.py")
    spec = importlib.util.spec_from_file_location("maypacs_public_tags", path)
    if spec is None or spec.loader is None:
        return {}
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {entry[4]: f"{number:08X}" for number, entry in module.DicomDictionary.items() if entry[4]}


def keyword(tag_text: str) -> str:
    """The keyword of a public tag, "" of a private or unknown one."""
    return _keywords().get(tag_text, "")


@cache
def _keywords() -> dict[str, str]:
    return {number: name for name, number in (_COMMON | _all()).items()}
