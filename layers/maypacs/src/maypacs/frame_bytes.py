"""The bytes of an instance's frames: as stored, native, or in another transfer syntax.

Frames are read by range where the frame table tells where they are, and decoded one by one: nobody holds all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.frames import FrameRange, FrameTable, defragment
from maypacs.errors import NotFoundError
from maypacs.index.contents import InstanceRef
from maypacs.metadata import sidecar_lines
from maypacs.selection import read_instance, read_range
from maypacs.workspace import Workspace

if TYPE_CHECKING:
    from maypacs.pixels.image import ImagePixel
    from maypacs.pixels.whole import WholeInstance

EXPLICIT = transfer_syntaxes.EXPLICIT_VR_LITTLE_ENDIAN
#: Bytes of one range, and of what lies between frames that are read in one.
_RANGE_BYTES, _GAP_BYTES = 8 << 20, 1 << 20


class FrameReader:
    """Frames of one instance, by their numbers (from 1); those that follow in ``numbers`` come in the same range.

    Takes up to `_RANGE_BYTES` of memory beside what it hands out; the whole instance when it has no frame table.
    All methods raise FrameNotFoundError and PixelError; NotFoundError when the instance has no pixels.
    """

    def __init__(self, workspace: Workspace, ref: InstanceRef, numbers: Sequence[int] = ()) -> None:
        self._workspace, self.ref, self.numbers = workspace, ref, numbers
        self._start, self._held = 0, b""

    @cached_property
    def _table(self) -> FrameTable | None:
        return None if self.ref.frame_table is None else FrameTable.decode(self.ref.frame_table)

    @cached_property
    def _whole(self) -> WholeInstance:
        return whole_instance(self._workspace, self.ref)

    @cached_property
    def pixel(self) -> ImagePixel:
        from maypacs.pixels.image import image_pixel

        if self._table is None:
            return self._whole.pixel
        return image_pixel(attributes_of(self._workspace, self.ref))

    @property
    def syntax(self) -> str:
        """The transfer syntax of `stored` frames."""
        return self._whole.transfer_syntax_uid if self._table is None else self.ref.transfer_syntax_uid

    @property
    def count(self) -> int:
        return (self._whole.frame_table if self._table is None else self._table).number_of_frames

    def stored(self, number: int) -> bytes:
        """Native little endian samples, or fragments joined."""
        if self._table is None:
            return self._whole.stored_frame(number)
        found = self._table.locate(number)
        if not self._start <= found.offset <= found.offset + found.length <= self._start + len(self._held):
            low, high = self._span(number, found)
            self._start, self._held = low, read_range(self._workspace, self.ref, low, high - low)
        at = found.offset - self._start
        return defragment(self._held[at : at + found.length], found)

    def made(self, number: int, target: str | None) -> tuple[bytes, str]:
        """In the target (None: as stored), and the photometric interpretation that the frame has then."""
        from maypacs.pixels.whole import compressed_frame_bytes, native_frame_bytes

        frame, syntax = self.stored(number), self.syntax
        if target is None:
            return frame, ""
        if target != EXPLICIT:
            return compressed_frame_bytes(frame, self.pixel, syntax, target)
        if self._table is not None and not transfer_syntaxes.info(syntax).encapsulated:
            return frame, ""
        return native_frame_bytes(frame, self.pixel, syntax)

    def _span(self, number: int, first: FrameRange) -> tuple[int, int]:
        """What to read: the frame, and those that are asked for after it as long as they lie close enough."""
        assert self._table is not None
        low, high, wanted = first.offset, first.offset + first.length, first.length
        for following in self.numbers[self.numbers.index(number) + 1 :] if number in self.numbers else ():
            if not 1 <= following <= self._table.number_of_frames:
                break
            found = self._table.locate(following)
            after = min(low, found.offset), max(high, found.offset + found.length)
            wanted += found.length
            if after[1] - after[0] > min(_RANGE_BYTES, 2 * wanted + _GAP_BYTES):
                break
            low, high = after
        return low, high


def stored_frames(workspace: Workspace, ref: InstanceRef, numbers: Sequence[int]) -> list[bytes]:
    """Few frames (from 1) as they are stored. Raises as `FrameReader`."""
    reader = FrameReader(workspace, ref, numbers)
    return [reader.stored(number) for number in numbers]


def whole_instance(workspace: Workspace, ref: InstanceRef) -> WholeInstance:
    """For instances without a frame table: deflated ones, and those whose frames ingest could not tell apart."""
    from maypacs.pixels.image import has_pixels
    from maypacs.pixels.whole import WholeInstance

    if not has_pixels(attributes_of(workspace, ref)):
        raise NotFoundError("the instance has no frames")
    return WholeInstance(read_instance(workspace, ref))


def attributes_of(workspace: Workspace, ref: InstanceRef) -> dict[str, Any]:
    """The DICOM JSON of one instance, from its pack's sidecar; the last sidecars are kept (packs never change)."""
    import orjson

    key = (workspace.archive_id, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
    lines = _sidecars.get(key)
    if lines is None:
        sidecar = workspace.store.get_sidecar(ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)
        lines = sidecar_lines(sidecar)
        while len(_sidecars) >= _KEPT:
            _sidecars.pop(next(iter(_sidecars)), None)
        _sidecars[key] = lines
    attributes: dict[str, Any] = orjson.loads(lines[ref.position])
    return attributes


#: A sidecar of a thousand instances takes some megabytes.
_KEPT = 6
_sidecars: dict[tuple[str, str, str, str], list[bytes]] = {}
