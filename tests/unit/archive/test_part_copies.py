"""Copies inside of storage go on side by side: gigabytes within one request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from maypacs.archive import multipart

GIB = 1024**3


class Storage:
    """Notes what it is asked; ``copy`` is what a copy of a part does before it answers."""

    def __init__(self, copy: Callable[[int], None] = lambda number: None) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._copy = copy

    def __call__(self, operation: str, **fields: Any) -> dict[str, Any]:
        if operation == "upload_part_copy":
            self._copy(fields["PartNumber"])
        self.asked.append((operation, fields))
        etag = f"etag-{fields.get('PartNumber')}"
        return {"UploadId": "u", "ETag": etag, "CopyPartResult": {"ETag": etag}}

    def upload(self) -> multipart.Upload:
        return multipart.Upload(None, self, "archive", "exports/a", {})

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


def test_parts_are_copied_side_by_side_and_completed_in_order() -> None:
    """The first waits for the fourth: one after the other they would never end."""
    fourth = threading.Event()

    def copy(number: int) -> None:
        if number == 4:
            fourth.set()
        assert fourth.wait(20)

    storage = Storage(copy)
    with storage.upload() as upload:
        upload.copy("archive", "packs/p", 10, GIB, etag="e")
        upload.part(b"end")
        upload.complete()
    copied = {f["PartNumber"]: f["CopySourceRange"] for name, f in storage.asked if name == "upload_part_copy"}
    mib = 1024**2
    assert copied == {n + 1: f"bytes={10 + n * 256 * mib}-{10 + (n + 1) * 256 * mib - 1}" for n in range(4)}
    assert all(f["CopySourceIfMatch"] == '"e"' for name, f in storage.asked if name == "upload_part_copy")
    name, completed = storage.asked[-1]
    assert name == "complete_multipart_upload"
    parts = [(part["PartNumber"], part["ETag"]) for part in completed["MultipartUpload"]["Parts"]]
    assert parts == [(n, f"etag-{n}") for n in range(1, 6)]


def test_a_copy_that_fails_ends_the_upload_and_no_part_comes_after_its_end() -> None:
    """Else the late part would be kept, and paid for, unseen."""
    failed = threading.Event()

    def copy(number: int) -> None:
        if number == 1:
            failed.set()
            raise ConnectionError("storage is away")
        assert failed.wait(20)
        time.sleep(0.2)  # the failure is heard of first

    def join() -> None:
        with storage.upload() as upload:
            upload.copy("archive", "packs/p", 0, GIB)
            upload.complete()

    storage = Storage(copy)
    with pytest.raises(ConnectionError):
        join()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("copy")]
    assert storage.names()[-1] == "abort_multipart_upload"
    assert "complete_multipart_upload" not in storage.names()
