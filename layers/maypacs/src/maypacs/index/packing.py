"""Rows as bytes for engines that have no types of their own: JSON, with the bytes values laid behind it.

Layout: 4 bytes big endian, the length of the JSON; the JSON; the bytes values one after the other. In the JSON a bytes
value is ``{"\\u0000": [offset, length]}`` into what follows. A row's dicts may not use the name NUL themselves.
"""

from __future__ import annotations

import struct
from typing import Any

import orjson

from maypacs.index.table import Item

_LENGTH = struct.Struct(">I")
_MARK = "\0"
_MARK_IN_JSON = b'"\\u0000":'


def pack_item(item: Item) -> bytes:
    """Raises ValueError for what a row cannot hold (`maypacs.index.costs` refuses floats; ints are 64 bits here)."""
    blobs: list[bytes] = []
    end = 0

    def lay(value: Any) -> dict[str, list[int]]:
        nonlocal end
        if not isinstance(value, bytes):
            raise TypeError(f"a row cannot hold {type(value).__name__}")
        blobs.append(value)
        end += len(value)
        return {_MARK: [end - len(value), len(value)]}

    try:
        text = orjson.dumps(item, default=lay)
    except TypeError as error:
        raise ValueError(f"not a row: {error}") from None
    if text.count(_MARK_IN_JSON) != len(blobs):  # inside a string the quotes would be escaped
        raise ValueError("not a row: a dict uses the name NUL")
    return b"".join((_LENGTH.pack(len(text)), text, *blobs))


def unpack_item(packed: bytes) -> Item:
    (length,) = _LENGTH.unpack_from(packed)
    start = _LENGTH.size + length
    text = packed[_LENGTH.size : start]
    item: Item = orjson.loads(text)
    left = text.count(_MARK_IN_JSON)
    if not left:
        return item
    for name, value in item.items():  # nearly always they are at the top
        if type(value) is dict and _MARK in value:
            item[name] = _lift(value, packed, start)
            left -= 1
    if left:
        return {name: _lift(value, packed, start) for name, value in item.items()}
    return item


def _lift(value: Any, packed: bytes, start: int) -> Any:
    if type(value) is dict:
        where = value.get(_MARK)
        if where is not None:
            return packed[start + where[0] : start + where[0] + where[1]]
        return {name: _lift(element, packed, start) for name, element in value.items()}
    if type(value) is list:
        return [_lift(element, packed, start) for element in value]
    return value
