"""The rows of the image index (protocols: keys), as frozen dataclasses that turn into items and back.

DICOM attributes travel as one JSON blob (the DICOM JSON model, PS3.18 F, UTF-8): the table never has to know them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from maypacs.index.table import Item
from maypacs.uids import ArchiveId, Uid

SCHEMA_VERSION = 1
ABSENT_MONTH = "000000"

Attributes = dict[str, Any]


def study_pk(archive_id: ArchiveId, study: Uid) -> str:
    return f"{archive_id}#S#{study}"


STUDY_SK = "0"
GATE_SK = "8"  #: holds (`maypacs.holds`)
TOMBSTONE_SK = "9"


def series_sk(series: Uid) -> str:
    return f"1#{series}"


def pack_head_prefix(series: Uid | None = None) -> str:
    return "2#" if series is None else f"2#{series}#"


def pack_head_sk(series: Uid, pack_id: str) -> str:
    return f"2#{series}#{pack_id}"


def instance_table_prefix(series: Uid) -> str:
    return f"3#{series}#"


def instance_table_sk(series: Uid, pack_id: str) -> str:
    return f"3#{series}#{pack_id}"


def receipt_pk(archive_id: ArchiveId, arrival: str) -> str:
    """What became of one upload; not part of the image index (reindex does not make it)."""
    return f"{archive_id}#U#{arrival}"


@dataclass(frozen=True, slots=True)
class StudySummary:
    """Row ``{a}#S#{study}`` / ``0``: all that a study-level search answers, recomputed from the series below it."""

    archive_id: ArchiveId
    study_instance_uid: Uid
    revision: int
    attributes: Attributes  #: study- and patient-level attributes, DICOM JSON, without the derived ones
    modalities: tuple[str, ...]  #: sorted, distinct
    sop_classes: tuple[str, ...]
    number_of_series: int
    number_of_instances: int
    size: int  #: bytes as stored
    first_arrival: str
    last_arrival: str
    patient_ids: tuple[str, ...]  #: every distinct value found, all are searchable
    patient_names: tuple[str, ...]  #: whole PN values, every distinct one
    accession_numbers: tuple[str, ...]
    warnings: tuple[str, ...] = ()  #: shown to people: "two PatientIDs in one study"
    number_of_conflicts: int = 0  #: versions of instances that are kept but not current

    def first(self, tag: str) -> str:
        """The first value of an attribute as text, "" when there is none."""
        return first_value(self.attributes, tag)

    @property
    def study_date(self) -> str:
        """YYYYMMDD, or "" when absent or absurd."""
        return valid_date(self.first("00080020"))

    @property
    def study_time(self) -> str:
        return "".join(c for c in self.first("00080030") if c.isdigit())[:6]

    def to_item(self) -> Item:
        date = self.study_date
        month = date[:6] or ABSENT_MONTH
        when = f"{date}{self.study_time:0<6}" if date else self.first_arrival
        return {
            "pk": study_pk(self.archive_id, self.study_instance_uid),
            "sk": STUDY_SK,
            "v": SCHEMA_VERSION,
            "revision": self.revision,
            "attributes": orjson.dumps(self.attributes),
            "modalities": list(self.modalities),
            "sop_classes": list(self.sop_classes),
            "series": self.number_of_series,
            "instances": self.number_of_instances,
            "size": self.size,
            "first_arrival": self.first_arrival,
            "last_arrival": self.last_arrival,
            "patient_ids": list(self.patient_ids),
            "patient_names": list(self.patient_names),
            "accession_numbers": list(self.accession_numbers),
            "warnings": list(self.warnings),
            "conflicts": self.number_of_conflicts,
            "gpk": f"{self.archive_id}#D#{month}",
            "gsk": f"{when}#{self.study_instance_uid}",
        }

    @classmethod
    def from_item(cls, item: Item) -> StudySummary:
        archive_id, _, study = item["pk"].partition("#S#")
        return cls(
            archive_id=ArchiveId(archive_id),
            study_instance_uid=Uid(study),
            revision=item["revision"],
            attributes=orjson.loads(item["attributes"]),
            modalities=tuple(item["modalities"]),
            sop_classes=tuple(item["sop_classes"]),
            number_of_series=item["series"],
            number_of_instances=item["instances"],
            size=item["size"],
            first_arrival=item["first_arrival"],
            last_arrival=item["last_arrival"],
            patient_ids=tuple(item["patient_ids"]),
            patient_names=tuple(item["patient_names"]),
            accession_numbers=tuple(item["accession_numbers"]),
            warnings=tuple(item["warnings"]),
            number_of_conflicts=item.get("conflicts", 0),
        )


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """Row ``{a}#S#{study}`` / ``1#{series}``: recomputed from the pack heads of the series."""

    archive_id: ArchiveId
    study_instance_uid: Uid
    series_instance_uid: Uid
    revision: int
    attributes: Attributes  #: series-level attributes AND the patient- and study-level ones found in this series
    modality: str
    sop_classes: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]  #: of the current instances, sorted, distinct
    number_of_instances: int  #: current ones
    number_of_conflicts: int  #: instances kept but not current
    number_of_packs: int
    size: int
    clean: bool  #: every pack is clean and joinable (protocols: pack grammar)
    first_arrival: str
    last_arrival: str
    patient_ids: tuple[str, ...]
    patient_names: tuple[str, ...]
    accession_numbers: tuple[str, ...]

    def to_item(self) -> Item:
        return {
            "pk": study_pk(self.archive_id, self.study_instance_uid),
            "sk": series_sk(self.series_instance_uid),
            "v": SCHEMA_VERSION,
            "revision": self.revision,
            "attributes": orjson.dumps(self.attributes),
            "modality": self.modality,
            "sop_classes": list(self.sop_classes),
            "transfer_syntaxes": list(self.transfer_syntaxes),
            "instances": self.number_of_instances,
            "conflicts": self.number_of_conflicts,
            "packs": self.number_of_packs,
            "size": self.size,
            "clean": self.clean,
            "first_arrival": self.first_arrival,
            "last_arrival": self.last_arrival,
            "patient_ids": list(self.patient_ids),
            "patient_names": list(self.patient_names),
            "accession_numbers": list(self.accession_numbers),
        }

    @classmethod
    def from_item(cls, item: Item) -> SeriesSummary:
        archive_id, _, study = item["pk"].partition("#S#")
        return cls(
            archive_id=ArchiveId(archive_id),
            study_instance_uid=Uid(study),
            series_instance_uid=Uid(item["sk"].partition("#")[2]),
            revision=item["revision"],
            attributes=orjson.loads(item["attributes"]),
            modality=item["modality"],
            sop_classes=tuple(item["sop_classes"]),
            transfer_syntaxes=tuple(item["transfer_syntaxes"]),
            number_of_instances=item["instances"],
            number_of_conflicts=item["conflicts"],
            number_of_packs=item["packs"],
            size=item["size"],
            clean=item["clean"],
            first_arrival=item["first_arrival"],
            last_arrival=item["last_arrival"],
            patient_ids=tuple(item["patient_ids"]),
            patient_names=tuple(item["patient_names"]),
            accession_numbers=tuple(item["accession_numbers"]),
        )


def first_value(attributes: Attributes, tag: str) -> str:
    """The first value of a DICOM JSON attribute as text (PN: its Alphabetic group), "" when there is none."""
    values = attributes.get(tag, {}).get("Value") or [""]
    value = values[0]
    if isinstance(value, dict):
        value = value.get("Alphabetic", "")
    return "" if value is None else str(value)


def valid_date(value: str) -> str:
    """YYYYMMDD (also from ACR-NEMA's YYYY.MM.DD), or "" when it is no plausible date."""
    digits = value.replace(".", "").replace("-", "").strip()
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return ""
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    return digits if 1850 <= year <= 2200 and 1 <= month <= 12 and 1 <= day <= 31 else ""
