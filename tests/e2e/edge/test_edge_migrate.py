"""`maypacs-edge migrate`: everything of Orthanc, by C-MOVE and by C-GET, killed and taken up again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.support.orthanc import Orthanc
from tests.support.processes import BIN, wait_until
from tests.support.strange_pacs import StrangePacs
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, StubEdge, write_ct

from edge_forwarder.dimse.scu import Peer
from edge_forwarder.migrating import source_pacs
from edge_forwarder.migrating.periods import Days
from edge_forwarder.migrating.source_pacs import Found, SourcePacs

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
        text = edge.config.read_text()
        edge.config.write_text(text + 'rights = ["query"]\n')
        assert "ORTHANC may not store" in migrate(edge, *words).stderr
        edge.config.write_text(text)
        assert "no [[device]] with ae_title NOBODY" in migrate(edge, "--from", "NOBODY").stderr
        assert "is not YYYYMMDD" in migrate(edge, "--from", "ORTHANC", "--dates", "2024").stderr


def image(folder: Path, study: str, number: int, time: str = "080000") -> pydicom.Dataset:
    uid = f"{study}1.{number}"
    ds = pydicom.dcmread(write_ct(folder / uid, study=study, series=f"{study}1", sop=uid, number=number))
    ds.StudyDate, ds.StudyTime = "20240101", time
    return ds


@pytest.mark.parametrize("method", ["move", "get"])
def test_a_source_that_misbehaves_gives_all_it_can_and_the_rest_is_named(
    tmp_path: Path, cloud: StubCloud, method: str
) -> None:
    """It drops retrieves half way, counts nothing, lists no images of one study, and withholds an image of another."""
    images = [image(tmp_path, f"2.25.{study}", n) for study in (1, 2, 3) for n in (1, 2, 3)]
    pacs = StrangePacs(images, counts=False, unlisted=frozenset({"2.25.3"}), drops=2)
    pacs.withheld = frozenset({"2.25.21.2"})
    with pacs:
        edge = edge_of(tmp_path, cloud, pacs.port, "STRANGE")
        pacs.destination = ("127.0.0.1", edge.port)
        words = ["--from", "STRANGE", "--method", method, "--dates", "20240101", "--report", tmp_path / "report.csv"]
        with edge:
            first = migrate(edge, *words)
            assert first.returncode == 1, first.stdout + first.stderr
            assert "2 studies are in the cloud as the source has them" in first.stdout
            assert "1 studies DIFFER: 3 images there, 2 in the cloud" in first.stdout
            assert "2.25.2: 3 there, 2 arrived, 2 in the cloud" in first.stdout
            assert "    2.25.21.2: missing" in first.stdout
            with (tmp_path / "report.csv").open() as file:
                named = [(r["image"], r["fate"]) for r in csv.DictReader(file) if r["fate"] == "missing"]
            assert named == [("2.25.21.2", "missing")]
            sent = {str(i.SOPInstanceUID): i for i in images if i.SOPInstanceUID != "2.25.21.2"}
            assert {part.sop for part in cloud.parts()} == set(sent)
            assert all(pydicom.dcmread(BytesIO(part.data)) == sent[part.sop] for part in cloud.parts())
            pacs.withheld, before = frozenset(), len(pacs.retrieves)
            second = migrate(edge, *words)
            assert second.returncode == 0, second.stdout + second.stderr
            asked = [(r.QueryRetrieveLevel, r.get("SOPInstanceUID")) for r in pacs.retrieves[before:]]
            assert asked == [("IMAGE", "2.25.21.2")]
        assert len(cloud.parts()) == len(images)


def test_what_the_archive_had_before_is_known_by_uid_series_and_class_and_the_report_says_so(
    tmp_path: Path, cloud: StubCloud
) -> None:
    """Of two images that another edge brought, one is in another series: that is not the one that the source has."""
    images = [image(tmp_path, "2.25.1", n) for n in (1, 2, 3)]
    before = [write_ct(tmp_path / "same", series="2.25.11", sop="2.25.11.1", number=1)]
    before.append(write_ct(tmp_path / "moved", series="2.25.99", sop="2.25.11.2", number=2))
    with StubEdge(tmp_path / "other", cloud) as other:
        assert other.storescu(*before).returncode == 0
        wait_until(lambda: not other.spooled(), what="an empty spool")
    with StrangePacs(images) as pacs, edge_of(tmp_path, cloud, pacs.port, "STRANGE") as edge:
        done = migrate(edge, "--from", "STRANGE", "--method", "get", "--dates", "20240101")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 images there, 3 in the cloud (1 of them before)" in done.stdout
    assert "1 images were in the cloud before: compared by UID, series and SOP class, not byte for byte." in done.stdout
    assert [(r.QueryRetrieveLevel, r.SOPInstanceUID) for r in pacs.retrieves] == [
        ("IMAGE", "2.25.11.2"),
        ("IMAGE", "2.25.11.3"),
    ]
    assert sorted(part.sop for part in cloud.parts()) == ["2.25.11.1", "2.25.11.2", "2.25.11.2", "2.25.11.3"]


def test_a_rate_is_kept_and_a_rejection_says_what_to_do(tmp_path: Path, cloud: StubCloud) -> None:
    """One image a second is one a second; who does not know us is told how to change that."""
    images = [image(tmp_path, f"2.25.{study}", 1) for study in (1, 2, 3)]
    with StrangePacs(images, known="ELSE") as pacs, edge_of(tmp_path, cloud, pacs.port, "STRANGE") as edge:
        refused = migrate(edge, "--from", "STRANGE", "--method", "get", "--dates", "20240101")
        assert refused.returncode == 1
        assert f"It does not know us: enter our AE title {AET}" in refused.stderr
    slow = ["--from", "STRANGE", "--method", "get", "--dates", "20240101", "--rate", "3600/h"]
    with StrangePacs(images) as pacs:
        edge = edge_of(tmp_path / "slow", cloud, pacs.port, "STRANGE")
        done = migrate(edge, *slow)  # with no edge running
        assert done.returncode == 0, done.stderr
        assert pacs.retrieved_at[2] - pacs.retrieved_at[0] >= 2.0
    assert {part.sop for part in cloud.parts()} == {"2.25.11.1", "2.25.21.1", "2.25.31.1"}


def test_a_source_that_tries_nothing_may_not_know_where_to_send(tmp_path: Path, cloud: StubCloud) -> None:
    """Not every PACS answers A801 to a destination that is not entered there: the report says what to look at."""
    images = [image(tmp_path, "2.25.1", 1)]
    with (
        StrangePacs(images, is_unable=True) as pacs,
        edge_of(tmp_path, cloud, pacs.port, "STRANGE") as edge,
    ):
        done = migrate(edge, "--from", "STRANGE", "--dates", "20240101")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ends with status C5" in done.stdout
    assert f"Is entered there: our AE title {AET}, this machine's address and port {edge.port}?" in done.stdout


@pytest.mark.parametrize("status", [0x0000, 0xA700], ids=["silently", "with a status"])
def test_a_day_of_which_the_source_lists_only_some_is_asked_by_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Every study is found, through caps at each level, as long as a minute has no more than the cap."""
    monkeypatch.setattr(source_pacs, "_ROUND", 5)
    images = [image(tmp_path, f"2.25.{n}", 1, f"{n % 24:02}{n % 60:02}00") for n in range(1, 24)]
    with StrangePacs(images, cap=5, cap_status=status) as pacs:
        source = SourcePacs(Peer("127.0.0.1", pacs.port, "STRANGE", AET), AET)
        found = source.studies("20240101")
        assert (set(found.studies), found.complete) == ({f"2.25.{n}" for n in range(1, 24)}, True)
        assert source.studies("20240102") == Found({})
        assert len(pacs.queries) < 40
        assert source.has_studies(Days(date(2023, 1, 1), date(2024, 12, 31)))
        assert not source.has_studies(Days(date(2025, 1, 1), date(2025, 12, 31)))


def test_a_minute_that_has_more_than_the_cap_is_said_to_be_incomplete(tmp_path: Path) -> None:
    """What the source itself calls incomplete is never taken for everything."""
    images = [image(tmp_path, f"2.25.{n}", 1) for n in range(1, 9)]
    with StrangePacs(images, cap=5, cap_status=0xA700) as pacs:
        found = SourcePacs(Peer("127.0.0.1", pacs.port, "STRANGE", AET), AET).studies("20240101")
        assert (len(found.studies), found.complete) == (5, False)
