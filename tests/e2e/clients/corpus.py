"""Sample files as clients see them: what can be stored, read once, and a plain STOW of their bytes."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import requests
from pydicom.errors import InvalidDicomError
from tests.conftest import OWN_SAMPLES, SHARED_SAMPLES, sample_id
from tests.support.processes import wait_until

_BOUNDARY = "clients-boundary"
_BATCH_BYTES = 3_000_000
_UID = re.compile(r"[0-9.]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Sample:
    path: Path
    data: bytes
    header: Any  #: pydicom's data set, without pixels
    syntax: str

    @property
    def name(self) -> str:
        return sample_id(self.path)

    @property
    def uids(self) -> tuple[str, str, str]:
        return (
            str(self.header.StudyInstanceUID),
            str(self.header.SeriesInstanceUID),
            str(self.header.SOPInstanceUID),
        )

    @property
    def url(self) -> str:
        """Of the instance, below the archive's root."""
        return "/studies/{}/series/{}/instances/{}".format(*self.uids)

    def dataset(self) -> Any:
        return pydicom.dcmread(io.BytesIO(self.data))


def read_sample(path: Path) -> Sample | None:
    """None: pydicom does not take it for DICOM, or it has no three UIDs, so that no client could ask for it."""
    data = path.read_bytes()
    try:
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        syntax = str(header.file_meta.TransferSyntaxUID)
        sample = Sample(path, data, header, syntax)
        if not all(_UID.match(uid) for uid in sample.uids):
            return None
    except (InvalidDicomError, AttributeError, EOFError, ValueError, KeyError):
        return None
    return sample


def samples_of(*folders: str) -> list[Sample]:
    """What can be stored of these folders, of our own samples and the larger collection; the first of each UID."""
    return [sample for sample, copy in samples_and_namesakes(*folders) if copy == 0]


def samples_and_namesakes(*folders: str) -> list[tuple[Sample, int]]:
    """The same with the others of each UID, numbered: one instance in several syntaxes is several archives' matter."""
    paths = [
        path
        for root in (OWN_SAMPLES, SHARED_SAMPLES)
        for folder in folders
        if (root / folder).is_dir()
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    ]
    found: list[tuple[Sample, int]] = []
    known: dict[str, list[bytes]] = {}
    for path in paths:
        sample = read_sample(path)
        if sample is not None:
            copies = known.setdefault(sample.uids[2], [])
            if sample.data not in copies:
                found.append((sample, len(copies)))
                copies.append(sample.data)
    return found


def batches(files: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Below what a gateway takes in one request."""
    batch: list[bytes] = []
    for data in files:
        if batch and sum(map(len, batch)) + len(data) > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(data)
    if batch:
        yield batch


def stow(session: requests.Session, root: str, files: Sequence[bytes]) -> None:
    """Stores all, byte by byte as they are; an AssertionError tells what the archive said."""
    for batch in batches(files):
        parts = b"".join(
            b"--" + _BOUNDARY.encode() + b"\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n"
            for data in batch
        )
        answer = session.post(
            f"{root}/studies",
            data=parts + b"--" + _BOUNDARY.encode() + b"--\r\n",
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}',
                "Accept": "application/dicom+json",
            },
            timeout=60,
        )
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text[:2000]}"


def upload(session: requests.Session, origin: str, archive: str, data: bytes) -> None:
    """One file by the upload route, for what a gateway does not take as a request; returns when it is indexed."""
    uploads = f"{origin}/api/archives/{archive}/uploads"
    wish: dict[str, str | int] = {
        "content_type": "application/dicom",
        "length": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    granted = session.post(uploads, json=wish, timeout=30)
    assert granted.status_code == 201, granted.text
    grant = granted.json()
    url = grant["url"] if "://" in grant["url"] else origin + grant["url"]
    put = requests.request(grant["method"], url, data=data, headers=grant["headers"], timeout=60)
    assert put.status_code == 200, put.text

    def indexed() -> bool:
        state = session.get(f"{uploads}/{grant['arrival']}", timeout=30).json()["state"]
        assert state in {"pending", "indexed"}, state
        return bool(state == "indexed")

    wait_until(indexed, what="the uploaded file in the index")
