"""The sidecar of a pack: the DICOM JSON of its instances, one a line, in pack order, as one gzip member.

What rebuilds the index without reading the pack (its arrival, boundary, instance table …) travels in the gzip header's
extra field (RFC 1952 2.3.1.1), where every gzip reader skips it: one object, one request. A table too large for it
(65,535 bytes for all of them) is an object beside.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from maypacs.errors import PackError

_MAGIC = b"\x1f\x8b\x08"
_FEXTRA = 4
_FACTS = b"MF"
_TABLE = b"MT"
#: Room for the table in the extra field, beside the facts: a pack may name some hundreds that it replaces.
TABLE_LIMIT = 56_000


@dataclass(frozen=True, slots=True)
class Sidecar:
    facts: Mapping[str, Any]  #: what the pack's head row needs beyond the data sets
    table: bytes | None  #: encoded instance table, None when it is an object beside
    datasets: list[dict[str, Any]]


def encode(datasets: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], table: bytes | None) -> bytes:
    """Deterministic: the same input gives the same bytes (no time in the header)."""
    body = b"[\n" + b",\n".join(orjson.dumps(dataset) for dataset in datasets) + b"\n]\n"
    extra = _field(_FACTS, orjson.dumps(facts))
    if table is not None and len(table) <= TABLE_LIMIT:
        extra += _field(_TABLE, table)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    header = _MAGIC + bytes([_FEXTRA]) + b"\0\0\0\0" + b"\0\xff" + struct.pack("<H", len(extra)) + extra
    return b"".join(
        (header, deflate.compress(body), deflate.flush(), struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF))
    )


def decode(data: bytes) -> Sidecar:
    """Raises PackError when it is not a sidecar of ours."""
    fields = _fields(data)
    try:
        facts = orjson.loads(fields[_FACTS])
        datasets = orjson.loads(gzip.decompress(data))
    except (KeyError, ValueError, OSError, EOFError, zlib.error) as error:
        raise PackError("not a sidecar") from error
    return Sidecar(facts=facts, table=fields.get(_TABLE), datasets=datasets)


def table_of(data: bytes) -> bytes | None:
    """The instance table in the header, without inflating the rest (a prefix of 64 KiB is enough)."""
    return _fields(data).get(_TABLE)


def _field(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<H", len(content)) + content


def _fields(data: bytes) -> dict[bytes, bytes]:
    if data[:3] != _MAGIC or len(data) < 12 or not data[3] & _FEXTRA:
        raise PackError("not a sidecar")
    end = 12 + int.from_bytes(data[10:12], "little")
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 4 <= end:
        length = int.from_bytes(data[at + 2 : at + 4], "little")
        found[data[at : at + 2]] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return found
