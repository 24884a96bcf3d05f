"""What a Search answer holds for each match: Tables 10.6.3-3, 10.6.3-4 and 10.6.3-5 of PS3.18, and what was asked for.

Items are DICOM JSON. RetrieveURL is a path below the archive's DICOMweb root (``/studies/…``): who knows the public
origin makes it absolute. Values are UTF-8 whatever the file's character set was, and (0008,0005) says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from maypacs.dicom import keywords
from maypacs.index.matching import is_private, tags_of
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


class Items:
    """Items of one search: what it asked for is worked out once."""

    def __init__(self, query: Query) -> None:
        tags = {*query.include, *(key.path[0] for key in query.matches)}
        named = dict(query.creators)
        self._query = query
        self._all_of_study = query.include_all and query.level == "study"
        self._all_of_series = query.include_all and query.level == "series"
        self._asked = frozenset(tag for tag in tags if not is_private(tag))
        self._of_study = (TIMEZONE, *sorted(self._asked & STUDY_TAGS - {TIMEZONE}))
        self._of_series = (*SERIES_IF_KNOWN, *sorted(self._asked & SERIES_TAGS))
        self._private = [(tag, named.get(f"{tag[:4]}00{tag[4:6]}", "")) for tag in sorted(tags) if is_private(tag)]
        #: Whether studies and series must be looked at in one of their instances, for what their rows do not keep.
        self.needs_dataset = bool(self._private)

    def study(self, study: StudySummary, dataset: Mapping[str, Any] | None = None) -> Attributes:
        item = self._study_part(study)
        self._take_private(item, dataset or {})
        item[RETRIEVE_URL] = _element("UR", study_path(study.study_instance_uid))
        return _sorted(item)

    def series(
        self, series: SeriesSummary, study: StudySummary, dataset: Mapping[str, Any] | None = None
    ) -> Attributes:
        item = self._series_part(series)
        if self._query.study is None:
            item = self._study_part(study) | item
        else:
            _take(item, study.attributes, self._asked & STUDY_TAGS)
        self._take_private(item, dataset or {})
        item[STUDY_UID] = _element("UI", series.study_instance_uid)
        item[AVAILABILITY] = ONLINE
        item[RETRIEVE_URL] = _element("UR", series_path(series.study_instance_uid, series.series_instance_uid))
        return _sorted(item)

    def instance(
        self, dataset: Mapping[str, Any], instance: Uid, series: SeriesSummary, study: StudySummary
    ) -> Attributes:
        item: Attributes = {CHARACTER_SET: _UTF8}
        for tag in INSTANCE_DEFAULT:
            item[tag] = dataset.get(tag) or {"vr": keywords.vr(tag)}
        _take(item, dataset, INSTANCE_IF_KNOWN)
        _take(item, dataset, dataset if self._query.include_all else self._asked)
        self._take_private(item, dataset)
        if self._query.series is None:
            item = self._series_part(series) | item
        if self._query.study is None:
            item = self._study_part(study) | item
        item[STUDY_UID] = _element("UI", series.study_instance_uid)
        item[SERIES_UID] = _element("UI", series.series_instance_uid)
        item[AVAILABILITY] = ONLINE
        path = instance_path(series.study_instance_uid, series.series_instance_uid, instance)
        item[RETRIEVE_URL] = _element("UR", path)
        return _sorted(item)

    def _study_part(self, study: StudySummary) -> Attributes:
        item: Attributes = {CHARACTER_SET: _UTF8}
        for tag in STUDY_DEFAULT:
            item[tag] = study.attributes.get(tag) or {"vr": keywords.vr(tag)}
        _take(item, study.attributes, self._of_study)
        if self._all_of_study:
            _take(item, study.attributes, study.attributes)
        if self._all_of_study or SOP_CLASSES in self._asked:
            item[SOP_CLASSES] = _element("UI", *study.sop_classes)
        item[MODALITIES] = _element("CS", *study.modalities)
        item[AVAILABILITY] = ONLINE
        item[STUDY_UID] = _element("UI", study.study_instance_uid)
        item["00201206"] = _element("IS", study.number_of_series)
        item["00201208"] = _element("IS", study.number_of_instances)
        return item

    def _series_part(self, series: SeriesSummary) -> Attributes:
        item: Attributes = {CHARACTER_SET: _UTF8}
        for tag in SERIES_DEFAULT:
            item[tag] = series.attributes.get(tag) or {"vr": keywords.vr(tag)}
        _take(item, series.attributes, self._of_series)
        if self._all_of_series:
            _take(item, series.attributes, SERIES_TAGS)
        item[SERIES_UID] = _element("UI", series.series_instance_uid)
        item["00201209"] = _element("IS", series.number_of_instances)
        return item

    def _take_private(self, item: Attributes, dataset: Mapping[str, Any]) -> None:
        """Private elements, each with its creator (PS3.18 10.6.3.3)."""
        for asked, creator in self._private:
            for tag in tags_of(dataset, asked, creator):
                if tag in dataset:
                    _take(item, dataset, (f"{tag[:4]}00{tag[4:6]}", tag))


def _take(item: Attributes, source: Mapping[str, Any], tags: Iterable[str]) -> None:
    for tag in tags:
        if tag in source and tag not in item:
            item[tag] = source[tag]


def _element(vr: str, *values: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def _sorted(item: Attributes) -> Attributes:
    return dict(sorted(item.items()))


_UTF8, ONLINE = _element("CS", "ISO_IR 192"), _element("CS", "ONLINE")
