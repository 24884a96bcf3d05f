"""The reading half of the stub cloud: QIDO-RS and WADO-RS of what was uploaded, with pydicom and no code of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pydicom
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

Answer = tuple[int, bytes, tuple[tuple[str, str], ...]]


def respond(target: str, accept: str, files: Iterable[bytes]) -> Answer:
    """The answer to a GET below ``/dicomweb/{archive}``, from these Part 10 files."""
    url = urlsplit(target)
    steps = [unquote(step) for step in url.path.split("/")[3:]]
    if steps == ["erasures"]:
        return 200, b'{"erasures": []}', (("Content-Type", "application/json"),)
    where = dict(zip(steps[::2], steps[1::2], strict=False))
    last = steps[-1] if len(steps) % 2 else None
    chosen: list[tuple[bytes, Dataset]] = [
        (data, ds)
        for data, ds in ((data, pydicom.dcmread(BytesIO(data))) for data in files)
        if where.get("studies", ds.StudyInstanceUID) == ds.StudyInstanceUID
        and where.get("series", ds.SeriesInstanceUID) == ds.SeriesInstanceUID
        and where.get("instances", ds.SOPInstanceUID) == ds.SOPInstanceUID
    ]
    if last is not None:
        return _search(last, dict(parse_qsl(url.query)), [ds for _, ds in chosen])
    return _retrieve(accept, chosen)


def _search(level: str, query: dict[str, str], datasets: list[Dataset]) -> Answer:
    limit, offset = int(query.pop("limit", "100")), int(query.pop("offset", "0"))
    query.pop("includefield", None)
    key = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}[level]
    groups: dict[str, list[Dataset]] = {}
    for ds in datasets:
        groups.setdefault(str(ds[key].value), []).append(ds)
    items = []
    for group in groups.values():
        first = group[0]
        if all(_matches(group, name, value) for name, value in query.items()):
            item = first.to_json_dict(bulk_data_threshold=64, bulk_data_element_handler=lambda _: "x")
            item.pop("7FE00010", None)
            if level == "studies":
                derived = Dataset()
                derived.ModalitiesInStudy = sorted({str(ds.Modality) for ds in group})
                derived.NumberOfStudyRelatedInstances = len(group)
                item |= derived.to_json_dict()
            items.append(item)
    page = items[offset : offset + limit]
    if not page:
        return 204, b"", ()
    return 200, json.dumps(page).encode(), (("Content-Type", "application/dicom+json"),)


def _matches(group: list[Dataset], name: str, wanted: str) -> bool:
    keyword = keyword_for_tag(int(name, 16)) if len(name) == 8 and tag_for_keyword(name) is None else name
    if keyword == "ModalitiesInStudy":
        return any(wanted == ds.Modality for ds in group)
    value = str(group[0].get(keyword, ""))
    if keyword.endswith("UID"):
        return value in wanted.replace("\\", ",").split(",")
    if keyword.endswith("Date") and "-" in wanted:
        first, _, last = wanted.partition("-")
        return (first or "0") <= value <= (last or "9")
    return fnmatchcase(value, wanted)


def _retrieve(accept: str, chosen: list[tuple[bytes, Dataset]]) -> Answer:
    if not chosen:
        return 404, b'{"title": "not found"}', ()
    body = b""
    for data, ds in chosen:
        if "transfer-syntax=*" not in accept and ds.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
            data = _explicit(ds)
        body += b"\r\n--stub\r\nContent-Type: application/dicom\r\n\r\n" + data
    headers: Any = (("Content-Type", 'multipart/related; type="application/dicom"; boundary=stub'),)
    return 200, body[2:] + b"\r\n--stub--\r\n", headers


def _explicit(ds: Dataset) -> bytes:
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    ds.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return out.getvalue()
