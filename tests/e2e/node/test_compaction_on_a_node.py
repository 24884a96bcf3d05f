"""Single files copied into the inbox lie in as many packs; `maypacs compact` makes one of them, and readers go on."""

from __future__ import annotations

import threading
from typing import Any

import requests
from tests.support.instances import slice_of
from tests.support.processes import Node, wait_until

STUDY, SERIES = "1.2.7", "1.2.7.1"
FILES = 10


def test_a_series_of_single_files_becomes_one_pack_under_its_readers(running: Node, s3: Any) -> None:
    """A dry run first; then the whole thing while somebody reads; a URL of before still works."""
    key = running.archive("wards")
    root = f"{running.url}/dicomweb/wards/studies/{STUDY}/series/{SERIES}"
    headers = {
        "Authorization": f"Bearer {key}",
        "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
    }
    pixels = bytes(range(256)) * 1024  # large enough to be a redirect
    shape: dict[str, Any] = {"rows": 256, "columns": 512, "pixels": pixels}
    for number in range(1, FILES + 1):
        body = slice_of(STUDY, SERIES, number, **shape)
        s3.put_object(Bucket="inbox", Key=f"wards/copied/{number}", Body=body)

    def metadata() -> requests.Response:
        plain = {"Authorization": headers["Authorization"], "Accept": "application/dicom+json"}
        return requests.get(f"{root}/metadata", headers=plain, timeout=30)

    def is_there() -> bool:
        answer = metadata()
        return answer.status_code == 200 and len(answer.json()) == FILES

    def packs() -> int:
        return len(s3.list_objects_v2(Bucket="archive", Prefix=f"blobs/packs/wards/{STUDY}/").get("Contents", ()))

    wait_until(is_there, what="the files are indexed")
    before = metadata()
    assert packs() == FILES
    redirect = requests.get(f"{root}/instances/{SERIES}.1/frames/1", headers={**headers, "Accept": "*/*"}, timeout=30)
    assert redirect.status_code == 200
    assert f"{FILES} packs into 1" in running.maypacs("compact", "--archive", "wards", "--now", "--dry-run")
    assert packs() == FILES
    assert "0 series" in running.maypacs("compact", "--archive", "wards"), "it is not quiet yet"

    stop = threading.Event()
    found: list[int] = []

    def read() -> None:
        while not stop.is_set():
            answer = requests.get(root, headers=headers, timeout=30)
            found.append(answer.content.count(pixels) if answer.status_code == 200 else -answer.status_code)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(lambda: len(found) > 1, what="somebody reads")
        assert f"1 series, {FILES} packs into 1" in running.maypacs("compact", "--archive", "wards", "--now")
        read_by_now = len(found)
        wait_until(lambda: len(found) > read_by_now + 2, what="somebody goes on reading")
    finally:
        stop.set()
        reader.join()
    assert set(found) == {FILES}
    assert packs() == FILES + 1, "what was replaced stays for those who have its URLs"
    after = metadata()
    assert (after.json(), after.headers["ETag"]) == (before.json(), before.headers["ETag"])
    assert "wards: 1 studies" in running.maypacs("reindex", "--archive", "wards")
    assert metadata().json() == before.json()
