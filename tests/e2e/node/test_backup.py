"""Backups of users and keys on a real node: by its clock, by command, and back again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests
from tests.support.processes import BIN, ROOT, Node, wait_until

from maypacs_node.bench import object_store_client


def login(node: Node, password: str) -> int:
    body = {"user": "bs.thu", "password": password}
    return requests.post(f"{node.url}/api/login", json=body, timeout=30).status_code


def test_users_and_keys_come_back_from_the_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts are lost; the archive's bucket is not. No URL of the node serves a backup."""
    monkeypatch.setenv("MAYPACS_NODE_HOUSEKEEPER_SECONDS", "1")
    node = Node(tmp_path / "node")
    key = node.archive("hosp1")
    password = node.maypacs("user", "add", "bs.thu", "--archive", "hosp1", "--role", "radiologist")
    with node:
        wait_until(lambda: node.maypacs("backup", "list"), what="a backup by the clock")
        name = node.maypacs("backup", "now")
        assert node.maypacs("backup", "list").splitlines()[-1] == name
        client, bucket = object_store_client(node.data)
        listed = client.list_objects_v2(Bucket=bucket, Prefix="backups/")["Contents"]
        for path in ("/blobs/", "/", "/uploads/"):
            answer = requests.get(f"{node.url}{path}{listed[0]['Key']}", timeout=30)
            assert b"SQLite" not in answer.content
            assert not answer.content.startswith(b"\x1f\x8b")
        done = subprocess.run(
            [BIN / "maypacs", "backup", "restore", name, "--data", node.data],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
        )
        assert (done.returncode, "in use" in done.stderr) == (1, True)
    for path in node.data.glob("accounts.sqlite*"):
        path.unlink()
    node.maypacs("backup", "restore", name)
    with Node(tmp_path / "node", port=node.port) as again:
        assert login(again, password) == 200
        headers = {"Authorization": f"Bearer {key}"}
        assert requests.get(f"{again.url}/dicomweb/hosp1/studies", headers=headers, timeout=30).status_code == 204
