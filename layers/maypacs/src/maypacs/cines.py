"""All frames of an instance as one animated GIF (PS3.18 8.7.4), drawn frame by frame (`frame_runs`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from maypacs.errors import NotAcceptableError, NotFoundError
from maypacs.frame_bytes import FrameReader, attributes_of
from maypacs.frame_runs import frames_in_runs
from maypacs.index.contents import InstanceRef
from maypacs.pixels import image as images
from maypacs.pixels.picture import Rendering
from maypacs.stored_parts import Pieces
from maypacs.workspace import Workspace

#: A GIF of more is of no use to a browser: pixels of all frames, as they are stored or drawn, and frames.
MAX_CINE_PIXELS, MAX_CINE_FRAMES = 100_000_000, 600
#: Up to so many pixels are drawn at once: two seconds of colour.
SHORT_PIXELS = 2_000_000


def cine(
    workspace: Workspace,
    ref: InstanceRef,
    rendering: Rendering,
    resolve: Callable[[str], bytes],
    name: str,
    late: Callable[[], bool],
) -> Pieces:
    """The GIF; of a long one, what was drawn waits below the export `name`.

    Raises NotAcceptableError when there are too many frames for one, NotFoundError, PixelError, BusyError.
    """
    from maypacs.pixels import gif
    from maypacs.pixels.decode import decode_frame
    from maypacs.pixels.render import draw_frame

    attributes = attributes_of(workspace, ref)
    if not images.has_pixels(attributes):
        raise NotFoundError("the instance has no picture")
    pixel = images.image_pixel(attributes)
    drawn = rendering.viewport.width * rendering.viewport.height if rendering.viewport else 0
    pixels = ref.number_of_frames * max(drawn, pixel.rows * pixel.columns)
    if ref.number_of_frames > MAX_CINE_FRAMES or pixels > MAX_CINE_PIXELS:
        raise NotAcceptableError("too many frames for one GIF: ask for single frames")
    numbers = range(1, ref.number_of_frames + 1)
    reader, milliseconds = FrameReader(workspace, ref, numbers), images.frame_milliseconds(attributes)
    resolve = cache(resolve)

    def block(number: int) -> tuple[bytes, str]:
        array, photometric = decode_frame(reader.stored(number), reader.pixel, reader.syntax)
        picture = draw_frame(array, photometric, pixel, attributes, frame=number, rendering=rendering, resolve=resolve)
        return gif.block(picture, milliseconds), ""

    if pixels <= SHORT_PIXELS:
        blocks = [block(number)[0] for number in numbers]
        return (b"".join((gif.head(blocks[0]), *blocks, gif.TAIL)),)
    runs = frames_in_runs(workspace.store, name, numbers, block, late)
    first = workspace.store.objects.get(runs.pieces[0].key, length=gif.HEAD_BYTES)
    return gif.head(first), *runs.pieces, gif.TAIL
