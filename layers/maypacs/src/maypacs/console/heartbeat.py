"""What an edge says of itself each minute: checked, shortened to what is known here, and packed to fit one write unit.

An edge may be newer than the cloud: what is not known here is dropped, never an error. Whatever is kept is a number
within reason, a short printable text, or one of a few words: the dashboard shows it, and no patient's data has a place.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from maypacs.errors import BadRequestError

MAX_DEVICES: Final = 64
MAX_FINDINGS: Final = 64
_MAX_TEXT: Final = 64
#: No count, size in bytes or second since 1970 is larger.
_LARGEST: Final = 2**53
_LEVELS: Final = ("amber", "red")

#: Members that are numbers; an edge that cannot tell one leaves it out.
_NUMBERS: Final = (
    "started_at",
    "cpu_percent",
    "memory_percent",
    "process_bytes",
    "disk_free",
    "disk_total",
    "waiting",
    "waiting_bytes",
    "oldest_seconds",
    "received_per_hour",
    "uploaded_bytes_per_hour",
    "received_at",
    "uploaded_at",
    "indexed_at",
    "attention",
    "failing",
    "clock_offset_seconds",
    "certificate_days_left",
    "associations",
)
_DEVICE_NUMBERS: Final = ("image_at", "heard_at", "echo_at", "echo_failed_at", "rejected_at")


def pack(document: Mapping[str, Any]) -> bytes:
    """The heartbeat as it is kept. Raises BadRequestError, which names the member, never its value."""
    kept = {
        **_numbers(document, _NUMBERS),
        **_texts(document, ("uplink",)),
        "devices": [_device(entry) for entry in _objects(document, "devices", MAX_DEVICES)],
        "findings": [_finding(entry) for entry in _objects(document, "findings", MAX_FINDINGS)],
    }
    return zlib.compress(json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode(), 9)


def unpack(health: bytes) -> dict[str, Any] | None:
    """None for an edge that has said nothing yet."""
    if not health:
        return None
    document: dict[str, Any] = json.loads(zlib.decompress(health))
    return document


def _device(entry: Mapping[str, Any]) -> dict[str, Any]:
    texts = _texts(entry, ("ae_title", "modality"))
    if "ae_title" not in texts:
        raise BadRequestError("devices: ae_title is needed")
    return {**texts, **_numbers(entry, _DEVICE_NUMBERS)}


def _finding(entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry.get("level") not in _LEVELS:
        raise BadRequestError(f"findings: level is one of {', '.join(_LEVELS)}")
    texts = _texts(entry, ("code", "device"))
    if "code" not in texts:
        raise BadRequestError("findings: code is needed")
    return {**texts, "level": entry["level"], **_numbers(entry, ("value",))}


def _numbers(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, int | float]:
    kept: dict[str, int | float] = {}
    for name in names:
        value = document.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadRequestError(f"{name}: a number is needed")
        if abs(value) > _LARGEST:
            raise BadRequestError(f"{name}: a number within reason is needed")
        kept[name] = round(value, 1) if isinstance(value, float) else value
    return kept


def _texts(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    kept = {}
    for name in names:
        value = document.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
            raise BadRequestError(f"{name}: a text of up to {_MAX_TEXT} printable characters is needed")
        kept[name] = value
    return kept


def _objects(document: Mapping[str, Any], name: str, at_most: int) -> list[Mapping[str, Any]]:
    value = document.get(name, [])
    if not isinstance(value, list) or len(value) > at_most or not all(isinstance(entry, dict) for entry in value):
        raise BadRequestError(f"{name}: a list of up to {at_most} objects is needed")
    return value
