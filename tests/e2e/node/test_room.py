"""A disk that is nearly full: storing stops with a clear answer, reading goes on, nothing that came is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests
from tests.support.instances import slice_of
from tests.support.processes import BIN, ROOT, Node, wait_until

from maypacs_node.bench import object_store_client
from maypacs_node.room import Room

STOW = 'multipart/related; type="application/dicom"; boundary=x'


def stow(node: Node, key: str, number: int) -> requests.Response:
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + slice_of(number=number) + b"\r\n--x--\r\n"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": STOW}
    return requests.post(f"{node.url}/dicomweb/hosp1/studies", data=body, headers=headers, timeout=60)


def instances(node: Node, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.get(f"{node.url}/dicomweb/hosp1/instances", headers=headers, timeout=30)
    assert answer.status_code in (200, 204), answer.text
    return len(answer.json()) if answer.content else 0


def test_a_nearly_full_disk_takes_nothing_and_gives_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit records are still written, so reading goes on; what lies in the inbox is taken in when there is room."""
    node = Node(tmp_path / "node")
    with node:
        key = node.archive("hosp1")
        assert stow(node, key, 1).status_code == 200
    monkeypatch.setenv("MAYPACS_NODE_RESERVE_BYTES", str(2**60))
    with Node(tmp_path / "node", port=node.port) as full:
        refused = stow(full, key, 2)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
        assert "nearly full" in refused.json()["detail"]
        assert requests.put(f"{full.url}/uploads/hosp1/uploads/x", data=b"x", timeout=30).status_code == 503
        assert instances(full, key) == 1
        assert requests.get(f"{full.url}/health", timeout=30).json()["disk"] == "nearly full"
        client, _ = object_store_client(full.data)
        client.put_object(Bucket="inbox", Key="hosp1/late.dcm", Body=slice_of(number=3))
        full.maypacs("key", "add", "--archive", "hosp1", "--role", "viewer")
    monkeypatch.delenv("MAYPACS_NODE_RESERVE_BYTES")
    with Node(tmp_path / "node", port=node.port) as again:
        wait_until(lambda: instances(again, key) == 2, what="what lay in the inbox")
        assert stow(again, key, 4).status_code == 200


@pytest.mark.parametrize(
    ("kept", "free", "stores", "works"),
    [
        (100, 100, True, True),
        (100, 99, False, True),
        (100, 50, False, True),
        (100, 49, False, False),
        (0, 0, True, True),
    ],
)
def test_what_came_is_worked_on_longer_than_new_things_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: int, free: int, stores: bool, works: bool
) -> None:
    """Else a full inbox and a full disk would wait for each other."""
    monkeypatch.setattr(Room, "free", free)
    room = Room(tmp_path, kept)
    assert (room.takes_more(), room.takes_what_came()) == (stores, works)


def test_a_data_folder_that_is_a_file_is_said_in_a_line(tmp_path: Path) -> None:
    """As is a read-only or a full disk: a person reads this, no traceback."""
    (tmp_path / "data").touch()
    done = subprocess.run(
        [BIN / "maypacs", "up", "--data", tmp_path / "data"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, f"maypacs: File exists: {tmp_path / 'data'}\n")
