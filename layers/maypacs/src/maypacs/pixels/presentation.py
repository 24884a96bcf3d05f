"""A softcopy presentation state, as far as it is applied to one image (PS3.3 A.33.1, C.11; PS3.4 N).

Applied: modality LUT, VOI LUT and window (those that name the image and frame, or all), presentation LUT and its
shape, shutters, overlay activation, graphic annotations in units of the image (`graphics.py`), displayed area, rotation
and flip. Not applied: mask subtraction, annotations in units of the display, bitmap shutters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maypacs.pixels import image as images
from maypacs.pixels.image import Attributes

if TYPE_CHECKING:
    from PIL.Image import Image

#: Grayscale and colour softcopy presentation states; the others (pseudo-colour, blending, volumes) are more than this.
APPLIED = frozenset({"1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.11.2"})
#: Of the image, replaced as a whole by what the presentation state says or does not say (PS3.4 N.2).
_MODALITY = ("00283000", "00281052", "00281053", "00281054")
_VOI = ("00283010", "00281050", "00281051", "00281056")
_SHAPE = ("20500010", "20500020")
_GROUPS = ("52009229", "52009230")
_REFERENCED_IMAGES, _REFERENCED_SERIES = "00081140", "00081115"


@dataclass(frozen=True, slots=True)
class Presentation:
    state: Attributes
    sop_instance_uid: str  #: of the image that is shown
    frame: int

    def over(self, attributes: Attributes) -> Attributes:
        """The image's attributes with its transformations replaced by those of the state."""
        dropped = {*_MODALITY, *_VOI, *_SHAPE, *_GROUPS}
        shown = {tag: element for tag, element in attributes.items() if tag not in dropped}
        for tag in (*_MODALITY, *_SHAPE):
            if tag in self.state:
                shown[tag] = self.state[tag]
        for item in self.items_for("00283110"):
            shown |= {tag: item[tag] for tag in _VOI if tag in item}
            break
        shown |= {tag: element for tag, element in self.state.items() if "60000000" <= tag <= "60FFFFFF"}
        return shown

    def geometry(self, picture: Image) -> Image:
        """Displayed area, then rotation and flip (PS3.3 C.10.6, C.10.4): the flip comes after the rotation."""
        from PIL import Image as PilImage

        area = next(self.items_for("0070005A"), None)
        if area is not None:
            corners = [images.numbers(area, tag) for tag in ("00700052", "00700053")]
            if all(len(corner) == 2 for corner in corners):
                (left, top), (right, bottom) = corners
                box = (max(0, int(left) - 1), max(0, int(top) - 1), int(right), int(bottom))
                if box[0] < box[2] <= picture.width and box[1] < box[3] <= picture.height:
                    picture = picture.crop(box)
        turns = int(images.number(self.state, "00700042") or 0) // 90 % 4
        if turns:  # clockwise here, counter-clockwise there
            names = ("ROTATE_270", "ROTATE_180", "ROTATE_90")
            picture = picture.transpose(PilImage.Transpose[names[turns - 1]])
        if images.text(self.state, "00700041").upper() == "Y":
            picture = picture.transpose(PilImage.Transpose.FLIP_LEFT_RIGHT)
        return picture

    def items_for(self, sequence: str) -> Iterator[Attributes]:
        """Items of a sequence that are for this image and frame: those that name it, and those that name none."""
        for item in images.items(self.state, sequence):
            named = images.items(item, _REFERENCED_IMAGES)
            if not named or any(self._names(reference) for reference in named):
                yield item

    def _names(self, reference: Attributes) -> bool:
        frames = images.numbers(reference, "00081160")
        same = images.text(reference, "00081155") == self.sop_instance_uid
        return same and (not frames or self.frame in frames)


def referenced(state: Attributes) -> Iterator[tuple[str, str, int]]:
    """(series, instance, first frame) of each image that a presentation state is for, in its order."""
    for series in images.items(state, _REFERENCED_SERIES):
        for reference in images.items(series, _REFERENCED_IMAGES):
            frames = images.numbers(reference, "00081160")
            yield (
                images.text(series, "0020000E"),
                images.text(reference, "00081155"),
                int(frames[0]) if frames else 1,
            )
