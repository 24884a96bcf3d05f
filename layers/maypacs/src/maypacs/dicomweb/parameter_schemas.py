"""What values the parameters of paths and queries take, as JSON Schema: what it allows is a 400 only where parameters
depend on each other or on the image (WADO-URI, a viewport's region).

Written so that a generator of requests can work from it (tests do). A key may also be empty: universal matching.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_UID = r"\.*[0-9][0-9.]{0,31}"  # a digit at least: "." and ".." are steps of a path
_DAY = r"(18[5-9]|19[0-9]|20[0-9]|21[0-9])[0-9](0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?"
_NUMBER = r"[0-9]{1,6}(\.[0-9]{1,6})?"
_NEAR, _FAR = r"0\.0[0-9]{0,5}", r"0\.[1-9][0-9]{0,5}"
_PIXELS = r"[1-9][0-9]{0,3}"
_FRAME = r"[1-9][0-9]{0,8}"


def _text(pattern: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$", **more}


def _or_nothing(pattern: str) -> Schema:
    return _text(f"({pattern})?")


_RANGE_OF_DAYS = _or_nothing(f"{_DAY}(-({_DAY})?)?|-{_DAY}")
_RANGE_OF_TIMES = _or_nothing(f"{_CLOCK}(-({_CLOCK})?)?|-{_CLOCK}")
_UIDS = _or_nothing(f"{_UID}(,{_UID}){{0,9}}")
#: A value of 64 characters with wildcards, as long as the longest of these attributes' VRs (LO, PN's group).
_KEY: Schema = {"type": "string", "maxLength": 64}

PATH: Mapping[str, Schema] = {
    "study": _text(_UID),
    "series": _text(_UID),
    "instance": _text(_UID),
    "frames": _text(f"{_FRAME}(,{_FRAME}){{0,9}}"),
    "version": _text("[0-9a-f]{32}"),
    "erasure": _text("[0-7][0-9A-HJKMNP-TV-Z]{25}"),
    "item": _text(r"[0-7][0-9A-HJKMNP-TV-Z]{25}(-[0-9]{1,6})?"),
    "path": _text("[0-9A-F]{8}(/[0-9]{1,6}/[0-9A-F]{8}){0,3}"),
}

_QUERY: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1_000},
    "offset": {"type": "integer", "minimum": 0, "maximum": 10_000},
    "includefield": {"type": "string", "maxLength": 1_000},
    "fuzzymatching": {"type": "boolean"},
    "emptyvaluematching": {"type": "boolean"},
    "multiplevaluematching": {"type": "boolean"},
    "StudyDate": _RANGE_OF_DAYS,
    "StudyTime": _RANGE_OF_TIMES,
    **dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"), _UIDS),
    "window": _text(f"-?{_NUMBER},[1-9]{_NUMBER},(linear|linear-exact|sigmoid)"),
    "viewport": _text(f"{_PIXELS},{_PIXELS}(,({_NUMBER})?,({_NUMBER})?,(-?{_NUMBER})?,(-?{_NUMBER})?)?"),
    "quality": {"type": "integer", "minimum": 1, "maximum": 100},
    "iccprofile": {"type": "string", "enum": ["no", "yes", "srgb", "adobergb", "rommrgb"]},
    "annotation": _or_nothing("(patient|technique|overlay)(,(patient|technique|overlay)){0,2}"),
    "requestType": {"type": "string", "enum": ["WADO"]},
    **dict.fromkeys(("studyUID", "seriesUID", "objectUID"), _text(_UID)),
    "frameNumber": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "windowCenter": _text(f"-?{_NUMBER}"),
    "windowWidth": _text(f"[1-9]{_NUMBER}"),
    **{name: {"type": "integer", "minimum": 1, "maximum": 4_096} for name in ("rows", "columns")},
    "region": _text(f"{_NEAR},{_NEAR},{_FAR},{_FAR}"),
    "imageQuality": {"type": "integer", "minimum": 1, "maximum": 100},
    "transferSyntax": _text(r"1\.2\.840\.10008\.1\.2\.(1|5|4\.(50|57|70|80|81|90|91))"),
}
#: A region of a thumbnail would be another picture (8.3.5.2).
_OF_THUMBNAILS: Mapping[str, Schema] = {"viewport": _text(f"{_PIXELS},{_PIXELS}")}
#: Without them there is no answer (PS3.18 9.4.1.1).
_REQUIRED = frozenset(("requestType", "studyUID", "seriesUID", "objectUID"))


def path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": PATH[name]}


def query_parameter(name: str, resource: str) -> Schema:
    """``resource``: the last word of the path. A key of a search takes any text, unless its VR says more."""
    required = {"required": True} if name in _REQUIRED else {}
    schema = (_OF_THUMBNAILS if resource == "thumbnail" else {}).get(name) or _QUERY.get(name, _KEY)
    return {"name": name, "in": "query", **required, "schema": schema}
