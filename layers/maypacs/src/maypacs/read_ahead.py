"""Instances read one after the other, many by one request: neighbours in a pack come in one range."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from maypacs.index.contents import InstanceRef
from maypacs.selection import read_instance, read_range
from maypacs.workspace import Workspace

#: Bytes of one range, and between two instances that are read in one.
RANGE_BYTES, GAP_BYTES = 8 << 20, 64 << 10


class ReadAhead:
    """Called with instances in the order of ``refs``; any other is read by itself, whenever it is asked for.

    Takes up to `RANGE_BYTES` of memory beside what it hands out.
    """

    def __init__(self, workspace: Workspace, refs: Sequence[InstanceRef]) -> None:
        self._workspace = workspace
        self._next = {id(before): after for before, after in pairwise(refs)}
        self._start, self._held, self._pack = 0, memoryview(b""), ""

    def __call__(self, ref: InstanceRef) -> bytes:
        """The Part 10 file. Raises TooLargeError above `selection.WHOLE_LIMIT`."""
        if not self._holds(ref):
            last = self._last_in_range(ref)
            if last is ref:
                return read_instance(self._workspace, ref)
            length = last.offset + last.length - ref.offset
            self._held = memoryview(read_range(self._workspace, ref, 0, length))
            self._start, self._pack = ref.offset, ref.pack_id
        at = ref.offset - self._start
        return bytes(self._held[at : at + ref.length])

    def _holds(self, ref: InstanceRef) -> bool:
        end = self._start + len(self._held)
        return ref.pack_id == self._pack and self._start <= ref.offset and ref.offset + ref.length <= end

    def _last_in_range(self, first: InstanceRef) -> InstanceRef:
        last = first
        while (after := self._next.get(id(last))) is not None:
            follows = after.pack_id == first.pack_id and 0 <= after.offset - (last.offset + last.length) <= GAP_BYTES
            if not follows or after.offset + after.length - first.offset > RANGE_BYTES:
                break
            last = after
        return last
