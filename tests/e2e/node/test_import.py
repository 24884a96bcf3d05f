"""`maypacs import`: folders, zips and tars into an archive, with the node running and stopped."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import requests
from tests.support.instances import slice_of
from tests.support.processes import BIN, ROOT, Node

from maypacs_node.bench import object_store_client

NAME = "Nguyễn Văn Thử"


def run(node: Node, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [BIN / "maypacs", "import", "--data", node.data, "--archive", "hosp1", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def folder_of(place: Path, numbers: range) -> Path:
    """Slices in folders of folders, named after the patient as discs are."""
    for number in numbers:
        file = place / NAME / f"S{number % 2}" / f"IM{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(slice_of(number=number))
    return place


def instances(node: Node, key: str) -> int:
    answer = requests.get(
        f"{node.url}/dicomweb/hosp1/instances", headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    return len(answer.json()) if answer.status_code == 200 else 0


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node")


def test_a_folder_is_taken_in_and_what_failed_is_named(node: Node, tmp_path: Path) -> None:
    """One pack for what belongs together; a second time nothing is stored again; text files are left where they are."""
    folder = folder_of(tmp_path / "disc", range(1, 6))
    (folder / "README.TXT").write_text("a viewer for your images")
    (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"nothing that is DICOM")
    with node:
        key = node.archive("hosp1")
        done = run(node, folder)
        assert done.stdout == "1 failed, 5 stored\n", done.stderr
        assert (done.returncode, "broken.dcm: " in done.stderr) == (1, True)
        assert "1 files are not DICOM" in done.stderr
        assert instances(node, key) == 5
        client, bucket = object_store_client(node.data)
        packs = client.list_objects_v2(Bucket=bucket, Prefix="blobs/packs/")["Contents"]
        assert len(packs) == 1
        assert run(node, folder / NAME).stdout == "5 duplicate\n"
        assert not client.list_objects_v2(Bucket="inbox").get("Contents")
    for log in (node.data / "log").glob("*"):
        assert "Nguy" not in log.read_text(errors="replace"), log.name


def test_zip_and_tar_with_the_node_stopped(node: Node, tmp_path: Path) -> None:
    """The command takes them in itself; the node finds them when it starts."""
    folder = folder_of(tmp_path / "disc", range(1, 4))
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as bundle:
        for file in folder.rglob("IM1"):
            bundle.write(file, file.name)
    with tarfile.open(tmp_path / "rest.tar.gz", "w:gz") as rest:
        rest.add(folder, NAME)
    key = node.archive("hosp1")
    done = run(node, tmp_path / "one.zip", tmp_path / "rest.tar.gz")
    assert (done.returncode, done.stdout) == (0, "1 duplicate, 3 stored\n"), done.stderr
    with node:
        assert instances(node, key) == 3


def test_mistakes_are_said_in_a_line(node: Node, tmp_path: Path) -> None:
    """An archive that is not there, a path that is not there: nothing is made of either."""
    node.maypacs("archive", "add", "hosp1")
    done = run(node, tmp_path / "nothing")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("maypacs: there is no ")
    folder = folder_of(tmp_path / "disc", range(1, 2))
    command = [BIN / "maypacs", "import", "--data", node.data, "--archive", "hosp9", folder]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.returncode, done.stderr) == (1, "maypacs: no such archive\n")
