"""Summaries, pure: a pack's attributes from its data sets, a series from its packs, a study from its series.

Each attribute is the first non-empty value by (arrival, UID): the same whatever the order in which things came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from maypacs.index.pack_rows import PackHead
from maypacs.index.rows import Attributes, SeriesSummary, StudySummary, first_value

PATIENT_ID, PATIENT_NAME, ACCESSION = "00100020", "00100010", "00080050"
MODALITY = "00080060"

#: Patient and study level: PS3.3 C.7.1.1, C.7.2.1, C.7.2.2 and the keys of PS3.18 Table 10.6.1-5 that belong there.
STUDY_TAGS = frozenset(
    [
        "00080020",
        "00080030",
        "00080050",
        "00080051",
        "00080090",
        "00080096",
        "0008009C",
        "0008009D",
        "00080201",
        "00081030",
        "00081032",
        "00081048",
        "00081049",
        "00081060",
        "00081080",
        "00081084",
        "00081110",
        "00081120",
        "00100010",
        "00100020",
        "00100021",
        "00100022",
        "00100024",
        "00100026",
        "00100027",
        "00100028",
        "00100030",
        "00100032",
        "00100040",
        "00100200",
        "00100218",
        "00100219",
        "00101000",
        "00101001",
        "00101002",
        "00101005",
        "00101010",
        "00101020",
        "00101021",
        "00101030",
        "00101060",
        "00101090",
        "00102000",
        "00102110",
        "00102160",
        "00102180",
        "001021A0",
        "001021B0",
        "001021C0",
        "001021D0",
        "001021F0",
        "00102201",
        "00102202",
        "00102203",
        "00102292",
        "00102293",
        "00102294",
        "00102295",
        "00102296",
        "00102297",
        "00102298",
        "00102299",
        "00104000",
        "00120010",
        "00120020",
        "00120021",
        "00120030",
        "00120031",
        "00120040",
        "00120042",
        "00120050",
        "00120051",
        "00120062",
        "00120063",
        "00200010",
        "0020000D",
        "0032000A",
        "00321032",
        "00321060",
        "00321064",
        "00380010",
        "00380300",
        "00380500",
    ]
)
#: Series level: PS3.3 C.7.3.1, C.7.5.1, C.7.4.1 and the keys of PS3.18 Table 10.6.1-5.
SERIES_TAGS = frozenset(
    [
        "00080021",
        "00080031",
        "00080060",
        "00080064",
        "00080068",
        "00080070",
        "00080080",
        "00080081",
        "00081010",
        "0008103E",
        "0008103F",
        "00081040",
        "00081050",
        "00081052",
        "00081070",
        "00081072",
        "00081090",
        "00081111",
        "00081250",
        "00180010",
        "00180015",
        "00181000",
        "00181020",
        "00181030",
        "00185100",
        "0020000E",
        "00200011",
        "00200052",
        "00200060",
        "00201040",
        "00400244",
        "00400245",
        "00400250",
        "00400251",
        "00400253",
        "00400254",
        "00400260",
        "00400275",
        "00400280",
        "00540400",
    ]
)
#: A longer value is left to the sidecar: a head has room for 4 KB.
LONGEST_VALUE = 768
LONGEST_ALL = 8_000

SEVERAL_PATIENTS = "several-patient-ids"


def number(attributes: Mapping[str, Any], tag: str) -> int:
    """An IS attribute for sorting; 0 when absent or unreadable."""
    try:
        return int(first_value(dict(attributes), tag))
    except ValueError:
        return 0


def has_value(element: Mapping[str, Any]) -> bool:
    values = element.get("Value") or ()
    return any(value not in (None, "", {}) for value in values)


def first_non_empty(layers: Iterable[Mapping[str, Any]]) -> Attributes:
    """Each attribute from the first of the layers in which it has a value, else from the first that names it."""
    found: Attributes = {}
    for layer in layers:
        for tag, element in layer.items():
            if tag not in found or (not has_value(found[tag]) and has_value(element)):
                found[tag] = element
    return dict(sorted(found.items()))


def pack_attributes(datasets: Iterable[Mapping[str, Any]]) -> Attributes:
    """The patient-, study- and series-level attributes of a pack."""
    tags = STUDY_TAGS | SERIES_TAGS
    first = first_non_empty({tag: data[tag] for tag in tags & data.keys()} for data in datasets)
    kept: Attributes = {}
    room = LONGEST_ALL
    for tag, element in first.items():
        size = len(orjson.dumps(element))
        if size <= LONGEST_VALUE and size <= room and "BulkDataURI" not in element:
            kept[tag] = element
            room -= size
    return kept


def distinct(datasets: Iterable[Mapping[str, Any]], tag: str) -> tuple[str, ...]:
    """Every distinct non-empty value of a text or PN attribute (PN groups joined by ``=``), sorted."""
    found = set()
    for data in datasets:
        for value in data.get(tag, {}).get("Value") or ():
            if isinstance(value, dict):
                groups = (value.get(name, "") for name in ("Alphabetic", "Ideographic", "Phonetic"))
                value = "=".join(groups).rstrip("=")
            if value not in (None, ""):
                found.add(str(value))
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class LivePack:
    """A pack and what of it is current."""

    head: PackHead
    instances: int
    instance_bytes: int
    sop_classes: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]
    clean: bool

    @classmethod
    def whole(cls, head: PackHead) -> LivePack:
        return cls(head, head.count, head.instance_bytes, head.sop_classes, head.transfer_syntaxes, True)


def series_summary(packs: Sequence[LivePack], *, conflicts: int, revision: int) -> SeriesSummary:
    """``packs``: at least one, those that hold current instances."""
    ordered = sorted(packs, key=lambda pack: (pack.head.first_arrival, pack.head.pack_id))
    heads = [pack.head for pack in ordered]
    attributes = first_non_empty(head.attributes for head in heads)
    return SeriesSummary(
        archive_id=heads[0].archive_id,
        study_instance_uid=heads[0].study_instance_uid,
        series_instance_uid=heads[0].series_instance_uid,
        revision=revision,
        attributes=attributes,
        modality=first_value(attributes, MODALITY),
        sop_classes=_union(pack.sop_classes for pack in ordered),
        transfer_syntaxes=_union(pack.transfer_syntaxes for pack in ordered),
        number_of_instances=sum(pack.instances for pack in ordered),
        number_of_conflicts=conflicts,
        number_of_packs=len(ordered),
        size=sum(pack.instance_bytes for pack in ordered),
        clean=all(pack.clean and pack.head.joinable for pack in ordered) and len({h.boundary for h in heads}) == 1,
        first_arrival=heads[0].first_arrival,
        last_arrival=max(head.arrival for head in heads),
        patient_ids=_union(head.patient_ids for head in heads),
        patient_names=_union(head.patient_names for head in heads),
        accession_numbers=_union(head.accession_numbers for head in heads),
    )


def study_summary(series: Sequence[SeriesSummary], *, revision: int) -> StudySummary:
    """``series``: at least one."""
    ordered = sorted(series, key=lambda each: (each.first_arrival, each.series_instance_uid))
    attributes = first_non_empty(
        {tag: element for tag, element in each.attributes.items() if tag in STUDY_TAGS} for each in ordered
    )
    patient_ids = _union(each.patient_ids for each in ordered)
    return StudySummary(
        archive_id=ordered[0].archive_id,
        study_instance_uid=ordered[0].study_instance_uid,
        revision=revision,
        attributes=attributes,
        modalities=_union((each.modality,) for each in ordered if each.modality),
        sop_classes=_union(each.sop_classes for each in ordered),
        number_of_series=len(ordered),
        number_of_instances=sum(each.number_of_instances for each in ordered),
        size=sum(each.size for each in ordered),
        first_arrival=ordered[0].first_arrival,
        last_arrival=max(each.last_arrival for each in ordered),
        patient_ids=patient_ids,
        patient_names=_union(each.patient_names for each in ordered),
        accession_numbers=_union(each.accession_numbers for each in ordered),
        warnings=(SEVERAL_PATIENTS,) if len(patient_ids) > 1 else (),
        number_of_conflicts=sum(each.number_of_conflicts for each in ordered),
    )


def _union(sets: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({value for values in sets for value in values}))
