"""Rendered pictures against a computation of its own: pydicom's arrays, pydicom's LUTs, the standard's formulas.

Whatever pydicom decodes is compared, file by file and pixel by pixel, within 3 grey levels (PS3.3 C.11.2; the bound
that PS3.18 clients rely on); a frame that we refuse to draw fails, unless the file has no UIDs to be stored under.
Nothing of the code under test takes part in what is expected.
"""

from __future__ import annotations

import copy
import functools
import io
import math
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, pixel_array
from tests.conftest import sample_files, sample_id

from maypacs.errors import MayPACSError, MissingUidError
from maypacs.pixels import overlays
from maypacs.pixels.picture import Rendering
from maypacs.pixels.whole import WholeInstance, resolve_bulk

TOLERANCE = 3
#: Frames of a file that are compared: the first, one in the middle, the last.
_PER_FILE = 3


def _frames(ds: Dataset) -> list[int]:
    try:
        count = max(1, int(ds.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        count = 1
    return sorted({1, (count + 1) // 2, count})[:_PER_FILE]


def _with_functional_groups(ds: Dataset, number: int) -> Dataset:
    """The data set as if the frame's functional groups were its own attributes."""
    merged = Dataset()
    for keyword in ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth"):
        if keyword in ds:
            setattr(merged, keyword, ds[keyword].value)
    for keyword in ("VOILUTFunction", "VOILUTSequence", "BitsStored", "BitsAllocated", "PixelRepresentation"):
        if keyword in ds:
            setattr(merged, keyword, ds[keyword].value)
    merged.PhotometricInterpretation = ds.PhotometricInterpretation
    groups = [*ds.get("SharedFunctionalGroupsSequence", [])[:1]]
    groups += [*ds.get("PerFrameFunctionalGroupsSequence", [])[number - 1 : number]]
    for group in groups:
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(name, [])[:1]:
                for element in item:
                    merged[element.tag] = copy.deepcopy(element)
    return merged


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value[0]) if isinstance(value, pydicom.multival.MultiValue) else float(value)
    except (TypeError, ValueError, IndexError):
        return None


def _window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """C.11.2.1.2.1, C.11.2.1.3.1, C.11.2.1.3.2, branch by branch, onto 0 to 255."""
    x = values.astype(np.float64)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return 255.0 / (1.0 + np.exp(-4.0 * (x - centre) / width))
    if function == "LINEAR_EXACT":
        low, high, inside = centre - width / 2, centre + width / 2, ((x - centre) / width) * 255.0 + 127.5
    else:
        low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
        inside = ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255.0 if width > 1 else x * 0
    return np.where(x <= low, 0.0, np.where(x > high, 255.0, inside))


def _stretched(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Without a window: what is there, without padding, spans the greys."""
    x = values.astype(np.float64)
    some = x[kept & np.isfinite(x)]
    if not some.size:
        some = x[np.isfinite(x)]
    low, high = float(some.min()), float(some.max())
    if low == high:
        return np.where(np.nan_to_num(x) >= low, 255.0 if low > 0 else 0.0, 0.0)
    return np.clip((np.nan_to_num(x) - low) / (high - low), 0, 1) * 255.0


def _grey(array: np.ndarray, ds: Dataset, number: int) -> np.ndarray:
    frame = _with_functional_groups(ds, number)
    values = apply_modality_lut(array, frame)
    centre, width = _first(frame.get("WindowCenter")), _first(frame.get("WindowWidth"))
    function = str(frame.get("VOILUTFunction") or "LINEAR")
    if centre is not None and width is not None and (width >= 1 or (width > 0 and function != "LINEAR")):
        out = _window(values, centre, width, function)
    elif frame.get("VOILUTSequence"):
        bits = frame.VOILUTSequence[0].LUTDescriptor[2]
        out = apply_voi(values.astype(np.int64), frame).astype(np.float64) / ((1 << bits) - 1) * 255.0
    elif "SegmentationType" in ds and ds.SegmentationType in {"BINARY", "FRACTIONAL"}:
        top = 1 if ds.SegmentationType == "BINARY" else ds.MaximumFractionalValue
        out = array.astype(np.float64) / top * 255.0
    else:
        kept = np.ones(array.shape, bool)
        padding = ds.get("PixelPaddingValue")
        if isinstance(padding, int):
            limit = ds.get("PixelPaddingRangeLimit")
            ends = sorted((padding, limit if isinstance(limit, int) else padding))
            kept = (array < ends[0]) | (array > ends[1])
        out = _stretched(values, kept)
    inverse = ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE"
    return 255.0 - out if inverse else out


def _expected(ds: Dataset, number: int) -> np.ndarray | None:
    """What the picture should be, as floats; None when pydicom cannot say."""
    try:
        array = pixel_array(ds, index=number - 1)
        if ds.PhotometricInterpretation == "PALETTE COLOR":
            colour = apply_color_lut(array, ds).astype(np.float64)
            deep = colour.max() > 255 or max(len(ds.get(f"{c}PaletteColorLookupTableData") or b"") for c in _RGB) > 768
            return np.floor(colour / 256.0) if deep and ds.RedPaletteColorLookupTableDescriptor[2] == 16 else colour
    except Exception:  # pydicom raises what it likes; then there is nothing to compare with
        return None
    if array.ndim == 3:
        return np.clip(array.astype(np.float64) / (1 << max(0, int(ds.BitsStored) - 8)), 0, 255)
    return _grey(array, ds, number)


_RGB = ("Red", "Green", "Blue")


@functools.cache
def _drawable() -> tuple[Path, ...]:
    found = []
    for path in sample_files():
        try:
            ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
            pixels = int(ds.Rows) * int(ds.Columns)
        except Exception:  # no picture, or no DICOM at all
            continue
        if pixels:
            found.append(path)
    return tuple(found)


def _comparisons(path: Path) -> Iterator[tuple[int, float]]:
    """(frame, largest difference) of each frame that pydicom draws: infinite where we draw another size, or nothing."""
    data = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(io.BytesIO(data), force=True)
        for number in _frames(ds):
            expected = _expected(ds, number)
            if expected is None:
                continue
            try:
                body = WholeInstance(data).render(number, Rendering(format="png"))
            except MissingUidError:  # STOW refuses it (C001): nobody could ask for it
                continue
            except MayPACSError:
                yield number, math.inf
                continue
            found = np.asarray(Image.open(io.BytesIO(body))).astype(np.float64)
            difference = np.abs(found - expected).max() if found.shape == expected.shape else math.inf
            yield number, float(difference)


_compared: dict[str, int] = {}


@pytest.mark.parametrize("path", _drawable(), ids=sample_id)
def test_a_picture_is_within_three_grey_levels_of_an_independent_computation(path: Path) -> None:
    """First, middle and last frame."""
    differences = dict(_comparisons(path))
    _compared[sample_id(path)] = len(differences)
    assert all(difference <= TOLERANCE for difference in differences.values()), differences


def test_enough_was_compared() -> None:
    """A comparison of nothing would pass. Of what this worker drew, since a run is split among several."""
    if not _compared:
        for path in _drawable()[:20]:
            _compared[sample_id(path)] = len(dict(_comparisons(path)))
    share = sum(count > 0 for count in _compared.values()) / len(_compared)
    assert share > 0.8


def _with_overlays() -> list[Path]:
    found = []
    for path in sample_files():
        try:
            ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
            if 0x60003000 in ds and int(ds[0x60000010].value) > 0:
                found.append(path)
        except Exception:
            continue
    return found


@pytest.mark.parametrize("path", _with_overlays(), ids=sample_id)
def test_overlay_planes_are_those_that_pydicom_unpacks(path: Path) -> None:
    """White where pydicom's plane has a bit, at the plane's origin; the rest of the picture is left alone."""
    data = path.read_bytes()
    ds = pydicom.dcmread(io.BytesIO(data), force=True)
    whole = WholeInstance(data)
    grey = np.zeros((whole.pixel.rows, whole.pixel.columns), np.uint8)
    drawn = overlays.draw(grey, whole.attributes, whole.attributes, 1, partial(resolve_bulk, whole.data), None)
    expected = np.zeros_like(grey)
    for group in range(0x6000, 0x6020, 2):
        if (group, 0x3000) not in ds:
            continue
        plane = ds.overlay_array(group)
        plane = plane[0] if plane.ndim == 3 else plane
        top, left = (int(v) - 1 for v in ds[group, 0x0050].value)
        area = expected[top : top + plane.shape[0], left : left + plane.shape[1]]
        area[plane[: area.shape[0], : area.shape[1]] > 0] = 255
    assert (drawn == expected).all()
