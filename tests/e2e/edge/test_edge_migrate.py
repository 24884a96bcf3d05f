"""`maypacs-edge migrate`: everything of Orthanc, by C-MOVE and by C-GET, killed and taken up again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.support.orthanc import Orthanc
from tests.support.processes import BIN, wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, StubEdge, write_ct

pytestmark = pytest.mark.e2e

DAYS = {"2.25.1": "20240101", "2.25.2": "20240101", "2.25.3": "20240229", "2.25.4": "20191231", "2.25.5": ""}


def request(url: str, data: bytes, method: str = "POST") -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def write_studies(folder: Path, images: int = 4) -> dict[str, Path]:
    """Two studies of one day, one of another, one of another year, one without a date: by SOP Instance UID."""
    files = {}
    for study, day in DAYS.items():
        for n in range(1, images + 1):
            uid = f"{study}1.{n}"
            path = write_ct(folder / f"{uid}.dcm", study=study, series=f"{study}1", sop=uid, number=n)
            ds = pydicom.dcmread(path)
            ds.StudyDate, ds.StudyTime, ds.StudyID, ds.SeriesNumber = day, "080000", "1", "1"
            ds.save_as(path)
            files[uid] = path
    return files


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    with Orthanc(tmp_path / "orthanc") as orthanc:
        yield orthanc


def fill(orthanc: Orthanc, files: dict[str, Path], edge_port: int) -> None:
    base = f"http://127.0.0.1:{orthanc.http_port}"
    for path in files.values():
        request(f"{base}/instances", path.read_bytes())
    request(f"{base}/modalities/edge", json.dumps([AET, "127.0.0.1", edge_port]).encode(), "PUT")


def edge_of(tmp_path: Path, cloud: StubCloud, port: int, title: str = "ORTHANC") -> StubEdge:
    device = f'\n[[device]]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n'
    return StubEdge(tmp_path / "edge", cloud, devices=device)


def command(edge: StubEdge, *words: object) -> list[str]:
    return [str(BIN / "maypacs-edge"), "migrate", "--config", str(edge.config), *map(str, words)]


def migrate(edge: StubEdge, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(edge, *words), capture_output=True, text=True, timeout=100)


def assert_equal(cloud: StubCloud, files: dict[str, Path]) -> None:
    parts = cloud.parts()
    assert sorted(part.sop for part in parts) == sorted(files)
    for part in parts:
        assert pydicom.dcmread(BytesIO(part.data)) == pydicom.dcmread(files[part.sop])


@pytest.mark.parametrize("method", ["move", "get"])
def test_everything_of_orthanc_comes_once_and_the_report_proves_it(
    tmp_path: Path, cloud: StubCloud, orthanc: Orthanc, method: str
) -> None:
    """A year, then everything (studies without a date, too), then nothing but what is new there."""
    files = write_studies(tmp_path / "in")
    edge = edge_of(tmp_path, cloud, orthanc.dicom_port)
    fill(orthanc, files, edge.port)
    words = ["--from", "ORTHANC", "--method", method]
    with edge:
        year = migrate(edge, *words, "--dates", "20240101-20240301")
        assert year.returncode == 0, year.stdout + year.stderr
        assert "3 studies are in the cloud as the source has them: 12 images there, 12 in the cloud" in year.stdout
        assert {part.study for part in cloud.parts()} == {"2.25.1", "2.25.2", "2.25.3"}
        whole = migrate(edge, *words, "--report", tmp_path / "report.csv")
        assert whole.returncode == 0, whole.stdout + whole.stderr
        assert_equal(cloud, files)
        with (tmp_path / "report.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {(r["study"], r["date"], r["listed"], r["in the cloud"], r["state"]) for r in rows} == {
            (study, day, "4", "4", "done") for study, day in DAYS.items()
        }
        assert "THU-0001" not in (tmp_path / "report.csv").read_text()
        again = migrate(edge, *words, "--dates", "20240101")
        assert again.returncode == 0
        assert len(cloud.parts()) == len(files)


@pytest.mark.parametrize("method", ["move", "get"])
def test_killed_at_any_point_it_goes_on_where_it_was(
    tmp_path: Path, cloud: StubCloud, orthanc: Orthanc, method: str
) -> None:
    """kill -9 after the first study, and again; what is in the cloud is not fetched anew."""
    files = write_studies(tmp_path / "in", 10)
    edge = edge_of(tmp_path, cloud, orthanc.dicom_port)
    fill(orthanc, files, edge.port)
    words = ["--from", "ORTHANC", "--method", method, "--dates", "20191201-20240301"]
    del files["2.25.51.1"], files["2.25.51.2"]
    with edge:
        for seen in (1, 25):
            with subprocess.Popen(command(edge, *words), stdout=subprocess.PIPE, start_new_session=True) as run:
                wait_until(lambda seen=seen: len(cloud.parts()) >= seen, what="some images")
                os.killpg(run.pid, signal.SIGKILL)
        done = migrate(edge, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert_equal(cloud, {uid: path for uid, path in files.items() if not uid.startswith("2.25.5")})


def test_a_source_that_does_not_know_us_is_told_of_with_what_to_do(
    tmp_path: Path, cloud: StubCloud, orthanc: Orthanc
) -> None:
    """Unknown to it; no such device; no edge to send to; a date that is none."""
    files = write_studies(tmp_path / "in", 1)
    edge = edge_of(tmp_path, cloud, orthanc.dicom_port)
    fill(orthanc, files, edge.port)
    base = f"http://127.0.0.1:{orthanc.http_port}"
    words = ["--from", "ORTHANC", "--dates", "20240101"]
    stopped = migrate(edge, *words)
    assert (stopped.returncode, "no edge is running" in stopped.stderr) == (1, True)
    with edge:
        request(f"{base}/modalities/edge", b"", "DELETE")
        unknown = migrate(edge, *words)
        assert unknown.returncode == 1
        assert f"does it know our AE title {AET}?" in unknown.stderr, unknown.stdout + unknown.stderr
        assert "no [[device]] with ae_title NOBODY" in migrate(edge, "--from", "NOBODY").stderr
        assert "is not YYYYMMDD" in migrate(edge, "--from", "ORTHANC", "--dates", "2024").stderr
