"""Cornerstone3D's dicom-image-loader in Chromium on samples of every transfer syntax, against pydicom's pixels.

The page is built of cornerstone/ with the dashboard's own Vite; it asks for frames as OHIF does (`transfer-syntax=*`),
and for one instance of each common syntax by WADO-URI.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from tests.conftest import SHARED_SAMPLES
from tests.e2e.clients.browser import HERE, drive
from tests.e2e.clients.conftest import Archive
from tests.e2e.clients.corpus import Sample, samples_and_namesakes, upload
from tests.e2e.clients.other_origin import serve

from maypacs.pixels.whole import WholeInstance

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(400)]

FOLDERS = ("files", "transfer-syntax", "multiframe", "xray", "us", "palettes", "generated", "studies", "series")
_GATEWAY = 4_300_000

#: What the loader does not decode or decodes otherwise, though it is given the bytes that were stored.
LOADER_CANNOT = {
    "files/truncated_pixels.dcm": "cut inside of the first frame: there is no frame (406)",
    "generated/video_h264_mp4.dcm": "it has no decoder for video",
    "multiframe/pydicom-data__parametric_map_double_float.dcm": "it knows no Double Float Pixel Data",
    "series/ct-24x38x3-with-seg-dcmqi/label.seg": "it does not unpack one-bit pixels",
    "us/pydicom-data__gdcm-US-ALOKA-16.dcm": "it knows no segmented palettes",
    "transfer-syntax/pydicom__J2K_pixelrep_mismatch.dcm": "code stream and header differ on the sign",
    "transfer-syntax/pydicom__SC_jpeg_no_color_transform.dcm": "RGB within JPEG: the browser takes it for YBR",
    "transfer-syntax/pydicom__SC_rgb_jpeg.dcm": "RGB within JPEG without a mark: the browser takes it for YBR",
    "xray/dcmjs__sample-op.dcm": "a baseline JPEG that is declared lossless: it believes the declaration",
}
#: Decoders of lossy JPEG may differ by a grey level or two (ITU-T T.83), more where colours were subsampled.
LOSSY = {f"1.2.840.10008.1.2.4.{last}" for last in ("50", "51", "53", "55", "91")}
#: So much the loader adds to each value of a 12-bit JPEG, of 4,096: our decoder says what dcmtk's does.
TOO_BRIGHT = 15
#: What pydicom has no decoder for: 12-bit and retired kinds of JPEG, deflated frames.
BY_OURS = {f"1.2.840.10008.1.2.{last}" for last in ("4.51", "4.53", "4.55", "8.1")}
SYNTAXES = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
}
NOT_BY_WADO_URI = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.2"}  #: implicit VR, big endian
#: Only the larger collection has these.
MORE_SYNTAXES = {
    *BY_OURS,
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.201",
}


#: A sample, the number of the frame, and what the page says about it.
Finding = tuple[Sample, int, dict[str, Any]]


def pictures() -> list[tuple[Sample, int]]:
    """One a series and syntax, with pixels; and which archive it is for."""
    found: dict[tuple[str, str], tuple[Sample, int]] = {}
    for sample, copy in samples_and_namesakes(*FOLDERS):
        if "Rows" in sample.header and sample.name not in LOADER_CANNOT and has_pixels(sample):
            found.setdefault((sample.uids[1], sample.syntax), (sample, copy))
    return list(found.values())


def has_pixels(sample: Sample) -> bool:
    dataset = sample.dataset()
    return any(word in dataset for word in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def expected(sample: Sample, frame: int) -> Any | None:
    """pydicom's frame, or that of the archive's own decoder in `BY_OURS`; None when there is none."""
    if sample.syntax in BY_OURS:
        ours = WholeInstance(sample.data)
        if ours.pixel.bits_allocated == 1:  # the loader inflates, and leaves the bits packed
            return np.frombuffer(ours.native_frame(frame)[0], np.uint8)
        return ours.decode(frame)[0] + TOO_BRIGHT
    dataset = sample.dataset()
    try:
        pixels = pixel_array(dataset, index=frame - 1)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            colours = apply_color_lut(pixels, dataset)
            pixels = (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours
        return pixels
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return None


@pytest.fixture(scope="module")
def findings(new_archive: Callable[[], Archive], tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    folder: Path = tmp_path_factory.mktemp("cornerstone")
    done = subprocess.run(
        ["node", HERE / "cornerstone" / "build.mjs", folder / "page"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    samples = pictures()
    archives = {copy: new_archive() for copy in sorted({copy for _, copy in samples})}
    for sample, copy in samples:
        store(archives[copy], sample)
    frames = [(sample, copy, frame) for sample, copy in samples for frame in sorted({1, last_frame(sample)})]
    requests: list[dict[str, Any]] = [
        {"root": archives[copy].root, "token": archives[copy].key, "url": sample.url, "frame": frame}
        for sample, copy, frame in frames
    ]
    by_uri = {sample.syntax: sample for sample, copy in reversed(samples) if copy == 0 and sample.syntax in SYNTAXES}
    requests += [
        {"root": archives[0].root, "token": archives[0].key, "uri": wado_uri(sample)} for sample in by_uri.values()
    ]
    (folder / "requests.json").write_text(json.dumps(requests))
    with serve(folder / "page") as origin:
        drive(
            "cornerstone.mjs",
            seconds=300,
            page=origin,
            requests=str(folder / "requests.json"),
            findings=str(folder / "findings.json"),
        )
    report = json.loads((folder / "findings.json").read_text())
    asked = [(sample, frame) for sample, _, frame in frames] + [(sample, 1) for sample in by_uri.values()]
    return [(sample, frame, found) for (sample, frame), found in zip(asked, report["findings"], strict=True)]


def last_frame(sample: Sample) -> int:
    try:
        return max(1, int(sample.header.get("NumberOfFrames") or 1))
    except ValueError:
        return 1


def wado_uri(sample: Sample) -> str:
    """The whole instance in the syntax it is stored in, or the default where that may not be asked for (9.4.1.2)."""
    names = dict(zip(("studyUID", "seriesUID", "objectUID"), sample.uids, strict=True))
    syntax = {} if sample.syntax in NOT_BY_WADO_URI else {"transferSyntax": sample.syntax}
    return urlencode({"requestType": "WADO", **names, "contentType": "application/dicom", **syntax})


def store(archive: Archive, sample: Sample) -> None:
    with archive.session() as session:
        if len(sample.data) > _GATEWAY:
            upload(session, archive.origin, archive.name, sample.data)
            return
        answer = session.post(
            f"{archive.root}/studies", data=sample.data, headers={"Content-Type": "application/dicom"}, timeout=60
        )
        assert answer.status_code in {200, 202}, f"{sample.name}: {answer.status_code} {answer.text[:500]}"


def test_every_picture_is_decoded(findings: list[Finding]) -> None:
    """But for what the loader cannot do, by name."""
    assert {(sample.name, frame): found["error"] for sample, frame, found in findings if "error" in found} == {}


def test_the_pixels_are_those_that_pydicom_decodes(findings: list[Finding]) -> None:
    """Value by value (by two sums) where the compression is lossless; within a grey level on average elsewhere.

    In the four syntaxes of `BY_OURS`, which pydicom lacks, those that our decoder decodes.
    """
    wrong, compared, undecoded = {}, set(), set()
    for sample, frame, found in findings:
        pixels = expected(sample, frame)
        if pixels is None or "error" in found:
            undecoded.add(sample.name)
            continue
        values = pixels.astype(np.float64).ravel()
        weighted = float((values * (np.arange(values.size) % 1021 + 1)).sum())
        ours = [found["count"], found["min"], found["max"]]
        theirs = [values.size, float(values.min()), float(values.max())]
        if sample.syntax in LOSSY or pixels.dtype.kind == "f":
            good = ours[0] == theirs[0] and abs(found["sum"] / values.size - values.mean()) < 1
        else:
            good = ours == theirs and (found["sum"], found["weighted"]) == (float(values.sum()), weighted)
        compared.add(sample.syntax)
        if not good:
            wrong[sample.name, frame] = f"{found} instead of {theirs}, sum {values.sum()}"
    assert wrong == {}
    assert undecoded == set(), "nothing is left out but what LOADER_CANNOT names"
    assert compared >= SYNTAXES
    if SHARED_SAMPLES.is_dir():
        assert compared >= MORE_SYNTAXES
