"""Overlay planes (PS3.3 C.9.2, groups 6000 to 60FE): graphics over a picture of 8 bits.

Without a presentation state an image shows no overlay unless the request asks (annotation=overlay); a presentation
state shows those that it activates (C.11.7), in white or in the grey that it recommends. Embedded overlays (in unused
bits of the pixels) were retired in 2004 and are not drawn.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes, Resolve

if TYPE_CHECKING:
    import numpy as np

    from maypacs.pixels.presentation import Presentation

    Array = np.ndarray[Any, np.dtype[Any]]


def draw(
    eight: Array,
    attributes: Attributes,
    shown: Attributes,
    frame: int,
    resolve: Resolve,
    presentation: Presentation | None,
) -> Array:
    """The picture with its overlays on it. `shown` has the activations of a presentation state."""
    import numpy as np

    out = eight
    for group in range(0x6000, 0x6100, 2):
        prefix = f"{group:04X}"
        if presentation is not None and not images.text(shown, f"{prefix}1001"):
            continue
        source = shown if f"{prefix}3000" in shown else attributes
        mask = _plane(source, prefix, frame, resolve)
        if mask is None:
            continue
        bits, top, left = mask
        if out is eight:
            out = np.array(eight)
        y0, x0 = max(0, top), max(0, left)
        y1, x1 = min(out.shape[0], top + bits.shape[0]), min(out.shape[1], left + bits.shape[1])
        if y0 < y1 and x0 < x1:
            out[y0:y1, x0:x1][bits[y0 - top : y1 - top, x0 - left : x1 - left]] = 255
    return out


def _plane(attributes: Attributes, prefix: str, frame: int, resolve: Resolve) -> tuple[Array, int, int] | None:
    """(bits, row and column of its first pixel, from 0) of the frame; None: no plane, or not one for this frame."""
    import numpy as np

    element = attributes.get(f"{prefix}3000")
    rows, columns = (int(images.number(attributes, f"{prefix}{n}") or 0) for n in ("0010", "0011"))
    if not element or rows <= 0 or columns <= 0 or rows * columns > 1 << 28:
        return None
    if "BulkDataURI" in element:
        data = resolve(element["BulkDataURI"])
    else:
        data = base64.b64decode(element.get("InlineBinary", ""))
    count = max(1, int(images.number(attributes, f"{prefix}0015") or 1))
    first = max(1, int(images.number(attributes, f"{prefix}0051") or 1))
    index = frame - first if count > 1 or f"{prefix}0051" in attributes else 0
    if not 0 <= index < count:
        return None
    start = index * rows * columns
    end = start + rows * columns
    if len(data) * 8 < end:
        return None
    flags = np.unpackbits(np.frombuffer(data[start // 8 : -(-end // 8)], np.uint8), bitorder="little")
    bits = flags[start % 8 : start % 8 + rows * columns].reshape(rows, columns).astype(bool)
    origin = [int(v) for v in images.numbers(attributes, f"{prefix}0050")] or [1, 1]
    top, left = (origin[0] - 1, origin[1] - 1) if len(origin) == 2 else (0, 0)
    return bits, top, left
