"""What a Search answer holds for each match: Tables 10.6.3-3, 10.6.3-4 and 10.6.3-5 of PS3.18, and what was asked for.

Items are DICOM JSON. RetrieveURL is a path below the archive's DICOMweb root (``/studies/…``): who knows the public
origin makes it absolute. Values are UTF-8 whatever the file's character set was, and (0008,0005) says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from maypacs.dicom import keywords
from maypacs.index.rows import Attributes, SeriesSummary, StudySummary
from maypacs.index.summaries import SERIES_TAGS, STUDY_TAGS
from maypacs.query import Query
from maypacs.uids import Uid

CHARACTER_SET, AVAILABILITY, RETRIEVE_URL, TIMEZONE = "00080005", "00080056", "00081190", "00080201"
MODALITIES, SOP_CLASSES = "00080061", "00080062"
STUDY_UID, SERIES_UID, SOP_CLASS, SOP_INSTANCE = "0020000D", "0020000E", "00080016", "00080018"

#: Table 10.6.3-3, without the derived ones; an empty one is there with its VR alone.
STUDY_DEFAULT = (
    "00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100030", "00100040", "00200010",
)  # fmt: skip
#: Table 10.6.3-4: those always there, and those there "if known".
SERIES_DEFAULT = ("00080060", "00200011")
SERIES_IF_KNOWN = ("0008103E", "00400244", "00400245", "00400275", TIMEZONE)
#: Table 10.6.3-5.
INSTANCE_DEFAULT = (SOP_CLASS, SOP_INSTANCE, "00200013")
INSTANCE_IF_KNOWN = ("00280010", "00280011", "00280100", "00280008", TIMEZONE)


def study_path(study: Uid) -> str:
    return f"/studies/{study}"


def series_path(study: Uid, series: Uid) -> str:
    return f"/studies/{study}/series/{series}"


def instance_path(study: Uid, series: Uid, instance: str) -> str:
    return f"/studies/{study}/series/{series}/instances/{instance}"


def study_item(study: StudySummary, query: Query) -> Attributes:
    item = _study_part(study, query)
    item[RETRIEVE_URL] = _element("UR", study_path(study.study_instance_uid))
    return _sorted(item)


def series_item(series: SeriesSummary, study: StudySummary, query: Query) -> Attributes:
    item = _series_part(series, query)
    if query.study is None:
        item = _study_part(study, query) | item
    else:
        _take(item, study.attributes, _asked(query) & STUDY_TAGS)
    item[STUDY_UID] = _element("UI", series.study_instance_uid)
    item[AVAILABILITY] = _element("CS", "ONLINE")
    item[RETRIEVE_URL] = _element("UR", series_path(series.study_instance_uid, series.series_instance_uid))
    return _sorted(item)


def instance_item(
    dataset: Mapping[str, Any], instance: Uid, series: SeriesSummary, study: StudySummary, query: Query
) -> Attributes:
    item: Attributes = {CHARACTER_SET: _element("CS", "ISO_IR 192")}
    for tag in INSTANCE_DEFAULT:
        item[tag] = dataset.get(tag) or {"vr": keywords.vr(tag)}
    _take(item, dataset, INSTANCE_IF_KNOWN)
    _take(item, dataset, dataset if query.include_all else _asked(query))
    if query.series is None:
        item = _series_part(series, query) | item
    if query.study is None:
        item = _study_part(study, query) | item
    item[STUDY_UID] = _element("UI", series.study_instance_uid)
    item[SERIES_UID] = _element("UI", series.series_instance_uid)
    item[AVAILABILITY] = _element("CS", "ONLINE")
    path = instance_path(series.study_instance_uid, series.series_instance_uid, instance)
    item[RETRIEVE_URL] = _element("UR", path)
    return _sorted(item)


def _study_part(study: StudySummary, query: Query) -> Attributes:
    item: Attributes = {CHARACTER_SET: _element("CS", "ISO_IR 192")}
    for tag in STUDY_DEFAULT:
        item[tag] = study.attributes.get(tag) or {"vr": keywords.vr(tag)}
    asked = _asked(query)
    _take(item, study.attributes, {TIMEZONE} | (asked & STUDY_TAGS))
    if query.include_all and query.level == "study":
        _take(item, study.attributes, study.attributes)
    if SOP_CLASSES in asked or (query.include_all and query.level == "study"):
        item[SOP_CLASSES] = _element("UI", *study.sop_classes)
    item[MODALITIES] = _element("CS", *study.modalities)
    item[AVAILABILITY] = _element("CS", "ONLINE")
    item[STUDY_UID] = _element("UI", study.study_instance_uid)
    item["00201206"] = _element("IS", study.number_of_series)
    item["00201208"] = _element("IS", study.number_of_instances)
    return item


def _series_part(series: SeriesSummary, query: Query) -> Attributes:
    item: Attributes = {CHARACTER_SET: _element("CS", "ISO_IR 192")}
    for tag in SERIES_DEFAULT:
        item[tag] = series.attributes.get(tag) or {"vr": keywords.vr(tag)}
    _take(item, series.attributes, SERIES_IF_KNOWN)
    _take(item, series.attributes, _asked(query) & SERIES_TAGS)
    if query.include_all and query.level == "series":
        _take(item, series.attributes, SERIES_TAGS)
    item[SERIES_UID] = _element("UI", series.series_instance_uid)
    item["00201209"] = _element("IS", series.number_of_instances)
    return item


@lru_cache(maxsize=64)
def _asked(query: Query) -> frozenset[str]:
    """What was asked for by includefield or by being matched; of a private element also its creator (PS3.5 7.8.1)."""
    tags = {*query.include, *(key.path[0] for key in query.matches)}
    creators = {f"{tag[:4]}00{tag[4:6]}" for tag in tags if int(tag[3], 16) % 2 and tag[4:6] != "00"}
    return frozenset(tags | creators)


def _take(item: Attributes, source: Mapping[str, Any], tags: Iterable[str]) -> None:
    for tag in tags:
        if tag in source and tag not in item:
            item[tag] = source[tag]


def _element(vr: str, *values: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def _sorted(item: Attributes) -> Attributes:
    return dict(sorted(item.items()))
