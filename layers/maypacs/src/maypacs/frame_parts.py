"""Instances of many frames that go through a codec, made frame by frame (`frame_runs`) and put together by storage.

So one cine of a gigabyte takes neither the memory nor the time of one request: what was made waits, and the next
request goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable

from maypacs.bulkdata import read_header
from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.encapsulation import ENCAPSULATED_TAIL, fragment
from maypacs.dicom.frames import FrameTable
from maypacs.errors import HeaderError, PixelError
from maypacs.exports import export_name
from maypacs.frame_bytes import EXPLICIT, FrameReader
from maypacs.frame_runs import Runs, frames_in_runs
from maypacs.index.contents import InstanceRef
from maypacs.selection import MAX_HEADER, read_range
from maypacs.stored_parts import Pieces
from maypacs.workspace import Workspace

Late = Callable[[], bool]
#: Uncompressed bytes above which frames are made one by one: a second of RLE, some seconds of JPEG 2000.
LONG_BYTES = 32 << 20
#: Pixel data of a defined length take 32 bits (PS3.5 7.1.1).
_LARGEST = 0xFFFFFFFE


def is_long(workspace: Workspace, ref: InstanceRef, target: str) -> bool:
    """Whether the frames of an instance are more work than a request should begin without knowing how to go on."""
    stored = transfer_syntaxes.info(ref.transfer_syntax_uid)
    if ref.number_of_frames < 2 or ref.frame_table is None or stored.video:
        return False
    if target == ref.transfer_syntax_uid or transfer_syntaxes.info(target).deflated:
        return False
    if not stored.encapsulated and not transfer_syntaxes.info(target).encapsulated:
        return False
    try:
        return FrameReader(workspace, ref).pixel.decoded_size * ref.number_of_frames > LONG_BYTES
    except PixelError:
        return False


def native_runs(workspace: Workspace, ref: InstanceRef, late: Late) -> Runs:
    """All frames uncompressed. Raises PixelError, BusyError."""
    return _runs(workspace, ref, EXPLICIT, late)


def instance_pieces(workspace: Workspace, ref: InstanceRef, target: str, late: Late) -> Pieces:
    """The instance as a Part 10 file in the target syntax. Raises PixelError, HeaderError, TooLargeError, BusyError."""
    from maypacs.pixels.transcode import around_frames

    runs = _runs(workspace, ref, target, late)
    before, after = around_frames(_without_frames(workspace, ref), target, runs.lengths, runs.photometric)
    return before, *runs.pieces, after


def _runs(workspace: Workspace, ref: InstanceRef, target: str, late: Late) -> Runs:
    from maypacs.pixels.whole import joined

    reader = FrameReader(workspace, ref, range(1, ref.number_of_frames + 1))
    together = reader.pixel.together if target == EXPLICIT else 1
    numbers = range(1, reader.count + 1, together)
    if target == EXPLICIT and reader.pixel.decoded_size * reader.count > _LARGEST:
        raise PixelError("the decompressed pixel data would exceed 4 GiB")

    def make(number: int) -> tuple[bytes, str]:
        made = [reader.made(each, target) for each in range(number, min(number + together, reader.count + 1))]
        frames, photometric = [frame for frame, _ in made], made[-1][1]
        return (joined(frames, reader.pixel) if target == EXPLICIT else fragment(frames[0])), photometric

    facts = (ref.transfer_syntax_uid, ref.digest.hex(), target)
    name = export_name(workspace.store, "frame-runs", *facts, study=ref.study_instance_uid)
    return frames_in_runs(workspace.store, name, numbers, make, late)


def _without_frames(workspace: Workspace, ref: InstanceRef) -> bytes:
    """The same Part 10 file with pixel data of no frame. Raises HeaderError, TooLargeError."""
    prefix, header = read_header(workspace, ref)
    pixels = header.pixel_data
    if pixels is None or ref.frame_table is None:
        raise HeaderError("there are no pixel data")
    if pixels.encapsulated:
        end = max(offset + length for offset, length, _ in FrameTable.decode(ref.frame_table).ranges)
        head = prefix[: pixels.offset] + bytes.fromhex("FEFF00E000000000")
    else:  # 32 bits right before the value say how long it is, in every VR that pixel data can have
        end = min(pixels.offset + pixels.length, ref.length)
        head = prefix[: pixels.offset - 4] + bytes(4)
    if ref.length - end > MAX_HEADER:
        raise HeaderError("what follows the pixel data is no data set")
    rest = read_range(workspace, ref, end, ref.length - end) if end < ref.length else b""
    if pixels.encapsulated and not rest.startswith(ENCAPSULATED_TAIL[:4]):
        rest = ENCAPSULATED_TAIL  # the file was cut
    return head + rest
