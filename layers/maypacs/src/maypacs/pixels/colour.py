"""ICC profiles of rendered pictures (PS3.18 8.3.5.1.6).

`yes` embeds the profile of the image (0028,2000), or sRGB when it has none; a named one converts to that space and
embeds its profile. Profiles are matrix and curve ones (ICC.1:2001-04, version 2), made here from the published
primaries: of Adobe RGB (1998) and of ROMM RGB (ISO 22028-2), adapted to D50.
"""

from __future__ import annotations

import functools
import io
import struct
from typing import TYPE_CHECKING

from maypacs.errors import PixelError
from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes, Resolve

if TYPE_CHECKING:
    from PIL.Image import Image

_D50 = (0.9642, 1.0, 0.8249)
#: (gamma, red, green, blue), XYZ relative to D50.
_SPACES = {
    "adobergb": (
        "RGB like Adobe RGB (1998)",
        2.19921875,
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    ),
    "rommrgb": (
        "ROMM RGB",
        1.8,
        ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03135, 0.00009, 0.82491)),
    ),
}


def with_profile(picture: Image, name: str, attributes: Attributes, resolve: Resolve) -> tuple[Image, bytes]:
    """The picture in the space asked for, and the profile to embed. Raises PixelError (a profile nobody can read)."""
    from PIL import ImageCms

    own = _own_profile(attributes, resolve) if picture.mode == "RGB" else None
    picture = picture.convert("RGB")
    if name == "yes":
        return picture, own or profile("srgb")
    target = profile(name)
    if (own or profile("srgb")) == target:
        return picture, target
    try:
        source, goal = (ImageCms.ImageCmsProfile(io.BytesIO(p)) for p in (own or profile("srgb"), target))
        turned = ImageCms.profileToProfile(picture, source, goal, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        raise PixelError("the ICC profile of the image cannot be read") from None
    assert turned is not None
    return turned, target


@functools.cache
def profile(name: str) -> bytes:
    """The bytes of srgb, adobergb or rommrgb: the same every time, so that an ETag holds."""
    if name == "srgb":
        from PIL import ImageCms

        made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        made[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)  # when it was made is of no interest
        return bytes(made)
    description, gamma, primaries = _SPACES[name]
    return _matrix_profile(description, gamma, primaries)


def _matrix_profile(description: str, gamma: float, primaries: tuple[tuple[float, float, float], ...]) -> bytes:
    """A display profile of three primaries and one gamma (ICC.1:2001-04 6.3.1.2)."""
    text = description.encode("ascii") + b"\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67),
        b"cprt": b"text\0\0\0\0No copyright\0",
        b"wtpt": _xyz(_D50),
        **{name: _xyz(value) for name, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = offset + len(body)
    header = struct.pack(">I4xI4s4s4s", size, 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(4 + 4 + 4 + 4 + 8 + 4)
    header += b"".join(struct.pack(">i", round(v * 65536)) for v in _D50)
    return header.ljust(128, b"\0") + table + body


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in value)


def _own_profile(attributes: Attributes, resolve: Resolve) -> bytes | None:
    """Of the image, or of its first optical path (whole slide images)."""
    import base64

    for holder in (attributes, *images.items(attributes, "00480105")[:1]):
        element = holder.get("00282000")
        if not element:
            continue
        if "BulkDataURI" in element:
            return resolve(element["BulkDataURI"])
        if "InlineBinary" in element:
            return base64.b64decode(element["InlineBinary"])
    return None
