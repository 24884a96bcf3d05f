"""How many of the shared samples give a picture and a first frame, counted as it was for Debian's Orthanc 1.10.

Each file is tried by `test_round_trip.py`, which fails when `failures.toml` is not exactly what happens; here the list
is counted. Files of neither pixels nor pictures (reports, waveforms, plans) count as none, as they did there.
"""

from __future__ import annotations

import csv

import pytest
from tests.conftest import SHARED_SAMPLES
from tests.functional.dicomweb.test_round_trip import expected

from maypacs.dicom.header import parse_header
from maypacs.pixels.image import has_pixels

#: Of the 386 files that Orthanc stored (387, one of them sent twice): a rendered picture, frame 1.
FILES, ORTHANC = 386, {"rendered": 277, "frame": 291}
OURS = {"rendered": 309, "frame": 308}


def counted() -> tuple[int, dict[str, int], dict[str, list[str]]]:
    """(files, how many succeed, which fail) step by step."""
    with (SHARED_SAMPLES / "files.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    paths = [row["path"] for row in rows if row["orthanc_1_10_stow_http"] == "200" and "dup_b" not in row["path"]]
    succeed = dict.fromkeys(ORTHANC, 0)
    fail: dict[str, list[str]] = {step: [] for step in ORTHANC}
    for path in paths:
        listed = expected().get(path, {})
        if "store" in listed or not has_pixels(parse_header((SHARED_SAMPLES / path).read_bytes()).dataset):
            continue
        for step in ORTHANC:
            if step in listed:
                fail[step].append(f"{path}: {listed[step]}")
            else:
                succeed[step] += 1
    return len(paths), succeed, fail


@pytest.mark.skipif(not SHARED_SAMPLES.is_dir(), reason="the shared samples are not here")
def test_more_samples_give_pictures_and_frames_than_debians_orthanc_manages() -> None:
    """And each failure has its reason."""
    files, succeed, fail = counted()
    assert files == FILES
    assert all(succeed[step] > ORTHANC[step] for step in ORTHANC), (succeed, fail)
    assert succeed == OURS, fail
    assert all(reason.partition(": ")[2] for reasons in fail.values() for reason in reasons)
