"""What DICOM JSON of ours and of pydicom must be brought to before they are compared: once, here.

Each step says who is right by the standard, or that both are.
"""

from __future__ import annotations

import base64
import warnings
from typing import Any

from pydicom.dataset import Dataset

Json = dict[str, Any]
_TEXTS = {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def pydicom_json(dataset: Dataset) -> Json:
    """`to_json_dict`, element by element: an IS or DS that is no number makes pydicom's own raise for the whole."""
    out: Json = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tag in dataset.keys():  # noqa: SIM118  (iterating the data set reads every element)
            key = f"{tag:08X}"
            try:
                element = dataset[tag]
                if element.VR == "SQ":
                    out[key] = {"vr": "SQ", "Value": [pydicom_json(item) for item in element.value]}
                else:
                    out[key] = element.to_json_dict(None, 0)
            except Exception as error:
                out[key] = {"vr": "??", "error": type(error).__name__}
    return out


def normalised(dataset: Json) -> Json:
    out: Json = {}
    for key, element in dataset.items():
        if key.endswith("0000"):
            continue  # group lengths: PS3.18 F.2.2 leaves them out, pydicom does not
        if key == "00080005":
            continue  # ours says ISO_IR 192, as the JSON is UTF-8 (F.2.2); pydicom gives what the file says
        out[key] = _element(element)
    return out


def _element(element: Json) -> Json:
    vr = element["vr"]
    if "BulkDataURI" in element or "InlineBinary" in element or vr in _BINARY:
        return {"vr": vr, **{k: element[k] for k in ("BulkDataURI", "InlineBinary") if k in element}}
    values = element.get("Value", [])
    if vr == "SQ":
        return {"vr": vr, "Value": [normalised(item) for item in values]}  # an empty sequence: pydicom has "Value": []
    values = [_value(value) for value in values]
    return {"vr": vr, "Value": [] if all(value is None for value in values) else values}


def _value(value: Any) -> Any:
    """Padding goes; an empty value among others is null (F.2.5), where pydicom has ""; empty PN groups go."""
    if isinstance(value, str):
        return value.strip(" \0") or None
    if isinstance(value, dict):
        return {k: group for k, v in value.items() if (group := _value(v))} or None
    return value


def binary(element: Json) -> bytes:
    return base64.b64decode(element.get("InlineBinary", ""))
