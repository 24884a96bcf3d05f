"""Which VR a tag has: PS3.6 for public tags, a table of vendors' tags for private ones whose creator is known.

Used where the data set does not say: implicit VR, and UN in explicit VR (PS3.5 6.2.2 lets a relay write UN for any VR).
"""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from maypacs.dicom.tags import TAGS_BY_VR

#: PS3.6 "repeating groups": curves (50xx), overlays (60xx), variable pixel data (7Fxx); element to VR.
_CURVES = {
    **dict.fromkeys((0x0005, 0x0010, 0x0103, 0x0104, 0x0105, 0x0110, 0x0112, 0x0114, 0x2000, 0x2002, 0x2004), "US"),
    **dict.fromkeys((0x0020, 0x1001), "CS"),
    **dict.fromkeys((0x0022, 0x2500), "LO"),
    **dict.fromkeys((0x0030, 0x0040, 0x0106), "SH"),
    **dict.fromkeys((0x2006, 0x2008, 0x200A), "UL"),
    **dict.fromkeys((0x200C, 0x3000), "OW"),
    0x200E: "LT",
    0x2600: "SQ",
    0x2610: "US",
}
_OVERLAYS = {
    **dict.fromkeys((0x0010, 0x0011, 0x0012, 0x0051, 0x0052, 0x0068, 0x0069, 0x0100, 0x0102, 0x0200, 0x0802), "US"),
    **dict.fromkeys((0x0804, 0x1100, 0x1101, 0x1102, 0x1103, 0x1200, 0x1201, 0x1202, 0x1203), "US"),
    **dict.fromkeys((0x0040, 0x0060, 0x0063, 0x0110, 0x0800, 0x1001), "CS"),
    **dict.fromkeys((0x0022, 0x0045, 0x1500), "LO"),
    **dict.fromkeys((0x0061, 0x0062), "SH"),
    **dict.fromkeys((0x0066, 0x0803), "AT"),
    **dict.fromkeys((0x0015, 0x1301), "IS"),
    **dict.fromkeys((0x1302, 0x1303), "DS"),
    0x0050: "SS",
    0x3000: "OW",
    0x4000: "LT",
}
_VARIABLE_PIXELS = {0x0010: "OW", 0x0011: "US", 0x0020: "OW", 0x0030: "OW", 0x0040: "OW"}


@cache
def _public() -> dict[int, str]:
    table: dict[int, str] = {}
    for vr, text in TAGS_BY_VR.items():
        for group_text in text.split(" "):
            group, _, elements = group_text.partition(":")
            base = int(group, 16) << 16
            for run in elements.split(","):
                first, _, last = run.partition("-")
                for element in range(int(first, 16), int(last or first, 16) + 1):
                    table[base | element] = vr
    return table


def public_vr(tag: int) -> str | None:
    """The VR of a public tag, ``US|SS`` or ``US|OW`` where the data decide, None when PS3.6 does not know it."""
    vr = _public().get(tag)
    if vr is not None:
        return vr
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return "UL"
    if group & 0xFF00 == 0x5000:
        return _CURVES.get(element)
    if group & 0xFF00 == 0x6000:
        return _OVERLAYS.get(element)
    if group & 0xFF00 == 0x7F00:
        return _VARIABLE_PIXELS.get(element)
    if group == 0x1010:
        return "US"
    if group == 0x1000 and element & 0xF <= 5:
        return "US"
    if group == 0x0020 and element & 0xFF00 == 0x3100:
        return "CS"
    if group == 0x0028:
        return _retired_image_tag(element)
    return None


def _retired_image_tag(element: int) -> str | None:
    """The retired (0028,04x0) and (0028,08x0) families."""
    family, member = element & 0xFF00, element & 0xF
    if family == 0x0400:
        return {0: "US", 1: "US", 2: "LO", 3: "AT"}.get(member)
    if family == 0x0800:
        return {0: "CS", 2: "US", 3: "AT", 4: "US", 8: "AT"}.get(member)
    return None


@cache
def _private() -> MappingProxyType[str, dict[str, tuple[Any, ...]]]:
    """pydicom's table of vendors' tags, read without importing pydicom (and numpy with it): the file is plain data."""
    package = importlib.util.find_spec("pydicom")
    if package is None or package.origin is None:
        return MappingProxyType({})
    path = Path(package.origin).with_name("_private_dict.py")
    spec = importlib.util.spec_from_file_location("maypacs_private_tags", path)
    if spec is None or spec.loader is None:
        return MappingProxyType({})
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except OSError:
        return MappingProxyType({})
    return MappingProxyType(module.private_dictionaries)


@lru_cache(maxsize=10_000)
def private_vr(creator: str, tag: int) -> str | None:
    """The VR of a private tag in the block of ``creator``, None when nobody has told."""
    tags = _private().get(creator)
    if tags is None:
        return None
    group, element = f"{tag >> 16:04X}", f"{tag & 0xFFFF:04X}"
    for key in (group + element, f"{group}xx{element[2:]}", f"{group[:2]}xxxx{element[2:]}"):
        entry = tags.get(key)
        if entry is not None:
            vr = str(entry[0])
            return vr if len(vr) == 2 else None
    return None
