"""Single files copied into the inbox lie in as many packs; `maypacs compact` makes one of them, and readers go on."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.support.instances import slice_of
from tests.support.processes import ROOT, Node, wait_until

from maypacs.index.sqlite_table import SqliteTable
from maypacs_node.bench import object_store_client

STUDY, SERIES = "1.2.7", "1.2.7.1"
FILES = 10
SERIES_KILLED = 28  #: of two files each


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


def test_a_node_does_it_by_the_clock_and_takes_away_what_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows' times are set back; the chores do the rest."""
    monkeypatch.setenv("MAYPACS_NODE_HOUSEKEEPER_SECONDS", "1")
    with Node(tmp_path / "node") as node:
        node.archive("hosp1")
        client, _ = object_store_client(node.data)
        for number in range(1, FILES + 1):
            client.put_object(Bucket="inbox", Key=f"hosp1/copied/{number}", Body=slice_of(STUDY, SERIES, number))
        table = SqliteTable(node.data / "index.sqlite")
        row, study = ("hosp1#C", f"{STUDY}#{SERIES}"), f"hosp1#S#{STUDY}"

        def stored() -> int:
            found = table.get(study, f"1#{SERIES}")
            return found["instances"] if found else 0

        def packs() -> int:
            return int(client.list_objects_v2(Bucket="archive", Prefix="blobs/packs/")["KeyCount"])

        wait_until(lambda: stored() == FILES and table.get(*row) is not None, what="the files are indexed")
        table.update(study, f"1#{SERIES}", set={"revision": 1})
        table.update(*row, set={"due": 0})
        wait_until(lambda: packs() == FILES + 1, what="the packs are put together")
        wait_until(lambda: not (table.get(*row) or {"worker": ""})["worker"], what="the run is over")
        table.update(*row, set={"due": 0, "clean": 1})
        wait_until(lambda: packs() == 1, what="what was replaced is gone")
        assert stored() == FILES


def test_killed_at_its_steps_under_its_readers_nothing_is_lost(running: Node, s3: Any) -> None:
    """By SIGKILL at every other step, on the engines of a node; somebody reads all of the series all the time."""
    key = running.archive("killed")
    study, series = "1.2.8", [f"1.2.8.{number}" for number in range(1, SERIES_KILLED + 1)]
    for each in series:
        for number in (1, 2):
            s3.put_object(Bucket="inbox", Key=f"killed/copied/{each}.{number}", Body=slice_of(study, each, number))
    files = 2 * SERIES_KILLED
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    root = f"{running.url}/dicomweb/killed/studies/{study}"

    def seen() -> tuple[int, int]:
        """Instances that a study's metadata names, and those that the study gives."""
        named = session.get(f"{root}/metadata", headers={"Accept": "application/dicom+json"}, timeout=60)
        given = session.get(root, headers={"Accept": 'multipart/related; type="application/dicom"'}, timeout=60)
        if {named.status_code, given.status_code} != {200}:
            return -named.status_code, -given.status_code
        return len(named.json()), given.content.count(b"Content-Type: application/dicom")

    def packs() -> int:
        return len(s3.list_objects_v2(Bucket="archive", Prefix="blobs/packs/killed/").get("Contents", ()))

    wait_until(lambda: seen() == (files, files), what="the files are indexed")
    assert packs() == files
    stop, found = threading.Event(), []

    def read() -> None:
        while not stop.wait(0.05):
            found.append(seen())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        words = [sys.executable, "-m", "tests.e2e.node.killed_compaction", str(running.data), "killed", "2"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=100)
    finally:
        stop.set()
        reader.join()
    assert done.returncode == 0, done.stderr
    assert all(int(died) > 15 for died in done.stdout.split())
    assert len(found) > 5
    assert set(found) == {(files, files)}
    assert packs() == SERIES_KILLED
    assert len(s3.list_objects_v2(Bucket="archive", Prefix="meta/killed/").get("Contents", ())) == SERIES_KILLED
    assert SqliteTable(running.data / "index.sqlite").query("killed#C").items == []
    assert "killed: 1 studies" in running.maypacs("reindex", "--archive", "killed")
    assert seen() == (files, files)
