"""Erasing at the command line of a running node, and on its disk."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from tests.support.instances import slice_of
from tests.support.processes import Node, wait_until

from maypacs_node.home import Home
from maypacs_node.seaweed import SeaweedFS

STUDY, SERIES = "1.2.8", "1.2.8.1"


def test_an_operator_erases_at_the_command_line_and_the_node_carries_it_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who mistypes the UID erases nothing; then it is gone at once, recorded, and destroyed by the clock."""
    monkeypatch.setenv("MAYPACS_NODE_HOUSEKEEPER_SECONDS", "1")
    with Node(tmp_path / "node") as node:
        key = node.archive("hosp1")
        headers = {"Authorization": f"Bearer {key}"}
        root = f"{node.url}/dicomweb/hosp1"
        for number in (1, 2):
            body = slice_of(STUDY, SERIES, number)
            stored = requests.post(
                f"{root}/studies", data=body, headers={**headers, "Content-Type": "application/dicom"}, timeout=30
            )
            assert stored.status_code == 200
        erase = ["erase", STUDY, SERIES, f"{SERIES}.1", "--archive", "hosp1", "--reason", "yêu cầu"]
        with pytest.raises(AssertionError, match="another UID"):
            node.maypacs(*erase)
        target = f"{root}/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1"
        assert requests.get(target, headers=headers, timeout=30).status_code == 200
        begun = node.maypacs(*erase, "--yes").split("\t")[0]
        assert requests.get(target, headers=headers, timeout=30).status_code == 410
        assert "erase" in {each["action"] for each in audit(root, headers)}
        wait_until(lambda: "(settling)" in node.maypacs("erasures", "--archive", "hosp1"), what="a round", seconds=60)
        shown = requests.get(f"{root}/erasures/{begun}", headers=headers, timeout=30).json()
        assert {uid for each in shown["found"] for uid in each["instances"]} == {f"{SERIES}.1"}
        other = f"{root}/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.2"
        assert requests.get(other, headers=headers, timeout=30).status_code == 200
        broken = requests.post(f"{root}/studies", data=b"x", headers=headers, timeout=30)
        assert broken.status_code in (400, 409, 415)
        assert node.maypacs("quarantine", "list", "--archive", "hosp1") == ""


def audit(root: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    day = time.strftime("%Y%m%d", time.gmtime())
    url = root.replace("/dicomweb/", "/api/archives/") + f"/audit?day={day}"
    found: list[dict[str, Any]] = requests.get(url, headers=headers, timeout=30).json()["records"]
    return found


def test_the_bytes_of_what_was_erased_leave_the_disk(tmp_path: Path) -> None:
    """Deleting leaves them in a volume's file until it is vacuumed."""
    home = Home(tmp_path / "node")
    home.create()
    with SeaweedFS(home.objects, run=home.run, fsync=False) as store:
        client = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
            region_name="us-east-1",
        )
        mark, kept = secrets.token_bytes(24), os.urandom(2000)
        client.put_object(Bucket="archive", Key="kept", Body=kept)
        client.put_object(Bucket="archive", Key="erased", Body=os.urandom(1000) + mark + os.urandom(1000))

        def on_disk() -> bool:
            return any(mark in file.read_bytes() for file in home.objects.rglob("*.dat"))

        assert on_disk()
        client.delete_object(Bucket="archive", Key="erased")

        def vacuumed() -> bool:  # the filer gives the bytes up a moment after it has answered
            return SeaweedFS(home.objects, run=home.run).vacuum() and not on_disk()

        wait_until(vacuumed, what="the bytes are gone", seconds=60)
        assert client.get_object(Bucket="archive", Key="kept")["Body"].read() == kept
