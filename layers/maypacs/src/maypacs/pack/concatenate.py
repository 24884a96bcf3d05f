"""One multipart message out of several packs of one boundary: all but the last lose their closing line.

No byte of an instance moves: a server-side copy can do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maypacs.errors import PackError
from maypacs.pack.grammar import closing


@dataclass(frozen=True, slots=True)
class PackExtent:
    """A whole pack, as its object is."""

    key: str
    size: int
    boundary: str


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [offset, offset + length) of the object ``key``."""

    key: str
    offset: int
    length: int


def plan(packs: Iterable[PackExtent]) -> list[Span]:
    """Spans which, one after the other, are one valid message. Raises PackError: no pack, or several boundaries."""
    extents = list(packs)
    if not extents:
        raise PackError("nothing to join")
    tail = len(closing(extents[0].boundary))
    for extent in extents:
        if extent.boundary != extents[0].boundary:
            raise PackError("packs of different boundaries cannot be joined")
        if extent.size <= tail:
            raise PackError("a pack is shorter than its closing line")
    spans = [Span(extent.key, 0, extent.size - tail) for extent in extents]
    spans[-1] = Span(extents[-1].key, 0, extents[-1].size)
    return spans


def plan_ranges(key_ranges: Sequence[Span], boundary: str) -> list[Span | bytes]:
    """A message out of single parts (each span is a part's [start, end)) of packs of one boundary, in the order given.

    Neighbouring parts of one object become one span.
    """
    if not key_ranges:
        raise PackError("nothing to join")
    out: list[Span | bytes] = []
    for span in key_ranges:
        last = out[-1] if out else None
        if isinstance(last, Span) and last.key == span.key and last.offset + last.length == span.offset:
            out[-1] = Span(last.key, last.offset, last.length + span.length)
        else:
            out.append(span)
    out.append(closing(boundary))
    return out
