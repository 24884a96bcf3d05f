"""curl as people use it, and the Accept lines that browsers send by themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from samples.phantom import write_ct
from tests.e2e.clients.conftest import Archive
from tests.e2e.clients.corpus import stow

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SAFARI = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROME_IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
FIREFOX_IMAGE = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"


@dataclass(frozen=True, slots=True)
class Reply:
    statuses: list[int]  #: of every hop
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Curl:
    archive: Archive
    study: str
    series: str
    instance: str

    def __call__(self, path: str, *options: str, key: str | None = None) -> Reply:
        program = shutil.which("curl")
        assert program, "curl is not installed: apt-get install curl"
        done = subprocess.run(
            [program, "--silent", "--show-error", "--max-time", "60", "--dump-header", "/dev/stderr"]
            + ["--header", f"Authorization: Bearer {self.archive.key if key is None else key}"]
            + [*options, self.archive.root + path],
            capture_output=True,
            timeout=90,
        )
        lines = done.stderr.decode("latin-1").splitlines()
        assert done.returncode == 0, lines
        types = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("content-type:")]
        statuses = [int(line.split()[1]) for line in lines if line.startswith("HTTP/")]
        return Reply([status for status in statuses if status >= 200], types[-1] if types else "", done.stdout)

    @property
    def path(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"


@pytest.fixture(scope="module")
def curl(new_archive: Callable[[], Archive], tmp_path_factory: pytest.TempPathFactory) -> Curl:
    archive = new_archive()
    paths = write_ct(tmp_path_factory.mktemp("ct"), slices=12, seed=5)
    with archive.session() as session:
        stow(session, archive.root, [path.read_bytes() for path in paths])
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    return Curl(archive, str(header.StudyInstanceUID), str(header.SeriesInstanceUID), str(header.SOPInstanceUID))


def test_curl_follows_the_redirect_of_a_large_series_with_its_credential(curl: Curl) -> None:
    """``-L`` sends the header again to the same host: it is in nobody's way there."""
    reply = curl(
        f"/studies/{curl.study}", "--location", "--header", 'Accept: multipart/related; type="application/dicom"'
    )
    assert reply.statuses == [307, 200]
    assert reply.content_type.startswith("multipart/related")
    assert reply.body.count(b"DICM") == 12
    without = curl(f"/studies/{curl.study}")
    assert without.statuses == [307]


def test_curl_sees_the_headers_of_a_redirect_with_head(curl: Curl) -> None:
    """``-I``: no body, the same status."""
    reply = curl(f"/studies/{curl.study}", "--head", "--location")
    assert reply.statuses == [307, 200]
    assert b"DICM" not in reply.body


def test_curl_without_an_accept_of_its_own_gets_the_default(curl: Curl) -> None:
    """It sends ``*/*``; with ``-H Accept:`` it sends none."""
    for options in ((), ("--header", "Accept:")):
        reply = curl(curl.path, *options)
        assert reply.statuses == [200]
        assert reply.content_type.startswith('multipart/related; type="application/dicom"')


def test_curl_posts_a_file_as_it_is(curl: Curl, tmp_path: Path) -> None:
    """``--data-binary @file``, one instance, the type in the header; it is there already."""
    path = write_ct(tmp_path, slices=12, seed=5)[3]
    reply = curl("/studies", "--data-binary", f"@{path}", "--header", "Content-Type: application/dicom")
    assert reply.statuses == [200]
    assert "00081199" in json.loads(reply.body)


def test_curl_waits_for_100_continue_and_sends_its_body(curl: Curl, tmp_path: Path) -> None:
    """Which it asks for by itself above a megabyte."""
    body = write_ct(tmp_path, slices=12, seed=5)
    parts = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + each.read_bytes() + b"\r\n" for each in body[:4]
    )
    (tmp_path / "body").write_bytes(parts + b"--b--\r\n")
    reply = curl(
        "/studies",
        "--data-binary",
        f"@{tmp_path / 'body'}",
        "--header",
        "Expect: 100-continue",
        "--header",
        "Content-Type: multipart/related; type=application/dicom; boundary=b",
    )
    assert reply.statuses == [200]


@pytest.mark.parametrize("accept", [CHROME, FIREFOX, SAFARI], ids=["chrome", "firefox", "safari"])
def test_a_browsers_address_line_gets_json(curl: Curl, accept: str) -> None:
    """Searches and metadata."""
    for path in (
        "/studies",
        f"/studies/{curl.study}/series",
        f"/studies/{curl.study}/metadata",
        f"{curl.path}/metadata",
    ):
        reply = curl(path, "--header", f"Accept: {accept}")
        assert reply.statuses == [200], path
        assert reply.content_type.startswith("application/dicom+json"), path
        assert json.loads(reply.body)


@pytest.mark.parametrize("accept", [CHROME_IMAGE, FIREFOX_IMAGE, CHROME], ids=["chrome", "firefox", "address line"])
@pytest.mark.parametrize("what", ["rendered", "thumbnail"])
def test_a_browsers_picture_element_gets_a_picture(curl: Curl, accept: str, what: str) -> None:
    """In a type that it shows."""
    reply = curl(f"{curl.path}/{what}", "--header", f"Accept: {accept}")
    assert reply.statuses == [200]
    assert reply.content_type.partition(";")[0] in {"image/jpeg", "image/png"}
    assert reply.body[:2] in {b"\xff\xd8", b"\x89P"}


def test_a_wrong_key_is_told_what_is_missing(curl: Curl) -> None:
    """Problem details, and which scheme to use."""
    reply = curl("/studies", key="mpk_wrong")
    assert reply.statuses == [401]
    assert reply.content_type.startswith("application/problem+json")
    assert json.loads(reply.body)["status"] == 401
