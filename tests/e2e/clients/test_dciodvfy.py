"""dciodvfy (David Clunie's dicom3tools) on what we return: no error that the stored file lacked, whatever is asked for.

Of each kind of object, syntax and pixels that the samples have one instance, by default and in the syntaxes we make.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import SHARED_SAMPLES
from tests.e2e.clients.conftest import Archive
from tests.e2e.clients.corpus import Sample, samples_and_namesakes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FOLDERS = (
    *("files", "studies", "transfer-syntax", "multiframe", "xray", "us", "palettes", "generated", "series"),
    *("ann", "charset", "pdf", "pr", "rt", "seg", "sr", "waveform"),
)
_GATEWAY = 4_300_000
DEFAULT = "application/dicom"
RLE, JPEG, JPEG_LS, JPEG_2000 = (f"1.2.840.10008.1.2.{last}" for last in ("5", "4.50", "4.80", "4.90"))

#: What is found all the same, by sample and by what was asked for ("" is the default).
KNOWN = {
    **dict.fromkeys(
        [("files/number_of_frames_bad.dcm", syntax) for syntax in (RLE, JPEG_LS, JPEG_2000)],
        "NumberOfFrames is 0 in what was stored: it counts no fragments then",
    ),
    ("xray/dcmjs__sample-op.dcm", JPEG): "a derived ophthalmic image must name its source, which ours does not",
}


def chosen() -> list[tuple[Sample, int]]:
    """And for which archive: namesakes are kept apart. None of 32 bits: native ones end it, whoever wrote them."""
    found: dict[tuple[object, ...], tuple[Sample, int]] = {}
    for sample, copy in samples_and_namesakes(*FOLDERS):
        words = ("SOPClassUID", "PhotometricInterpretation", "BitsAllocated", "NumberOfFrames")
        kind = (sample.syntax, *(str(sample.header.get(word)) for word in words))
        if len(sample.data) < _GATEWAY and sample.header.get("BitsAllocated") != 32:
            found.setdefault(kind, (sample, copy))
    return list(found.values())


def errors(path: Path) -> set[str] | None:
    """What it takes for errors; None when it crashes, does not come to an end, or cannot read the file to its end."""
    try:
        done = subprocess.run(["dciodvfy", path], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return None
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    if done.returncode < 0 or any("read failed" in line for line in lines):
        return None
    return {line for line in lines if "Error" in line}


@pytest.fixture(scope="module")
def stored(new_archive: Callable[[], Archive]) -> list[tuple[Sample, Archive, set[str]]]:
    """What it can read of the samples, with the errors that it finds in them."""
    archives: dict[int, Archive] = {}
    found = []
    for sample, copy in chosen():
        before = errors(sample.path)
        if before is None:
            continue
        archive = archives.setdefault(copy, archives.get(copy) or new_archive())
        with archive.session() as session:
            headers = {"Content-Type": "application/dicom"}
            answer = session.post(f"{archive.root}/studies", data=sample.data, headers=headers, timeout=60)
        assert answer.status_code == 200, f"{sample.name}: {answer.status_code} {answer.text[:500]}"
        found.append((sample, archive, before))
    return found


@pytest.mark.parametrize("syntax", ["", RLE, JPEG, JPEG_LS, JPEG_2000])
def test_it_finds_no_error_that_the_stored_file_lacked(
    stored: list[tuple[Sample, Archive, set[str]]], syntax: str, tmp_path: Path
) -> None:
    """A syntax that an instance cannot have is 406; the rest is compared error by error."""
    accept = f"{DEFAULT}; transfer-syntax={syntax}" if syntax else DEFAULT
    converted, found = 0, {}
    for sample, archive, before in stored:
        with archive.session() as session:
            reply = session.get(archive.root + sample.url, headers={"Accept": accept}, timeout=60)
        if syntax and reply.status_code == 406:
            continue
        assert reply.status_code == 200, f"{sample.name}: {reply.status_code} {reply.text[:500]}"
        answer = tmp_path / "answer.dcm"
        answer.write_bytes(reply.content)
        converted += reply.content != sample.data
        after = errors(answer)
        if after is None or after - before:
            found[sample.name, syntax] = "it crashes" if after is None else sorted(after - before)
    assert {key: said for key, said in found.items() if key not in KNOWN} == {}
    names = {sample.name for sample, _, _ in stored}
    assert {key for key in KNOWN if key[1] == syntax and key[0] in names} == set(found), "what is known is still so"
    assert converted >= (5 if SHARED_SAMPLES.is_dir() else 3)  # the repository alone has fewer that can be JPEG
