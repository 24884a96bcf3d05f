"""Fixtures that every suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

# What fails is reported as it was found. Made smaller first, a slow example goes on for five minutes, for each way it
# fails, and its being stopped by the test's timeout is one more. `--hypothesis-profile=default` brings that back.
# Nor is time asserted: on a busy machine an example of a millisecond has taken more than a second.
_AS_FOUND = settings(
    phases=[each for each in Phase if each is not Phase.shrink], report_multiple_bugs=False, deadline=None
)
# The same code gives the same answer: whether a change may land is no lottery. `make fuzz` looks for what is new.
settings.register_profile("suite", _AS_FOUND, derandomize=True, database=None)
settings.register_profile("search", _AS_FOUND, print_blob=True)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parents[1]
OWN_SAMPLES = ROOT / "samples"
#: A larger collection than the repository carries; used whole whenever it is there.
SHARED_SAMPLES = Path(os.environ.get("MAYPACS_SAMPLES", ROOT.parent / "shared" / "samples"))


def sample_files() -> list[Path]:
    """Every sample DICOM file at hand (and files that only pretend to be), in a stable order."""
    files = sorted(p for p in OWN_SAMPLES.rglob("*") if p.is_file() and p.suffix not in {".md", ".csv", ".py", ".toml"})
    if SHARED_SAMPLES.is_dir():
        files += sorted(
            p
            for p in SHARED_SAMPLES.rglob("*")
            if p.is_file() and p.suffix not in {".md", ".csv", ".hl7"} and "hl7" not in p.parts
        )
    return files


def sample_id(path: Path) -> str:
    for root in (SHARED_SAMPLES, OWN_SAMPLES):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.name


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
