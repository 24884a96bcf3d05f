"""The dashboard in Chromium against a real node (see dashboard.mjs for the steps)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from samples.phantom import write_ct
from tests.conftest import OWN_SAMPLES, ROOT
from tests.support.processes import Node, wait_until
from tests.support.red_jpeg import write_red_jpeg

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(400)]

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
SCRIPT = Path(__file__).with_name("dashboard.mjs")


@dataclass(frozen=True, slots=True)
class Place:
    """A node with the demo's studies in it, and a person who may see them."""

    url: str
    user: str
    password: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("browser")
    with Node(folder / "node") as node:
        node.maypacs("archive", "add", "demo", "--title", "Bệnh viện Thử nghiệm")
        key = node.maypacs("key", "add", "--archive", "demo", "--role", "admin")
        password = node.maypacs(
            "user", "add", "bacsi", "--archive", "demo", "--role", "radiologist", "--title", "BS. Thử"
        )
        _an_edge_reports(node.url, key)
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        root = f"{node.url}/dicomweb/demo"
        client = DICOMwebClient(root, session=session)
        files = write_ct(folder / "ct", slices=60) + sorted((OWN_SAMPLES / "studies").rglob("*.dcm"))
        files.append(write_red_jpeg(folder / "red" / "1.dcm"))
        studies = set()
        for start in range(0, len(files), 20):
            instances = [pydicom.dcmread(file) for file in files[start : start + 20]]
            studies |= {str(instance.StudyInstanceUID) for instance in instances}
            client.store_instances(instances)

        def drawn() -> bool:
            """Thumbnails are made after the ingest: the list is complete when all are there."""
            return all(session.get(f"{root}/studies/{study}/thumbnail", timeout=30).ok for study in studies)

        wait_until(drawn, seconds=60, what="thumbnails of every study")
        yield Place(node.url, "bacsi", password)


def _an_edge_reports(url: str, admin: str) -> None:
    """An edge enrols and says how it and two devices are."""
    now, archive = time.time(), f"{url}/api/archives/demo"
    code = requests.post(
        f"{archive}/enrolment-codes",
        json={"name": "Trạm khoa CĐHA"},
        headers={"Authorization": f"Bearer {admin}"},
        timeout=30,
    ).json()["code"]
    enrolled = requests.post(f"{url}/api/edges/enrol", json={"code": code, "version": "0.1.0"}, timeout=30).json()
    beat = {
        "version": "0.1.0",
        "cpu_percent": 12.0,
        "memory_percent": 38.0,
        "disk_free": 412_000_000_000,
        "disk_total": 1_000_000_000_000,
        "waiting": 128,
        "waiting_bytes": 67_000_000,
        "oldest_seconds": 42.0,
        "received_per_hour": 1480,
        "uploaded_bytes_per_hour": 780_000_000,
        "received_at": now - 30,
        "devices": [
            {"ae_title": "MAY-CT", "modality": "CT", "image_at": now - 30, "heard_at": now - 30, "echo_at": now - 60},
            {"ae_title": "MAY-XA", "modality": "XA", "image_at": now - 90_000, "heard_at": now - 90_000},
            {"ae_title": "MAY-US"},
        ],
        "findings": [{"code": "echo_failed", "level": "amber", "device": "MAY-XA", "value": 5400}],
    }
    key = {"Authorization": f"Bearer {enrolled['key']}"}
    answer = requests.post(f"{archive}/heartbeats", json=beat, headers=key, timeout=30)
    assert answer.status_code == 200, answer.text


def test_a_person_finds_and_reads_a_study_on_a_pc_and_on_a_phone(place: Place) -> None:
    """Login, list, search without accents, pixels, window and level, touch, no WebGL, accessibility, CSP."""
    settings = {"MAYPACS_URL": place.url, "MAYPACS_USER": place.user, "MAYPACS_PASSWORD": place.password}
    done = subprocess.run(
        ["node", SCRIPT],
        env={**os.environ, **settings, "CHROMIUM": CHROMIUM},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "ok no script error" in done.stdout
