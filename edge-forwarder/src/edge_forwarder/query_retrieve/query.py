"""C-FIND identifiers as searches of the archive, and its answers as identifiers (PS3.4 C.2.2; PS3.18 10.6). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from edge_forwarder.cloud.dicomweb import Item, value
from edge_forwarder.dicom import values
from edge_forwarder.dicom.uids import is_uid
from edge_forwarder.errors import QueryError

STUDY_ROOT: Final = "1.2.840.10008.5.1.4.1.2.2."
LEVELS: Final = ("PATIENT", "STUDY", "SERIES", "IMAGE")

_STUDY: Final = "StudyInstanceUID"
_SERIES: Final = "SeriesInstanceUID"
_UNIQUE: Final = {
    "PATIENT": ("PatientID",),
    "STUDY": ("PatientID", _STUDY),
    "SERIES": (_STUDY, _SERIES),
    "IMAGE": (_STUDY, _SERIES, "SOPInstanceUID"),
}
#: Not keys: they are about the identifier itself, or ours to answer (PS3.4 C.4.1.1.3).
_ABOUT: Final = frozenset({0x00080005, 0x00080052, 0x00080054, 0x00080056, 0x00080201})
#: Counted here, for no study knows them: related studies, series and instances of a patient.
_COUNTS: Final = frozenset({0x00201200, 0x00201202, 0x00201204})
UTF8: Final = "ISO_IR 192"


@dataclass(frozen=True, slots=True)
class Question:
    """``paths``: what to ask the archive, each with the same parameters."""

    level: str
    paths: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    keys: tuple[DataElement, ...]
    """What the caller wants to be told."""


def level_of(identifier: Dataset, sop_class: str) -> str:
    """Raises QueryError for a level that the information model does not have."""
    level = values.text(identifier, "QueryRetrieveLevel")
    if level not in LEVELS or (level == "PATIENT" and sop_class.startswith(STUDY_ROOT)):
        raise QueryError("no level of this information model")
    return level


def uids(identifier: Dataset, keyword: str) -> tuple[str, ...]:
    """A UID, a list of them, or none (universal). Raises QueryError for what is no UID."""
    held = identifier.get(keyword)
    listed = list(held) if isinstance(held, MultiValue) else [held or ""]
    found = tuple(str(uid).strip(" \0") for uid in listed if str(uid).strip(" \0"))
    if not all(map(is_uid, found)):
        raise QueryError(f"{keyword} is not a UID")
    return found


def question(identifier: Dataset, sop_class: str) -> Question:
    """What to ask. Raises QueryError when the identifier is not one of its model."""
    level = level_of(identifier, sop_class)
    studies, series = uids(identifier, _STUDY), uids(identifier, _SERIES)
    in_path: set[str] = set()
    if level in ("PATIENT", "STUDY"):
        paths: tuple[str, ...] = ("/studies",)
    else:
        # The unique keys above the level say where to look (PS3.4 C.4.1.2.1).
        if not studies:
            raise QueryError("a study is needed at this level")
        in_path.add(_STUDY)
        paths = tuple(f"/studies/{study}/series" for study in studies)
        if level == "IMAGE":
            paths = tuple(f"/studies/{study}/instances" for study in studies)
            if series:
                in_path.add(_SERIES)
                paths = tuple(f"/studies/{a}/series/{b}/instances" for a in studies for b in series)
    keys = tuple(e for e in identifier if e.tag not in _ABOUT and e.tag.element != 0 and not e.tag.is_private)
    parameters: list[tuple[str, str]] = []
    for key in keys:
        if key.keyword not in in_path and key.tag not in _COUNTS:
            parameters += _parameters(key)
    asked = [f"{key.tag:08X}" for key in keys if key.tag not in _COUNTS]
    if level == "PATIENT":
        asked.append("00100021")
    if asked:
        parameters.append(("includefield", ",".join(asked)))
    return Question(level, paths, tuple(parameters), keys)


def _parameters(key: DataElement, above: str = "") -> list[tuple[str, str]]:
    name = f"{above}{key.tag:08X}"
    if isinstance(key.value, Sequence):
        return [pair for item in key.value for inner in item for pair in _parameters(inner, f"{name}.")]
    held = key.value
    if held is None or held == "" or isinstance(held, bytes):
        return []
    listed = list(held) if isinstance(held, MultiValue) else [held]
    text = ("," if key.VR == "UI" else "\\").join(str(part).strip(" \0") for part in listed)
    return [(name, text)] if text.strip("*") else []


def answer(item: Item, asked: Question, ae_title: str) -> Dataset:
    """One match as the identifier of a pending response: every key that was asked for, empty if it has no value."""
    wanted = {key.tag: key for key in asked.keys}
    kept: dict[str, Any] = {}
    for tag, element in item.items():
        number = Tag(tag)
        if number in wanted or number in (Tag(keyword) for keyword in _UNIQUE[asked.level]):
            kept[tag] = element
    found = Dataset.from_json(kept, bulk_data_uri_handler=lambda *_: None)
    for key in asked.keys:
        if key.tag not in found:
            found.add(_empty(key.tag, key.VR))
    found.SpecificCharacterSet = UTF8
    found.QueryRetrieveLevel = asked.level
    found.RetrieveAETitle = ae_title
    return found


def _empty(tag: BaseTag, vr: str) -> DataElement:
    return DataElement(tag, vr, [] if vr == "SQ" else None)


def patients(studies: Iterable[Item]) -> list[Item]:
    """One item a patient, aggregated from studies: the first study of each speaks for it, counts are summed."""
    found: dict[tuple[str, str], Item] = {}
    counts: dict[tuple[str, str], list[int]] = {}
    for study in studies:
        # Studies without an id are of nobody knows whom: told apart by name at least.
        identity = value(study, "00100020") or f"^{value(study, '00100010')}"
        patient = (identity, value(study, "00100021"))
        found.setdefault(patient, study)
        sums = counts.setdefault(patient, [0, 0, 0])
        for at, count in enumerate(("1", value(study, "00201206"), value(study, "00201208"))):
            sums[at] += int(count) if count.isdigit() else 0
    for patient, sums in counts.items():
        derived = zip(("00201200", "00201202", "00201204"), sums, strict=True)
        found[patient] = found[patient] | {tag: {"vr": "IS", "Value": [n]} for tag, n in derived}
    return list(found.values())
