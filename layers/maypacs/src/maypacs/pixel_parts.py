"""Pixel data of instances as parts of an answer (PS3.18 8.7.3.3): uncompressed in one, compressed one a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from maypacs import passing
from maypacs.bulkdata import read_bulk
from maypacs.conversion import location
from maypacs.dicom import transfer_syntaxes
from maypacs.errors import NotAcceptableError, PixelError
from maypacs.frame_bytes import EXPLICIT, FrameReader, stored_frames
from maypacs.frame_parts import is_long, native_runs
from maypacs.http.media_types import OCTETS, Choice
from maypacs.http.multipart import OutPart
from maypacs.index.contents import InstanceRef
from maypacs.selection import WHOLE_LIMIT
from maypacs.stored_parts import AnyPart, StoredPart, bulk_part, is_large
from maypacs.workspace import Workspace

_NATIVE = f"{OCTETS}; transfer-syntax={EXPLICIT}"
#: A value of an instance; with a number, that frame of its pixel data.
Item = tuple[InstanceRef, str, int | None]


class PixelParts:
    """As one choice has them, in the target syntax (None: as stored). Asked for in the order of their items."""

    def __init__(self, workspace: Workspace, choice: Choice, target: str | None, late: Callable[[], bool]) -> None:
        self._workspace, self._choice, self._target, self._late = workspace, choice, target, late
        self._reader: FrameReader | None = None

    def items(self, ref: InstanceRef, path: str) -> Iterator[Item]:
        """One; where each frame is a part of its own, one a frame. Raises NotAcceptableError."""
        if self._target is None and self._choice.media_type not in {OCTETS, _stored_type(ref)}:
            raise NotAcceptableError(f"stored as {_stored_type(ref)}")
        if ref.frame_table is None or self._target == EXPLICIT or self._is_a_value(ref):
            yield ref, path, None
        else:
            yield from ((ref, path, number) for number in range(1, FrameReader(self._workspace, ref).count + 1))

    def make(self, item: Item, root: str) -> Sequence[AnyPart]:
        """Raises NotAcceptableError when they cannot become what was named; BusyError when more time is needed."""
        ref, path, number = item
        where = f"{location(root, ref)}/bulkdata/{path}"
        if self._is_a_value(ref):
            return [self._value(ref, path, where)]
        if self._reader is None or self._reader.ref is not ref:
            self._reader = FrameReader(self._workspace, ref, range(number or 1, ref.number_of_frames + 1))
        numbers = range(1, self._reader.count + 1) if number is None else [number]
        try:
            if self._target == EXPLICIT:
                return [self._native(ref, self._reader, numbers, where)]
            syntax = self._syntax(ref)
            return [_framed(root, ref, n, self._reader.made(n, syntax)[0], syntax) for n in numbers]
        except PixelError as error:
            if self._target is None:
                raise
            if self._choice.transfer_syntax or self._choice.media_type != OCTETS or ref.length > WHOLE_LIMIT:
                raise NotAcceptableError(f"pixel data cannot be had so: {error}") from error
        frames = stored_frames(self._workspace, ref, numbers)
        return [_framed(root, ref, n, frame, None) for n, frame in zip(numbers, frames, strict=True)]

    def _is_a_value(self, ref: InstanceRef) -> bool:
        """What lies in the instance as it is answered: native pixels, and the stream of a video."""
        stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
        return self._target in {None, EXPLICIT} and (stored.video or not stored.encapsulated)

    def _syntax(self, ref: InstanceRef) -> str | None:
        """Of single frames: None as they are stored, also where another of the same media type was not named."""
        same_type = self._choice.media_type == _stored_type(ref)
        if self._target == ref.transfer_syntax_uid or (same_type and not self._choice.transfer_syntax):
            return None
        return self._target

    def _value(self, ref: InstanceRef, path: str, where: str) -> AnyPart:
        if not transfer_syntaxes.info(ref.transfer_syntax_uid).video:
            return value_part(self._workspace, ref, path, _NATIVE, where)
        if is_large(ref) and ref.frame_table is not None:
            return StoredPart(_stored_type(ref), tuple(passing.stream_pieces(self._workspace, ref)), where)
        return OutPart(_stored_type(ref), stored_frames(self._workspace, ref, [1])[0], where)

    def _native(self, ref: InstanceRef, reader: FrameReader, numbers: Sequence[int], where: str) -> AnyPart:
        from maypacs.pixels.whole import joined

        if is_long(self._workspace, ref, EXPLICIT):
            return StoredPart(_NATIVE, native_runs(self._workspace, ref, self._late).pieces, where)
        frames = [reader.made(number, EXPLICIT)[0] for number in numbers]
        return OutPart(_NATIVE, joined(frames, reader.pixel), where)


def value_part(workspace: Workspace, ref: InstanceRef, path: str, content_type: str, where: str) -> AnyPart:
    """A value as it lies in the instance. Raises NotFoundError, TooLargeError."""
    part = bulk_part(workspace, ref, path, content_type, where)
    return part or OutPart(content_type, read_bulk(workspace, ref, path), where)


def _stored_type(ref: InstanceRef) -> str:
    return transfer_syntaxes.info(ref.transfer_syntax_uid).frame_media_type


def _framed(root: str, ref: InstanceRef, number: int, frame: bytes, target: str | None) -> OutPart:
    syntax = target or ref.transfer_syntax_uid
    kind = f"{transfer_syntaxes.info(syntax).frame_media_type}; transfer-syntax={syntax}"
    return OutPart(kind, frame, f"{location(root, ref)}/frames/{number}")
