"""What the edge has compressed, told by decoders that share nothing with it: is it the very image that was sent?

JPEG-LS is decoded by dcmtk's dcmdjpls, HTJ2K by OpenJPEG as pylibjpeg builds it; data sets are read by pydicom.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openjpeg
import pydicom
from pydicom.encaps import generate_frames
from pydicom.filereader import data_element_generator
from tests.torture.material import Item, data_set, digest_of

JPEG_LS, HTJ2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.201"
_EXPLICIT = "1.2.840.10008.1.2.1"
_NATIVE = {_EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"}
_PIXEL_DATA, _PHOTOMETRIC, _PLANAR = 0x7FE00010, 0x00280004, 0x00280006


class Originals:
    """What was sent, found again in what came of it. Threads may share it."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._by_sop: dict[str, list[Item]] = {}
        self._sent: set[str] = set()
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self.compressed: Counter[str] = Counter()
        """How many different images were found compressed, by transfer syntax."""
        for item in items:
            self._sent.add(item.digest)
            self._by_sop.setdefault(_head(item.path.read_bytes()).get("SOPInstanceUID", item.sop), []).append(item)

    def digest(self, part10: bytes) -> str:
        """Of the data set that was sent, if this is the same image compressed as the edge may; else of this one."""
        own = digest_of(part10)
        if own in self._sent:
            return own
        with self._lock:
            if own not in self._known:
                self._known[own] = self._original(part10) or own
            return self._known[own]

    def _original(self, part10: bytes) -> str | None:
        head = _head(part10)
        syntax = str(head.file_meta.get("TransferSyntaxUID", ""))
        if syntax not in (JPEG_LS, HTJ2K):
            return None
        for item in self._by_sop.get(head.get("SOPInstanceUID", ""), ()):
            if is_the_same(item.path.read_bytes(), part10):
                self.compressed[syntax] += 1
                return item.digest
        return None


def is_the_same(original: bytes, compressed: bytes) -> bool:
    """Every attribute, and every bit of the pixels; but Pixel Data, what must be said of its encoding, and the lengths
    of groups.
    """
    before, after = _read(original), _read(compressed)
    if before.file_meta.get("TransferSyntaxUID", "") not in _NATIVE or "PixelData" not in before:
        return False
    return _same_pixels(before, after, compressed) and _same_attributes(before, after, original, compressed)


def _same_attributes(before: pydicom.Dataset, after: pydicom.Dataset, original: bytes, compressed: bytes) -> bool:
    colours = before.PhotometricInterpretation
    if after.file_meta.TransferSyntaxUID == HTJ2K and colours == "RGB":
        colours = "YBR_RCT"
    if after.PhotometricInterpretation != colours or after.get("PlanarConfiguration", 0) != 0:
        return False
    if ("PlanarConfiguration" in before) != ("PlanarConfiguration" in after):
        return False
    if before.file_meta.TransferSyntaxUID == _EXPLICIT:  # to the byte
        return [*_elements(original)] == [*_elements(compressed)]
    for ds in (before, after):
        lengths = [element.tag for element in ds.iterall() if element.tag.element == 0]
        for tag in (*lengths, _PIXEL_DATA, _PHOTOMETRIC, _PLANAR):
            ds.pop(tag, None)
    return bool(before == after)


def _elements(part10: bytes) -> Iterator[Any]:
    """In the order of the file; values as bytes, but for sequences of undefined length."""
    for element in data_element_generator(io.BytesIO(data_set(part10)), is_implicit_VR=False, is_little_endian=True):
        if element.tag not in (_PIXEL_DATA, _PHOTOMETRIC, _PLANAR) and element.tag.element != 0:
            yield (element.tag, element.VR, element.value)


def _same_pixels(before: pydicom.Dataset, after: pydicom.Dataset, compressed: bytes) -> bool:
    words = np.dtype(f"<{'i' if before.PixelRepresentation else 'u'}{before.BitsAllocated // 8}")
    frames, samples = int(before.get("NumberOfFrames") or 1), before.SamplesPerPixel
    shape = (frames, before.Rows, before.Columns, samples)
    sent = np.frombuffer(before.PixelData, words, int(np.prod(shape)))
    if samples > 1 and before.PlanarConfiguration == 1:
        sent = sent.reshape(frames, samples, before.Rows, before.Columns).transpose(0, 2, 3, 1)
    if after.file_meta.TransferSyntaxUID == JPEG_LS:
        raw = _by_dcmtk(compressed)
        found = None if raw is None else np.frombuffer(raw, words)[: sent.size]
    else:
        decoded = [openjpeg.decode(frame) for frame in generate_frames(after.PixelData, number_of_frames=frames)]
        found = np.stack(decoded)
    return found is not None and found.size == sent.size and bool((found.reshape(shape) == sent.reshape(shape)).all())


def _by_dcmtk(compressed: bytes) -> bytes | None:
    """Pixel Data, colour by pixel."""
    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder, "in.dcm"), Path(folder, "out.dcm")
        there.write_bytes(compressed)
        done = subprocess.run(["dcmdjpls", "+px", str(there), str(back)], capture_output=True)
        return bytes(pydicom.dcmread(back, force=True).PixelData) if done.returncode == 0 else None


def _head(part10: bytes) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(
            io.BytesIO(part10), stop_before_pixels=True, force=True, specific_tags=["SOPInstanceUID"]
        )


def _read(part10: bytes) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(part10), force=True)
