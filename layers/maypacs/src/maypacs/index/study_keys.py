"""What rows tell of the keys of a study: a study's row, its columns before its attributes are parsed, a hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maypacs.index import terms
from maypacs.index.matching import Match, folded_name_matches, matches_all, name_matches, text_matches
from maypacs.index.rows import Attributes, StudySummary
from maypacs.index.table import Item

STUDY_UID, STUDY_DATE, PATIENT_NAME, PATIENT_ID, ACCESSION, MODALITIES = (
    "0020000D",
    "00080020",
    "00100010",
    "00100020",
    "00080050",
    "00080061",
)


def study_matches(study: StudySummary, keys: Sequence[Match]) -> bool:
    return matches_all(searchable(study), keys) if keys else True


def searchable(study: StudySummary) -> Attributes:
    """The attributes of a study as they are matched: every PatientID, name and accession number found in it."""
    return study.attributes | {
        PATIENT_ID: {"vr": "LO", "Value": list(study.patient_ids)},
        PATIENT_NAME: {"vr": "PN", "Value": list(study.patient_names)},
        ACCESSION: {"vr": "SH", "Value": list(study.accession_numbers)},
        MODALITIES: {"vr": "CS", "Value": list(study.modalities)},
        "00080062": {"vr": "UI", "Value": list(study.sop_classes)},
        STUDY_UID: {"vr": "UI", "Value": [study.study_instance_uid]},
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00201206": {"vr": "IS", "Value": [study.number_of_series]},
        "00201208": {"vr": "IS", "Value": [study.number_of_instances]},
    }


def _name_on_row(row: Item, key: Match) -> bool:
    return any(name_matches(name, key.value, fuzzy=key.fuzzy) for name in row["patient_names"])


def _listed(column: str) -> Callable[[Item, Match], bool]:
    return lambda row, key: any(text_matches(value, text) for value in row[column] for text in key.texts)


#: Keys that the columns of a study row tell, before its attributes are parsed.
ON_ROW: dict[tuple[str, ...], Callable[[Item, Match], bool]] = {
    (PATIENT_NAME,): _name_on_row,
    (PATIENT_ID,): _listed("patient_ids"),
    (ACCESSION,): _listed("accession_numbers"),
    (MODALITIES,): _listed("modalities"),
}


def hint_may_match(hint: Item, keys: Sequence[Match]) -> bool:
    """False when the names or the modalities of a hint refuse a key; other keys are for the study's row to tell."""
    for key in keys:
        if not key.plainly:
            continue
        if key.path == (PATIENT_NAME,):
            names = hint["names"]
            whole = all(len(name) < terms.LONGEST_NAME for name in names)
            if whole and not folded_name_matches(names, key.value, fuzzy=key.fuzzy):
                return False
        elif key.path == (MODALITIES,) and not ON_ROW[key.path](hint, key):
            return False
    return True
